"""What is done to the indices of an array: some of them end, or run once more under their own numbers."""

from __future__ import annotations

from leaseq.dataclass import dataclass, replace
from leaseq.errors import Refused, UsageError
from leaseq.indices import Indices
from leaseq.lease.lookup import Located
from leaseq.models import Outcome, State, Task
from leaseq.names import Entry
from leaseq.protocol import arrays
from leaseq.protocol.each_again import with_indices
from leaseq.protocol.stops import Stop
from leaseq.reading.find import throttled
from leaseq.verbs.access import Access

FAILED = (State.FAILED, State.TIMEOUT)
NOT_DONE = (*FAILED, State.CANCELLED, State.LOST)


@dataclass(frozen=True)
class Ending:
    """What becomes of the indices that are to end: how many run and are being ended, how many do not start any more."""

    running: int
    waiting: int
    outcome: Outcome | None
    """The array's, if it is over by that."""


def cancel(access: Access, each: Located, reason: str) -> Ending:
    """Those indices of the array are to end, durably, or all; raises UsageError if they have ended, and NotFound."""
    row, lease = each.row, each.reader.lease
    assert row.place is not None
    array = each.indexed
    if each.indices is not None:
        array.refuse_strange(each.indices)
    states = array.by_state(each.indices)
    numbers = {state: len(some) for state, some in states.items() if not state.ended}
    if not numbers:
        raise UsageError(f"{named(each)} {'has' if len(each.indices or ()) == 1 else 'have'} ended already")
    waiting = numbers.pop(State.PENDING, 0)
    entry = Entry.parse(row.place.name).of_array().pending()
    outcome = arrays.cancel(access.fs, lease, entry, Stop(each.indices, reason), now=access.clock.now())
    return Ending(sum(numbers.values()), waiting, outcome)


def set_throttle(access: Access, each: Located, most: int) -> None:
    """At most so many of the array's indices run at once, durably; 0: any number. Raises UsageError."""
    row = each.row
    if row.array is None or row.place is None or row.state.ended:
        what = f"has ended: it is {row.state.name}" if row.state.ended else "is one task, without indices"
        raise UsageError(f"{row.id} {what}")
    entry = Entry.parse(row.place.name).of_array().pending()
    arrays.set_throttle(access.fs, each.reader.lease, entry, most)


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


def with_others(each: Located, task: Task) -> Task:
    """The same with how the indices have ended that are not in it: the array is all of them, whichever run again."""
    task = throttled(each.reader, task, each.row.attempt)
    assert task.array is not None
    array = each.indexed
    others = array.every - Indices.parse(task.array.indices)
    before = {state.name: len(some) for state, some in array.by_state(others).items()} if others else {}
    return replace(task, array=replace(task.array, before=before))
