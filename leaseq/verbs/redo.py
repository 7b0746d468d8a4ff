"""New tasks like old ones."""

from __future__ import annotations

import hashlib

from leaseq.dataclass import replace
from leaseq.errors import Refused, UsageError
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.lease.host import user_name
from leaseq.lease.lookup import Located
from leaseq.models import ANY, Task
from leaseq.protocol import dependents, edges, keys, records, tasks
from leaseq.protocol.submission import entries
from leaseq.reading.views import TaskView
from leaseq.verbs import arrays
from leaseq.verbs.access import Access
from leaseq.verbs.changes import NONE, Changes
from leaseq.verbs.fits import Fits, refuse_again
from leaseq.verbs.origin import Origins
from leaseq.verbs.retry import Made, Queued, refuse_unfit, unknown, waits_of
from leaseq.world import hostname


def check(access: Access, each: Located, changes: Changes, *, fits: Fits, start: bool) -> None:
    """The task has ended, and may and can run in its lease with these changes; raises UsageError and Refused."""
    if not each.row.state.ended:
        raise UsageError(
            f"{each.row.id} has not ended: it is {each.row.state.name}",
            hint=f"`leaseq cancel {each.row.id}` ends it first",
        )
    refuse_again(access, each.reader.lease, start=start)
    refuse_unfit(fits, each, changes)


def redo(
    access: Access,
    each: Located,
    changes: Changes = NONE,
    *,
    priority: int = 0,
    once: bool = False,
    failed: bool = False,
    made: Made | None = None,
    origins: Origins | None = None,
) -> Queued:
    """A new task like the old one is pending, durably; raises Refused if the old one is not known any more.

    once: it is the first redo of that task by any process. One that died on the way is brought to its end.
    failed: of an array only the indices that failed, or ran into their time limit. made: what else is different.
    origins: what is known of what tasks are made from.
    """
    old, lease = each.detail.task, each.reader.lease
    if old is None:
        raise Refused(unknown(each.row))
    if failed and each.row.array is None and each.row.state not in arrays.FAILED:
        raise Refused(f"{old.id} has not failed: it is {each.row.state.name}")
    now = access.clock.now()
    changed, indices = changes.applied(old), 0
    changed = made(changed) if made else changed
    if each.row.array is not None:
        changed, indices = arrays.again(each, changed, arrays.FAILED if failed else ())
    ended = each.detail.outcomes[-1:]
    ups = waits_of(access, lease, ended[0], changed) if ended else ()
    waits = any(up.kind != edges.EACH for up in ups)
    need, group, wise = changed.need, changed.group, any(up.kind == edges.EACH for up in ups)
    entry = entries(1, need=need, priority=priority, now=now, group=group, indices=indices, each=wise)[0]
    task = replace(
        changed,
        id=entry.id,
        submitted=now,
        key="",
        user=user_name(),
        host=hostname(),
        redo_of=old.id,
        retried={},
        origin=(origins or Origins(access.fs, access.home)).of_next(old, changed),
    )
    if task.node != ANY:
        records.prepare_node(access.fs, lease, task.node)
    directory = tasks.inbox_of(lease, task)
    if waits:
        directory = lease.waiting(directory.rpartition("/")[2])
    if ups:
        edges.prepare(access.fs, lease, task.node)
        edges.put(access.fs, lease, ups, [entry.key])
    else:
        task = replace(task, after=())
    number = 1 if once else len(keys.redos(access.fs, lease, old.id)) + 1
    first = keys.publish_redo(access.fs, lease, number, directory, entry, task)
    while first != entry.id and not once:
        number += 1
        first = keys.publish_redo(access.fs, lease, number, directory, entry, task)
    if ups:
        dependents.look(access.fs, lease, now=now, only=[entry.key])
    _retarget(access, lease, old, replace(task, id=first))
    return Queued(lease, replace(task, id=first), old if changes.forgets(old) else None)


def _retarget(access: Access, lease: LeaseDir, old: Task, new: Task) -> None:
    """What waits for the old task, or an index of it, of which nobody knows how it ended, waits for the new one."""
    every, indices = (Indices.parse(each.array.indices) if each.array else Indices() for each in (old, new))
    for home, edge in edges.waiting_for(access.fs, lease, old.id):
        number = edge.up.number
        if number is not None and number not in indices:
            continue
        if edge.up.kind == edges.EACH and indices != every:
            continue  # of the others the old one says how they ended
        there = edge.up._replace(id=new.id if number is None else f"{new.id}_{number}", attempt=1, lease=lease.id)
        edges.retarget(access.fs, home, edge.up, there, downs=[edge.down])
        dependents.look(access.fs, home, now=access.clock.now(), only=[edge.down])


def redone_before(access: Access, each: Located) -> str:
    """That the task has already been resubmitted, in words; empty if it was not."""
    row, lease = each.row, each.reader.lease
    if newer := keys.redone(access.fs, lease, row.id):
        return f"{row.id} has already been resubmitted, as {newer[-1]}"
    return f"{row.id} has already been resubmitted" if _has_old_key(access, lease, row) else ""


def _has_old_key(access: Access, lease: LeaseDir, row: TaskView) -> bool:
    """True if an older leaseq, which kept no links, submitted the failed task again once."""
    digest = hashlib.sha256(f"redo\0{row.id}\0{row.attempt}".encode()).hexdigest()[:40]
    try:
        keys.read_key(access.fs, lease, digest)
    except FileNotFoundError:
        return False
    return True
