"""A task's output, wherever it is: a file of its own, or of an index of an array perhaps a part of a pack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from leaseq.names import parse_id
from leaseq.reading.find import Search
from leaseq.reading.snapshot import Reader
from leaseq.world import Fs

if TYPE_CHECKING:
    from leaseq.protocol.index_logs import Part
    from leaseq.reading.indexed import Indexed


class Log:
    """What one attempt wrote to one stream, by offset. It may move into a pack while it is read."""

    def __init__(self, fs: Fs, path: str, elsewhere: Callable[[], Part | None] = lambda: None) -> None:
        self.fs, self._path, self._elsewhere = fs, path, elsewhere
        self._part: Part | None = None

    @property
    def path(self) -> str:
        """The file that has it."""
        return self._path if self._part is None else self._part.path

    @property
    def offset(self) -> int:
        """Where in that file it begins."""
        return 0 if self._part is None else self._part.offset

    def read(self, offset: int, length: int) -> tuple[bytes, int]:
        """(bytes from offset, its size now); a negative offset counts from the end. Raises FileNotFoundError."""
        if self._part is None:
            try:
                return self.fs.read_range(self._path, offset, length)
            except FileNotFoundError:
                self._part = self._elsewhere()
                if self._part is None:
                    raise
        part = self._part
        at = offset if offset >= 0 else max(0, part.length + offset)
        length = max(0, min(length, part.length - at))
        if not length:
            return b"", part.length
        return self.fs.read_range(part.path, part.offset + at, length)[0], part.length

    def last_lines(self, bytes_max: int) -> list[bytes]:
        """The whole lines in so many bytes at its end, or one that is longer; none if it is not there."""
        try:
            data, size = self.read(-bytes_max, bytes_max)
        except FileNotFoundError:
            return []
        lines = data.split(b"\n")
        return lines[1:] if size > len(data) and len(lines) > 1 else lines


def log_of(reader: Reader, task_id: str, attempt: int, stream: str) -> Log:
    """The output of that attempt of the task, or of an index of an array."""
    path = reader.lease.log(task_id, attempt, stream)
    array, index = parse_id(task_id)
    if index is None:
        return Log(reader.fs, path)
    found: list[Indexed] = []

    def elsewhere() -> Part | None:
        # It is looked for again and again by whoever follows it: that the array packs its logs is asked once.
        found[:] = found or [Search(reader).indexed(array)]
        return found[0].packed(index).get((attempt, stream))

    return Log(reader.fs, path, elsewhere)
