"""Groups of a lease: what is in them, and how many of one may run at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from leaseq.dataclass import dataclass
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.models import State
from leaseq.protocol import groups
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
    found = [
        Group(each, limits.stop(each), limits.parallel.get(each), counts.get(each, Counter[State]())) for each in names
    ]
    return Groups(reader.lease.id, tuple(found), seen >= ended, snapshot)


def set_parallel(access: Access, lease: LeaseDir, name: str, most: int | None) -> None:
    """At most so many of the group run at once, durably, or any number; what runs goes on. Raises LeaseqError."""
    leases.living(access.record(lease))
    groups.set_parallel(access.fs, lease, name, most)
