"""Pending tasks are kept from starting, or may start again."""

from __future__ import annotations

from functools import partial

from leaseq.errors import UsageError
from leaseq.layout import LeaseDir
from leaseq.lease.lookup import Located
from leaseq.models import ANY, State
from leaseq.names import Entry
from leaseq.protocol import arrays, dependents, edges, tasks
from leaseq.verbs.access import Access
from leaseq.verbs.moving import act_on


def hold(access: Access, each: Located) -> bool:
    """The pending task does not start; False if it was held already. Raises UsageError and NotFound."""
    return act_on(access, each, partial(_move, held=True))


def release(access: Access, each: Located, *, anyway: bool = False) -> bool:
    """The pending task may start once what it waits for has come; False if it was not held.

    anyway: it may start now, whatever it waits for. Raises UsageError and NotFound.
    """
    released = act_on(access, each, _let_go if anyway else partial(_move, held=False))
    if released and each.row.array is not None and each.row.place is not None:
        arrays.go_on(access.fs, each.reader.lease, Entry.parse(each.row.place.name))
    return released


def _let_go(access: Access, each: Located) -> bool | None:
    """The task waits for nothing more, and may start; False if it did before."""
    row, lease = each.row, each.reader.lease
    if row.state is not State.PENDING:
        raise UsageError(f"{row.id} is {row.state.name}: only a pending task can be released")
    if row.place is None:
        return None
    if row.place.directory.startswith(lease.inboxes):
        return _open(access, lease, Entry.parse(row.place.name))
    if not row.place.directory.startswith((lease.helds, lease.waitings)):
        return None  # its next attempt is to come from a claim, and that is its runner's
    key = Entry.parse(row.place.name).key
    edges.drop(access.fs, lease, [edge for edge in edges.edges_of(access.fs, lease) if edge.down == key])
    target = lease.inbox(row.place.directory.rpartition("/")[2])
    return tasks.move_pending(access.fs, row.place.directory, row.place.name, target) or None


def _open(access: Access, lease: LeaseDir, entry: Entry) -> bool:
    """The indices of the array, which is pending, wait for no others any more; False if they do not."""
    own = [edge for edge in edges.edges_of(access.fs, lease) if edge.down == entry.key] if entry.each else []
    edges.drop(access.fs, lease, own)
    if own:
        arrays.ask_holders(access.fs, lease, entry.of_array())
    return bool(own)


def _move(access: Access, each: Located, *, held: bool) -> bool | None:
    row, lease = each.row, each.reader.lease
    open_array = row.array is not None and row.place is not None and not Entry.parse(row.place.name).owner
    if row.state is not State.PENDING and not open_array:
        raise UsageError(f"{row.id} is {row.state.name}: only a pending task can be {'held' if held else 'released'}")
    if row.place is None or not row.place.directory.startswith((lease.inboxes, lease.helds, lease.waitings)):
        return None
    if held == row.place.directory.startswith(lease.helds):
        return False
    node = row.node or ANY
    if held:
        access.fs.mkdir(lease.held(node))
        return tasks.move_pending(access.fs, row.place.directory, row.place.name, lease.held(node)) or None
    place = row.place.directory, row.place.name
    return dependents.back_in_line(access.fs, lease, *place, now=access.clock.now()) or None
