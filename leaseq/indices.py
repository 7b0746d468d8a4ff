"""Sets of indices as people write them, `0-9:2,15`. Pure, and small however many there are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain, starmap
from operator import eq

from leaseq.errors import Malformed
from leaseq.forms import Form

INDEX_MAX = 999_999_999
SPREAD_MAX = 10_000_000
"""So many numbers may be looked at one by one, where parts with steps overlap others."""
_PART = Form(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9}))?)?")


class Indices:
    """A set of indices, in order. As a sequence it gives the n-th, and tells which one an index is."""

    __slots__ = ("_before", "parts")

    def __init__(self, parts: Iterable[range] = ()) -> None:
        self.parts = _in_order([part for part in parts if part])
        """Not empty, in order, none reaching into the next."""
        self._before = [0, *accumulate(len(part) for part in self.parts)]

    @classmethod
    def parse(cls, text: str) -> Indices:
        """The set that the text names: `7`, `0-9`, `0-9:2`, and several with commas; raises Malformed."""
        return cls(_part(each) for each in text.split(","))

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Indices:
        """The set of those numbers, in whatever order they come."""
        return cls(_runs(sorted(set(numbers))))

    def __str__(self) -> str:
        return ",".join(_text(part) for part in self.parts)

    def __repr__(self) -> str:
        return f"Indices({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Indices) or len(self) != len(other):
            return False
        return self.parts == other.parts or all(starmap(eq, zip(_spans(self), _spans(other), strict=False)))

    def __hash__(self) -> int:
        return hash((len(self), self.first, self.last))

    def __len__(self) -> int:
        return self._before[-1]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.parts)

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self._part_of(index) is not None

    def __getitem__(self, place: int) -> int:
        """The index at that place; raises IndexError."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        number = bisect_right(self._before, place) - 1
        return self.parts[number][place - self._before[number]]

    def place(self, index: int) -> int:
        """Its place in the set, from 0; raises KeyError if it is not in the set."""
        number = self._part_of(index)
        if number is None:
            raise KeyError(index)
        return self._before[number] + self.parts[number].index(index)

    @property
    def first(self) -> int:
        """The lowest; -1 of none."""
        return self.parts[0][0] if self.parts else -1

    @property
    def last(self) -> int:
        """The highest; -1 of none."""
        return self.parts[-1][-1] if self.parts else -1

    def slice(self, start: int, stop: int) -> Indices:
        """Those from the place `start` up to but without the place `stop`."""
        found = []
        for part, before in zip(self.parts, self._before, strict=False):
            low, high = max(0, start - before), min(len(part), stop - before)
            if low < high:
                found.append(part[low:high])
        return Indices(found)

    def __or__(self, other: Indices) -> Indices:
        return Indices([*self.parts, *other.parts])

    def __and__(self, other: Indices) -> Indices:
        if _whole(other, self):
            return self
        return Indices(_common(_spans(self), _spans(other)))

    def __sub__(self, other: Indices) -> Indices:
        if not other.parts or other.last < self.first or other.first > self.last:
            return self
        return Indices(_common(_spans(self), _gaps(_spans(other))))

    def _part_of(self, index: int) -> int | None:
        number = bisect_right(self.parts, index, key=lambda part: part[0]) - 1
        return number if number >= 0 and index in self.parts[number] else None


def _part(text: str) -> range:
    match = _PART.fullmatch(text.strip())
    if not match:
        raise Malformed(
            f"{text.strip()!r:.60} is no index and no range of them (7, 0-9, 0-9:2; the highest is {INDEX_MAX})"
        )
    first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
    if last < first:
        raise Malformed(f"{text.strip()} ends before it begins")
    if step < 1:
        raise Malformed(f"{text.strip()} has a step of 0")
    return range(first, last + 1, step)


def _text(part: range) -> str:
    if len(part) == 1:
        return str(part[0])
    return f"{part[0]}-{part[-1]}" + (f":{part.step}" if part.step > 1 else "")


def _in_order(parts: list[range]) -> tuple[range, ...]:
    """The same numbers, each once: parts that reach into one another are taken apart, neighbours put together."""
    parts.sort(key=lambda part: part[0])
    found: list[range] = []
    heap: list[range] = []
    end = -1
    for part in parts:
        if part[0] > end:
            found += _apart(heap)
            heap = []
        heap.append(part)
        end = max(end, part[-1])
    return tuple(_joined([*found, *_apart(heap)]))


def _apart(heap: list[range]) -> list[range]:
    """Parts that reach into one another, as parts that do not."""
    if len(heap) < 2:
        return heap
    if all(_dense(part) for part in heap):
        return [range(heap[0][0], max(part[-1] for part in heap) + 1)]
    _check_spread(heap)
    return _runs(sorted(set(chain.from_iterable(heap))))


def _joined(parts: list[range]) -> list[range]:
    found: list[range] = []
    for part in parts:
        if found and _dense(part) and _dense(found[-1]) and part[0] == found[-1][-1] + 1:
            found[-1] = range(found[-1][0], part[-1] + 1)
        else:
            found.append(part)
    return found


def _dense(part: range) -> bool:
    return part.step == 1 or len(part) == 1


def _runs(numbers: list[int]) -> list[range]:
    """Sorted numbers as parts without steps."""
    found: list[range] = []
    begin = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            found.append(range(numbers[begin], numbers[at - 1] + 1))
            begin = at
    return found


def _check_spread(parts: Iterable[range]) -> None:
    if sum(len(part) for part in parts if not _dense(part)) > SPREAD_MAX:
        raise Malformed("too many indices in ranges with steps that overlap")


def _spans(indices: Indices) -> Iterator[tuple[int, int]]:
    """(first, last) of each run without gaps; no two touch."""
    _check_spread(indices.parts)
    first, last = -1, -2
    for part in indices.parts:
        for low, high in [(part[0], part[-1])] if _dense(part) else ((each, each) for each in part):
            if low == last + 1:
                last = high
                continue
            if first >= 0:
                yield first, last
            first, last = low, high
    if first >= 0:
        yield first, last


def _gaps(spans: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    after = 0
    for first, last in spans:
        if after < first:
            yield after, first - 1
        after = last + 1
    yield after, INDEX_MAX + 1


def _common(left: Iterator[tuple[int, int]], right: Iterator[tuple[int, int]]) -> Iterator[range]:
    one, other = next(left, None), next(right, None)
    while one is not None and other is not None:
        first, last = max(one[0], other[0]), min(one[1], other[1])
        if first <= last:
            yield range(first, last + 1)
        if one[1] < other[1]:
            one = next(left, None)
        else:
            other = next(right, None)


def _whole(indices: Indices, of: Indices) -> bool:
    """True if one run without gaps holds all of the other."""
    return any(_dense(part) and part[0] <= of.first and of.last <= part[-1] for part in indices.parts)
