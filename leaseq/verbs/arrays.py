"""What is done to the indices of an array: some of them end, or run once more under their own numbers."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.errors import Refused, UsageError
from leaseq.indices import Indices
from leaseq.lease.lookup import Located
from leaseq.models import Outcome, State, Task
from leaseq.names import Entry
from leaseq.protocol import arrays
from leaseq.protocol.arrays import Stop
from leaseq.verbs.access import Access

FAILED = (State.FAILED, State.TIMEOUT)
NOT_DONE = (*FAILED, State.CANCELLED, State.LOST)


def cancel(access: Access, each: Located, reason: str) -> Outcome | None:
    """Those indices of the array are to end, durably, or all; its outcome if it is over by that. Raises UsageError."""
    row, lease = each.row, each.reader.lease
    assert row.place is not None
    if each.indices is not None:
        array = each.indexed
        array.refuse_strange(each.indices)
        if all(state.ended for state in array.by_state(each.indices)):
            raise UsageError(f"{named(each)} {'has' if len(each.indices) == 1 else 'have'} ended already")
    entry = Entry.parse(row.place.name).of_array().pending()
    now = access.clock.now()
    return arrays.cancel(access.fs, lease, entry, Stop(each.indices, reason), now=now)


def named(each: Located) -> str:
    """The array, with the indices that are meant."""
    return each.row.id if each.indices is None else f"{each.row.id}_{each.indices}"


def again(each: Located, task: Task, states: tuple[State, ...] = ()) -> tuple[Task, int]:
    """(the array's task with the indices that are to run once more, how many these are); raises Refused and NotFound.

    Those that are meant, or all; of them those that ended in one of these states, or whatever became of them.
    """
    array = each.indexed
    chosen = array.every if each.indices is None else each.indices
    array.refuse_strange(chosen)
    if states:
        found = array.by_state(chosen)
        chosen = Indices()
        for state in states:
            chosen |= found.get(state, Indices())
    if not chosen:
        raise Refused(f"no index of {named(each)} has failed" if states == FAILED else f"{named(each)} is DONE")
    return with_indices(task, chosen), len(chosen)


def with_indices(task: Task, chosen: Indices) -> Task:
    """The array's task with those of its indices alone; what they are told of how many there are stays."""
    assert task.array is not None
    size = task.array.size or len(Indices.parse(task.array.indices))
    return replace(task, array=replace(task.array, indices=str(chosen), size=0 if size == len(chosen) else size))
