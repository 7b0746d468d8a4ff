"""An array as one row: its indices counted, by what its directory, the history and the heartbeats say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from leaseq.dataclass import replace
from leaseq.models import Event, State, Task
from leaseq.names import Entry
from leaseq.reading.views import ArrayView, NodeView, TaskView

if TYPE_CHECKING:
    from leaseq.protocol.facts import Totals

BEST = (State.RUNNING, State.UNKNOWN, State.STUCK)
"""What an array is of whose chunks some are so: the first."""
Counts = dict[State, int]


class Arrays(Protocol):
    """What is read of arrays for their rows."""

    def known(self, entry: Entry) -> tuple[Totals | None, int | None]:
        """(the indices that have ended, how many a command has said that may run at once); None: nothing is known."""
        ...

    def held_because(self, entry: Entry) -> str:
        """Why a runner has held the array; empty if none has."""
        ...


class _NoArrays:
    """Nothing is known of any array but its name."""

    def known(self, entry: Entry) -> tuple[Totals | None, int | None]:
        return None, None

    def held_because(self, entry: Entry) -> str:
        return ""


NO_ARRAYS = _NoArrays()


def running(nodes: Iterable[NodeView]) -> dict[str, Counts]:
    """How many indices of each array nodes hold, by what is known of the node."""
    found: dict[str, Counts] = {}
    for view in nodes:
        for run in view.heartbeat.running if view.heartbeat else ():
            task_id, _, index = run.id.partition("_")
            if index:
                state, _ = view.holds
                counts = found.setdefault(task_id, {})
                counts[state] = counts.get(state, 0) + 1
    return found


def state_of(holders: Iterable[NodeView], *, given_back: bool) -> tuple[State, str]:
    """(state, reason) of an array of which something was taken: by the best of the nodes that have some of it."""
    states = [view.holds for view in holders]
    if not states:
        return (State.PENDING, "Requeue") if given_back else (State.RUNNING, "ending")
    return min(states, key=lambda state: BEST.index(state[0]))


def counted(
    row: TaskView,
    entry: Entry,
    task: Task | str,
    totals: Totals | None,
    running: Counts,
    holders: Iterable[NodeView] = (),
    throttle: int | None = None,
) -> TaskView:
    """The array's row with the counts of its indices, and since when some of it runs, by its nodes' clocks.

    throttle: what a command has said of how many may run at once, if one has.
    """
    own = task.array if isinstance(task, Task) else None
    before = by_state(own.before) if own else {}
    size = entry.count + sum(before.values())
    throttle = own.throttle if throttle is None and own else throttle
    most_failed = own.max_fails if own else None
    if totals is None:
        return replace(row, array=ArrayView(size, added(before, running), throttle, most_failed))
    mean = totals.seconds / totals.all_ended if totals.all_ended and totals.seconds else None
    array = ArrayView(size, added(before, totals.counts, running), throttle, most_failed, mean)
    clocks = [view.heartbeat.time + (view.age_seconds or 0.0) for view in holders if view.heartbeat]
    elapsed = max(0.0, max(clocks) - totals.started) if clocks and totals.started else None
    return replace(row, array=array, started=totals.started, elapsed_seconds=elapsed)


def array_of(event: Event) -> ArrayView | None:
    """The indices of an array that has ended, counted; None of another task."""
    counts = by_state(event.counts)
    return ArrayView(sum(counts.values()), counts) if counts else None


def by_state(counts: Mapping[str, int]) -> Counts:
    """Numbers by states that are named in a record."""
    return {State[name]: number for name, number in counts.items() if name in State.__members__}


def added(*parts: Mapping[State, int]) -> Counts:
    """The numbers of all parts together."""
    found: Counts = {}
    for part in parts:
        for state, number in part.items():
            found[state] = found.get(state, 0) + number
    return found
