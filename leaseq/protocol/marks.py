"""What the journals of one attempt of an array tell of its indices, a byte for each, learnt bit by bit.

A look reads what was added since the last one; only if a chunk was cut meanwhile, all is read once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress

from leaseq.array_names import ArrayNames
from leaseq.errors import Malformed
from leaseq.forms import Form
from leaseq.indices import Indices
from leaseq.layout import ArrayDir
from leaseq.models import State
from leaseq.protocol import array_places, journal
from leaseq.protocol.journal_file import added, lines
from leaseq.schema import integer
from leaseq.world import Fs

STATES = tuple(State)
CODES = {state: number for number, state in enumerate(STATES, 1)}
"""The byte of an index in that state; 0: nothing is told of it."""
LINES_BETWEEN = 2000
"""After so many lines it is asked whether to go on."""
_NUMBER, _TEXT = r"(?:null|-?[0-9]+)", r'"((?:[^"\\]|\\.)*)"'
_END = Form(rf'\["e",([0-9]+),([0-9]+),([0-9]+),"([A-Z]+)",{_NUMBER},{_NUMBER},{_TEXT},{_TEXT},.*\]')


class Marks:
    """The indices of one attempt of an array, by their places in the set that it runs."""

    def __init__(self, fs: Fs, array: ArrayDir, indices: Indices, *, attempt: int) -> None:
        self.fs, self.array, self.indices, self.attempt = fs, array, indices, attempt
        self.names = ArrayNames()
        self._cuts: dict[tuple[int, str], int] = {}
        self._forget()

    def _forget(self) -> None:
        self.ended = bytearray(len(self.indices))
        """The code of how the last attempt of each ended for good, that has."""
        self.again: set[int] = set()
        """The places of those whose last attempt is to be followed by another."""
        self._attempts: dict[int, int] = {}
        """The last attempt that ended, where it is not the first that there can be."""
        self._begun: dict[tuple[int, int, str], str] = {}
        """The node, by (place, attempt, incarnation)."""
        self._never: set[tuple[int, int, str]] = set()
        self._read: dict[tuple[str, str], int] = {}
        """How far each journal was read."""

    def look(self, enough: Callable[[], bool] = lambda: False) -> bool:
        """All that is told by now is known; False if it was enough before. Raises Malformed."""
        self.names = array_places.names_in(self.fs, self.array)
        cuts = journal.cuts_of(self.fs, self.array, self.names)
        if cuts != self._cuts:
            self._forget()
            self._cuts = cuts
        for node, owner in self.names.journals:
            for number, (at, line) in enumerate(self._added(node, owner), 1):
                with suppress(Malformed, LookupError, TypeError, ValueError):
                    self._take(line, at, node, owner)
                self._read[node, owner] = at
                if number % LINES_BETWEEN == 0 and enough():
                    return False
        return True

    def _added(self, node: str, owner: str) -> Iterator[tuple[int, bytes]]:
        return added(self.fs, self.array.journal(node, owner), self._read.get((node, owner), 0))

    @property
    def fraction(self) -> float:
        """How much of its journals has been read."""
        whole = sum(self._size(node, owner) for node, owner in self.names.journals)
        return min(1.0, sum(self._read.values()) / whole) if whole else 1.0

    def _size(self, node: str, owner: str) -> int:
        try:
            return self.fs.read_range(self.array.journal(node, owner), 0, 0)[1]
        except FileNotFoundError:
            return 0

    def _take(self, line: bytes, at: int, node: str, owner: str) -> None:
        """What one line tells counts. at: where it ends."""
        kind = line[:5]
        if kind == b'["e",':
            self._take_end(line, at, owner)
        elif kind in (b'["b",', b'["u",'):
            for fact in lines(line + b"\n"):
                if at > self._cuts.get((fact[1], owner), at):
                    continue
                for index, attempt in fact[2]:
                    place = self.indices.place(integer(index))
                    if fact[0] == "b":
                        if self._last(place) < integer(attempt):
                            self._begun[place, attempt, owner] = node
                    elif fact[3] == owner:
                        self._begun.pop((place, attempt, owner), None)
                    else:
                        self._never.add((place, attempt, fact[3]))

    def _take_end(self, line: bytes, at: int, owner: str) -> None:
        match = _END.fullmatch(line.decode("ascii"))
        if match is None:
            return
        attempt, state, requeued = int(match[2]), State[match[4]], match[6]
        if at > self._cuts.get((int(match[3]), owner), at):
            return
        place = self.indices.place(int(match[1]))
        self._begun.pop((place, attempt, owner), None)
        known = self._last(place)
        if known > attempt or (known == attempt and state is not State.LOST):
            return
        if attempt != self.attempt:
            self._attempts[place] = attempt
        self.ended[place] = 0 if requeued else CODES[state]
        (self.again.add if requeued else self.again.discard)(place)

    def _last(self, place: int) -> int:
        """The last attempt that has ended; 0: none."""
        told = self.ended[place] or place in self.again
        return self._attempts.get(place, self.attempt) if told else 0

    def running(self) -> dict[int, str]:
        """The nodes of those that have begun, and of whose attempt no end is told, by place."""
        self._begun = {key: node for key, node in self._begun.items() if self._last(key[0]) < key[1]}
        found: dict[int, tuple[int, str]] = {}
        for (place, attempt, owner), node in self._begun.items():
            if (place, attempt, owner) not in self._never:
                found[place] = max(found.get(place, (0, "")), (attempt, node))
        return {place: node for place, (_, node) in found.items()}


def having(states: bytearray, code: int, indices: Indices) -> Indices:
    """Those at whose places that code stands."""
    runs = re.finditer(re.escape(bytes([code])) + b"+", states)
    return Indices(part for run in runs for part in indices.slice(*run.span()).parts)


def fill(states: bytearray, indices: Indices, some: Indices | None, state: State) -> None:
    """Where nothing stands yet, that does; of some of the indices only if they are given."""
    table = bytes([CODES[state], *range(1, 256)])
    for part in (indices if some is None else indices & some).parts:
        first, end = indices.place(part[0]), indices.place(part[-1]) + 1
        if end - first == len(part):
            states[first:end] = states[first:end].translate(table)
        else:
            for place in map(indices.place, part):
                states[place] = states[place] or CODES[state]
