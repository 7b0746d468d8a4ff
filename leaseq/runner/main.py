"""`leaseq _run`: the process that is the runner of one node. Standard library only.

Three threads, so that a hung file system stops only what needs it: the main thread takes signals, one thread
turns the runner's loop, one beats. What must happen while the file system hangs (the end of the lease) goes from
the main thread straight to the keeper, by node-local files.
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
from dataclasses import replace

from leaseq import __version__
from leaseq.errors import EX_TEMPFAIL, LeaseqError, Malformed, Newer, Refused, Unavailable
from leaseq.hostlist import expand_hosts
from leaseq.installation import main_file
from leaseq.layout import Home, default_home, new_incarnation, parse_key, valid_name
from leaseq.lease import private
from leaseq.models import ANY, Heartbeat, Lease, Why
from leaseq.node import last, session
from leaseq.node.gpus import GpuWatch
from leaseq.node.grant import Gpus, from_environment, present
from leaseq.node.granted import granted
from leaseq.node.inotify import IN_CLOSE_WRITE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO, Inotify, become_subreaper
from leaseq.node.keeper import LEASE_GRACE_SECONDS
from leaseq.node.nodedir import Holder, open_node_dir
from leaseq.node.procs import KeeperProcs
from leaseq.node.scrub import PROLOGUE_FAILED, kept_for_tasks, newest_functions
from leaseq.protocol import records
from leaseq.runner import housework
from leaseq.runner.beside import begin_alone
from leaseq.runner.homewatch import GONE_SECONDS, HomeWatch
from leaseq.runner.ledger import Ledger, LedgerThread
from leaseq.runner.loop import Runner
from leaseq.runner.pulse import Pulse, interval_seconds, whoami
from leaseq.runner.recover import history, take_over
from leaseq.runner.state import END_LEAD_SECONDS, Options, poll_seconds
from leaseq.world import SystemClock, SystemFs, is_remote, process_start

GRACE_SECONDS = 10.0
PATIENCE_SECONDS = 12.0
"""How long a runner that was told to stop waits for the file system; the next runner finds what it leaves."""
DRIVER_SECONDS = 5.0
"""How long a starting runner waits for a GPU driver; one that is slower is asked while the node serves already."""
KEEPER_SECONDS = 2.0
KEEPER_SECONDS_IDLE = 30.0
"""How often the runner looks whether its keeper is alive, while tasks run and while none do."""


def main(argv: Sequence[str]) -> int:
    """Serves the node until told to stop; the exit code (0: stopped on purpose)."""
    parser = argparse.ArgumentParser(prog="leaseq _run", description="Serve one node of a lease (started by leaseq).")
    parser.add_argument("--lease", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--home", default=None)
    parser.add_argument("--token", default="", help="the lease's mark: a directory with another is not served")
    parser.add_argument("--grace", type=float, default=GRACE_SECONDS, help="seconds between TERM and KILL")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_SECONDS, help="seconds that a file system may keep a stopping runner"
    )
    parser.add_argument(
        "--lease-grace", type=float, default=LEASE_GRACE_SECONDS, help="the same if Slurm ends the lease"
    )
    parser.add_argument(
        "--end-lead", type=float, default=END_LEAD_SECONDS, help="seconds between TERM to the tasks and the lease's end"
    )
    parser.add_argument("--draining", action="store_true", help="take no task before `resume` is asked for")
    parser.add_argument(
        "--gone", type=float, default=GONE_SECONDS, help="seconds that the lease's directory must be absent to be gone"
    )
    parser.add_argument("--last", action="store_true", help="start nothing: end what the last runner left running")
    words = parser.parse_args(list(argv))
    os.environ.update(newest_functions())
    try:
        home = os.path.abspath(words.home or default_home())
        node = valid_name(words.node, what="node")
        if words.last:
            last.end_tasks(open_node_dir(home, words.lease, node), grace_seconds=words.lease_grace)
            return 0
        service = Service(home, words.lease, node, token=words.token, lease_grace_seconds=words.lease_grace)
        service.grace_seconds, service.patience_seconds = words.grace, words.patience
        service.gone_seconds = words.gone
        service.end_lead_seconds = words.end_lead
        service.draining = words.draining
        return service.run()
    except LeaseqError as error:
        print(f"leaseq _run: {error.message}" + (f"\n  {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"leaseq _run: {error}", file=sys.stderr)
        return 1


class Service:
    """One runner process and its threads."""

    def __init__(self, home: str, lease_id: str, node: str, *, token: str = "", lease_grace_seconds: float) -> None:
        os.umask(0o077)
        self.grace_seconds, self.patience_seconds = GRACE_SECONDS, PATIENCE_SECONDS
        self.gone_seconds = GONE_SECONDS
        self.end_lead_seconds = END_LEAD_SECONDS
        self.lease_grace_seconds = lease_grace_seconds
        self.draining = False
        """True where the node is not to take a task before that is asked for: its prologue failed."""
        self.home = Home(home)
        self.lease = self.home.lease(lease_id)
        self.node = node
        remote = is_remote(home)
        self.owner = private.owner_of(self.home, remote=remote)
        private.check_lease(self.home, self.lease, node, owner=self.owner)
        self.fs = SystemFs(remote=remote, owner=self.owner)
        self.record = self._read_record(token)
        nodes = self.record.nodes or tuple(expand_hosts(os.environ.get("SLURM_JOB_NODELIST", "")))
        self.nodes = nodes if node in nodes else (node,)
        self.directory = open_node_dir(home, lease_id, node)
        self.incarnation = new_incarnation()
        step_grace = lease_grace_seconds if self.record.kind == "slurm" else None
        self.procs = KeeperProcs(self.directory, self.incarnation, step_grace_seconds=step_grace)
        self.wake_read, self.wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.ended = threading.Event()
        self.stopping = False
        self.turning_since: float | None = None
        """When the loop's thread entered what may hang; None while it waits for something to do."""
        self.troubled = False
        self.idle_since: float | None = None
        """When a stopping runner had nothing left to end."""
        self.failure: BaseException | None = None
        self.keeper_looked_at = time.monotonic()
        self.asking: subprocess.Popen[bytes] | None = None

    def _read_record(self, token: str) -> Lease:
        try:
            return records.read_own_lease(self.fs, self.lease, token)
        except FileNotFoundError:
            raise Refused(f"there is no lease {self.lease.id} in {self.lease.root}") from None
        except Newer as error:
            raise self._outdated(error) from None
        except Malformed as error:
            raise Refused(f"{self.lease.record}: {error}") from None

    def run(self) -> int:
        if not self.directory.take("runner", self.incarnation):
            raise Unavailable(f"another runner serves {self.node} of {self.lease.id} on this host")
        try:
            records.prepare_node(self.fs, self.lease, self.node)
            self.term = begin_alone(
                self.fs,
                self.lease,
                self._first_word(),
                clock=SystemClock(),
                alive=lambda beat: Holder(beat.pid, beat.pid_start, beat.boot).alive(),
                pause=time.sleep,
            )
        except Newer as error:
            raise self._outdated(error) from None
        become_subreaper()
        signals, signals_write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(signals_write, False)
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(each, lambda number, frame: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(signals_write, warn_on_full_buffer=False)
        self.runner = self._make_runner()
        self.presence = HomeWatch(self.lease.root, gone_seconds=self.gone_seconds, told=self._wake)
        self.pulse = Pulse(
            self.runner,
            self.gpus,
            look=lambda: private.check_owner(self.home, self.owner),
            presence=self.presence,
        )
        if self.fs.remote:
            self.pulse.push_logs = LogPusher(self.runner).push
        threading.excepthook = self._thread_died
        self.signals_write = signals_write
        threading.Thread(target=self._work, name="loop", daemon=True).start()
        while not self.ended.is_set():
            if select.select([signals], [], [], 1.0 if self.stopping else None)[0]:
                for number in os.read(signals, 64):
                    self._signalled(number)
            if self.stopping:
                self._leave_if_hung()
        if self.failure:
            raise self.failure
        return self._farewell()

    def _farewell(self) -> int:
        """The exit code: 0 where everything that ended here has its outcome in its place, 75 where another serves."""
        self.gpus.close()
        if self.presence.gone:
            print(f"{self.lease.root} is gone: nothing is left to serve", file=sys.stderr)
            return 1
        if self.runner.superseded:
            print(f"another runner has begun to serve {self.node} of {self.lease.id}", file=sys.stderr)
            return EX_TEMPFAIL
        if not self.runner.ledger.open:
            return 0
        print(
            f"{len(self.runner.ledger.open)} outcomes are left to the next runner: {self.runner.note}", file=sys.stderr
        )
        return 1

    def _leave_if_hung(self) -> None:
        since = self.turning_since
        if since is not None and time.monotonic() - since > self.patience_seconds:
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

    def _outdated(self, error: Newer) -> Refused:
        """A newer leaseq serves this node, or has: what it left there is not for this one to take over."""
        return Refused(
            f"a newer leaseq has served {self.node} of {self.lease.id}: {error}",
            hint="start its runner with that leaseq, or a later one",
        )

    def _first_word(self) -> Heartbeat:
        """What this runner says of itself before it has taken over."""
        return Heartbeat(
            lease=self.lease.id,
            node=self.node,
            incarnation=self.incarnation,
            counter=0,
            time=time.time(),
            interval_seconds=interval_seconds(len(self.nodes)),
            version=__version__,
            **whoami(),
        )

    def _watch_gpus(self) -> GpuWatch:
        """The GPUs as they were granted, or as the driver tells them within a moment; else they are not known yet."""
        said = from_environment(os.environ)
        if said is not None or not present():
            return GpuWatch(said or Gpus(), told=self._wake)
        watch = GpuWatch(Gpus(known=False), told=self._wake)
        watch.ask().join(DRIVER_SECONDS)
        return watch

    def _learn_gpus(self) -> None:
        """What the driver has told of its GPUs since the start is what the runner hands out."""
        runner, gpus = self.runner, self.gpus.gpus
        if gpus.known and not runner.options.capacity.gpus_known:
            capacity = replace(runner.options.capacity, gpus=gpus.tokens, gpus_known=True)
            runner.options = replace(runner.options, capacity=capacity, gpu_variable=gpus.variable)
            runner.changed = True

    def _make_runner(self) -> Runner:
        self.gpus = self._watch_gpus()
        try:
            totals, recorded = history(self.fs, self.lease, self.node)
        except Newer as error:
            raise self._outdated(error) from None
        except Malformed as error:
            raise Refused(f"{self.lease.events(self.node)}: {error}", hint="move it away") from None
        options = Options(
            capacity=granted(os.environ, self.gpus.gpus),
            gpu_variable=self.gpus.gpus.variable,
            nodes=self.nodes,
            term=self.term,
            environment=dict(os.environ),
            kept=kept_for_tasks(os.environ),
            prologue_failed=os.environ.get(PROLOGUE_FAILED, ""),
            ask_slurm=self._ask_slurm if self.record.kind == "slurm" else None,
            remote_paths=self.fs.remote,
            notified=not self.fs.remote,
            grace_seconds=self.grace_seconds,
            end_lead_seconds=self.end_lead_seconds,
            poll_seconds=poll_seconds(len(self.nodes), busy=True),
            poll_seconds_idle=poll_seconds(len(self.nodes), busy=False),
        )
        runner = Runner(
            fs=self.fs,
            clock=SystemClock(),
            procs=self.procs,
            lease=self.lease,
            node=self.node,
            incarnation=self.incarnation,
            options=options,
            ledger=Ledger(fs=self.fs, procs=self.procs, lease=self.lease, node=self.node, totals=totals),
        )
        if self.draining:
            runner.state = "draining"
        self.procs.born(self.incarnation)
        self.procs.ensure()
        take_over(runner, recorded)
        housework.read_end(runner)
        return runner

    def _ask_slurm(self) -> None:
        """A process asks Slurm for all commands of the user, and does what follows; the runner waits for nothing."""
        if self.asking is None or process_start(self.asking.pid) == 0:
            home = self.lease.root.rsplit("/runs/", 1)[0]
            words = [sys.executable, "-E", main_file(), "ask", home]
            self.asking = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True, cwd="/")

    # -- signals: the main thread ----------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self.stopping = True
            if self.record.kind == "slurm":
                for key in list(self.runner.held):
                    self.procs.stop(key, why=Why.LEASE, grace=self.lease_grace_seconds)
        elif number == signal.SIGUSR1:
            for key in list(self.runner.held):
                self.procs.signal(key, signal.SIGUSR1, to="leader", warning=True)
        self._wake()

    def _wake(self) -> None:
        """The loop's thread turns once more."""
        try:
            os.write(self.wake_write, b"x")
        except BlockingIOError:
            pass  # the pipe is full of wakes that it has not read yet

    # -- the loop's thread -----------------------------------------------------------------------

    def _work(self) -> None:
        self._turn_until_told()
        self._end()

    def _turn_until_told(self) -> None:
        runner, pulse = self.runner, self.pulse
        local, shared = self._watch_node(), self._watch_lease() if runner.options.notified else None
        session.serve(self.directory.root, os.environ)
        poll = select.poll()
        for fd in (self.wake_read, local.fd, *([shared.fd] if shared else [])):
            poll.register(fd, select.POLLIN)
        pulse.start()
        ledger = LedgerThread(runner.ledger, told=self._ledger_told)
        due = 0.0
        while True:
            if (wait := due - time.monotonic()) > 0:
                poll.poll(wait * 1000 + 1)
            self.turning_since = time.monotonic()
            news = [self._woken(), self._gather(local), shared is not None and self._hinted(shared)]
            if self.stopping and runner.state != "stopping":
                self._begin_stop()
            elif not any(news) and time.monotonic() < due:
                self.turning_since = None
                continue
            self._learn_gpus()
            wait = runner.step()
            if runner.ledger.open:
                ledger.wake()
            if runner.changed:
                runner.changed = False
                pulse.publish()
            if runner.state == "stopping" and self._may_leave():
                break
            if self.presence.gone and not runner.held:
                return
            due = time.monotonic() + min(wait, self._look_after_keeper())
            self.turning_since = None
        self.stopping = True
        pulse.finish()

    def _ledger_told(self) -> None:
        """Called on the ledger's thread."""
        self.pulse.publish()
        if self.runner.ledger.trouble or self.troubled or self.runner.state == "stopping":
            self._wake()
        self.troubled = bool(self.runner.ledger.trouble)

    def _woken(self) -> bool:
        try:
            return bool(os.read(self.wake_read, 4096))
        except BlockingIOError:
            return False

    def _gather(self, local: Inotify) -> bool:
        """The runner knows which records changed, and sessions asked for are served; True where there was anything."""
        seen = local.read()
        for directory, name, _ in seen:
            if directory == self.directory.rec or not directory:
                self.runner.touched(name)
        if any(directory != self.directory.rec for directory, _, _ in seen):
            session.serve(self.directory.root, os.environ)
        return bool(seen)

    def _hinted(self, shared: Inotify) -> bool:
        """The runner knows what came and went in its lease; True where that is news."""
        news = [self.runner.hint(directory, name, gone=gone) for directory, name, gone in shared.read()]
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
        return watched

    def _begin_stop(self) -> None:
        if self.record.kind == "slurm":
            self.runner.end_all(Why.LEASE, self.lease_grace_seconds)
        else:
            self.runner.state = "stopping"

    def _may_leave(self) -> bool:
        """A local runner leaves its tasks to the keeper; tasks that are being ended are waited for.

        The time limit alone sends no runner of Slurm's away: the lease would end with it, and with the lease every
        terminal. A local one leaves, so that the next one is not taken for it.
        """
        if self.runner.lease_ends and not self.stopping and self.record.kind == "slurm":
            return False
        if any(held.asked_to_stop for held in self.runner.held.values()):
            self.idle_since = None
            return False
        self.idle_since = self.idle_since or time.monotonic()
        return not self.runner.ledger.open or time.monotonic() - self.idle_since > self.patience_seconds

    def _look_after_keeper(self) -> float:
        """A keeper is alive; seconds until it is looked at again."""
        period = KEEPER_SECONDS_IDLE if self.runner.quiet else KEEPER_SECONDS
        now = time.monotonic()
        if now - self.keeper_looked_at >= period:
            self.keeper_looked_at = now
            try:
                self.procs.ensure()
            except Unavailable as error:
                self.runner.trouble = error.message
                self.runner.changed = True
        return self.keeper_looked_at + period - now


class LogPusher:
    """Pushes what running tasks wrote to the file server, or readers elsewhere wait half a minute (measured, NFSv4)."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.sizes: dict[str, int] = {}

    def push(self) -> None:
        """Logs that grew since the last push are on the server."""
        seen: dict[str, int] = {}
        for key in list(self.runner.held):
            task_id, attempt = parse_key(key)
            for stream in ("out", "err"):
                path = self.runner.lease.log(task_id, attempt, stream)
                size = self._push(path)
                if size is not None:
                    seen[path] = size
        self.sizes = seen

    def _push(self, path: str) -> int | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            size = os.fstat(fd).st_size
            if size != self.sizes.get(path):
                os.fsync(fd)
            return size
        finally:
            os.close(fd)
