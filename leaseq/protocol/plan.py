"""Into which chunks an array is divided: pure, by how many indices it has alone, so that all agree without talking.

A node takes one chunk after the other. Most of an array is in large ones, for each costs the file server some calls;
its end is in small ones, so that the last of them does not run alone for an hour. Below some hundred indices each is
a chunk by itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate

CHUNKS = 512
"""An array would have about so many, were they all as large as its first."""
SIZE_MAX = 512
_chunks = CHUNKS
_PARTS = ((80, 1), (95, 4), (100, 16))
"""Up to so much of a hundred, chunks are that many times smaller."""


@contextmanager
def divided_into(chunks: int) -> Iterator[None]:
    """Inside, this process divides arrays into about so many chunks: in a simulation, whose arrays are small."""
    global _chunks
    before, _chunks = _chunks, chunks
    try:
        yield
    finally:
        _chunks = before


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

    def span(self, chunk: int) -> range:
        """The places of that chunk; raises IndexError."""
        if not 0 <= chunk < self.chunks:
            raise IndexError(chunk)
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
