"""A journal's bytes as lines: all of them, or those that tell of one chunk, found without the others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from leaseq.errors import Malformed
from leaseq.protocol.facts import Spans
from leaseq.schema import integer, json_lines
from leaseq.world import Fs

TAIL_BYTES = 4096
"""In so many of its last bytes a journal has its totals, as a rule."""
PART_BYTES = 1 << 24
SOME_BYTES = 1 << 20
FIRST_BYTES = 1 << 14
"""So much of a directory is read at first."""
DIRECTORY_BYTES = 1 << 18
"""After so many bytes a journal gets another directory."""
TOTALS_FIELDS = 7
"""As many has a line of totals that says where the last directory is."""


def whole(fs: Fs, path: str) -> bytes:
    """All of the journal, however large; nothing if it is not there."""
    parts: list[bytes] = []
    at = 0
    while True:
        try:
            part, size = fs.read_range(path, at, PART_BYTES)
        except FileNotFoundError:
            return b""
        parts.append(part)
        at += len(part)
        if not part or at >= size:
            return b"".join(parts)


def added(fs: Fs, path: str, start: int) -> Iterator[tuple[int, bytes]]:
    """The whole lines of the journal from that place on, where a line ended, each with the place at which it ends.

    All lines, if it is another one than it was: what was never synced is gone after a loss of power.
    """
    found = in_parts(fs, path, max(0, start - 1))
    if start and next(found, (0, b"no line ends there"))[1]:
        found = in_parts(fs, path)
    return ((at + len(line) + 1, line) for at, line in found)


def in_parts(fs: Fs, path: str, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The whole lines of the journal from that place on, each with the place at which it begins."""
    at, rest = start, b""
    while True:
        try:
            part, size = fs.read_range(path, at + len(rest), SOME_BYTES)
        except FileNotFoundError:
            return
        found = (rest + part).split(b"\n")
        rest = found.pop()
        for each in found:
            yield at, each
            at += len(each) + 1
        if not part or at + len(rest) >= size:
            return


def of_chunk(fs: Fs, path: str, chunk: int, cut: int | None) -> bytes:
    """All whole lines of the journal that tell of the chunk, up to the cut if there is one, with others between them.

    If it has a directory, no more is read than that, what it points to, and what follows it.
    """
    try:
        tail, size = fs.read_range(path, -TAIL_BYTES, TAIL_BYTES)
    except FileNotFoundError:
        return b""
    end = size if cut is None else min(cut, size)
    if (found := _last_directory(fs, path, tail)) is None:
        return whole(fs, path)[:end]
    spans, after = found
    first, last = spans.get(chunk, (0, 0))
    parts = [_between(fs, path, first, min(last, end)), _between(fs, path, after, end)]
    return b"".join(part[: part.rfind(b"\n") + 1] for part in parts)


def _last_directory(fs: Fs, path: str, tail: bytes) -> tuple[Spans, int] | None:
    """(what the last directory says, where it ends), if the tail of the journal names one."""
    totals = [fact for fact in lines(tail.partition(b"\n")[2]) if fact[0] == "t"]
    if not totals or len(totals[-1]) < TOTALS_FIELDS:
        return None
    with suppress(Malformed, ValueError, TypeError, LookupError, RecursionError):
        at, length = integer(totals[-1][TOTALS_FIELDS - 1]), FIRST_BYTES
        line = _between(fs, path, at, at + length)
        while b"\n" not in line and len(line) == length:
            length *= 4
            line = _between(fs, path, at, at + length)
        kind, spans = json.loads(line[: line.index(b"\n")])
        if kind == "d":
            found = {integer(chunk): (integer(first), integer(last)) for chunk, first, last in spans}
            return found, at + line.index(b"\n") + 1
    return None


def _between(fs: Fs, path: str, start: int, end: int) -> bytes:
    return fs.read_range(path, start, end - start)[0] if end > start else b""


def beginning(data: bytes, starts: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that begin so, kind by kind, each kind in its order."""
    for start in starts:
        at = 0 if data.startswith(start) else data.find(b"\n" + start) + 1 or -1
        while at >= 0:
            end = data.find(b"\n", at)
            if end < 0:
                break  # torn, or still being written
            yield data[at:end]
            at = data.find(b"\n" + start, end) + 1 or -1


def lines(data: bytes) -> Iterator[list[Any]]:
    """What its whole lines say, but for directories."""
    for fact in json_lines(data):
        if isinstance(fact, list) and fact and isinstance(fact[0], str) and fact[0] in ("b", "u", "e", "p", "t"):
            yield fact
