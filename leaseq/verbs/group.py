"""Groups of a lease: what is in them, and how many of one may run at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from leaseq.dataclass import dataclass
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.models import State
from leaseq.protocol import groups
from leaseq.reading.forecast import Durations
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import Snapshot
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
        tasks, most = counts.get(each, Counter[State]()), limits.parallel.get(each)
        runs = [row.elapsed_seconds or 0.0 for row in snapshot.tasks if row.group == each and not row.state.ended]
        seconds = None if limits.stop(each) else _left(durations, each, tasks, most, longest=max(runs, default=0.0))
        found.append(Group(each, limits.stop(each), most, seconds, tasks))
    return Groups(reader.lease.id, tuple(found), seen >= ended, snapshot)


def _left(durations: Durations, name: str, tasks: Counter[State], most: int | None, *, longest: float) -> float | None:
    """How long its pending and running tasks take, if as many run at once as do now, or as may if none runs.

    longest: how long one of them has run. If none that has ended took so long, nothing is known.
    """
    running, seen = tasks[State.RUNNING], durations.of("", name, "")
    left = tasks[State.PENDING] + running
    at_once = running or most
    if not left or not at_once or seen is None or longest > seen.most or seen.like != f"of group {name}":
        return None
    return left * seen.mean / at_once


def set_parallel(access: Access, lease: LeaseDir, name: str, most: int | None) -> None:
    """At most so many of the group run at once, durably, or any number; what runs goes on. Raises LeaseqError."""
    leases.living(access.record(lease))
    groups.set_parallel(access.fs, lease, name, most)
