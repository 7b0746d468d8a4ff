"""An array or a group, unit by unit: what each index, or each task, does, in a byte; looked at again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from leaseq.dataclass import dataclass, replace
from leaseq.indices import Indices
from leaseq.models import State
from leaseq.names import parse_id
from leaseq.protocol.index_ends import was_retried_as
from leaseq.protocol.marks import CODES, Marks
from leaseq.reading.find import Search
from leaseq.reading.indexed import Indexed, Try
from leaseq.reading.selectors import Query
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import NodeView, TaskView

PLACES_MAX = 1 << 22
"""An array of more is not unfolded: a byte for each is to be held."""
LOOKS_MAX = 3
"""So often in a row it may end, or be queued again, while one looks."""


@dataclass(frozen=True, eq=False)
class Unfolded:
    """The units of an array, or of a group in the order of submission, as they were read last."""

    id: str
    """The array's; empty for a group."""
    states: bytes = b""
    """The code of what each does: see `protocol.marks`."""
    every: Indices = Indices()
    """The indices of an array."""
    rows: tuple[TaskView, ...] = ()
    """The tasks of a group."""
    fraction: float = 1.0
    """How much has been read of what is written about it."""
    recent: int = 0
    """Of the ended tasks of the lease only so many were looked at, if not 0: of the group there may be more."""
    too_many: int = 0
    """How many indices it has, if these are too many."""

    def __len__(self) -> int:
        return len(self.states)

    def name(self, place: int) -> str:
        """The id of the unit at that place."""
        return self.rows[place].id if self.rows else f"{self.id}_{self.every[place]}"

    def label(self, place: int) -> str:
        """In few letters: the index, or the id's first letters."""
        return self.rows[place].id[:8] if self.rows else str(self.every[place])

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The places of a group's tasks, by id."""
        return {row.id: place for place, row in enumerate(self.rows)}

    def place(self, name: str) -> int | None:
        """The place of the unit with that id; None if there is none."""
        if self.rows:
            return self.places.get(name)
        index = parse_id(name)[1]
        return self.every.place(index) if index is not None and index in self.every else None

    def counts(self, start: int = 0, stop: int | None = None) -> dict[State, int]:
        """How many of those from one place up to another are in each state."""
        some = self.states if start == 0 and stop is None else self.states[start:stop]
        found = {state: some.count(code) for state, code in CODES.items()} if len(some) > 1 else {}
        if len(some) == 1:
            found = {state: 1 for state, code in CODES.items() if some[0] == code}
        return {state: number for state, number in found.items() if number}


class Unfolding:
    """One array, looked at again and again; each look costs what was written since the last."""

    def __init__(self, reader: Reader, task_id: str) -> None:
        self.reader, self.id = reader, task_id
        self._array: Indexed | None = None
        self._marks: list[tuple[Try, Marks]] = []
        self._over: dict[int, bytes] = {}
        """The states of tries that are over, by attempt: they stay."""
        self._every = Indices()
        self._too_many = 0
        self._row: tuple[int, int, TaskView] | None = None
        """(index, its code, its row) that was asked for last."""
        self._last = Unfolded(task_id)

    def look(self, nodes: Mapping[str, NodeView], enough: Callable[[], bool] = lambda: False) -> Unfolded:
        """The array as it is now, or as far as was read before it was enough; raises OSError, LeaseqError."""
        if self._array is None or self._changed():
            self._find()
        for _ in range(LOOKS_MAX):
            if self._too_many:
                return Unfolded(self.id, too_many=self._too_many)
            for each, marks in self._marks:
                if each.attempt not in self._over and not marks.look(enough):
                    return replace(self._last, every=self._every, fraction=marks.fraction)
            if not self._changed():
                break
            self._find()  # it has ended while one looked
        assert self._array is not None
        return self._combined(self._array, nodes)

    def _find(self) -> None:
        """Its tries are known; what was read of those that were is kept."""
        self._array = array = Search(self.reader).indexed(self.id)
        size = sum(len(each.indices) for each in array.tries)
        self._too_many = len(array.every) if size > PLACES_MAX else 0
        known = {each.attempt: marks for each, marks in self._marks}
        self._marks = [
            (each, known.get(each.attempt) or array.marks(each)) for each in array.tries if size <= PLACES_MAX
        ]
        self._every = array.every

    def index(self, number: int, nodes: Mapping[str, NodeView]) -> TaskView:
        """The row of that index, as it is now; of one that has ended it is read once. Raises OSError, LeaseqError."""
        place = self._last.place(f"{self.id}_{number}")
        code = self._last.states[place] if place is not None and self._last.states else 0
        if self._row is not None and self._row[:2] == (number, code) and self._row[2].state.ended:
            return self._row[2]
        array = self._array or Search(self.reader).indexed(self.id)
        self._row = number, code, replace(array, nodes=nodes).row(number)
        return self._row[2]

    def _changed(self) -> bool:
        """True if its newest try has ended, or was followed by another."""
        if not self._marks:
            return False
        each, marks = self._marks[-1]
        if each.outcome is None:
            return marks.names.over
        return was_retried_as(self.reader.fs, self.reader.lease, self.id, each.outcome.last + 1)

    def _combined(self, array: Indexed, nodes: Mapping[str, NodeView]) -> Unfolded:
        found = bytearray(len(self._every))
        for each, marks in self._marks:
            states = self._over.get(each.attempt) or bytes(array.states(each, marks, nodes))
            if each.outcome is not None:
                self._over[each.attempt] = states
            if len(states) == len(found):
                found[:] = states
            else:
                for place, index in enumerate(each.indices):
                    found[self._every.place(index)] = states[place]
        if self._last.states != found or self._last.fraction < 1:
            self._last = Unfolded(self.id, bytes(found), self._every)
        return self._last


def of_group(reader: Reader, name: str, *, recent: int) -> Unfolded:
    """The group's tasks, an array as one of them; of the ended ones those among the `recent` last of the lease."""
    rows = reader.rows_of(Query("group", name), recent=recent)
    more = len(reader.histories.known(recent)) >= recent
    return Unfolded("", bytes(CODES[row.state] for row in rows), rows=tuple(rows), recent=recent if more else 0)
