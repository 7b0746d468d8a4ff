"""What an attempt wrote as one text of whole lines, read where it is asked for: any size, any bytes.

Its files hold no times. So what was there at the first look stands stream by stream, and after it what has come
since, as it came. A line is known by its offset in that text, which stays while more is written.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from leaseq.dataclass import dataclass
from leaseq.reading.logtail import decoded, folded
from leaseq.reading.logtext import LINE_CHARS_MAX, Line, sanitise
from leaseq.reading.output import Log

BLOCK_BYTES = 128 << 10
TAIL_BYTES = 256 << 10
NEWS_BYTES = 4 << 20
"""What was written between two looks is read only if it is no more than this."""
LINE_BYTES_MAX = 4 << 20
"""A longer line is shown in pieces."""
EXTENTS_MAX = 10_000
LINES_MAX = 20_000
"""So many lines come of one read at most."""


class Extent(NamedTuple):
    """Whole lines of one stream, and where they stand in the text."""

    at: int
    stream: int
    begin: int
    end: int

    @property
    def after(self) -> int:
        return self.at + self.end - self.begin


class Raw(NamedTuple):
    """One line as it was written, without its end."""

    at: int
    stream: int
    data: bytes


@dataclass(frozen=True)
class Piece:
    """Lines that follow each other, and the part of the text that they are."""

    raws: tuple[Raw, ...] = ()
    begin: int = 0
    end: int = 0


class Stream:
    """One file that grows: how far its whole lines go, and what stands after them."""

    def __init__(self, name: str, log: Log) -> None:
        self.name, self.log = name, log
        self.size = self.whole = 0
        self.rest = b""
        """The line that is being written: a prompt or a progress bar; of a long one the end."""
        self.missing = True
        self._first = True
        self._read: tuple[int, bytes] = (0, b"")
        """What was read last, and where it stands."""

    def look(self) -> bool:
        """False if the file is not what it was: shorter than before."""
        try:
            if self._first:
                self._look_at_end()
                return True
            data, size = self.log.read(self.size, BLOCK_BYTES)
        except FileNotFoundError:
            gone, self.missing = not self.missing, True
            return not gone
        self.missing = False
        if size < self.size:
            return False
        if size - self.size > NEWS_BYTES:
            self._look_at_end()
            return True
        start = self.size - len(self.rest)
        news = self.rest + data
        while len(data) == BLOCK_BYTES:
            data, size = self.log.read(start + len(news), BLOCK_BYTES)
            news += data
        self._took(start, news, exact=start == self.whole)
        return True

    def _look_at_end(self) -> None:
        data, size = self.log.read(-TAIL_BYTES, TAIL_BYTES)
        self.missing = self._first = False
        # It may have grown between the two: what is read counts.
        start = max(0, size - TAIL_BYTES)
        while b"\n" not in data and start > self.whole and len(data) < LINE_BYTES_MAX:
            more, _ = self.log.read(max(self.whole, start - TAIL_BYTES), start - max(self.whole, start - TAIL_BYTES))
            start, data = start - len(more), more + data
        if b"\n" not in data and start > self.whole:
            self.whole = start  # a line without an end: cut there
        self._took(start, data, exact=True)

    def _took(self, start: int, data: bytes, *, exact: bool) -> None:
        """These bytes are the file's last ones."""
        self.size = start + len(data)
        cut = data.rfind(b"\n") + 1
        if cut:
            self.whole = start + cut
        if exact:
            self._read = start, data
        rest = data[cut:]
        self.rest = folded(rest)[-4 * LINE_CHARS_MAX :] if len(rest) > LINE_CHARS_MAX else rest

    def part(self, begin: int, end: int) -> bytes:
        """What stands there; less if the file has become shorter."""
        start, data = self._read
        if start <= begin and end <= start + len(data):
            return data[begin - start : end - start]
        try:
            return self.log.read(begin, end - begin)[0]
        except FileNotFoundError:
            return b""


class Document:
    """The text of one or several streams, looked at again and again."""

    def __init__(self, logs: Sequence[tuple[str, Log]]) -> None:
        """logs: (name, log) of the streams, in the order in which what is there already is to stand."""
        self._logs = logs
        self._begin()

    def _begin(self) -> None:
        self.streams = [Stream(name, log) for name, log in self._logs]
        self._told = [0] * len(self.streams)
        self._told_any = False
        self.extents: list[Extent] = []
        self._arrivals: list[tuple[int, float]] = []

    def look(self, now: float = 0.0) -> bool:
        """What was written since the last look is part of the text; False if a file was replaced: another text."""
        before, opening = self.size, not self._told_any
        looked = [stream.look() for stream in self.streams]
        same = all(looked)
        if not same:
            self._begin()
            for stream in self.streams:
                stream.look()
            before, opening = 0, True
        self._told_any = True
        for place, stream in enumerate(self.streams):
            if stream.whole > self._told[place]:
                self._add(place, self._told[place], stream.whole)
                self._told[place] = stream.whole
        if self.size > before and not opening:
            self._arrivals.append((before, now))
            if len(self._arrivals) > 2 * EXTENTS_MAX:
                del self._arrivals[:EXTENTS_MAX]
        return same

    def arrived(self, at: int) -> float:
        """When the line there was first seen; 0 if it was there before, or nobody knows any more."""
        place = bisect_right(self._arrivals, at, key=lambda arrival: arrival[0]) - 1
        return self._arrivals[place][1] if place >= 0 else 0.0

    def _add(self, stream: int, begin: int, end: int) -> None:
        last = self.extents[-1] if self.extents else None
        if last is not None and last.stream == stream and last.end == begin:
            self.extents[-1] = last._replace(end=end)
            return
        self.extents.append(Extent(self.size, stream, begin, end))
        if len(self.extents) > EXTENTS_MAX:
            self._shorten()

    def _shorten(self) -> None:
        """In the first half of what came bit by bit the streams stand one after the other again."""
        half = len(self.extents) // 2
        merged: list[Extent] = []
        at = 0
        for place in range(len(self.streams)):
            of_it = [each for each in self.extents[:half] if each.stream == place]
            if of_it:
                merged.append(Extent(at, place, of_it[0].begin, of_it[-1].end))
                at = merged[-1].after
        self.extents[:half] = merged

    @property
    def size(self) -> int:
        """Bytes of the whole lines so far."""
        return self.extents[-1].after if self.extents else 0

    @property
    def written(self) -> int:
        """Bytes in the files."""
        return sum(stream.size for stream in self.streams)

    @property
    def missing(self) -> bool:
        return all(stream.missing for stream in self.streams)

    def unfinished(self) -> list[Line]:
        """The lines that are being written, which have no end yet."""
        open_ones = [stream for stream in self.streams if stream.rest]
        return [
            Line(sanitise(decoded(stream.rest))[0], stream.name, self.size + place)
            for place, stream in enumerate(open_ones)
        ]

    # -- reading ---------------------------------------------------------------------------------------

    def piece(self, begin: int, wish: int, *, around: int = 0, cut: bool = True) -> Piece:
        """The lines from there on, of so many bytes or a little more; from the next line unless one begins there.

        Of more than LINES_MAX lines those around that offset.
        """
        raws: list[Raw] = []
        begin = self._line_start(begin) if cut else begin
        end = begin
        for at, stream, data in self.blocks(begin, self.size):
            pieces = data.split(b"\n")
            for raw in pieces[:-1]:
                raws.append(Raw(end, stream, raw))
                end += len(raw) + 1
            if pieces[-1]:  # a line in pieces
                raws.append(Raw(end, stream, pieces[-1]))
                end = at + len(data)
            if end - begin >= wish:
                break
        if len(raws) > LINES_MAX:
            middle = bisect_right(raws, around, key=lambda raw: raw.at)
            first = max(0, min(middle - LINES_MAX // 2, len(raws) - LINES_MAX))
            end = raws[first + LINES_MAX].at if first + LINES_MAX < len(raws) else end
            raws = raws[first : first + LINES_MAX]
            begin = raws[0].at
        return Piece(tuple(raws), begin, end)

    def _line_start(self, at: int) -> int:
        """The first line that begins there or later, if it begins soon."""
        extent = self._extent_at(at)
        if extent is None or at <= extent.at:
            return max(0, min(at, self.size))
        offset = extent.begin + at - extent.at
        data = self.streams[extent.stream].part(offset - 1, min(extent.end, offset + BLOCK_BYTES))
        cut = data.find(b"\n")
        return at if cut < 0 else at + cut

    def _extent_at(self, at: int) -> Extent | None:
        place = bisect_right(self.extents, at, key=lambda extent: extent.at) - 1
        return self.extents[place] if place >= 0 and at < self.extents[place].after else None

    def blocks(self, begin: int, end: int) -> Iterator[tuple[int, int, bytes]]:
        """(offset, stream, bytes) of whole lines from `begin`, where a line begins, to the block that holds `end`."""
        place = max(0, bisect_right(self.extents, begin, key=lambda extent: extent.at) - 1)
        while place < len(self.extents):
            extent = self.extents[place]
            at = max(begin, extent.at)
            while at < min(end, extent.after):
                data = self._lines_from(extent, at)
                if not data:
                    return  # the file has become shorter
                yield at, extent.stream, data
                at += len(data)
            place += 1
            if extent.after >= end:
                return

    def _lines_from(self, extent: Extent, at: int) -> bytes:
        stream, offset = self.streams[extent.stream], extent.begin + at - extent.at
        data = stream.part(offset, min(extent.end, offset + BLOCK_BYTES))
        while data and b"\n" not in data and offset + len(data) < extent.end and len(data) < LINE_BYTES_MAX:
            more = stream.part(offset + len(data), min(extent.end, offset + len(data) + BLOCK_BYTES))
            if not more:
                break
            data += more
        return data[: data.rfind(b"\n") + 1] or data

    def blocks_before(self, end: int) -> Iterator[tuple[int, int, bytes]]:
        """(offset, stream, bytes) of whole lines before `end`, where a line begins, the last ones first."""
        place = bisect_right(self.extents, end - 1, key=lambda extent: extent.at) - 1
        for extent in reversed(self.extents[: place + 1]):
            stop = min(end, extent.after)
            while stop > extent.at:
                data = self._lines_to(extent, stop)
                if not data:
                    return
                stop -= len(data)
                yield stop, extent.stream, data

    def _lines_to(self, extent: Extent, stop: int) -> bytes:
        stream, offset = self.streams[extent.stream], extent.begin + stop - extent.at
        begin, data = offset, b""
        while True:
            start = max(extent.begin, begin - BLOCK_BYTES)
            more = stream.part(start, begin)
            if not more:
                return data
            begin, data = start, more + data
            cut = data.find(b"\n", 0, len(data) - 1) + 1
            if begin == extent.begin or len(data) >= LINE_BYTES_MAX:
                return data
            if cut:
                return data[cut:]


def lines_of(document: Document, piece: Piece, styles: dict[int, str]) -> list[Line]:
    """The piece's lines as they are shown; `styles` are the streams' colours that go on, before and after it."""
    found = []
    for raw in piece.raws:
        spans, styles[raw.stream] = sanitise(decoded(raw.data), styles.get(raw.stream, ""))
        found.append(Line(spans, document.streams[raw.stream].name, raw.at, document.arrived(raw.at)))
    return found
