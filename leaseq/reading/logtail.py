"""Reading a task's output: by offset, from the end if that is asked, any size and any bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from leaseq.reading.logtext import LINE_CHARS_MAX, sanitise

if TYPE_CHECKING:
    from leaseq.reading.output import Log

CHUNK_BYTES = 1 << 16
LINE_BYTES_MAX = 1 << 20
"""A line longer than this is passed on in pieces."""


def size(log: Log) -> int | None:
    """Bytes in it now; None if there is none."""
    try:
        return log.read(0, 0)[1]
    except FileNotFoundError:
        return None


def start_of_last_lines(log: Log, count: int) -> int:
    """The offset where the last `count` lines begin; a last line without its newline counts."""
    data, end = log.read(-1, 1)
    if count <= 0:
        return end
    wanted = count + (1 if data == b"\n" else 0)
    at = end
    while at > 0:
        begin = max(0, at - CHUNK_BYTES)
        data, _ = log.read(begin, at - begin)
        found = data.count(b"\n")
        if found >= wanted:
            cut = len(data)
            for _ in range(wanted):
                cut = data.rindex(b"\n", 0, cut)
            return begin + cut + 1
        wanted -= found
        at = begin
    return 0


def chunks(log: Log, offset: int) -> Iterator[bytes]:
    """It from the offset to its present end."""
    while True:
        data, _ = log.read(offset, CHUNK_BYTES)
        if not data:
            return
        yield data
        offset += len(data)


class Folder:
    """Turns progress bars into their last state: of a line with carriage returns, only what follows the last."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The whole lines so far, folded."""
        *lines, rest = (self._rest + data).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            rest = folded(rest)
        out = b"".join(folded(line) + b"\n" for line in lines)
        if len(rest) > LINE_BYTES_MAX:
            out, rest = out + rest, b""
        self._rest = rest
        return out

    def end(self) -> bytes:
        """What is left: a line without its newline."""
        rest, self._rest = self._rest, b""
        return folded(rest)


def folded(line: bytes) -> bytes:
    """The line as a terminal would have left it, one overwritten state after another."""
    if b"\r" not in line:
        return line
    states = [state for state in line.split(b"\r") if state]
    return states[-1] if states else b""


def decoded(line: bytes) -> str:
    """The text of a line as progress bars left it; of a very long one, what it shows first."""
    return folded(line)[: 4 * LINE_CHARS_MAX].decode("utf-8", "replace")


def as_shown(line: bytes) -> str:
    """The same as a terminal shows it, without its colours."""
    return "".join(text for text, _ in sanitise(decoded(line))[0])
