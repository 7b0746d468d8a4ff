"""This host as a node of a lease: always granted, never queued, kept by a runner that leaseq starts itself."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import leaseq
from leaseq import config, world
from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.errors import Refused, Unavailable
from leaseq.installation import main_file
from leaseq.layout import Home, LeaseDir
from leaseq.lease.base import LeaseState
from leaseq.lease.homes import make_home
from leaseq.lease.leases import local_id, read_record
from leaseq.lease.slurm.around import job_around, runner_environment, seconds_left
from leaseq.models import Lease
from leaseq.node.nodedir import Holder, alone, find_node_dir, node_path, open_node_dir
from leaseq.protocol import allocs, files, records, requests
from leaseq.world import Clock, Fs, hostname

if TYPE_CHECKING:
    import subprocess

START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 20.0
KILL_SECONDS_MAX = 60.0
"""Tasks get TERM, a grace, then KILL; their outcomes are written before the runner leaves."""
LOG_LINES_SHOWN = 8


def note_end(child: subprocess.Popen[bytes]) -> None:
    """A program that lives longer than the child takes note of its end: it would stay as a zombie."""
    import threading

    with contextlib.suppress(RuntimeError):  # at the limit of processes it does without
        threading.Thread(target=child.wait, daemon=True, name="a child's end").start()


@dataclass(frozen=True)
class Started:
    """The runner that serves this host now."""

    pid: int
    already: bool
    job: str = ""
    """The Slurm job that it ends with; empty if there is none, or if it was started by another command."""
    left_seconds: float | None = None
    """How long that job has left; None if it has no end, or if that is not known."""


class LocalBackend:
    """This host in a lease: in its own, `local:HOST`, or in one that it shares with other hosts."""

    def __init__(self, fs: Fs, home: Home, *, clock: Clock, lease_id: str = "") -> None:
        self.fs, self.home, self.clock = fs, home, clock
        self.node = hostname()
        self.lease: LeaseDir = home.lease(lease_id or local_id())
        self.is_own = self.lease.id == local_id()
        """False if it is one of several hosts of the lease."""

    def state(self, alloc: Allocation) -> LeaseState:
        """A host is always held; whether its runner lives is the node's matter."""
        place = allocs.directory(self.home.lease(alloc.lease), alloc)
        left = None if alloc.ended else allocs.seconds_left(self.fs, place)
        ends = None if left is None or left < 0 else self.clock.now() + left
        return LeaseState("ENDED" if alloc.ended else "RUNNING", reason=alloc.end_reason, nodes=alloc.nodes, ends=ends)

    def release(self, alloc: Allocation) -> bool:
        """The runner has ended and so have its tasks: nothing of the lease uses the host any more.

        Raises Refused if it is the own lease of another host, Unavailable if another host holds what may run yet.
        """
        if self.is_own or alloc.lease.startswith("local:"):
            _refuse_if_elsewhere(alloc.lease)
            return self.stop(kill=True) or alloc.ended is None
        from leaseq.lease import joined

        if joined.is_here(alloc):
            self.stop(kill=True)
            if not self.take_out():
                raise Unavailable(f"{self.node} holds tasks of lease {alloc.lease} yet", hint=f"its log is {self.log}")
        else:
            joined.take_out(self.fs, self.lease, alloc, clock=self.clock)
        return alloc.ended is None

    def let_go(self, alloc: Allocation, host: str) -> str:
        """A host is an allocation of its own, and goes as one."""
        return f"{host} is all of it"

    def attach(self, alloc: Allocation, node: str, argv: Sequence[str], *, tty: bool) -> list[str]:
        """The words run here, in the lease's environment."""
        if node != self.node:
            raise Unavailable(
                f"{node} of lease {alloc.lease} is another host, and a terminal on it begins there",
                hint=f"ssh -t {node} leaseq shell --lease {alloc.lease}",
            )
        marks = {"LEASEQ_HOME": self.home.root, "LEASEQ_LEASE": alloc.lease, "LEASEQ_NODE": node}
        return ["/usr/bin/env", *(f"{name}={value}" for name, value in marks.items()), *argv]

    # -- the lease -----------------------------------------------------------------------------------

    def record(self) -> Lease | None:
        """The lease's record; None before `ensure` has made it. Raises Newer."""
        return read_record(self.fs, self.lease)

    def ensure(self) -> Lease:
        """The home, the lease's directories and its record exist, durably; the record. Raises Newer."""
        found = self.record()
        if found is not None:
            return found
        make_home(self.home)
        self.fs.mkdir(self.home.runs)
        records.prepare(self.fs, self.lease)
        records.prepare_node(self.fs, self.lease, self.node)
        if "lease.json" in self.fs.names(self.lease.root):
            files.set_aside(self.fs, self.lease, self.lease.record, "not the record of this lease")
        record = Lease(
            id=self.lease.id,
            kind="local",
            created=self.clock.now(),
            user=user_name(),
            host=self.node,
            nodes=(self.node,),
            version=leaseq.__version__,
            allocs=True,
        )
        allocs.record_first(self.fs, self.lease, record.first)
        files.replace_file(self.fs, self.lease.record, record.to_json())
        return record

    def stay(self) -> Allocation | None:
        """As what this host is in the lease; None if it is not, or the lease is not there."""
        from leaseq.lease import joined

        return joined.stay_of(self.fs, self.lease, self.node)

    def _enter(self) -> Allocation:
        """This host is in the lease; as what. Raises LeaseqError."""
        if self.is_own:
            self.ensure()
            return allocs.all_of(self.fs, self.lease)[0]
        from leaseq.lease import joined

        return joined.join(self.fs, self.lease, node=self.node, machine=joined.machine_id(), now=self.clock.now())

    # -- its runner ----------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        """What this host's runner and keeper had to say; it may not exist."""
        return f"{node_path(self.home.root, self.lease.id, self.node)}/runner.log"

    def runner(self) -> Holder | None:
        """The runner that is alive on this host; raises Refused if somebody else may have named it."""
        return self._alive("runner")

    def keeper(self) -> Holder | None:
        """The process that keeps this host's tasks, with or without a runner; raises Refused."""
        return self._alive("keeper")

    def _alive(self, role: str) -> Holder | None:
        found = find_node_dir(self.home.root, self.lease.id, self.node)
        return found.alive(role) if found else None

    def _proved(self, holder: Holder | None) -> Holder | None:
        """The holder, once it is seen to be a runner of this lease: before a signal its file alone is not believed."""
        if holder is None:
            return None
        try:
            owner, words = world.process_owner(holder.pid)
        except FileNotFoundError:
            return None
        pairs = set(itertools.pairwise(words))
        ours = owner == os.getuid() and {"_run", "run"} & set(words)  # `run`: a runner that an older leaseq has started
        if ours and pairs >= {("--lease", self.lease.id), ("--node", self.node)}:
            return holder
        raise Refused(
            f"process {holder.pid} is no runner of {self.lease.id}: {world.user_name(owner)} runs {shlex.join(words)}",
            hint=f"nothing was sent to it; remove {os.path.dirname(self.log)}/runner, which names it",
        )

    def start(self) -> Started:
        """A runner serves this host; raises Unavailable with the end of its log, and Refused."""
        refuse_if_forbidden(self.home)
        return self._start()

    def _start(self, *, draining: bool = False) -> Started:
        if (alive := self.runner()) is not None:
            if not self.is_own and self.stay() is None:
                raise Unavailable(
                    f"the runner of this host (process {alive.pid}) leaves lease {self.lease.id}: it was taken out",
                    hint="the same command again in a minute",
                )
            return Started(alive.pid, already=True)
        from leaseq.lease import occupied  # most commands start no runner

        with alone(self.home.root):
            occupied.wait(self.fs, self.home, self.lease.id)
            return self._start_alone(self._enter(), draining=draining)

    def _start_alone(self, alloc: Allocation, *, draining: bool) -> Started:
        job, left = self._end_with_the_job(alloc)
        directory = open_node_dir(self.home.root, self.lease.id, self.node)
        place = {"--lease": self.lease.id, "--node": self.node, "--home": self.home.root}
        place |= {"--alloc": alloc.id}
        # -E: what a user keeps on PYTHONPATH may have the names of Python's own modules.
        words = [sys.executable, "-E", main_file(), "_run", *(word for pair in place.items() for word in pair)]
        words += ["--draining"] if draining else []
        import subprocess  # most commands start no runner

        with open(directory.log, "ab") as log:
            before = log.tell()
            child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env=runner_environment(os.environ),
            )
        note_end(child)
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if (alive := self.runner()) is not None:
                return Started(alive.pid, already=alive.pid != child.pid, job=job, left_seconds=left)
            if child.poll() is not None and self.runner() is None:
                raise _did_not_start(f"ended with {child.returncode}", directory.log, before)
            time.sleep(0.01)
        raise _did_not_start(f"is not up after {START_SECONDS_MAX:.0f} s", directory.log, before)

    def _end_with_the_job(self, alloc: Allocation) -> tuple[str, float | None]:
        """The lease ends as the Slurm job ends that this process is in, on a node of it: (its id, the seconds left)."""
        job = job_around(os.environ)
        ends = allocs.directory(self.lease, alloc).ends
        left = seconds_left(job, os.environ) if job is not None and job.here else None
        if left is None:
            files.discard(self.fs, ends)
        else:
            files.replace_file(self.fs, ends, b"%d\n" % max(0, int(left)))
        return (job.id, left) if job is not None and job.here else ("", None)

    def stop(self, *, kill: bool = False) -> bool:
        """No runner serves this host, and with `kill` no task runs; False if none was alive before.

        Without `kill` running tasks go on under the keeper, and the next runner takes them up again. In a lease of
        several hosts they end as at its end, so that those that want to be are pending for the others.
        """
        alive = self._proved(self.runner())
        if alive is None:
            if not kill or not self._holds():
                return False
            # Only a runner can write how its tasks end.
            self._start(draining=not self.is_own)
            alive = self._proved(self.runner())
        if kill:
            request = "kill" if self.is_own else "release"
            requests.ask(self.fs, self.lease, self.node, request, {"reason": "leaseq daemon stop --kill"})
        elif alive:
            from signal import SIGTERM

            os.kill(alive.pid, SIGTERM)
        limit = KILL_SECONDS_MAX if kill else STOP_SECONDS_MAX
        deadline = time.monotonic() + limit
        while alive and alive.alive():
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the runner (process {alive.pid}) has not ended after {limit:.0f} s",
                    hint=f"its log is {self.log}; `kill -9 {alive.pid}` costs no task",
                )
            time.sleep(0.02)
        return True

    def _holds(self) -> bool:
        """True if there may be something to be ended, and its end to be written."""
        if self.keeper() is not None:
            return True
        return not self.is_own and self.stay() is not None and bool(self.fs.names(self.lease.claimed(self.node)))

    def take_out(self) -> bool:
        """This host, whose runner has stopped, is in the lease no more; it stays, and False, while it holds anything.

        Raises Refused if another machine is called as this one is.
        """
        from leaseq.lease import joined

        with alone(self.home.root):
            alloc = self.stay()
            if alloc is None:
                return True
            joined.refuse_another(self.lease, alloc, joined.machine_id())
            if self.runner() is not None:
                return False
            return joined.leave(self.fs, self.lease, alloc, now=self.clock.now(), reason="taken out")


LEASES_HINT = "`leaseq add` asks Slurm for nodes; `--lease LEASE` or `leaseq lease use LEASE` names a lease"


def refuse_if_forbidden(home: Home, *, hint: str = LEASES_HINT) -> None:
    """Tasks may run on this host; raises Refused if the settings say that they may not."""
    if config.local_is_forbidden(home):
        raise Refused(
            f"no task may run on this host: {home.config} says `local: never`",
            hint=hint,
        )


def refuse_if_elsewhere(record: Lease) -> None:
    """The lease is no other host's; raises Refused, for what runs there can only be ended there."""
    if record.kind == "local":
        _refuse_if_elsewhere(record.id)


def _refuse_if_elsewhere(lease_id: str) -> None:
    if lease_id != local_id():
        host = lease_id.partition(":")[2]
        raise Refused(f"{lease_id} is the lease of another host", hint=f"on {host}: `leaseq lease release local`")


def _did_not_start(how: str, log: str, offset: int) -> Unavailable:
    with open(log, encoding="utf-8", errors="replace") as file:
        file.seek(offset)
        said = [line.rstrip() for line in file.read().splitlines() if line.strip()][-LOG_LINES_SHOWN:]
    words = "\n  ".join(said) or "(it said nothing)"
    return Unavailable(f"the local runner {how}:\n  {words}", hint=f"its log is {log}")


def user_name() -> str:
    """This user's name; the number if it has none."""
    return world.user_name(os.getuid())
