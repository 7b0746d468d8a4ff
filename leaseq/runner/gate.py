"""Which indices of an array may begin that wait, one by one, for those of another array.

What is known is level, not edge: whoever has a chunk, or looks for one, asks how the other array's indices have ended,
and nobody tells him. Of an array that nothing waits for so there is no gate, and nothing is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.protocol.index_news import IndexNews
from leaseq.protocol.plan import Plan
from leaseq.upstream import Standing, Upstream
from leaseq.world import Fs

WAITS, FREE, VAIN, ENDS = range(4)
"""What is known of an index: it may not begin yet; it may; it never will, for the other one ended and not well, or for
it is to end."""
LOOK_SECONDS = 1.0
CALLS_PER_SECOND = 200.0
"""So much do all nodes of a lease together ask of the file server by such looks."""
AT_ONCE = float("-inf")


class Gate:
    """What of one array may begin. One thread looks and asks."""

    def __init__(
        self, fs: Fs, lease: LeaseDir, ups: Sequence[Upstream], plan: Plan, indices: Indices, *, keeps: bool
    ) -> None:
        """keeps: an index that never will begin waits on, for the other one may be retried."""
        self.ups, self._plan, self._indices, self._keeps = tuple(ups), plan, indices, keeps
        self._news = [IndexNews(fs, lease.beside(up.lease), up.task) for up in ups]
        self._to_end = Indices()
        self._fates = bytearray(len(indices))
        self._decided: Counter[int] = Counter()
        """By chunk, how many of its indices wait no more."""
        self._vain: Counter[int] = Counter()
        self.look_at = AT_ONCE
        """When it is to be looked at next."""

    @property
    def tasks(self) -> set[str]:
        """The ids of the arrays that are waited for."""
        return {up.task for up in self.ups}

    @property
    def is_settled(self) -> bool:
        """True once it is known of every index."""
        return self._decided.total() == len(self._indices)

    def look(self, now: float, *, askers: int) -> bool:
        """What has ended by now is known; True if that is more than before. Raises OSError.

        askers: how many look so, of all nodes of the lease, at all arrays.
        """
        calls = sum(3 + news.journals for news in self._news)
        self.look_at = now + max(LOOK_SECONDS, askers * calls / CALLS_PER_SECOND)
        changed = False
        for news in self._news:
            for index in news.look():
                if index in self._indices:
                    self._learn(index)
                    changed = True
        return changed

    def end(self, some: Indices) -> None:
        """Those indices are to end, whatever becomes of the others: they wait no more."""
        new, self._to_end = (some - self._to_end) & self._indices, some
        for index in new:
            self._learn(index)

    def _learn(self, index: int) -> None:
        place = self._indices.place(index)
        chunk, before, fate = self._plan.chunk_of(place), self._fates[place], self._fate(index)
        self._decided[chunk] += (fate != WAITS) - (before != WAITS)
        self._vain[chunk] += (fate >= VAIN) - (before >= VAIN)
        self._fates[place] = fate

    def _fate(self, index: int) -> int:
        if index in self._to_end:
            return ENDS
        if any(index in news.bad for news in self._news):
            return WAITS if self._keeps else VAIN
        return FREE if all(index in news.good for news in self._news) else WAITS

    def fate(self, index: int) -> int:
        """What is known of that index."""
        return self._fates[self._indices.place(index)]

    def because(self, index: int) -> tuple[Upstream, Standing]:
        """Why an index never will begin: what it waited for, and how that ended."""
        return next((up, news.bad[index]) for up, news in zip(self.ups, self._news, strict=True) if index in news.bad)

    def decided(self, taken: Collection[int]) -> list[int]:
        """The chunks that nobody has taken of which some index waits no more, in order."""
        return sorted(chunk for chunk, many in self._decided.items() if many and chunk not in taken)

    def in_vain(self, taken: Collection[int]) -> list[int]:
        """The chunks that nobody has taken of which no index ever will begin, in order."""
        return [chunk for chunk in self.decided(taken) if self._vain[chunk] == len(self._plan.span(chunk))]

    def many_in(self, numbers: Iterable[int]) -> int:
        """How many indices of those chunks, or groups of them, may begin, or never will."""
        return sum(self._decided[chunk] for number in numbers for chunk in self._plan.chunks_of(number))

    def free_in(self, chunks: Iterable[int]) -> int:
        """How many indices of those chunks may begin."""
        return sum(self._decided[chunk] - self._vain[chunk] for chunk in chunks)
