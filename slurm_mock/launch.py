"""A created step as srun sees it: launched on its nodes, fed and heard, signalled, waited for."""

from __future__ import annotations

import functools
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable

from slurm_mock import environ, wire
from slurm_mock.client import Client
from slurm_mock.hostlist import compress
from slurm_mock.records import Job, Step
from slurm_mock.request import current_umask, file_name
from slurm_mock.streams import Feeder, Terminal
from slurm_mock.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGWINCH,
    signal.SIGALRM,
)
LAUNCH_FAILED = 233  # measured
TOGETHER_SECONDS = 0.05


class Launch:
    """One run of one step; `run` returns srun's exit code."""

    def __init__(
        self,
        client: Client,
        controller: wire.Peer,
        job: Job,
        step: Step,
        options: dict[str, str],
        command: list[str],
        base: dict[str, str],
        *,
        gpus_per_task: int,
        programs: list[list[str]],
    ) -> None:
        self.client, self.controller, self.job, self.step = client, controller, job, step
        self.options, self.command, self.base = options, command, base
        self.gpus_per_task = gpus_per_task
        self.programs = programs
        self.terminal: Terminal | None = None
        self.selector = selectors.PollSelector()  # epoll refuses plain files, which stdin may be
        self.stepds: dict[str, wire.Peer] = {}
        self.feeders: list[Feeder] = []
        self.statuses: dict[int, int] = {}
        self.open_nodes = set(step.nodes)
        self.watched: set[int] = set()
        self.interrupts: list[float] = []
        self.aborted = self.forced = False
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.failed = 0
        self.unsaid: dict[tuple[str, str], list[int]] = {}

    @property
    def name(self) -> str:
        return f"{self.job.id}.{self.step.id}"

    def run(self) -> int:
        self._catch_signals()
        self._open_terminal()
        try:
            self._launch()
            self.selector.register(self.controller, selectors.EVENT_READ, self._hear_controller)
            if self.terminal:
                self.terminal.raw()
                self.selector.register(self.terminal.master, selectors.EVENT_READ, self._show_terminal)
            while self.open_nodes:
                self._watch_feeders()
                for key, _ in self.selector.select(self._timeout()):
                    key.data()
                self._run_timers()
            self._drain_terminal()
            self._say_exits()
        finally:
            if self.terminal:
                self.terminal.restore()
        codes = [128 + os.WTERMSIG(s) if os.WIFSIGNALED(s) else os.WEXITSTATUS(s) for s in self.statuses.values()]
        return self.failed or max(codes, default=0)

    # Terminal and streams

    def _open_terminal(self) -> None:
        if "pty" not in self.options:
            return
        if os.isatty(0):
            self.terminal = Terminal()
            return
        self.client.say("error: ioctl(TIOCGWINSZ): Inappropriate ioctl for device")
        self.client.say("error: Not using a pseudo-terminal, disregarding --pty option")

    def _show_terminal(self) -> None:
        assert self.terminal is not None
        data = self.terminal.read()
        if not data:
            self.selector.unregister(self.terminal.master)
        self._write(data)

    def _drain_terminal(self) -> None:
        """What the task wrote last; a leftover that keeps the terminal open is not waited for."""
        if self.terminal is None:
            return
        os.close(self.terminal.slave)
        os.set_blocking(self.terminal.master, False)
        while data := self.terminal.read():
            self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:
            return

    def _stream(self, option: str, fd: int) -> int:
        """--output, --error: a file instead of srun's own stream."""
        pattern = self.options.get(option, "")
        if pattern in ("", "all") or pattern.isdigit():
            return fd
        if pattern == "none":
            return os.open(os.devnull, os.O_WRONLY)
        append = os.O_APPEND if self.options.get("open-mode", "").startswith("a") else os.O_TRUNC
        return os.open(self._path(pattern), os.O_WRONLY | os.O_CREAT | append, 0o666)

    def _path(self, pattern: str) -> str:
        return file_name(self.job, pattern, node=self.step.nodes[0], workdir=os.getcwd(), step=str(self.step.id))

    def _stdin(self, procid: int) -> int:
        """The end that the task reads."""
        if self.terminal and procid == 0:
            return self.terminal.slave
        mode = self.options.get("input", "all")
        if self.terminal or mode == "none" or (mode.isdigit() and int(mode) != procid):
            return os.open(os.devnull, os.O_RDONLY)
        if mode != "all" and not mode.isdigit():
            return os.open(self._path(mode), os.O_RDONLY)
        source, sink = os.pipe()
        self.feeders.append(Feeder(sink))
        return source

    def _watch_feeders(self) -> None:
        """Own stdin is read only while no task lags behind."""
        lagging = {feeder.fd: feeder for feeder in self.feeders if feeder.pending and feeder.fd >= 0}
        for fd in self.watched - lagging.keys():
            self.selector.unregister(fd)
        for fd in lagging.keys() - self.watched:
            self.selector.register(fd, selectors.EVENT_WRITE, lagging[fd].flush)
        self.watched = set(lagging)
        reading = 0 in self.selector.get_map()
        wanted = bool(self.feeders) and not lagging
        if wanted and not reading:
            self.selector.register(0, selectors.EVENT_READ, self._feed)
        elif reading and not wanted:
            self.selector.unregister(0)

    def _feed(self) -> None:
        try:
            data = os.read(0, 65536)
        except OSError:
            data = b""
        for feeder in self.feeders:
            feeder.feed(data) if data else feeder.end()
        self.feeders = [feeder for feeder in self.feeders if feeder.fd >= 0] if data else self._lagging()

    def _lagging(self) -> list[Feeder]:
        self.selector.unregister(0)
        return [feeder for feeder in self.feeders if feeder.pending]

    # Launch

    def _launch(self) -> None:
        try:
            stdout = self._stream("output", 1)
            stderr = self._stream("error", stdout if self.options.get("output", "") not in ("", "all") else 2)
        except OSError as error:
            self.client.fail(f"Could not open stdout file: {error.strerror}")
        if self.terminal:
            self.feeders.append(Feeder(os.dup(self.terminal.master)))
            os.set_blocking(self.terminal.master, True)
        for node in self.step.nodes:
            self._launch_on(node, stdout, stderr)
        if self.failed:
            self._kill_step()

    def _launch_on(self, node: str, stdout: int, stderr: int) -> None:
        ids = self.step.tasks[node]
        ends = [self._stdin(procid) for procid in ids]
        message = self._message(node)  # made before the connection, which slurmd serves one at a time
        try:
            if self.client.cluster.crashed(node):
                raise ConnectionError
            peer = wire.Peer(wire.connect(self.client.cluster.node_socket(node)))
            peer.send(message, [stdout, stderr, *ends])
        except OSError:
            self._launch_failed(node)
            return
        finally:
            for end in ends:
                if not self.terminal or end != self.terminal.slave:
                    os.close(end)
        peer.sock.settimeout(None)
        self.stepds[node] = peer
        self.selector.register(peer, selectors.EVENT_READ, lambda: self._hear_stepd(node, peer))

    def _launch_failed(self, node: str) -> None:
        time.sleep(self.client.settings.message_timeout)  # the real one waits for MessageTimeout
        name = f"StepId={self.name}"
        words = "Communication connection failure"
        self.client.say(f"error: Task launch for {name} failed on node {node}: {words}")
        self.client.say(f"error: Application launch failed: {words}")
        self.client.say("Job step aborted")
        self.failed = LAUNCH_FAILED
        self.open_nodes.discard(node)
        self.client.ask({"op": "step_abort", "job": self.job.id, "step": str(self.step.id), "node": node})

    def _message(self, node: str) -> wire.Message:
        width = len(str(max(procid for ids in self.step.tasks.values() for procid in ids)))
        tasks = []
        for index, procid in enumerate(self.step.tasks[node]):
            task: dict[str, Any] = {"procid": procid, "pty": self.terminal is not None and procid == 0}
            task["argv"] = self.programs[procid] if self.programs else []
            task["label"] = f"{procid:>{width}}: " if "label" in self.options else ""
            task["unbuffered"] = "unbuffered" in self.options
            task["env"] = environ.of_task(
                self.client.settings, self.job, self.step, node, index, gpus_per_task=self.gpus_per_task
            )
            tasks.append(task)
        return {
            "op": "launch",
            "job": self.job.id,
            "step": str(self.step.id),
            "restarts": self.job.restarts,
            "srun_node": self.step.srun_node,
            "argv": self.command,
            "env": self.base,
            "cwd": os.path.abspath(self.options.get("chdir") or _cwd()),
            "umask": current_umask(),
            "tasks": tasks,
        }

    # Events

    def _hear_stepd(self, node: str, peer: wire.Peer) -> None:
        messages = peer.receive()
        for message in messages or []:
            if message["event"] == "exit":
                self._task_exited(node, message["procid"], message["status"])
            elif message["event"] in ("done", "refused"):
                self.open_nodes.discard(node)
                if message["event"] == "refused":
                    self._launch_refused()
        if messages is None:
            self.selector.unregister(peer)
            del self.stepds[node]
            if node in self.open_nodes and not self.client.cluster.crashed(node):
                self._stepd_died(node)

    def _launch_refused(self) -> None:
        self.client.say(f"error: Task launch for StepId={self.name} failed: Job credential revoked")
        self.failed = 1

    def _stepd_died(self, node: str) -> None:
        """Somebody killed the step's daemon on a living node; a crashed node is reported by the controller."""
        self.open_nodes.discard(node)
        for procid in self.step.tasks[node]:
            self.statuses.setdefault(procid, signal.SIGKILL)

    def _hear_controller(self) -> None:
        messages = self.controller.receive()
        if messages is None:
            self.selector.unregister(self.controller)
            self.client.say("error: Lost contact with the controller")
            self.failed = 1
            self.open_nodes.clear()
            return
        for message in messages:
            if message.get("event") == "aborting" and not self.aborted:
                self.aborted = True
                seconds = int(self.client.settings.kill_wait + 2)
                self.client.say(f"Job step aborted: Waiting up to {seconds} seconds for job step to finish.")
            elif message.get("event") == "node_fail":
                self.client.say(f"error: Node failure on {message['node']}")
                self.open_nodes.discard(message["node"])

    def _task_exited(self, node: str, procid: int, status: int) -> None:
        first = not self.statuses
        self.statuses[procid] = status
        if os.WIFSIGNALED(status):
            self._note_exit(node, procid, _signal_words(status))
        elif os.WEXITSTATUS(status):
            self._note_exit(node, procid, f"Exited with exit code {os.WEXITSTATUS(status)}")
        others = len(self.statuses) < sum(len(ids) for ids in self.step.tasks.values())
        if status and others and "kill-on-bad-exit" in self.options and not self.aborted:
            self._end_gently()
        wait = self.options.get("wait", "0")
        if first and others and wait.isdigit() and int(wait):
            self.timers.append((time.monotonic() + int(wait), functools.partial(self._waited, int(wait))))

    def _note_exit(self, node: str, procid: int, words: str) -> None:
        """Tasks of a node that end alike at about the same time share a line."""
        if not self.unsaid:
            self.timers.append((time.monotonic() + TOGETHER_SECONDS, self._say_exits))
        self.unsaid.setdefault((node, words), []).append(procid)

    def _say_exits(self) -> None:
        for (node, words), procids in self.unsaid.items():
            tasks = compress([str(procid) for procid in procids]).strip("[]")
            self.client.say(f"error: {node}: task{'s' if len(procids) > 1 else ''} {tasks}: {words}")
            if not words.startswith("Exited") and not self.forced and not self.aborted:
                self.client.say(f"Force Terminated StepId={self.name}")
                self.forced = True
        self.unsaid = {}

    def _end_gently(self) -> None:
        """-K: CONT and TERM for the others now, KILL after KillWait (measured)."""
        self.aborted = True
        self._say_terminating()
        for number in (signal.SIGCONT, signal.SIGTERM):
            self._forward(number)
        self.timers.append((time.monotonic() + self.client.settings.kill_wait, self._kill_step))

    def _say_terminating(self) -> None:
        self.client.say(f"launch/slurm: _step_signal: Terminating StepId={self.name}")

    def _waited(self, seconds: int) -> None:
        """--wait is over: KILL without TERM for the tasks that are left."""
        self.client.say(f"First task exited {seconds}s ago")
        self._say_terminating()
        self._kill_step()

    def _kill_step(self) -> None:
        """Each node's part is killed, also one whose daemon is only being launched and does not listen yet."""
        message = {"op": "step_kill", "job": self.job.id, "step": str(self.step.id)}
        reply = wire.call(self.client.cluster.socket, message) or {}
        self._forward(signal.SIGKILL, reply.get("missing"))

    def _forward(self, number: int, nodes: Iterable[str] | None = None) -> None:
        for node, peer in self.stepds.items():
            if nodes is not None and node not in nodes:
                continue
            try:
                peer.send({"signal": number})
            except OSError:
                continue

    def _timeout(self) -> float | None:
        return max(0.0, min(at for at, _ in self.timers) - time.monotonic()) if self.timers else None

    def _run_timers(self) -> None:
        due = [timer for timer in self.timers if timer[0] <= time.monotonic()]
        self.timers = [timer for timer in self.timers if timer not in due]
        for _, action in due:
            action()

    # Signals to srun itself

    def _catch_signals(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._wakeup = theirs

        def arrived() -> None:
            for number in ours.recv(4096):
                self._signalled(number)

        self.selector.register(ours, selectors.EVENT_READ, arrived)

    def _signalled(self, number: int) -> None:
        if number == signal.SIGWINCH:
            if self.terminal:
                self.terminal.resize()
        elif number == signal.SIGINT:
            self._interrupted()
        elif number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            self.client.say("forcing job termination")
            self.forced = True
            self._kill_step()
        elif number == signal.SIGCONT:
            self.client.say("got SIGCONT")
        else:
            self._forward(number)

    def _interrupted(self) -> None:
        """Measured: one INT asks, two within a second send INT, a third kills."""
        now = time.monotonic()
        self.interrupts = [at for at in self.interrupts if now - at < 1.0] + [now]
        if len(self.interrupts) == 1:
            self.client.say("interrupt (one more within 1 sec to abort)")
            running = [procid for ids in self.step.tasks.values() for procid in ids if procid not in self.statuses]
            self.client.say(f"StepId={self.name} tasks {','.join(map(str, sorted(running)))}: running")
        elif len(self.interrupts) == 2:
            self.client.say(f"sending Ctrl-C to StepId={self.name}")
            self._forward(signal.SIGINT)
        else:
            self.client.say("forcing job termination")
            self._kill_step()


def _signal_words(status: int) -> str:
    words = signal.strsignal(os.WTERMSIG(status)) or f"Signal {os.WTERMSIG(status)}"
    return f"{words} (core dumped)" if os.WCOREDUMP(status) else words


def _cwd() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/tmp"
