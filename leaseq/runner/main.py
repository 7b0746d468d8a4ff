"""`leaseq _run`: the process that is the runner of one node: its words, signals, threads. Standard library only.

Several threads, so that a hung file system stops only what needs it: the main thread takes signals, `loop` turns, the
ledger's makes outcomes durable, `pulse` beats, and one asks a GPU's driver. What must happen while the file system
hangs (the end of the lease) goes from the main thread straight to the keeper, by node-local files.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from leaseq.allocation import Allocation
from leaseq.errors import EX_TEMPFAIL, LeaseqError, Malformed, Newer, Refused, Unavailable
from leaseq.installation import main_file
from leaseq.layout import Home, default_home
from leaseq.lease import occupied, private
from leaseq.lease.kinds import is_borrowed
from leaseq.models import ANY, Lease, Why
from leaseq.names import new_incarnation, valid_name
from leaseq.node import last, session
from leaseq.node.granted import granted
from leaseq.node.inotify import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    Inotify,
    become_subreaper,
)
from leaseq.node.nodedir import Holder, open_node_dir
from leaseq.node.procs import KeeperProcs
from leaseq.node.scrub import PROLOGUE_FAILED, kept_for_tasks, newest_functions
from leaseq.node.terminals import Terminals
from leaseq.protocol import allocs, records
from leaseq.runner import housework
from leaseq.runner.arguments import parser
from leaseq.runner.facts import Facts, watch_gpus, whoami
from leaseq.runner.homewatch import HomeWatch
from leaseq.runner.ledger import LedgerThread
from leaseq.runner.logpush import LogPusher
from leaseq.runner.notify import Notifier, NotifyThread
from leaseq.runner.ports import Options
from leaseq.runner.pulse import Pulse
from leaseq.runner.service import Service, outdated
from leaseq.world import SystemClock, SystemFs, is_remote, process_start


def main(argv: Sequence[str]) -> int:
    """Serves the node until told to stop; the exit code (0: stopped on purpose)."""
    words = parser().parse_args(list(argv))
    os.environ.update(newest_functions())
    try:
        home = os.path.abspath(words.home or default_home())
        node = valid_name(words.node, what="node")
        if words.last:
            last.end_tasks(open_node_dir(home, words.lease, node), grace_seconds=words.lease_grace)
            return 0
        return RunnerProcess(home, node, words).run()
    except LeaseqError as error:
        print(f"leaseq _run: {error.message}" + (f"\n  {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"leaseq _run: {error}", file=sys.stderr)
        return 1


class RunnerProcess:
    """One runner process and its threads."""

    def __init__(self, home: str, node: str, words: argparse.Namespace) -> None:
        os.umask(0o077)
        self.words, self.node = words, node
        self.home = Home(home)
        self.lease = self.home.lease(words.lease)
        remote = is_remote(home)
        self.owner = private.owner_of(self.home, remote=remote)
        private.check_lease(self.home, self.lease, node, owner=self.owner)
        self.fs = SystemFs(remote=remote, owner=self.owner, keeps=True)
        self.record = self._read_record(words.token)
        self.is_step = is_borrowed(self.record)
        """True if this process is a step of a Slurm job: with it end the node's tasks and terminals."""
        nodes = self.record.nodes or allocs.members(self.fs, self.lease, self.record)
        self.nodes = nodes if node in nodes else (node,)
        self.directory = open_node_dir(home, words.lease, node)
        step_grace = words.lease_grace if self.is_step else None
        incarnation = new_incarnation()
        self.procs = KeeperProcs(self.directory, incarnation, step_grace_seconds=step_grace)
        self.service = Service(
            fs=self.fs,
            clock=SystemClock(),
            procs=self.procs,
            lease=self.lease,
            alloc=self._find_allocation(words.alloc),
            node=node,
            incarnation=incarnation,
            who=whoami(),
            ask_slurm=self._ask_slurm if self.is_step else None,
            terminals=Terminals(self.directory.root),
        )
        self.service.patience_seconds = words.patience
        self.wake_read, self.wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.ended = threading.Event()
        self.told_to_leave = False
        """True since a signal said so, and since the runner leaves by itself."""
        self.turning_since: float | None = None
        """When the loop's thread entered what may hang; None while it waits for something to do."""
        self.troubled = False
        """True if the ledger's thread had trouble when it told last."""
        self.failure: BaseException | None = None
        self.asking: subprocess.Popen[bytes] | None = None

    def _read_record(self, token: str) -> Lease:
        try:
            return records.read_own_lease(self.fs, self.lease, token)
        except FileNotFoundError:
            raise Refused(f"there is no lease {self.lease.id} in {self.lease.root}") from None
        except Newer as error:
            raise outdated(self.lease, self.node, error) from None
        except Malformed as error:
            raise Refused(f"{self.lease.record}: {error}") from None

    def _find_allocation(self, alloc_id: str) -> Allocation:
        """What gives the node, by its id; by no id the lease's oldest, for a script of before has only that one."""
        known = allocs.all_of(self.fs, self.lease, self.record)
        found = next((each for each in known if alloc_id in ("", each.id)), None)
        if found is None:
            raise Refused(f"lease {self.lease.id} has no allocation {alloc_id}")
        if found.is_host and found.ended is not None:
            raise Refused(f"{self.node} is in lease {self.lease.id} no more")
        return found

    def run(self) -> int:
        """Serves until it is told to leave, or nothing is left to serve; the exit code."""
        if not self.directory.take("runner", self.service.ports.incarnation):
            raise Unavailable(f"another runner serves {self.node} of {self.lease.id} on this host")
        if not self.is_step:
            occupied.refuse(self.fs, self.home, self.lease.id)
        self.service.begin(
            len(self.nodes),
            alive=lambda beat: Holder(beat.pid, beat.pid_start, beat.boot).alive(),
            pause=time.sleep,
        )
        become_subreaper()
        signals = self._catch_signals()
        self._take_over()
        if select.select([signals], [], [], 0)[0]:
            self._hear(signals)  # what has come meanwhile is heard before the first turn
        threading.excepthook = self._thread_died
        threading.Thread(target=self._work, name="loop", daemon=True).start()
        while not self.ended.is_set():
            if select.select([signals], [], [], 1.0 if self.told_to_leave else None)[0]:
                self._hear(signals)
            if self.told_to_leave:
                self._leave_if_hung()
        if self.failure:
            raise self.failure
        return self._farewell()

    def _take_over(self) -> None:
        """The runner and its heartbeats are there; no thread of them runs yet."""
        self.gpus = watch_gpus(os.environ, told=self._wake)
        options = Options(
            capacity=granted(os.environ, self.gpus.gpus),
            gpu_variable=self.gpus.gpus.variable,
            nodes=self.nodes,
            stays=self.is_step,
            environment=dict(os.environ),
            kept=kept_for_tasks(os.environ),
            prologue_failed=os.environ.get(PROLOGUE_FAILED, ""),
            remote_paths=self.fs.remote,
            notified=not self.fs.remote,
            grace_seconds=self.words.grace,
            end_lead_seconds=self.words.end_lead,
        )
        service = self.service
        service.take_over(options, facts=Facts(self.gpus).now, look=lambda: private.check_owner(self.home, self.owner))
        if self.words.draining:
            service.state.phase.drain()
        self.presence = HomeWatch(self.lease.root, gone_seconds=self.words.gone, told=self._wake)
        push = LogPusher(service.state, self.lease).push if self.fs.remote else None
        self.pulse = Pulse(service.beats, self.presence, push_logs=push)
        self.notify = NotifyThread(self._notifier(), told=self._hook_told)

    def _notifier(self) -> Notifier:
        ports, state = self.service.ports, self.service.state
        return Notifier(
            self.fs,
            self.home,
            self.lease,
            self.node,
            self.record,
            ports.alloc,
            ports.clock,
            left=lambda: state.seconds_left(ports.clock.monotonic()),
            is_first=lambda: housework.is_first(state, ports),
        )

    def _hook_told(self, trouble: str) -> None:
        if trouble != self.service.state.hook_trouble:
            self.service.state.hook_trouble = trouble
            self.pulse.publish()

    def _farewell(self) -> int:
        """The exit code: 0 if everything that ended here has its outcome in its place, 75 if another serves."""
        self.gpus.close()
        if self.presence.gone:
            print(f"{self.lease.root} is gone: nothing is left to serve", file=sys.stderr)
            return 1
        if self.service.state.phase.superseded:
            print(f"another runner has begun to serve {self.node} of {self.lease.id}", file=sys.stderr)
            return EX_TEMPFAIL
        left = self.service.ports.ledger.open
        if not left:
            return 0
        print(f"{len(left)} outcomes are left to the next runner: {self.service.runner.note}", file=sys.stderr)
        return 1

    def _leave_if_hung(self) -> None:
        since = self.turning_since
        if since is not None and time.monotonic() - since > self.service.patience_seconds:
            print(f"file system not answering for {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)
            self.gpus.close()
            os._exit(1)

    def _thread_died(self, args: threading.ExceptHookArgs) -> None:
        """A runner without one of its threads would look alive and do half of its work: it ends, with the reason."""
        self.failure = args.exc_value
        self._end()

    def _end(self) -> None:
        self.ended.set()
        os.write(self.signals_write, b"\0")

    def _ask_slurm(self) -> None:
        """A process asks Slurm for all commands of the user, and does what follows; the runner waits for nothing."""
        if self.asking is None or process_start(self.asking.pid) == 0:
            home = self.lease.root.rsplit("/runs/", 1)[0]
            words = [sys.executable, "-E", main_file(), "ask", home]
            self.asking = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True, cwd="/")

    # -- signals: the main thread ----------------------------------------------------------------

    def _catch_signals(self) -> int:
        """The file descriptor from which the numbers of signals are read."""
        signals, self.signals_write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.signals_write, False)
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(each, lambda number, frame: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(self.signals_write, warn_on_full_buffer=False)
        return signals

    def _hear(self, signals: int) -> None:
        for number in os.read(signals, 64):
            self._signalled(number)

    def _signalled(self, number: int) -> None:
        running = list(self.service.state.running)
        if number in (signal.SIGTERM, signal.SIGINT):
            self.told_to_leave = True
            if self.is_step:
                self.procs.end_lease(grace=self.words.lease_grace)
                for key in running:  # for a keeper of an older leaseq, which hears of nothing but attempts
                    self.procs.stop(key, why=Why.LEASE, grace=self.words.lease_grace)
        elif number == signal.SIGUSR1:
            for key in running:
                self.procs.signal(key, signal.SIGUSR1, to="leader", warning=True)
            self.service.state.warn_windows(signal.SIGUSR1, "leader")
        self._wake()

    def _wake(self) -> None:
        """The loop's thread turns once more."""
        try:
            os.write(self.wake_write, b"x")
        except BlockingIOError:
            pass  # the pipe is full of wakes that it has not read yet

    # -- the loop's thread -----------------------------------------------------------------------

    def _work(self) -> None:
        if self._turn_until_told():
            self.told_to_leave = True
            self.pulse.finish()
            if not self.service.state.phase.superseded:
                self.notify.finish()
        self._end()

    def _turn_until_told(self) -> bool:
        """True once the runner leaves; False if the lease's directory is gone, so that nothing can be said there."""
        service, state = self.service, self.service.state
        local, shared = self._watch_node(), self._watch_lease() if state.options.notified else None
        session.serve(self.directory.root, os.environ)
        poll = select.poll()
        for fd in (self.wake_read, local.fd, *([shared.fd] if shared else [])):
            poll.register(fd, select.POLLIN)
        self.pulse.start()
        self.notify.start()
        ledger = LedgerThread(service.ports.ledger, told=self._ledger_told)
        due, leaving = 0.0, False
        while True:
            wait = due - time.monotonic()
            ready = {fd for fd, _ in poll.poll(wait * 1000 + 1 if wait > 0 else 0)}
            self.turning_since = time.monotonic()
            news = [
                self.wake_read in ready and self._woken(),
                local.fd in ready and self._gather(local),
                shared is not None and shared.fd in ready and self._hinted(shared),
            ]
            if self.told_to_leave and not leaving:
                leaving = True
                service.leave(ends_tasks=self.is_step, grace=self.words.lease_grace)
            elif not any(news) and time.monotonic() < due:
                self.turning_since = None
                continue
            self._learn_gpus()
            wait = service.turn()
            if service.ports.ledger.open:
                ledger.wake(hurry=not state.occupants() or service.ports.ledger.awaited)
            if service.news():
                self.pulse.publish()
            if service.may_leave():
                return True
            if self.presence.gone and not state.occupants():
                return False
            due = time.monotonic() + min(wait, service.look_after_keeper())
            self.turning_since = None

    def _learn_gpus(self) -> None:
        """What the driver has told of its GPUs since the start is what the runner hands out."""
        state, gpus = self.service.state, self.gpus.gpus
        if gpus.known and not state.options.capacity.gpus_known:
            state.learn_gpus(gpus.tokens, gpus.variable)

    def _ledger_told(self) -> None:
        """Called on the ledger's thread."""
        self.pulse.publish()
        ledger = self.service.ports.ledger
        trouble, ledger.journals.news, news = bool(ledger.trouble), False, ledger.journals.news
        if trouble or news or ledger.freed or self.troubled or not self.service.state.phase.goes_on:
            self._wake()
        self.troubled = trouble

    def _woken(self) -> bool:
        try:
            return bool(os.read(self.wake_read, 4096))
        except BlockingIOError:
            return False

    def _gather(self, local: Inotify) -> bool:
        """The runner knows which records changed, and sessions asked for are served; True if there was anything."""
        seen = local.read()
        for directory, name, _ in seen:
            if directory == self.directory.rec or not directory:
                self.service.state.touch(name)
        if any(directory != self.directory.rec for directory, _, _ in seen):
            session.serve(self.directory.root, os.environ)
        return bool(seen)

    def _hinted(self, shared: Inotify) -> bool:
        """The runner knows what came and went in its lease; True if that is news."""
        state, now = self.service.state, time.monotonic()
        seen = shared.read()
        if any(directory == self.lease.root for directory, _, _ in seen):
            self._watch_groups(shared)
        news = [state.hint(directory, name, gone=gone, now=now) for directory, name, gone in seen]
        return any(news)

    def _watch_node(self) -> Inotify:
        watched = Inotify()
        watched.watch(self.directory.rec, IN_CLOSE_WRITE)
        watched.watch(session.directory_of(self.directory.root), IN_MOVED_TO)
        return watched

    def _watch_lease(self) -> Inotify:
        watched = Inotify()
        for directory in (self.lease.inbox(self.node), self.lease.inbox(ANY)):
            watched.watch(directory, IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)
        watched.watch(self.lease.control(self.node), IN_MOVED_TO)
        watched.watch(self.lease.root, IN_CREATE)
        watched.watch(self.lease.edges, IN_CREATE)
        self._watch_groups(watched)
        return watched

    def _watch_groups(self, watched: Inotify) -> None:
        """What commands pause and limit is told, if any has done so yet; the making of that directory is told, too."""
        with suppress(FileNotFoundError):
            watched.watch(self.lease.groups, IN_MOVED_TO | IN_DELETE, needed=False)
