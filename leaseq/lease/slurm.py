"""Leases that Slurm holds: their state, giving them back, stepping into them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from leaseq import protocol
from leaseq.errors import LeaseqError, Malformed, NotFound, SlurmError, UsageError
from leaseq.layout import Home
from leaseq.lease import squeue
from leaseq.lease.base import LeaseState
from leaseq.lease.scrub import for_commands
from leaseq.lease.slurm_command import ask
from leaseq.lease.slurm_text import PENDING, RUNNING, Row, expand_hosts
from leaseq.models import Lease
from leaseq.world import Clock, Fs

UNKNOWN_AFTER_SECONDS = 600.0
"""An answer older than this is no knowledge of now."""
NEW_SECONDS = 60.0
"""How much older than an answer of Slurm a lease must be before its absence from the answer means anything."""


class SlurmBackend:
    """Leases that are Slurm jobs. `period_seconds`: how old an answer of squeue may get before it is asked again."""

    def __init__(self, fs: Fs, home: Home, *, clock: Clock, period_seconds: float = squeue.PERIOD_SECONDS) -> None:
        self.fs, self.home, self.clock, self.period_seconds = fs, home, clock, period_seconds

    def queue(self, *, period_seconds: float | None = None) -> squeue.Queue:
        """The shared answer of squeue, asked anew where it is too old; leases without a record have one."""
        period = self.period_seconds if period_seconds is None else period_seconds
        queue = squeue.refresh(self.fs, self.home, clock=self.clock, period_seconds=period)
        if self._scripts_wait():
            from leaseq.lease.submit import heal

            heal(self.fs, self.home, queue)
        return queue

    def _scripts_wait(self) -> bool:
        """True where a command may have died between sbatch's answer and its lease's record."""
        try:
            return bool(self.fs.names(self.home.scripts))
        except FileNotFoundError:
            return False

    def state(self, lease: Lease) -> LeaseState:
        """The allocation's state by the shared squeue; UNKNOWN where no answer is recent enough to tell."""
        try:
            queue = self.queue()
        except (OSError, LeaseqError) as error:
            return LeaseState("UNKNOWN", reason=f"cannot tell: {error}")
        return state_in(queue, lease, now=self.clock.now(), lease_age_seconds=self._age(lease, queue))

    def row(self, lease: Lease) -> Row | None:
        """The lease's line in the last answer, without asking."""
        return squeue.read(self.fs, self.home).rows.get(lease.id)

    def release(self, lease: Lease) -> None:
        """Slurm has been told to end the job; its tasks get TERM now, and KILL after the site's KillWait."""
        answer = ask(["scancel", lease.id])
        # scancel says nothing of an id that has already ended or never was, and ends with 0.
        if answer.code != 0 and "Invalid job id" not in answer.words:
            raise SlurmError(answer.words, hint=f"the lease is as it was; `squeue -j {lease.id}` tells Slurm's side")

    def attach(self, lease: Lease, node: str, argv: Sequence[str], *, tty: bool) -> list[str]:
        """srun's command line for a step beside all others on that node, with all GPUs of the lease there."""
        inherited = sorted(name for name in os.environ if name not in for_commands(os.environ))
        scrubbed = ["env", *(word for name in inherited for word in ("-u", name))] if inherited else []
        options = ["--overlap", "-N1", "-n1", "-w", node, "--mpi=none", *self._gpu_option(lease, node)]
        return [*scrubbed, "srun", f"--jobid={lease.id}", *options, *(["--pty"] if tty else []), *argv]

    def _gpu_option(self, lease: Lease, node: str) -> list[str]:
        """A lease asked by `--gpus=N` refuses steps on some of its nodes unless they say how many GPUs they want."""
        options = lease.extra.get("options")
        if not (isinstance(options, dict) and "gpus" in options):
            return []
        try:
            beat = protocol.read_heartbeat(self.fs, self.home.lease(lease.id), node)
        except (OSError, Malformed):
            beat = None
        return [f"--gpus={len(beat.gpus)}" if beat and beat.gpus else "--gres=none"]

    def _age(self, lease: Lease, queue: squeue.Queue) -> float:
        """How much older the lease's record is than the answer, by the file server's clock."""
        try:
            return self.fs.age(self.home.lease(lease.id).record, self.home.cache) - queue.age_seconds
        except OSError:
            return 0.0


def state_in(queue: squeue.Queue, lease: Lease, *, now: float, lease_age_seconds: float) -> LeaseState:
    """What the answer says of the lease. Nothing but an answer ends a lease: silence makes it UNKNOWN."""
    row, age = queue.rows.get(lease.id), queue.age_seconds
    if lease.ended is not None and (row is None or row.ended):
        return LeaseState("ENDED", reason=lease.end_reason, age_seconds=0.0)
    if age > UNKNOWN_AFTER_SECONDS:
        why = queue.failure or "squeue has not been asked"
        was = f"; {row.state} {age / 60:.0f} min ago" if row else ""
        return LeaseState("UNKNOWN", reason=f"{why}{was}", age_seconds=0.0 if age == float("inf") else age)
    if row is None:
        gone = queue.gone.get(lease.id)
        if gone:
            return LeaseState("ENDED", reason=squeue.end_reason(gone), age_seconds=age)
        if lease_age_seconds > NEW_SECONDS:
            return LeaseState("ENDED", reason="not known to Slurm", age_seconds=age)
        return LeaseState("PENDING", reason="just submitted", age_seconds=age)
    return _state_of(row, now=now, age=age)


def _state_of(row: Row, *, now: float, age: float) -> LeaseState:
    if row.ended:
        return LeaseState("ENDED", reason=squeue.end_reason(row), age_seconds=age)
    nodes = nodes_of(row)
    if row.state in PENDING:
        reason = row.reason if row.state == "PENDING" else row.state.capitalize()
        return LeaseState("PENDING", reason=reason, age_seconds=age)
    ends = None if row.left_seconds is None else now - age + row.left_seconds
    if row.state in RUNNING:
        reason = "" if row.state == "RUNNING" else row.state.capitalize()
        return LeaseState("RUNNING", reason=reason, nodes=nodes, ends=ends, age_seconds=age)
    if row.state == "COMPLETING":
        return LeaseState("COMPLETING", reason=row.reason, nodes=nodes, age_seconds=age)
    return LeaseState("UNKNOWN", reason=f"Slurm calls it {row.state}", nodes=nodes, age_seconds=age)


def nodes_of(row: Row) -> tuple[str, ...]:
    """The nodes the job has now; empty while it has none."""
    try:
        return expand_hosts(row.nodes)
    except ValueError:
        return ()


def adoptable(row: Row | None, job: str) -> Row:
    """The running job of that id; else an error that says why runners cannot be put into it."""
    if row is None:
        raise NotFound(f"squeue knows no job {job} of yours", hint="`squeue --me` lists your jobs")
    if row.state not in RUNNING:
        raise UsageError(
            f"job {job} is {row.state}, it has no nodes to put runners on", hint="adopt it once it is RUNNING"
        )
    return row
