"""Pending tasks go to another lease, or node."""

from __future__ import annotations

from leaseq.dataclass import dataclass, field
from leaseq.errors import Refused, UsageError
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.lease.lookup import Found, Located
from leaseq.models import ANY, Lease, State
from leaseq.protocol import dependents, edges, keys, records, tasks
from leaseq.reading.snapshot import Reader
from leaseq.verbs.access import Access
from leaseq.words import count


@dataclass(frozen=True)
class Destination:
    """Where tasks are to go."""

    lease: LeaseDir
    record: Lease
    node: str = ""
    """The node that they are pinned to from now on, `_any` for whichever has room; empty: as they are."""
    keys: dict[str, dict[str, str]] = field(default_factory=dict, compare=False)
    """By lease, the names of keys by task: read once, and only if a task that moves has one."""


def pending(reader: Reader) -> Found:
    """The lease's pending tasks."""
    rows = [row for row in reader.read(recent=0, pending=None).tasks if row.state is State.PENDING]
    return Found(tuple(Located(reader, row) for row in rows))


def destination(access: Access, found: Found, *, source: str, target: str, node: str) -> Destination:
    """The lease that the words mean, which takes tasks; raises LeaseqError. With no target: the one they are in."""
    homes = {each.reader.lease.id for each in found.tasks}
    if not target and len(homes) > 1:
        raise UsageError(f"they are in {count(len(homes), 'lease')}", hint="--from LEASE, or --to LEASE")
    lease = access.lease(target or next(iter(homes), source))
    return Destination(lease, _opened(access, lease), node)


def _opened(access: Access, target: LeaseDir) -> Lease:
    if leases.is_own(target.id):
        from leaseq.lease.host import refuse_if_forbidden

        refuse_if_forbidden(access.home)
        record = access.host().ensure()
    else:
        record = access.record(target)
    state = access.state(record)
    if state.word == "ENDED":
        raise Refused(
            f"lease {leases.called(record)} has ended: {state.reason}", hint="`leaseq lease ls` lists the others"
        )
    return record


def move(access: Access, each: Located, to: Destination) -> None:
    """The pending task is there; raises Refused, and then it is where it was."""
    row, lease, target = each.row, each.reader.lease, to.lease
    if lease.id == target.id and not to.node:
        raise Refused(f"{row.id} is in lease {target.id} already")
    if row.state is not State.PENDING or row.place is None:
        way = f" (`leaseq recover --lease {lease.id} {row.id}` makes it pending)"
        lost = row.state in (State.LOST, State.STUCK)
        raise Refused(f"{row.id} is {row.state.name}: only a pending task can move" + (way if lost else ""))
    if row.array is None and row.place.directory.startswith(lease.claims):
        # Its next attempt is to come from a claim, and that is its runner's.
        raise Refused(f"{row.id} is on the move between two states; try again")
    if lease.id != target.id and row.array is not None and (row.attempt > 1 or row.array.counts):
        raise Refused(
            f"some of {row.id} has run in lease {lease.id}: it stays there",
            hint=f"`leaseq cancel {row.id}`, and `leaseq redo {row.id}` submits it again as a new one",
        )
    node = to.node or row.place.directory.rpartition("/")[2]
    if node != ANY and node not in to.record.nodes:
        raise Refused(f"{row.id} is pinned to {node}, which lease {target.id} does not have; `--node any` unpins it")
    if node != ANY:
        records.prepare_node(access.fs, target, node)
    directory = target.inbox(node)
    if row.place.directory.startswith(lease.helds):
        directory = target.held(node)
    elif row.place.directory.startswith(lease.waitings):
        directory = target.waiting(node)
        edges.prepare(access.fs, target, node)
    if directory == row.place.directory:
        raise Refused(f"{row.id} is there already")
    _move(access, each, to, directory)


def _move(access: Access, each: Located, to: Destination, directory: str) -> None:
    row, lease = each.row, each.reader.lease
    assert row.place is not None
    place = row.place.directory, row.place.name
    attempt = f"{row.id}.{row.attempt}"
    own = [] if lease.id == to.lease.id else edges.bring_along(access.fs, lease, to.lease, attempt)
    spec = each.reader.spec(row.id, "/".join(place))
    key = "" if isinstance(spec, str) or lease.id == to.lease.id else spec.key
    if key and (digest := _digest(access, lease, row.id, to)):
        given = keys.move_with_key(access.fs, to.lease, digest, *place, directory)
        if given not in ("", row.id):
            edges.drop(access.fs, to.lease, own)
            raise Refused(f"{row.id} stays: its key {key!r} stands for {given} in lease {to.lease.id}")
        moved = bool(given)
    else:
        moved = tasks.move_pending(access.fs, *place, directory)
    if not moved:
        edges.drop(access.fs, to.lease, own)
        raise Refused(f"{row.id} is no longer pending")
    if lease.id != to.lease.id:
        edges.leave_behind(access.fs, lease, to.lease, attempt, own)
    if own:
        dependents.look(access.fs, to.lease, now=access.clock.now(), only=[attempt])


def _digest(access: Access, lease: LeaseDir, task_id: str, to: Destination) -> str:
    """The name of the task's key; empty if it has none in this lease."""
    if lease.id not in to.keys:
        to.keys[lease.id] = keys.keys_by_task(access.fs, lease)
    return to.keys[lease.id].get(task_id, "")
