"""Into which chunks an array is divided: pure, by how many indices it has alone, so that all agree without talking.

A node takes one chunk after the other. Most of an array is in large ones, for each costs the file server some calls;
its end is in small ones, so that the last of them does not run alone for an hour. Below some hundred indices each is
a chunk by itself.

Small chunks that follow each other make a group, which may be taken as a whole: of indices that take milliseconds a
small chunk costs more than it runs. A group has a number as a chunk has, behind those of all chunks. The first chunks
are in none, for nobody knows yet how long they take; then groups grow.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate

CHUNKS = 512
"""An array would have about so many, were they all as large as its first."""
SIZE_MAX = 512
ALONE = 4
"""So many chunks at the beginning are in no group; the first group has as many, the next ones twice as many each."""
GROUP_PLACES = 32
"""A group has at most so many places; in the last fifth of an array, half as many."""
_chunks, _alone, _group_places = CHUNKS, ALONE, GROUP_PLACES
_PARTS = ((80, 1), (95, 4), (100, 16))
"""Up to so much of a hundred, chunks are that many times smaller."""


@contextmanager
def divided_into(chunks: int, *, alone: int = ALONE, group_places: int = GROUP_PLACES) -> Iterator[None]:
    """Inside, this process divides arrays into about so many chunks: in a simulation, whose arrays are small."""
    global _chunks, _alone, _group_places
    before = _chunks, _alone, _group_places
    _chunks, _alone, _group_places = chunks, alone, group_places
    try:
        yield
    finally:
        _chunks, _alone, _group_places = before


class Plan:
    """The chunks of an array of so many indices: each is some places in its set of indices, one after the other."""

    def __init__(self, count: int) -> None:
        self.count = count
        size = max(1, min(SIZE_MAX, count // _chunks))
        self._starts: list[int] = []
        self._sizes: list[int] = []
        place = 0
        for percent, smaller in _PARTS:
            end = count if percent == 100 else max(place, count * percent // 100)
            self._starts.append(place)
            self._sizes.append(max(1, size // smaller))
            place = end
        ends = [*self._starts[1:], count]
        many = [-(-(end - start) // size) for start, end, size in zip(self._starts, ends, self._sizes, strict=True)]
        self._ends = ends
        self._before = [0, *accumulate(many)]

    @property
    def chunks(self) -> int:
        """How many there are."""
        return self._before[-1]

    @cached_property
    def _groups(self) -> list[range]:
        """The chunks of each group, in order."""
        found: list[range] = []
        for part, size in enumerate(self._sizes):
            chunk, end = max(self._before[part], _alone), self._before[part + 1]
            most = _group_places // (2 if part else 1) // size
            while chunk < end and (several := min(max(2, _alone) << len(found), most)) > 1:
                group = range(chunk, min(chunk + several, end))
                chunk = group.stop
                found += [group] if len(group) > 1 else []
        return found

    @property
    def groups(self) -> range:
        """The numbers of all groups."""
        return range(self.chunks, self.chunks + len(self._groups))

    def group_of(self, chunk: int) -> int | None:
        """The group that the chunk is in, if it is in one."""
        at = bisect_right(self._groups, chunk, key=lambda group: group.start) - 1
        return self.chunks + at if at >= 0 and chunk in self._groups[at] else None

    def chunks_of(self, number: int) -> range:
        """The chunks that a group has, or the one that has the number itself; raises IndexError."""
        if number in self.groups:
            return self._groups[number - self.chunks]
        if not 0 <= number < self.chunks:
            raise IndexError(number)
        return range(number, number + 1)

    def numbers_of(self, place: int) -> tuple[int, ...]:
        """The chunk that has the place, and its group: under either number it may have been run. Raises IndexError."""
        chunk = self.chunk_of(place)
        group = self.group_of(chunk)
        return (chunk,) if group is None else (chunk, group)

    def span(self, number: int) -> range:
        """The places of that chunk, or group; raises IndexError."""
        chunks = self.chunks_of(number)
        return range(self._span(chunks[0]).start, self._span(chunks[-1]).stop)

    def _span(self, chunk: int) -> range:
        part = bisect_right(self._before, chunk) - 1
        size = self._sizes[part]
        start = self._starts[part] + (chunk - self._before[part]) * size
        return range(start, min(start + size, self._ends[part]))

    def chunk_of(self, place: int) -> int:
        """The chunk that has the place; raises IndexError."""
        if not 0 <= place < self.count:
            raise IndexError(place)
        part = bisect_right(self._starts, place) - 1
        while self._ends[part] <= place:
            part += 1
        return self._before[part] + (place - self._starts[part]) // self._sizes[part]
