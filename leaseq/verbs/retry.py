"""Tasks that have ended run once more under their own id, as their next attempt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leaseq.dataclass import dataclass, replace
from leaseq.errors import Malformed, Refused
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.lease.lookup import Found, Located
from leaseq.models import ANY, Outcome, State, Task
from leaseq.names import Entry
from leaseq.protocol import dependents, edges, keys, records, tasks
from leaseq.protocol.index_ends import of_indices
from leaseq.protocol.retention import alive
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.upstream import Upstream
from leaseq.verbs import arrays
from leaseq.verbs.access import Access
from leaseq.verbs.changes import NONE, Changes
from leaseq.verbs.fits import Fits
from leaseq.verbs.origin import Origins

Made = Callable[[Task], Task]
"""What else is different of a task that runs once more."""


@dataclass(frozen=True)
class Queued:
    """A task that waits to run once more: under its own id, or as a new task."""

    lease: LeaseDir
    task: Task
    forgotten: Task | None = None
    """The task as it was, if its environment was not known any more: it has that of now."""
    revived: tuple[str, ...] = ()
    """The tasks that were cancelled because of it, and wait for it again as their next attempts."""


def failed(reader: Reader) -> Found:
    """Every failed task that the history holds, oldest first."""
    rows = reader.read(recent=10**9, pending=0).tasks
    ended = [row for row in rows if row.state in (State.FAILED, State.TIMEOUT)]
    return Found(tuple(Located(reader, row) for row in ended[::-1]))


def retry(
    access: Access,
    each: Located,
    changes: Changes = NONE,
    *,
    fits: Fits | None = None,
    unless_redone: bool = False,
    failed: bool = False,
    cascade: bool = True,
    made: Made | None = None,
    origins: Origins | None = None,
) -> Queued:
    """The ended task is pending as its next attempt; of an array, those of its indices that are not DONE.

    unless_redone: raises Refused if it was submitted again as a new task. failed: only what has failed or was too long.
    cascade: what was cancelled because of it waits for it again. made: what else is different. origins: what is known
    of what tasks are made from. Raises LeaseqError.
    """
    row = each.row
    if failed and row.array is None and row.state not in arrays.FAILED:
        raise Refused(f"{row.id} has not failed: it is {row.state.name}")
    if row.state is State.LOST and row.array is None:
        if changes.said or made:
            raise Refused(f"{row.id} is LOST: it is queued again as it is", hint=f"leaseq retry {row.id}")
        return queue_lost(access, each)
    ended = last_outcome(each)
    if unless_redone and (newer := keys.redone(access.fs, each.reader.lease, row.id)):
        raise Refused(f"{row.id} was submitted again as {newer[-1]}", hint=f"`leaseq retry {row.id}` does it still")
    refuse_unfit(fits or Fits(access), each, changes)
    lease, count = each.reader.lease, 0
    if row.array is not None:
        task, count = arrays.again(each, ended.task, arrays.FAILED if failed else arrays.NOT_DONE)
        ended = replace(ended, task=arrays.with_others(each, task))
    queued = retry_after(access, lease, ended, changes, indices=count, made=made, origins=origins)
    if not cascade:
        return queued
    return replace(queued, revived=tuple(dependents.revive(access.fs, lease, row.id, now=access.clock.now())))


def refuse_unfit(fits: Fits, each: Located, changes: Changes) -> None:
    """Raises LeaseqError if the ended task, with these changes, could never run in the lease that has it."""
    old = each.detail.task
    if old is not None:
        node = changes.node or old.node
        fits.refuse(each.reader.lease, changes.need_after(old.need), node, named=changes.node)


def retry_after(
    access: Access,
    lease: LeaseDir,
    ended: Outcome,
    changes: Changes = NONE,
    *,
    indices: int = 0,
    made: Made | None = None,
    origins: Origins | None = None,
) -> Queued:
    """Another attempt follows that one, durably; raises Refused if somebody was first and these changes are lost.

    indices: how many, of an array. made, origins: as of `retry`.
    """
    old, now = ended.task, access.clock.now()
    task = changes.applied(old)
    task = made(task) if made else task
    task = replace(task, origin=(origins or Origins(access.fs, access.home)).of_next(old, task, time=now))
    ups = waits_of(access, lease, ended, task)
    each = any(up.kind == edges.EACH for up in ups)
    entry, task = keys.next_attempt(lease, ended, task, indices=indices, each=each)
    if task.node != ANY:
        records.prepare_node(access.fs, lease, task.node)
    first = dependents.publish_again(access.fs, lease, ended, entry, task, ups, now=now)
    if first.owner != entry.owner and (changes.said or made):
        raise Refused(
            f"{task.id} was queued again before, without these options",
            hint=f"`leaseq cancel {task.id}` and retry it then, or `leaseq redo {task.id}` submits a new one",
        )
    return Queued(lease, task, old if changes.forgets(old) else None)


def waits_of(access: Access, lease: LeaseDir, ended: Outcome, task: Task) -> tuple[Upstream, ...]:
    """What the task waits for once more, if it never could start; raises Refused if that can never come.

    An array that waits index by index does so again: some of its indices may never have started.
    """
    ups = list(map(Upstream.parse, task.after))
    if ended.node or ended.started:
        ups = [up for up in ups if up.kind == edges.EACH]
    weighed = edges.weigh(access.fs, lease, ups, now=access.clock.now())
    _refuse_in_vain(access, lease, task, [up for up in weighed.open if up.kind == edges.EACH])
    for up, state in weighed.never:
        raise Refused(
            f"{task.id} comes after {up.id}, which is {state.name}",
            hint=f"`leaseq retry {up.id}` brings both back; `--anyway` runs this one all the same",
        )
    return weighed.open


def _refuse_in_vain(access: Access, lease: LeaseDir, task: Task, ups: Sequence[Upstream]) -> None:
    """Raises Refused if no index of the array can begin, because of how those that it waits for have ended."""
    wanted = Indices.parse(task.array.indices) if ups and task.array else Indices()
    for up in ups:
        home = lease.beside(up.lease)
        ended = of_indices(access.fs, home, up.task, wanted).ended
        if not ended and up.task not in alive(access.fs, home):
            raise Refused(
                f"{task.id} comes after {up.id}, of which nothing is left: it was removed by `leaseq clean`",
                hint="`--anyway` runs it all the same",
            )
        if all(index in ended and ended[index].state in edges.BADLY for index in wanted):
            raise Refused(
                f"{task.id} comes after {up.id} index by index, and none of these is DONE there",
                hint=f"`leaseq retry {up.id}` brings both back; `--anyway` runs this one all the same",
            )


def last_outcome(each: Located) -> Outcome:
    """How the ended task ended; raises Refused if it cannot be retried."""
    row = each.row
    if row.cleaned:
        raise Refused(unknown(row), hint="leaseq submit -- COMMAND")
    if row.state is State.DONE and each.indices is None:
        raise Refused(f"{row.id} is DONE", hint=f"`leaseq redo {row.id}` submits it as a new task")
    if row.state is State.STUCK:
        raise Refused(f"{row.id} is STUCK: its runner is down", hint=f"`leaseq recover {row.id}` shows the next step")
    outcomes = each.detail.outcomes
    if not row.state.ended or not outcomes or outcomes[-1].attempt != row.attempt or outcomes[-1].requeued:
        raise Refused(f"{row.id} has not ended: it is {row.state.name}", hint=f"`leaseq wait {row.id}` waits for it")
    return outcomes[-1]


def queue_lost(access: Access, each: Located) -> Queued:
    """The LOST task is pending as its next attempt, as it was; raises Refused."""
    row, lease = each.row, each.reader.lease
    if row.place is None:
        raise Refused(f"the file of {row.id} is gone", hint=f"`leaseq redo {row.id}` submits it as a new task")
    entry = Entry.parse(row.place.name)
    task = task_at(access, row, entry)
    if not tasks.recover_lost(access.fs, lease, entry, tasks.inbox_of(lease, task)):
        raise Refused(f"{row.id} was queued again by someone else just now")
    return Queued(lease, task)


def task_at(access: Access, row: TaskView, entry: Entry) -> Task:
    """The task in the row's file; raises Refused."""
    assert row.place is not None
    try:
        return tasks.read_task(access.fs, f"{row.place.directory}/{row.place.name}", entry)
    except (FileNotFoundError, Malformed) as error:
        raise Refused(f"{row.id}: its file cannot be read ({error})", hint="`leaseq info` says more") from None


def unknown(row: TaskView) -> str:
    """Why the task cannot run once more."""
    if row.cleaned:
        gone = "its whole command, its directory and its need are gone"
        return f"`leaseq clean` has removed {row.id}: {gone}. It was: {row.command}"
    return f"the command of {row.id} can no longer be read"
