"""How many jobs a lease that scales is to have: from what could start, what it has, and its limits to one step, pure.

A job is asked for if what could start now has no room, neither on the nodes that run nor in the jobs that are queued:
never for what cannot start on such nodes, never above the limit, one a minute, and none after three failures. A queued
job that nothing needs is cancelled. One that has started is never: it leaves by itself when nothing uses it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, field
from leaseq.lease.slurm.keep import FAILED_MAX, SHORT_SECONDS, Link
from leaseq.models import ALL_GPUS, Need
from leaseq.reading.backlog import Backlog
from leaseq.room import MANY, Room, cpus_of, how_many_more, never_fits
from leaseq.words import about, count

ASK_SECONDS = 60.0
"""So long after one ask the next may be made."""
START_SECONDS = 60.0
"""So much of its time limit a job may need before a task can start on it."""
REFUSED_MAX = 3
"""So often in a row Slurm may refuse."""
GIVEN_BACK = ("idle for", "released")
"""With these words ends one that was given back, however short it lived."""
UNKNOWN = Room(MANY, MANY, tuple(str(number) for number in range(64)), gpus_known=False)
"""What a node has of which nothing is known: the first job is to tell."""


@dataclass(frozen=True)
class Place:
    """A node that takes tasks."""

    capacity: Room
    left: Room
    busy: bool = False
    """True if a task runs there, whatever that has booked."""
    seconds_left: float | None = None
    """Until its job ends; None: not known, or it has no end."""


@dataclass(frozen=True)
class Job:
    """One of the lease's jobs, as it was asked for last."""

    link: Link
    nodes: tuple[Place, ...] = ()
    """Of one that has started those that take tasks now."""
    starting: int = 0
    """So many others of its nodes are about to."""
    stays: bool = False
    """True if it keeps its nodes when nothing uses them."""
    over: bool = False
    """True if it has ended, or is about to."""

    @property
    def counts(self) -> bool:
        """True if Slurm has it, or may have."""
        return not self.over and not self.link.given_up

    @property
    def failed(self) -> bool:
        """True if it ended before it was of use, and nobody here wanted that."""
        if self.link.alloc is None or self.link.alloc.end_reason.startswith(GIVEN_BACK):
            return False
        return self.over and (self.link.failed or not self.link.started)


@dataclass(frozen=True)
class Limits:
    """How many jobs the lease may have, and what one of them is."""

    least: int
    most: int
    rooms: tuple[Room, ...] = (UNKNOWN,)
    """What the nodes of such a job have, as far as is known."""
    nodes: int = 1
    """How many nodes it has."""
    seconds: float | None = None
    """Its time limit; None: not known."""
    forgiven: int = 0
    """What went wrong with the first so many jobs does not count."""
    asked_ago: float | None = None
    """How long ago one was asked for last; None: never."""
    refused: int = 0
    """So often in a row Slurm has refused, and with which words last."""
    refusal: str = ""
    again_in: float = 0.0
    """So long it is not asked after a refusal."""


@dataclass(frozen=True)
class Wanted:
    """What is to be done, and the reckoning behind it."""

    ask: bool = False
    stays: bool = False
    """True if the one to be asked for keeps its nodes when nothing uses them."""
    cancel: tuple[Allocation, ...] = ()
    ready: int = 0
    """So many could start now."""
    on_nodes: int = 0
    """Of those so many have room on nodes that run,"""
    in_queue: int = 0
    """in jobs that are queued, or about to start,"""
    never: dict[str, int] = field(default_factory=dict)
    """and on none that such a job has: by the reason."""
    jobs: int = 0
    """So many jobs it has, queued ones too."""
    more: int = 0
    """So many more jobs would hold the rest; not counted beyond the limit by more than one."""
    why_not: str = ""
    """Why none is asked for, though one is wanted."""
    paused: str = ""
    """Why none is asked for until somebody says anew how many there may be."""


@dataclass
class _Node:
    """A node, or one that would be, with what is left of it as tasks are put there."""

    capacity: Room
    left: Room
    busy: bool
    seconds_left: float | None

    def put(self, need: Need, number: int) -> int:
        """How many of so many have room here; they are there."""
        left = MANY if self.seconds_left is None else self.seconds_left
        if (need.time_seconds or 0) > left or (need.alone and self.busy):
            return 0
        here = min(number, how_many_more(need, self.left, self.capacity))
        if here:
            self.left, self.busy = _less(self.left, need, here, self.capacity), True
        return here


def want(backlog: Backlog, jobs: Sequence[Job], limits: Limits) -> Wanted:
    """What is to be done now. jobs: all that count, and of those that are over the last ones, in order."""
    alive = [each for each in jobs if each.counts]
    ready = sum(number for _, number in backlog.ready)
    nodes = [_Node(each.capacity, each.left, each.busy, each.seconds_left) for job in alive for each in job.nodes]
    rest = _put(backlog.ready, nodes)
    on_nodes = ready - _number(rest)
    never: Counter[str] = Counter()
    for need, number in rest:
        if why := _never(need, limits):
            never[why] += number
    rest = [(need, number) for need, number in rest if not _never(need, limits)]
    could = _number(rest)
    for job in alive:
        rest = _put(rest, [_new(limits, rest) for _ in range(job.starting)]) if job.link.started else rest
    needed = []
    for job in alive:
        if not job.link.started:
            before = _number(rest)
            rest = _put(rest, [_new(limits, rest) for _ in range(limits.nodes)])
            needed += [job] if _number(rest) < before else []
    in_queue = could - _number(rest)
    more = 0
    while rest and more <= limits.most:
        rest, more = _put(rest, [_new(limits, rest) for _ in range(limits.nodes)]), more + 1
    lasting = sum(job.stays for job in alive)
    paused = _paused(jobs, limits)
    stays = lasting < limits.least
    wanted = more > 0 or stays
    why_not = _why_not(len(alive), limits, paused) if wanted else ""
    return Wanted(
        ask=wanted and not why_not,
        stays=stays,
        cancel=_spare(alive, needed, limits),
        ready=ready,
        on_nodes=on_nodes,
        in_queue=in_queue,
        never=dict(never),
        jobs=len(alive),
        more=more,
        why_not=why_not,
        paused=paused,
    )


# -- room ------------------------------------------------------------------------------------------


def _put(tasks: Iterable[tuple[Need, int]], nodes: Sequence[_Node]) -> list[tuple[Need, int]]:
    """Those of the tasks that have no room on the nodes; the others are there."""
    rest = []
    for need, number in tasks:
        left = number
        for node in nodes:
            left -= node.put(need, left) if left else 0
        if left:
            rest.append((need, left))
    return rest


def _number(tasks: Iterable[tuple[Need, int]]) -> int:
    return sum(number for _, number in tasks)


def _less(left: Room, need: Need, number: int, capacity: Room) -> Room:
    """What is left with so many of them there."""
    if need.alone:
        return Room(0, 0, (), gpus_known=left.gpus_known)
    gpus = len(left.gpus) if need.gpus == ALL_GPUS else (need.gpus or 0) * number
    cpus = cpus_of(need, capacity) * number
    return Room(left.cpus - cpus, left.mem_mb - (need.mem_mb or 0) * number, left.gpus[gpus:], left.gpus_known)


def _new(limits: Limits, tasks: Sequence[tuple[Need, int]]) -> _Node:
    """A node of a job that has not started, as one is on which the first of the tasks fits."""
    first = tasks[0][0] if tasks else Need()
    room = next((each for each in limits.rooms if not never_fits(first, each)), limits.rooms[0])
    return _Node(room, room, False, limits.seconds)


def _never(need: Need, limits: Limits) -> str:
    """Why no such job can ever run it; empty if one can, as far as is known."""
    time = need.time_seconds
    if time is not None and limits.seconds is not None and time > limits.seconds - START_SECONDS:
        return f"needs {about(time)}, a job has {about(limits.seconds)}, with its start"
    reasons = [never_fits(need, room) for room in limits.rooms]
    return reasons[0] if all(reasons) else ""


# -- whether one may be asked for --------------------------------------------------------------------


def _why_not(jobs: int, limits: Limits, paused: str) -> str:
    if jobs >= limits.most:
        return f"it has {count(jobs, 'job')}, and may have {limits.most}"
    if paused:
        return paused
    if limits.again_in > 0:
        return f"Slurm is asked again in {about(limits.again_in)}, for it has refused: {limits.refusal}"
    left = ASK_SECONDS if limits.asked_ago is None else ASK_SECONDS - limits.asked_ago
    if limits.asked_ago is not None and left > 0:
        return f"at most one a minute, the next in {about(left)}"
    return ""


def _paused(jobs: Sequence[Job], limits: Limits) -> str:
    """Why it asks no more until somebody says so; empty if it does."""
    if limits.refused >= REFUSED_MAX:
        return f"Slurm has refused {count(limits.refused, 'time')} in a row: {limits.refusal}"
    over = [job for job in jobs if job.over and job.link.place > limits.forgiven][-FAILED_MAX:]
    if len(over) < FAILED_MAX or not all(job.failed for job in over):
        return ""
    reasons = dict.fromkeys(job.link.alloc.end_reason for job in over if job.link.alloc)
    how = f"ended before they started or in less than {SHORT_SECONDS / 60:.0f} min"
    return f"the last {FAILED_MAX} jobs {how}: {', '.join(reasons)}"


def _spare(alive: Sequence[Job], needed: Sequence[Job], limits: Limits) -> tuple[Allocation, ...]:
    """The queued jobs that nothing needs, or that are above the limit, the newest first."""
    lasting = limits.least - sum(job.stays and job.link.started for job in alive)
    spare, left = [], len(alive)
    kept = {id(job) for job in needed}
    for job in alive:
        if not job.link.started and job.stays and lasting > 0:
            kept.add(id(job))
            lasting -= 1
    for job in reversed(alive):
        if job.link.waits and job.link.alloc and (id(job) not in kept or left > limits.most):
            spare.append(job.link.alloc)
            left -= 1
    return tuple(spare)
