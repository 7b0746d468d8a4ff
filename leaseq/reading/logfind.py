"""Lines of a task's output that are looked for, through all of it: by what they say, or because they are errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from leaseq.reading.document import Document
from leaseq.reading.last_error import MAYBE, is_error
from leaseq.reading.logtail import as_shown
from leaseq.reading.logtext import CONTROLS

Matches = Callable[[bytes, int], list[int]]
"""The offsets of the lines in these bytes, which begin at that offset, that are looked for."""

_ODD = bytes([*range(9), *range(11, 32), 127])
"""Bytes of a sequence, or that are not shown: most outputs have none."""


def with_words(text: str) -> Matches:
    """The lines that have the text, as they are shown, in letters of any case."""
    wanted = text.lower()
    longest = max(wanted.split(), key=len, default="")
    plain = longest.encode()

    def matches(data: bytes, at: int) -> list[int]:
        # A block is looked through as a whole: what is shown of a line has no letter that this has not.
        if data.isascii() and len(data.translate(None, _ODD)) == len(data):
            if plain not in data.lower():
                return []
        elif longest not in CONTROLS.sub("", data.decode("utf-8", "replace")).lower():
            return []
        return _lines(data, at, lambda raw: wanted in as_shown(raw).lower())

    return matches


def errors(data: bytes, at: int) -> list[int]:
    """The lines that tell of an error."""
    if not MAYBE.search(data):
        return []
    return _lines(data, at, lambda raw: bool(MAYBE.search(raw)) and is_error(as_shown(raw)))


def _lines(data: bytes, at: int, wanted: Callable[[bytes], bool]) -> list[int]:
    found = []
    for raw in data.split(b"\n"):
        if raw and wanted(raw):
            found.append(at)
        at += len(raw) + 1
    return found


def walk(document: Document, matches: Matches, start: int, *, back: bool) -> Iterator[tuple[int, list[int]]]:
    """(how far it has come, what was found in the last block), away from `start`, where a line begins."""
    if back:
        for at, _, data in document.blocks_before(start):
            yield at, matches(data, at)
        return
    for at, _, data in document.blocks(start, document.size):
        yield at + len(data), matches(data, at)
