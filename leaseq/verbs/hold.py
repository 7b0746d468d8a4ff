"""Pending tasks are kept from starting, or may start again."""

from __future__ import annotations

from functools import partial

from leaseq.errors import UsageError
from leaseq.lease.lookup import Located
from leaseq.models import ANY, State
from leaseq.names import Entry
from leaseq.protocol import tasks
from leaseq.verbs.access import Access
from leaseq.verbs.moving import act_on


def hold(access: Access, each: Located) -> bool:
    """The pending task does not start; False if it was held already. Raises UsageError and NotFound."""
    return act_on(access, each, partial(_move, held=True))


def release(access: Access, each: Located) -> bool:
    """The pending task may start; False if it was not held. Raises UsageError and NotFound."""
    return act_on(access, each, partial(_move, held=False))


def _move(access: Access, each: Located, *, held: bool) -> bool | None:
    row, lease = each.row, each.reader.lease
    open_array = row.array is not None and row.place is not None and not Entry.parse(row.place.name).owner
    if row.state is not State.PENDING and not open_array:
        raise UsageError(f"{row.id} is {row.state.name}: only a pending task can be {'held' if held else 'released'}")
    if row.place is None or not row.place.directory.startswith((lease.inboxes, lease.helds)):
        return None
    if held == row.held:
        return False
    node = row.node or ANY
    target = lease.held(node) if held else lease.inbox(node)
    return tasks.move_pending(access.fs, row.place.directory, row.place.name, target) or None
