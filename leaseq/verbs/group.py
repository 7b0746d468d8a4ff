"""Groups of a lease: what is in them, and how many of one may run at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from leaseq.dataclass import dataclass
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.models import State
from leaseq.protocol import groups
from leaseq.reading.forecast import Durations, indexed
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import Snapshot, TaskView
from leaseq.verbs.access import Access

ENDED_LOOKED_AT = 1000
"""Of so many of the tasks that have ended last it is looked at whose they were."""


@dataclass(frozen=True)
class Group:
    """One group as it is now."""

    name: str
    paused: bool
    parallel: int | None
    """How many of it may run at once; None: any number."""
    seconds: float | None
    """How long what is left of it takes at the pace of now, by what has ended; None if that is not known."""
    tasks: Mapping[State, int]
    """Its tasks by state; of the ended ones those that are among the newest of the lease."""
    fraction: float | None = None
    """How much of it has ended; None if not all that ended was looked at."""
    per_second: float | None = None
    """How many of it end in a second if as many go on running and take as long; None: not known."""


@dataclass(frozen=True)
class Groups:
    """The groups of a lease, by name."""

    lease: str
    groups: tuple[Group, ...]
    whole: bool
    """True if every ended task was looked at."""
    snapshot: Snapshot


def look(reader: Reader, name: str = "") -> Groups:
    """The lease's groups, or that one, with what is in them."""
    snapshot = reader.read(recent=ENDED_LOOKED_AT, pending=None)
    counts: dict[str, Counter[State]] = {}
    for row in snapshot.tasks:
        counts.setdefault(row.group, Counter())[row.state] += 1
    counts.pop("", None)
    limits = snapshot.limits
    names = sorted({*counts, *limits.groups} if not name else {name})
    seen = sum(1 for row in snapshot.tasks if row.state.ended)
    ended = sum(number for state, number in snapshot.totals.items() if state.ended)
    durations = Durations().learn(reader.histories.known(ENDED_LOOKED_AT))
    found = []
    for each in names:
        rows = [row for row in snapshot.tasks if row.group == each]
        stop, most = limits.stop(each), limits.parallel.get(each)
        pace = Pace() if stop else _pace(rows, durations, each, most)
        done = _fraction(rows) if seen >= ended else None
        tasks = counts.get(each, Counter[State]())
        found.append(Group(each, stop, most, pace.seconds, tasks, done, pace.per_second))
    return Groups(reader.lease.id, tuple(found), seen >= ended, snapshot)


@dataclass(frozen=True)
class Pace:
    """How long what is left of a group takes, and how many end in a second; None: not known."""

    seconds: float | None = None
    per_second: float | None = None


def _pace(rows: Sequence[TaskView], durations: Durations, name: str, most: int | None) -> Pace:
    """If as many run at once as do now, or as may if none runs, and each index of an array counts."""
    plain = [row for row in rows if row.array is None and not row.state.ended]
    arrays = indexed(rows)
    running = sum(row.state is State.RUNNING for row in plain) + arrays.running
    at_once = running or most
    longest = max((row.elapsed_seconds or 0.0 for row in plain), default=0.0)
    mean = _mean(durations, name, longest=longest) if plain else 0.0
    left = sum(row.state in (State.PENDING, State.RUNNING) for row in plain) + arrays.waiting + arrays.running
    if not left or not at_once or mean is None or arrays.seconds is None:
        return Pace()
    work = sum(row.state in (State.PENDING, State.RUNNING) for row in plain) * mean + arrays.seconds
    return Pace(work / at_once, left / (work / at_once) if running and work else None)


def _fraction(rows: Sequence[TaskView]) -> float | None:
    """How much of them has ended, each index of an array counted."""
    size = sum(row.array.size if row.array else 1 for row in rows)
    ended = sum(_ended(row) for row in rows)
    return ended / size if size else None


def _ended(row: TaskView) -> int:
    if row.array is None:
        return int(row.state.ended)
    return sum(number for state, number in row.array.counts.items() if state.ended)


def _mean(durations: Durations, name: str, *, longest: float) -> float | None:
    """How long a task of it takes on average.

    longest: how long one of them has run. If none that has ended took so long, nothing is known.
    """
    seen = durations.of("", name, "")
    return None if seen is None or longest > seen.most or seen.like != f"of group {name}" else seen.mean


def set_parallel(access: Access, lease: LeaseDir, name: str, most: int | None) -> None:
    """At most so many of the group run at once, durably, or any number; what runs goes on. Raises LeaseqError."""
    leases.living(access.record(lease))
    groups.set_parallel(access.fs, lease, name, most)
