"""Reads the output of one attempt: the part that is looked at, what is appended to it, and what is searched for."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from leaseq.layout import Home
from leaseq.lease.view import reader_of
from leaseq.monitor.data import Index, Log
from leaseq.monitor.wants import Want
from leaseq.reading.document import Document, lines_of
from leaseq.reading.logtext import Line
from leaseq.reading.output import log_of
from leaseq.world import Clock, Fs

if TYPE_CHECKING:
    from leaseq.monitor.searches import Counting, Seeking

WINDOW_BYTES = 224 << 10
"""Somewhat less than is looked at of a file at first: it is not read twice."""
MARGIN_BYTES = 32 << 10
"""What is read before and after the line at the pane's top, at least."""
HELD_BYTES = 1 << 20
HELD_LINES = 40_000
SEARCH_SECONDS = 0.1
"""So long is searched before anything else is done."""


class LogWatch:
    """One output, read again and again. What is held of it has a bound, whatever its size."""

    def __init__(self, fs: Fs, home: Home, clock: Clock) -> None:
        self.fs, self.home, self.clock = fs, home, clock
        self._key: tuple[object, ...] = ()
        self._document: Document | None = None
        self._lines: list[Line] = []
        self._begin = self._end = 0
        self._styles: dict[int, str] = {}
        self._parts: tuple[int, ...] = ()
        self._counting: Counting | None = None
        self._seeking: Seeking | None = None
        self.searching = False
        """True if there is more to be searched."""
        self.quiet = 0
        """How many reads in a row brought nothing."""

    def read(self, want: Want) -> Log | None:
        """The output as it is now, or None if it is as it was; raises OSError."""
        key = (want.lease_id, want.task, want.attempt, want.stream)
        opened = key != self._key
        if opened or self._document is None:
            self._document = self._open(want)
            self._key = key
        document = self._document
        before = self._state(document)
        if not document.look(self.clock.now()):
            self._forget()
        if opened:
            self._parts = tuple(extent.at for extent in document.extents[1:])
        moved = self._hold(document, want)
        searched = self._search(document, want)
        if not opened and not moved and not searched and before == self._state(document):
            self.quiet += 1
            return None
        self.quiet = 0
        return Log(
            want.task,
            want.attempt,
            want.stream,
            (*self._lines, *(document.unfinished() if self._end >= document.size else ())),
            self._end,
            document.size,
            document.written,
            self._parts,
            "no output yet" if document.missing else "nothing written yet",
            self.clock.monotonic(),
            index=self._counting.index if self._counting else Index(),
            sought=self._seeking.sought if self._seeking else None,
        )

    @staticmethod
    def _state(document: Document) -> tuple[object, ...]:
        return document.written, document.size, document.missing

    def _open(self, want: Want) -> Document:
        self._forget()
        reader = reader_of(self.fs, self.home.lease(want.lease_id), self.clock)
        names = {"both": ("out", "err") if want.failed else ("err", "out")}.get(want.stream, (want.stream,))
        logs = [(name, log_of(reader, want.task, want.attempt, name)) for name in names]
        return Document(logs)

    def _forget(self) -> None:
        self._lines, self._begin, self._end, self._parts = [], 0, 0, ()
        self._styles = {}
        self._counting = self._seeking = None

    # -- the part that is looked at --------------------------------------------------------------------

    def _hold(self, document: Document, want: Want) -> bool:
        """What is held has the line at the pane's top, or the end; True if it is another part, or more of it."""
        size, top = document.size, want.log_top
        if top is None:
            if self._end < self._begin or (self._end < size and size - self._end > WINDOW_BYTES) or not self._lines:
                return self._load(document, max(0, size - WINDOW_BYTES), around=size)
            return self._grow(document, held=None)
        above = self._begin == 0 or self._begin <= top - MARGIN_BYTES
        below = self._end >= size or self._end >= top + MARGIN_BYTES
        if not (above and below and self._begin <= top):
            return self._load(document, max(0, min(top, size) - WINDOW_BYTES // 2), around=top)
        return self._grow(document, held=top)

    def _load(self, document: Document, begin: int, *, around: int) -> bool:
        piece = document.piece(begin, WINDOW_BYTES, around=around)
        if (piece.begin, piece.end, len(piece.raws)) == (self._begin, self._end, len(self._lines)):
            return False
        self._styles = {}
        self._lines = lines_of(document, piece, self._styles)
        self._begin, self._end = piece.begin, piece.end
        return True

    def _grow(self, document: Document, *, held: int | None) -> bool:
        """What has been appended is part of it, as far as the bounds allow."""
        if self._end >= document.size:
            return False
        if held is not None and (self._end - self._begin > HELD_BYTES or len(self._lines) > HELD_LINES):
            return False
        piece = document.piece(self._end, WINDOW_BYTES, cut=False)
        self._lines += lines_of(document, piece, self._styles)
        self._end = piece.end
        if held is None and (self._end - self._begin > HELD_BYTES or len(self._lines) > HELD_LINES):
            keep = max(bisect_left(self._lines, self._end - HELD_BYTES // 2, key=lambda line: line.at), 0)
            keep = max(keep, len(self._lines) - HELD_LINES // 2)
            del self._lines[:keep]
            self._begin = self._lines[0].at if self._lines else self._end
        return bool(piece.raws)

    # -- searches --------------------------------------------------------------------------------------

    def _search(self, document: Document, want: Want) -> bool:
        """What is looked for has been looked for a little longer; True if there is something to tell."""
        changed = False
        if not want.find and want.seek is None and self._counting is None and self._seeking is None:
            self.searching = False
            return False
        from leaseq.monitor.searches import Counting, Seeking  # not before the first frame

        if (self._counting.text if self._counting else "") != want.find:
            self._counting = Counting(document, want.find) if want.find else None
            changed = True
        if (self._seeking.sought.seek if self._seeking else None) != want.seek:
            self._seeking = Seeking(document, want.seek) if want.seek else None
            changed = True
        deadline = self.clock.monotonic() + SEARCH_SECONDS
        self.searching = True
        while self.searching and self.clock.monotonic() < deadline:
            self.searching = self._search_on()
            changed = changed or self.searching
        if self._seeking is not None and self._counting is not None:
            self._seeking.learn(self._counting.index)
        return changed

    def _search_on(self) -> bool:
        """One block more has been looked through; False if there is nothing to be looked for."""
        if self._counting is not None and self._counting.step():
            return True
        if self._seeking is None or self._seeking.sought.done:
            return False
        if self._counting is not None:
            self._seeking.learn(self._counting.index)
        self._seeking.step()
        return True
