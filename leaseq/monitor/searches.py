"""Searches through a whole output, a little at a time, so that whoever reads it goes on reading."""

from __future__ import annotations

from collections.abc import Iterator

from leaseq.dataclass import replace
from leaseq.monitor.data import Index, Seek, Sought, known_by
from leaseq.reading.document import Document
from leaseq.reading.logfind import errors, walk, with_words

COUNTED_BYTES = 64 << 20
"""So much of the end of an output is counted unasked; n and N go on through all of it."""
COUNTED_MAX = 10_000


class Counting:
    """All lines with some words, from the end backwards, and those that are written meanwhile."""

    def __init__(self, document: Document, text: str) -> None:
        self.text, self._document, self._matches = text, document, with_words(text)
        self._found: list[int] = []
        self._begin = self._end = document.size
        self._back: Iterator[tuple[int, list[int]]] | None = walk(document, self._matches, self._end, back=True)

    def step(self) -> bool:
        """A little more has been counted; False if there is nothing more to do now."""
        if self._end < self._document.size:
            at, found = next(walk(self._document, self._matches, self._end, back=False), (self._document.size, []))
            self._end = at
            self._found += found
            return True
        if self._back is None or len(self._found) > COUNTED_MAX or self._end - self._begin > COUNTED_BYTES:
            return False
        block = next(self._back, None)
        if block is None:
            self._back, self._begin = None, 0
        else:
            self._begin, found = block
            self._found[:0] = found
        return True

    @property
    def index(self) -> Index:
        return Index(self.text, tuple(self._found), self._begin)


class Seeking:
    """One line that is looked for: by what has been counted, else by going there, and round once."""

    def __init__(self, document: Document, seek: Seek) -> None:
        self.sought = Sought(seek)
        self._document = document
        self._matches = with_words(seek.text) if seek.text else errors
        self._walk = walk(document, self._matches, seek.start, back=seek.back)
        self._at = seek.start

    def learn(self, index: Index) -> None:
        """What has been counted may tell it."""
        known = None if self.sought.done else known_by(index, self.sought.seek)
        if known is not None:
            self.sought = replace(known, come=self.sought.come)

    def step(self) -> None:
        """A little more has been searched."""
        seek = self.sought.seek
        if self.sought.done:
            return
        for at, found in self._walk:
            come = self.sought.come + abs(at - self._at)
            self._at = at
            found = found if self.sought.wrapped else [each for each in found if (each < seek.start) is seek.back]
            found = [each for each in found if seek.back or each != seek.start or self.sought.wrapped]
            if found:
                self.sought = replace(self.sought, at=found[-1 if seek.back else 0], done=True, come=come)
            else:
                self.sought = replace(self.sought, come=come, done=self._round(at))
            return
        if self.sought.wrapped:
            self.sought = replace(self.sought, done=True)
            return
        self._at = self._document.size if seek.back else 0
        self._walk = walk(self._document, self._matches, self._at, back=seek.back)
        self.sought = replace(self.sought, wrapped=True)

    def _round(self, at: int) -> bool:
        """True if it has come to where it began."""
        seek = self.sought.seek
        return self.sought.wrapped and (at <= seek.start if seek.back else at > seek.start)
