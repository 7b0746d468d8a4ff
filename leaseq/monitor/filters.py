"""Which tasks are listed: by the filter, typed words, a node, and the room that there is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from enum import Enum

from leaseq.errors import UsageError
from leaseq.models import State
from leaseq.reading.selectors import FILTERS, filter_of
from leaseq.reading.views import TaskView

RECENT_PENDING_MIN = 5


class Filter(Enum):
    """Which tasks are listed. Recent: what runs, what comes next, what has just ended."""

    RECENT = "Recent"
    ALL = "All"
    RUNNING = "Running"
    PENDING = "Pending"
    DONE = "Done"
    FAILED = "Went wrong"
    CANCELLED = "Cancelled"
    STUCK = "Stuck"

    def next(self) -> Filter:
        every = list(Filter)
        return every[(every.index(self) + 1) % len(every)]


STATES = {
    Filter.RUNNING: {State.RUNNING, State.UNKNOWN, State.STUCK},
    Filter.PENDING: {State.PENDING},
    Filter.DONE: {State.DONE},
    Filter.FAILED: {State.FAILED, State.TIMEOUT, State.LOST},
    Filter.CANCELLED: {State.CANCELLED},
    Filter.STUCK: {State.STUCK, State.LOST},
}


CODES = frozenset(state.code for state in State)


def filtered(
    tasks: Iterable[TaskView],
    chosen: Filter,
    *,
    text: str = "",
    only_node: str = "",
    room: int = 0,
    now: float = 0.0,
) -> list[TaskView]:
    """The tasks that the filter, the typed words and the chosen node let through.

    Recent has all that run, and as many that wait as there is room for beside a third for those that have ended.
    """
    rows = list(tasks)
    if chosen is Filter.RECENT and not text:
        waiting = [row.id for row in rows if row.state is State.PENDING]
        ended = sum(row.state.ended for row in rows)
        left = room - (len(rows) - len(waiting) - ended)
        hidden = set(waiting[max(RECENT_PENDING_MIN, left - min(ended, left // 3)) :])
        rows = [row for row in rows if row.id not in hidden]
    elif chosen in STATES:
        rows = [row for row in rows if row.state in STATES[chosen]]
    if only_node:
        rows = [row for row in rows if row.node == only_node]
    try:
        tests = [_test(word, now) for word in text.split()]
    except UsageError:
        return []  # `trouble` says why
    return [row for row in rows if all(test(row) for test in tests)] if tests else rows


def _test(word: str, now: float) -> Callable[[TaskView], bool]:
    """Whether a task has the word: in its id, name, command, node, state or reason.

    `!word`: it has not; `CA`: the state of that code; `name:`, `group:`, `state:`, `day:` as in `selectors`, which
    raise UsageError.
    """
    if word.startswith("!") and len(word) > 1:
        wanted = _test(word[1:], now)
        return lambda row: not wanted(row)
    if word in CODES:
        return lambda row: word == row.state.code
    if (query := filter_of(word, now=now)) is not None:
        return query.names
    lowered = word.lower()
    return lambda row: lowered in f"{row.id} {row.name} {row.command} {row.node} {row.reason} {row.state.name}".lower()


def trouble(text: str, *, now: float) -> str:
    """Why a word with a colon is not what it looks like; empty if none of them is so."""
    for word in text.split():
        word = word.removeprefix("!")
        kind, colon, _ = word.partition(":")
        try:
            filter_of(word, now=now)
        except UsageError as error:
            return f"{error.message}; {error.hint}"
        if colon and kind not in FILTERS:
            from leaseq.values import nearest_hint  # not before the first frame

            if hint := nearest_hint(kind, [f"{each}:" for each in FILTERS]):
                return f"{kind}: is looked for as it stands; {hint}"
    return ""


def in_states(rows: Iterable[TaskView], states: Set[State]) -> int:
    """How many tasks of these rows are in those states; of an array its indices."""
    found = 0
    for row in rows:
        if row.array is None:
            found += row.state in states
        else:
            counts = {**row.array.counts, State.PENDING: row.array.waiting}
            found += sum(counts.get(state, 0) for state in states)
    return found
