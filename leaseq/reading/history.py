"""The history of a lease, read by offset: the newest lines first, and afterwards only what was added."""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_left
from collections.abc import Callable
from typing import Generic, TypeVar

from leaseq.errors import Malformed, Newer
from leaseq.models import Event
from leaseq.names import TASK_ID
from leaseq.protocol.files import never_readable_is_malformed
from leaseq.world import Fs

T = TypeVar("T")
CHUNK_BYTES = 64 << 10
SEARCH_BYTES = 1 << 20
CATCH_UP_BYTES_MAX = 4 << 20
"""A longer gap than this since the last look is skipped: the newest lines are read again."""


class Lines(Generic[T]):
    """The end of a file that grows by lines. They are parsed when they are asked for, and once."""

    def __init__(self, fs: Fs, path: str, parse: Callable[[bytes], T]) -> None:
        """parse: raises Malformed for a line that says nothing."""
        self._fs = fs
        self.path = path
        self._parse = parse
        self._lines: list[tuple[int, bytes]] = []
        self._parsed: dict[int, T | None] = {}
        self._start = 0
        self._end = 0
        self._fresh = True
        self.newer = False
        """True once a line was seen that a later leaseq wrote."""

    def read(self, want: int, *, keep: int = 0) -> list[T]:
        """The newest `want` of them, oldest first; a missing file is an empty one. Raises Malformed: it is no file.

        keep: how many lines a later `known` may ask for, so that they need not be read again.
        """
        try:
            with never_readable_is_malformed():
                self._forward()
        except FileNotFoundError:
            self._forget()
        events = self.known(want)
        kept = max(want, keep, 250)
        if len(self._lines) > 4 * kept:
            del self._lines[: len(self._lines) - kept]
            self._start = self._lines[0][0]
            self._parsed = {offset: event for offset, event in self._parsed.items() if offset >= self._start}
        return events

    def known(self, want: int) -> list[T]:
        """The newest `want` of them as of the last read, oldest first. Raises Malformed."""
        return [event for _, event in self.placed(want)]

    def placed(self, want: int) -> list[tuple[int, T]]:
        """As `known`, each with the offset of its line."""
        try:
            with never_readable_is_malformed():
                while len(self._lines) < want and self._start > 0:
                    self._backward()
        except FileNotFoundError:
            self._forget()
        newest = self._lines[-want:] if want > 0 else []
        return [(offset, event) for offset, line in newest if (event := self._at(offset, line)) is not None]

    def after(self, offset: int) -> list[tuple[int, T]]:
        """As `placed`, of all lines that are held and begin there or later. Raises Malformed."""
        first = bisect_left(self._lines, offset, key=lambda line: line[0])
        return self.placed(len(self._lines) - first)

    @property
    def end(self) -> int:
        """The offset after the last whole line that was read."""
        return self._end

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.rpartition("/")[2]

    @property
    def malformed(self) -> int:
        """How many of the lines looked at say nothing."""
        return sum(1 for event in self._parsed.values() if event is None)

    def _forget(self) -> None:
        self._lines, self._parsed, self._start, self._end, self._fresh = [], {}, 0, 0, True

    def _at(self, offset: int, line: bytes) -> T | None:
        if offset not in self._parsed:
            try:
                self._parsed[offset] = self._parse(line)
            except Newer:
                self.newer, self._parsed[offset] = True, None
            except Malformed:
                self._parsed[offset] = None
        return self._parsed[offset]

    def _forward(self) -> None:
        if self._fresh:
            data, size = self._fs.read_range(self.path, -CHUNK_BYTES, CHUNK_BYTES)
            self._fresh = False
            base = max(0, size - CHUNK_BYTES)
            skip = data.find(b"\n") + 1 if base else 0
            self._start = self._end = base + skip
            self._lines = self._take(data[skip:])
            return None
        while True:
            data, size = self._fs.read_range(self.path, self._end, CHUNK_BYTES)
            if size < self._end or size - self._end > CATCH_UP_BYTES_MAX:
                self._forget()
                return self._forward()
            self._lines += self._take(data)
            if len(data) < CHUNK_BYTES:
                return None

    def _take(self, data: bytes) -> list[tuple[int, bytes]]:
        """The whole lines at the start of data, which stands at the end offset; a line still being written waits."""
        lines = []
        for line in data.split(b"\n")[:-1]:
            lines.append((self._end, line))
            self._end += len(line) + 1
        return lines

    def _backward(self) -> None:
        length = CHUNK_BYTES
        while True:
            base = max(0, self._start - length)
            data, _ = self._fs.read_range(self.path, base, self._start - base)
            skip = data.find(b"\n") + 1 if base else 0
            if base == 0 or 0 < skip < len(data):
                break
            length *= 4
        lines, offset = [], base + skip
        for line in data[skip:].split(b"\n")[:-1]:
            lines.append((offset, line))
            offset += len(line) + 1
        self._start = base + skip
        self._lines = lines + self._lines

    @property
    def held(self) -> int:
        """How many lines are held, the newest."""
        return len(self._lines)

    @property
    def whole(self) -> bool:
        """True if these are all."""
        return self._start == 0


class Tail(Lines[Event]):
    """The end of one history."""

    def __init__(self, fs: Fs, path: str) -> None:
        super().__init__(fs, path, _parsed)

    def last(self) -> Event | None:
        """The last whole line that counts the node's finished tasks; None if none does."""
        for offset, line in reversed(self._lines[-20:]):
            event = self._at(offset, line)
            if event is not None and event.totals:
                return event
        return None


def added(fs: Fs, path: str, offset: int) -> list[tuple[int, Event]]:
    """The events after that offset, oldest first, each with the offset after its line. Raises Malformed: no file."""
    found: list[tuple[int, Event]] = []
    try:
        with never_readable_is_malformed():
            while True:
                data, _ = fs.read_range(path, offset, CHUNK_BYTES)
                lines = data.split(b"\n")[:-1]
                for line in lines:
                    offset += len(line) + 1
                    with contextlib.suppress(Malformed):
                        found.append((offset, _parsed(line)))
                if not lines or len(data) < CHUNK_BYTES:
                    return found
    except FileNotFoundError:
        return found


def search(fs: Fs, path: str, prefix: str) -> dict[str, Event]:
    """The newest line of each task whose id begins so, read from the end; of a whole id no further than its line."""
    wanted = re.compile(rb'[{,]"id":"' + re.escape(prefix).encode())
    found: dict[str, Event] = {}
    rest = b""
    try:
        with never_readable_is_malformed():
            _, end = fs.read_range(path, -1, 1)
            while end > 0 and not (found and TASK_ID.fullmatch(prefix)):
                base = max(0, end - SEARCH_BYTES)
                data, _ = fs.read_range(path, base, end - base)
                first, *lines = (data + rest).split(b"\n")
                rest, end = first, base
                for line in reversed(lines if base else [first, *lines]):
                    if wanted.search(line):
                        with contextlib.suppress(Malformed):
                            event = _parsed(line)
                            found.setdefault(event.id, event)
    except (FileNotFoundError, Malformed):
        pass  # no history, or nothing that can be one
    return found


def _parsed(line: bytes) -> Event:
    """The event of that line; raises Malformed."""
    event = Event.from_json(line)
    if not TASK_ID.fullmatch(event.id) or event.attempt < 1:
        raise Malformed(f"no event of a task: {event.id!r:.60}")
    return event
