"""What a person types for tasks: an id, its first letters or `last`, and indices behind it; or what several share."""

from __future__ import annotations

import time
from collections.abc import Sequence

from leaseq.dataclass import dataclass
from leaseq.errors import Malformed, UsageError
from leaseq.forms import Form
from leaseq.indices import Indices
from leaseq.models import State
from leaseq.names import valid_group
from leaseq.protocol.edges import QUERIES
from leaseq.reading.views import TaskView

_NUMBERS = Form(r"[0-9][0-9:-]*")
_DAY = Form(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAY = "day"
DAYS = {"today": 0, "yesterday": 1}
FILTERS = (*QUERIES, DAY)
"""What stands before a colon where a list is narrowed."""


@dataclass(frozen=True)
class Selector:
    """One word that names a task, or indices of one."""

    task: str
    """What stands for the task: an id, its first letters, `last`."""
    indices: Indices | None = None
    """Those that are meant: `T3k9_17`, `T3k9_100-199`, `last_3`; None: the task as a whole."""

    def __str__(self) -> str:
        return self.task if self.indices is None else f"{self.task}_{self.indices}"


@dataclass(frozen=True)
class Query:
    """A word that names several tasks: by their group, their name, their state, or a day."""

    kind: str
    """`group`, `name` or `state`; `day` where a list is narrowed."""
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"

    def names(self, row: TaskView) -> bool:
        """True if the task is one of them."""
        if self.kind == "state":
            return row.state is State.parse(self.value)
        if self.kind == DAY:
            return _was_on(row, self.value)
        return self.value == (row.group if self.kind == "group" else row.name)


def query_of(word: str) -> Query | None:
    """The tasks that `group:eval`, `name:vit` or `state:failed` asks for; None if the word is none of these.

    Raises UsageError if there is no such state, or group.
    """
    kind, colon, value = word.partition(":")
    if not colon or kind not in QUERIES:
        return None
    if kind == "group":
        valid_group(value, what=word)
    elif kind == "state":
        try:
            State.parse(value)
        except KeyError:
            known = ", ".join(state.name.lower() for state in State)
            raise UsageError(f"{word!r}: there is no such state", hint=f"one of {known}") from None
    elif not value:
        raise UsageError(f"{word!r}: which name?", hint="name:NAME, as it was given to `leaseq submit --name`")
    return Query(kind, value)


def filter_of(word: str, *, now: float) -> Query | None:
    """As `query_of`, and `day:2026-11-28`, `day:today`, `day:yesterday`: what ran on that day, or waited since then.

    Raises UsageError, too, if there is no such day.
    """
    kind, colon, value = word.partition(":")
    if not colon or kind != DAY:
        return query_of(word)
    if value in DAYS:
        # Noon: a day may have 23 hours.
        noon = time.mktime((*time.localtime(now)[:3], 12, 0, 0, 0, 0, -1))
        value = time.strftime("%Y-%m-%d", time.localtime(noon - DAYS[value] * 86400))
    try:
        time.strptime(value if _DAY.fullmatch(value) else "", "%Y-%m-%d")
    except ValueError:
        raise UsageError(f"{word!r}: there is no such day", hint="day:2026-11-28, day:today, day:yesterday") from None
    return Query(DAY, value)


def _was_on(row: TaskView, day: str) -> bool:
    """True if it ran on that day, by this host's calendar; if it never began, was submitted or ended then."""
    if row.started is not None and row.elapsed_seconds is not None:
        return _day(row.started) <= day <= _day(row.started + row.elapsed_seconds)
    return day in {_day(at) for at in (row.submitted, row.started, row.ended) if at}


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def selectors_of(words: Sequence[str]) -> list[Selector]:
    """The words one by one, which may be joined by commas; raises UsageError if there is none."""
    found: list[Selector] = []
    for word in words:
        for number, part in enumerate(part for part in word.split(",") if part):
            before = found[-1] if number else None
            if before is not None and before.indices is not None and _NUMBERS.fullmatch(part):
                # `T3k9_1,5,7-9`: numbers behind a comma are of the same array.
                found[-1] = Selector(before.task, before.indices | _indices(part, str(before)))
            else:
                found.append(_selector(part))
    if not found:
        raise UsageError("which task?", hint="give an id (or its first letters), `last`, or group:NAME")
    return found


def _selector(word: str) -> Selector:
    task, _, numbers = word.partition("_")
    if query_of(word) is not None:
        return Selector(word)  # what is behind a `_` is of the name
    if not task or not _NUMBERS.fullmatch(numbers):
        return Selector(word)  # no id has such a letter: it is a name, and whoever looks for it says so
    return Selector(task, _indices(numbers, word))


def _indices(text: str, word: str) -> Indices:
    try:
        return Indices.parse(text)
    except Malformed as error:
        raise UsageError(f"{word!r}: {error}", hint="like T3k9_17, T3k9_100-199, T3k9_0-9:2, T3k9_1,5,7-9") from None


def united(one: Indices | None, other: Indices | None) -> Indices | None:
    """What is meant of one task by two words: all of it if one of them means that."""
    return None if one is None or other is None else one | other
