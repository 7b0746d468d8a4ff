"""A lease, or a group of it, starts nothing more, or starts tasks again. It outlives every runner."""

from __future__ import annotations

from leaseq.dataclass import dataclass
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.limit_names import ALL_GROUPS
from leaseq.models import State
from leaseq.protocol import groups
from leaseq.reading.views import TaskView
from leaseq.verbs.access import Access

FIRST_LOOK_SECONDS = 1.0
"""A runner that has never been told to look between its claims and their starts looks within this, and a share of.."""
NODES_EACH_SECOND = 40
"""..a second for each node: so many nodes of a lease look once a second, all together."""


@dataclass(frozen=True)
class Pause:
    """What was paused, or resumed."""

    lease: LeaseDir
    group: str
    """Empty: the whole lease."""
    before: bool
    """True if it was so before."""
    going_on: tuple[TaskView, ...] = ()
    """What of it was taken by a node before, and goes on."""


def pause(access: Access, lease: LeaseDir, group: str = "") -> Pause:
    """Nothing of the group, or of the lease, starts any more, durably; raises LeaseqError."""
    record = leases.living(access.record(lease))
    known = groups.limits(access.fs, lease)
    before = (group or ALL_GROUPS) in known.paused
    groups.pause(access.fs, lease, group or ALL_GROUPS)
    if not known.made:
        access.pause(FIRST_LOOK_SECONDS + len(record.nodes) / NODES_EACH_SECOND)
    rows = access.reader_of(lease).read(recent=0, pending=0).tasks
    taken = [row for row in rows if not row.state.ended and row.state is not State.PENDING]
    return Pause(lease, group, before, tuple(row for row in taken if not group or row.group == group))


def resume(access: Access, lease: LeaseDir, group: str = "") -> Pause:
    """The group, or the lease, starts tasks again, durably; raises LeaseqError."""
    access.record(lease)
    known = groups.limits(access.fs, lease)
    before = (group or ALL_GROUPS) not in known.paused
    if not before:
        groups.resume(access.fs, lease, group or ALL_GROUPS)
    return Pause(lease, group, before)
