"""One batch script or one step on one node: its processes are started, relayed, signalled and accounted for here.

Measured, slurm 22.05: with proctrack/linuxproc a signal reaches the tasks' process trees, children before their
parents, and leftovers outlive the step; with proctrack/cgroup signals reach the tasks alone and KILL takes everything
that is left. A leftover that holds the output of a step keeps it from ending for a minute, then its output is given up
(slurm's eio.c).
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import selectors
import signal
import socket
import sys
import termios
import time
from collections.abc import Callable

from slurm_mock import environ as environs
from slurm_mock import processes, wire
from slurm_mock.cluster import Cluster, Settings
from slurm_mock.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


CHUNK = 65536
HEARTBEAT_SECONDS = 0.2  # how often a step whose tasks have ended is looked at again


class Relay:
    """Bytes of one task's stdout or stderr on their way to srun: whole lines, labelled if asked, or as they come."""

    def __init__(self, source: int, target: int, label: str, *, unbuffered: bool) -> None:
        self.source = source
        self.target = target
        self.label = label.encode()
        self.as_it_comes = unbuffered and not label
        self.rest = b""

    def pump(self) -> bool:
        """False at the end."""
        data = os.read(self.source, CHUNK)
        if self.as_it_comes:
            self._write(data)
            return bool(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        if not data and self.rest:
            lines, self.rest = [self.rest], b""
        if lines:
            ending = b"\n" if data or self.label else b""  # measured: a label completes the last line
            self._write(b"".join(self.label + line + ending for line in lines))
        elif len(self.rest) > CHUNK:
            self._write(self.rest)
            self.rest = b""
        return bool(data)

    def _write(self, data: bytes) -> None:
        try:
            while data and self.target >= 0:
                data = data[os.write(self.target, data) :]
        except OSError:
            self.target = -1  # nobody reads any more: output is discarded, the task does not notice


class Stepd:
    """Runs until the last task is gone, its output is delivered or given up, and the controller knows."""

    def __init__(
        self, cluster: Cluster, settings: Settings, node: str, message: dict[str, Any], srun: wire.Peer | None
    ) -> None:
        self.cluster, self.settings, self.node, self.message, self.srun = (
            cluster,
            settings,
            node,
            message,
            srun,
        )
        self.job_id, self.step = int(message["job"]), str(message["step"])
        self.batch = srun is None
        self.stdout, self.stderr = (srun.fds[0], srun.fds[1]) if srun else (-1, -1)
        self.pids: dict[int, int] = {}
        self.statuses: dict[int, int] = {}
        self.relays: list[Relay] = []
        self.selector = selectors.DefaultSelector()
        self.swept = False
        self.given_up_at = 0.0

    def run(self) -> None:
        os.setsid()
        os.umask(int(self.message["umask"]))
        processes.become_subreaper()
        path = self.cluster.step_socket(self.node, self.job_id, self.step)
        listener = wire.listen(path)
        self._watch(listener, lambda: self._control(listener))
        self._watch_children()
        if self.srun:
            self._watch(self.srun, self._hear_srun)
        try:
            self._start_tasks()
            while not self._finished():
                for key, _ in self.selector.select(HEARTBEAT_SECONDS if self._tasks_over() else None):
                    key.data()
        finally:
            os.unlink(path)
        self._report()

    def _watch(self, source: Any, callback: Callable[[], None]) -> None:
        self.selector.register(source, selectors.EVENT_READ, callback)

    def _watch_children(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._wakeup = theirs

        def reap() -> None:
            ours.recv(4096)
            self._reap()

        self._watch(ours, reap)

    def _start_tasks(self) -> None:
        for index, task in enumerate(self.message["tasks"]):
            try:
                self.pids[task["procid"]] = self._spawn_batch(task) if self.batch else self._spawn(index, task)
            except OSError as error:
                self._complain(f"slurmstepd: error: {error.strerror}: {error.filename}")
                self.statuses[task["procid"]] = 1 << 8
        if self.srun:
            for fd in self.srun.fds[2:]:
                os.close(fd)
            self._tell_srun({"event": "started", "node": self.node})
            for procid, status in self.statuses.items():
                self._tell_srun({"event": "exit", "procid": procid, "status": status, "node": self.node})

    def _spawn(self, index: int, task: dict[str, Any]) -> int:
        assert self.srun is not None
        stdin = self.srun.fds[2 + index]
        if task["pty"]:
            return self._fork(task, (stdin, stdin, stdin), pty=stdin)
        ends = []
        for target in (self.stdout, self.stderr):
            source, sink = os.pipe()
            ends.append(sink)
            relay = Relay(source, target, task["label"], unbuffered=task.get("unbuffered", False))
            self.relays.append(relay)
            self._watch(source, functools.partial(self._pump, relay))
        pid = self._fork(task, (stdin, ends[0], ends[1]), pty=-1)
        for sink in ends:
            os.close(sink)
        return pid

    def _spawn_batch(self, task: dict[str, Any]) -> int:
        stdin = os.open(self.message["stdin"], os.O_RDONLY)
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if self.message["append"] else os.O_TRUNC)
        self.stdout = self.stderr = os.open(self.message["stdout"], flags, 0o666)
        if self.message["stderr"] != self.message["stdout"]:
            self.stderr = os.open(self.message["stderr"], flags, 0o666)
        return self._fork(task, (stdin, self.stdout, self.stderr), pty=-1)

    def _fork(self, task: dict[str, Any], streams: tuple[int, int, int], *, pty: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            self._become(task, streams, pty=pty)
        finally:
            os._exit(127)

    def _become(self, task: dict[str, Any], streams: tuple[int, int, int], *, pty: int) -> None:
        signal.set_wakeup_fd(-1)
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(ignored, signal.SIG_DFL)
        if pty >= 0:
            os.setsid()
            fcntl.ioctl(pty, termios.TIOCSCTTY, 0)
        else:
            os.setpgid(0, 0)
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        environ = environs.apply(self.message["env"], {**task["env"], "SLURM_TASK_PID": str(os.getpid())})
        self._enter(self.message["cwd"])
        argv = task.get("argv") or self.message["argv"]
        try:
            if "PATH" in environ:
                os.execvpe(argv[0], argv, environ)
            os.execve(argv[0], argv, environ)  # measured: without PATH (--export=NONE) no bare name is found
        except OSError as error:
            code = error.errno or errno.ENOENT
            sys.stderr.write(f"slurmstepd: error: execve(): {argv[0]}: {os.strerror(code)}\n")
            sys.stderr.flush()
            os._exit(code)

    def _enter(self, folder: str) -> None:
        try:
            os.chdir(folder)
        except OSError as error:
            text = f"slurmstepd: error: couldn't chdir to `{folder}': {error.strerror}: going to /tmp instead\n"
            os.write(2, text.encode())
            os.chdir("/tmp")

    def _pump(self, relay: Relay) -> None:
        if not relay.pump():
            self.selector.unregister(relay.source)
            os.close(relay.source)
            self.relays.remove(relay)

    def _reap(self) -> None:
        names = {pid: procid for procid, pid in self.pids.items()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in names:
                procid = names[pid]
                self.statuses[procid] = status
                self._tell_srun({"event": "exit", "procid": procid, "status": status, "node": self.node})

    def _tasks_over(self) -> bool:
        return len(self.statuses) == len(self.message["tasks"])

    def _finished(self) -> bool:
        if not self._tasks_over():
            return False
        if self.settings.proctrack == "cgroup" and not self.swept:
            processes.kill_below(os.getpid())
            self.swept = True
        self.given_up_at = self.given_up_at or time.monotonic() + self.settings.output_wait
        return not self.relays or time.monotonic() >= self.given_up_at

    def _control(self, listener: socket.socket) -> None:
        """The controller has connected; what it says may come as late as it likes."""
        sock, _ = listener.accept()
        peer = wire.Peer(sock)
        self._watch(peer, lambda: self._hear_controller(peer))

    def _hear_controller(self, peer: wire.Peer) -> None:
        """Notes and signals, until the connection's end."""
        messages = peer.receive()
        if messages is None:
            self.selector.unregister(peer)
            peer.close()
            return
        for message in messages:
            if message.get("note"):
                self._complain(message["note"])
            for number in message["signals"]:
                self.signal(number, shell_only=message.get("shell_only", False))

    def _complain(self, text: str) -> None:
        for line in text.splitlines():
            try:
                os.write(self.stderr, f"{line}\n".encode())
            except OSError:
                return

    def _hear_srun(self) -> None:
        assert self.srun is not None
        messages = self.srun.receive()
        if messages is None:
            self.selector.unregister(self.srun)
            self._lose_srun()
            return
        for message in messages:
            self.signal(message["signal"])

    def _lose_srun(self) -> None:
        """Measured: a killed srun takes its tasks along; one that died with its node leaves them, unheard, and so does
        one that gave this node up while it had no slurmd to tell."""
        for relay in self.relays:
            relay.target = -1
        self.srun = None
        slurmd = processes.recorded(self.cluster.file("nodes", self.node, "daemon.pid"))
        if slurmd and not self.cluster.crashed(self.message["srun_node"] or "-"):
            self.signal(signal.SIGKILL)

    def _tell_srun(self, message: dict[str, Any]) -> None:
        if self.srun:
            try:
                self.srun.send(message)
            except OSError:
                return

    def signal(self, number: int, *, shell_only: bool = False) -> None:
        alive = [pid for procid, pid in self.pids.items() if procid not in self.statuses]
        if shell_only:
            processes.send(alive, number)
        elif self.settings.proctrack == "linuxproc":
            pauses = [float(fault.text) for fault in self.cluster.faults() if fault.kind == "slow-signals"]
            below = processes.descendants(*alive)[::-1]
            processes.send([*below, *alive], number, pause=max(pauses, default=0.0))
        elif number == signal.SIGKILL:
            processes.send(processes.descendants(os.getpid()), number)
        else:
            processes.send(alive, number)

    def _report(self) -> None:
        statuses = {str(procid): status for procid, status in self.statuses.items()}
        message = {
            "op": "step_done",
            "job": self.job_id,
            "step": self.step,
            "node": self.node,
            "statuses": statuses,
        }
        message["restarts"] = self.message["restarts"]
        wire.call(self.cluster.socket, message)
        self._tell_srun({"event": "done", "node": self.node, "time": time.time()})
