"""Leases that Slurm holds: their state, releasing them, stepping into them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.errors import LeaseqError, NotFound, Refused, SlurmError, Unavailable, UsageError
from leaseq.hostlist import expand_hosts
from leaseq.layout import Home, LeaseDir
from leaseq.lease.base import LeaseState
from leaseq.lease.slurm import answer, clusters, squeue
from leaseq.lease.slurm.command import Unanswered, ask, path_of
from leaseq.lease.slurm.gres import step_option
from leaseq.lease.slurm.identity import Match, compare, of_allocation, of_row
from leaseq.lease.slurm.text import PENDING, RUNNING, Row, is_no_answer
from leaseq.lease.slurm.verdict import NEW_SECONDS
from leaseq.node.scrub import for_commands
from leaseq.protocol import allocs
from leaseq.reading import beats
from leaseq.world import Clock, Fs

UNKNOWN_AFTER_SECONDS = 600.0
"""An answer older than this is no knowledge of now."""


class SlurmBackend:
    """Leases that are Slurm jobs. `period_seconds`: how old an answer of squeue may get before it is asked again."""

    def __init__(self, fs: Fs, home: Home, *, clock: Clock, period_seconds: float = squeue.PERIOD_SECONDS) -> None:
        self.fs, self.home, self.clock, self.period_seconds = fs, home, clock, period_seconds

    def queue(self, *, period_seconds: float | None = None) -> answer.Queue:
        """The shared answer of squeue, asked again if it is too old. Nothing that follows from it is done."""
        period = self.period_seconds if period_seconds is None else period_seconds
        return squeue.refresh(self.fs, self.home, clock=self.clock, period_seconds=period)

    def state(self, alloc: Allocation) -> LeaseState:
        """The allocation's state by the shared squeue; UNKNOWN if no answer is recent enough to tell."""
        try:
            return self.state_by(self.queue(), alloc)
        except (OSError, LeaseqError) as error:
            return LeaseState("UNKNOWN", reason=f"cannot tell: {error}")

    def state_by(self, queue: answer.Queue, alloc: Allocation) -> LeaseState:
        """The allocation's state by that answer, by what leaseq has told Slurm since, and by what its runners say."""
        directory = self.home.lease(alloc.lease)
        record = allocs.find(self.fs, directory, alloc.id) or alloc  # an upkeep may have changed it since
        place = allocs.directory(directory, record)
        state = state_in(queue, record, now=self.clock.now(), lease_age_seconds=self._age(alloc, queue))
        if state.word in ("ENDED", "COMPLETING") or _is_elsewhere(record, queue.cluster):
            return state
        if allocs.is_released(self.fs, place):
            return replace(state, word="ENDING", reason="released")
        heard = self._heard(directory, record) if state.word == "PENDING" else None
        if heard is not None and heard < queue.age_seconds:
            left = allocs.seconds_left(self.fs, place)
            ends = None if left is None else self.clock.now() + left
            hosts = tuple(allocs.hosts(self.fs, place).values())
            return LeaseState("RUNNING", nodes=hosts, ends=ends, age_seconds=heard)
        return state

    def release(self, alloc: Allocation, *, started: bool = True) -> bool:
        """True if Slurm has been told to end the job: its tasks get TERM now, and KILL after the site's KillWait.

        False if Slurm says that the job has ended, or, unless `started`, that it has nodes: then it goes on.
        Raises Refused if the job may be another than the lease's.
        """
        job, cluster = alloc.job, clusters.here(self.fs, self.home, anew=True)
        try:
            row = self._row_now(alloc, cluster)
        except Refused:
            if alloc.ended is not None:
                return False
            raise
        if row is None or (not started and row.state not in PENDING):
            return False
        try:
            said = ask(["scancel", *(() if started else ("--state=PENDING",)), job])
        except Unanswered as error:
            raise _perhaps_released(alloc, error.message) from None
        # scancel says nothing of an id that has already ended or never was, and ends with 0.
        if said.code != 0 and "Invalid job id" not in said.words:
            if is_no_answer(said.words):
                squeue.changed(self.fs, self.home, cluster)
                raise _perhaps_released(alloc, said.words)
            raise SlurmError(said.words, hint=f"the lease is as it was; `squeue -j {job}` shows Slurm's side")
        if not started and (now := squeue.look(job)) is not None and now.state in RUNNING:
            return False  # it has started between the two
        allocs.mark_released(self.fs, allocs.directory(self.home.lease(alloc.lease), alloc))
        squeue.changed(self.fs, self.home, cluster)
        return True

    def _row_now(self, alloc: Allocation, cluster: str) -> Row | None:
        """The job as Slurm has it now; None if it has ended. Raises Refused if it may be another than the lease's."""
        if _is_elsewhere(alloc, cluster):
            raise _elsewhere(alloc, cluster)
        row = squeue.look(alloc.job)
        if row is None or row.ended:
            squeue.changed(self.fs, self.home, cluster)
            return None
        match = compare(of_allocation(alloc), of_row(row, cluster))
        if match is Match.UNKNOWN and alloc.cluster and cluster:
            # A runner looks before it begins whether the directory is its own job's.
            directory = self.home.lease(alloc.lease)
            heard = self._heard(directory, alloc)
            match = Match.SAME if heard is not None and heard < beats.RECENT_SECONDS else match
        if match is not Match.SAME:
            raise _another(alloc, row, match)
        return row

    def let_go(self, alloc: Allocation, host: str) -> str:
        """Slurm has taken the host from the job; else why not, in its words. What runs there yet is killed.

        An owner may do that but for the job's first host, which has the batch script, unless the site forbids it
        (measured with 22.05 and 24.11).
        """
        cluster = clusters.here(self.fs, self.home, anew=True)
        row = self._row_now(alloc, cluster)
        hosts = () if row is None else nodes_of(row)
        left = [each for each in hosts if each != host]
        if len(left) == len(hosts):
            return ""
        said = ask(["scontrol", "update", f"JobId={alloc.job}", f"NodeList={','.join(left)}"])
        squeue.changed(self.fs, self.home, cluster)
        return said.words if said.code != 0 else ""

    def attach(self, alloc: Allocation, node: str, argv: Sequence[str], *, tty: bool) -> list[str]:
        """srun's command line for a step beside all others on that node, with all GPUs of the lease there."""
        self._check_reach(alloc)
        inherited = sorted(name for name in os.environ if name not in for_commands(os.environ))
        scrubbed = ["/usr/bin/env", *(word for name in inherited for word in ("-u", name))] if inherited else []
        job = alloc.job
        # If Slurm does not say what the node has, srun tells why.
        gpus = step_option(ask(["scontrol", "show", "job", "-d", job]).out, node)
        options = ["--overlap", "-N1", "-n1", "-w", node, "--mpi=none", *([gpus] if gpus else [])]
        # What speaks through a pipe waits for answers that have no line end.
        return [*scrubbed, path_of("srun"), f"--jobid={job}", *options, "--pty" if tty else "--unbuffered", *argv]

    def _check_reach(self, alloc: Allocation) -> None:
        """Raises Refused if the job of that number is another's, as far as is known without asking Slurm."""
        cluster = clusters.here(self.fs, self.home)
        if _is_elsewhere(alloc, cluster):
            raise _elsewhere(alloc, cluster)
        queue = answer.read(self.fs, self.home, cluster)
        row = queue.rows.get(alloc.job)
        if row is not None and queue.match(alloc, row) is Match.OTHER:
            raise _another(alloc, row, Match.OTHER)

    def _heard(self, lease: LeaseDir, alloc: Allocation) -> float | None:
        """How long ago a runner of the allocation was heard last."""
        others = allocs.living_of(self.fs, lease)
        return beats.newest(self.fs, lease, beats.nodes_of(self.fs, lease, alloc, others).own)

    def _age(self, alloc: Allocation, queue: answer.Queue) -> float:
        """How much older the allocation's record is than the answer, by the file server's clock."""
        try:
            return allocs.age(self.fs, self.home.lease(alloc.lease), alloc, self.home.cache) - queue.age_seconds
        except OSError:
            return 0.0


def by_settings(fs: Fs, home: Home, *, clock: Clock) -> SlurmBackend:
    """Who believes an answer of Slurm for as long as the settings say."""
    from leaseq import config

    return SlurmBackend(fs, home, clock=clock, period_seconds=config.load(home).slurm_poll_seconds)


def _perhaps_released(alloc: Allocation, words: str) -> Unavailable:
    return Unavailable(
        f"Slurm has not answered scancel, and whether lease {alloc.lease} ends is not known\n  {words}",
        hint=f"`leaseq lease ls` shows it once Slurm answers; `leaseq lease release {alloc.lease}` again does no harm",
    )


def _is_elsewhere(alloc: Allocation, cluster: str) -> bool:
    return bool(alloc.cluster and cluster and alloc.cluster.casefold() != cluster.casefold())


def _elsewhere(alloc: Allocation, cluster: str) -> Refused:
    return Refused(
        f"lease {alloc.lease} is on cluster {alloc.cluster}; Slurm's commands mean {cluster} here",
        hint=f"on a login host of {alloc.cluster}, or with its SLURM_CONF",
    )


def _another(alloc: Allocation, row: Row, match: Match) -> Refused:
    job = alloc.job
    if match is Match.UNKNOWN:
        return Refused(
            f"whether job {job} ({row.name}) is lease {alloc.lease} cannot be known: it bears no mark of leaseq",
            hint=f"`scontrol show job {job}` shows what it is; `scancel {job}` ends it, whatever it is",
        )
    return Refused(
        f"job {job} ({row.name}) is not lease {alloc.lease}: its number was given again",
        hint="`leaseq lease info` shows what is known of the lease",
    )


def state_in(queue: answer.Queue, alloc: Allocation, *, now: float, lease_age_seconds: float) -> LeaseState:
    """What the answer says of the lease; that it has ended is its record's word, or what follows from answers."""
    row, age = queue.row(alloc), queue.age_seconds
    if alloc.ended is not None and (row is None or row.ended):
        return LeaseState("ENDED", reason=alloc.end_reason, age_seconds=0.0)
    verdict = queue.verdict(alloc)
    if verdict is not None and verdict.over:
        return LeaseState("ENDED", reason=verdict.end, age_seconds=age)
    if _is_elsewhere(alloc, queue.cluster):
        return LeaseState("UNKNOWN", reason=f"on cluster {alloc.cluster}; this is {queue.cluster}", age_seconds=0.0)
    if age > UNKNOWN_AFTER_SECONDS:
        why = queue.failure or "squeue has not been asked"
        was = f"; {row.state} {age / 60:.0f} min ago" if row else ""
        return LeaseState("UNKNOWN", reason=f"{why}{was}", age_seconds=0.0 if age == float("inf") else age)
    if row is None:
        job = alloc.job
        if job in queue.rows:
            return LeaseState("UNKNOWN", reason=f"job {job} is another's now", age_seconds=age)
        last = queue.gone.get(job)
        if last is None and lease_age_seconds <= NEW_SECONDS:
            return LeaseState("PENDING", reason="just submitted", age_seconds=age)
        was = f", {last.state} when seen last" if last else ""
        return LeaseState("UNKNOWN", reason=f"not in Slurm's answer{was}", age_seconds=age)
    return _state_of(row, now=now, age=age)


def _state_of(row: Row, *, now: float, age: float) -> LeaseState:
    nodes = nodes_of(row)
    if row.ended:
        # Its record says so once its runners are silent.
        return LeaseState("COMPLETING", reason=row.state, nodes=nodes, age_seconds=age)
    if row.state in PENDING:
        reason = row.reason if row.state == "PENDING" else row.state.capitalize()
        return LeaseState("PENDING", reason=reason, starts=row.starts, age_seconds=age)
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
