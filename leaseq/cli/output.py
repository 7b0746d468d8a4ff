"""How results look: tables and JSON on stdout, talk on stderr. Plain where nobody watches."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from leaseq.models import State

if TYPE_CHECKING:
    from datetime import datetime

JSON_SCHEMA = 1
DATES = (-62_000_000_000, 253_000_000_000)
"""Seconds since the epoch of the years 5 to 9987: what a record holds beyond is no date in any time zone."""
COLOURS = {
    State.RUNNING: "36",
    State.DONE: "32",
    State.FAILED: "31",
    State.TIMEOUT: "31",
    State.LOST: "31",
    State.STUCK: "31;1",
    State.PENDING: "33",
    State.CANCELLED: "2",
    State.UNKNOWN: "33",
}


class Output:
    """Where the command's words go. `color` is auto, always or never."""

    def __init__(self, *, color: str = "auto", header: bool = True) -> None:
        self.header = header
        self.watched = sys.stdout.isatty()
        self.colored = _colored(sys.stdout, color)
        self.ascii = not _is_unicode(sys.stdout)

    def line(self, text: str = "") -> None:
        print(text)

    def talk(self, text: str) -> None:
        """A remark for the person, never data."""
        sys.stdout.flush()
        print(visible_lines(text), file=sys.stderr)

    def document(self, body: Mapping[str, object]) -> None:
        """One JSON document on stdout."""
        print(json.dumps({"schema": JSON_SCHEMA, **body}, indent=2 if self.watched else None))

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colored and code else text

    def state(self, state: State) -> str:
        """The state as glyph and Slurm's code, for a column."""
        return f"{state.ascii_glyph if self.ascii else state.glyph}{state.code}"

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[str]], *, paint: Sequence[str] = ()) -> None:
        """The rows in columns; the last column takes what is left of a terminal, and all it needs in a pipe.

        A title that starts with `>` is right-aligned. `paint` is a colour for each row's second column.
        """
        kept = list(range(len(titles)))
        if self.watched:
            # A column that says nothing is left out of a terminal, never out of a pipe: a script counts columns.
            kept = [n for n in kept if n < 2 or n == len(titles) - 1 or any(row[n] for row in rows)]
        right = [titles[n].startswith(">") for n in kept]
        table = [[titles[n].lstrip(">") for n in kept], *([visible(row[n]) for n in kept] for row in rows)]
        widths = [max(width(row[n]) for row in table) for n in range(len(table[0]))]
        if self.watched:
            from shutil import get_terminal_size

            left = get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
            for row in table[1:]:
                row[-1] = shortened(row[-1], max(left, 8), ellipsis="..." if self.ascii else "…")
            widths[-1] = 0
        for number, row in enumerate(table):
            if number == 0 and not self.header:
                continue
            cells = [_padded(cell, widths[n], right=right[n]) for n, cell in enumerate(row)]
            if number and paint:
                cells[1] = self.paint(cells[1], paint[number - 1])
            elif number == 0:
                cells = [self.paint(cell, "1") for cell in cells]
            print("  ".join(cells).rstrip())


def _padded(cell: str, size: int, *, right: bool) -> str:
    blanks = " " * (size - width(cell))
    return blanks + cell if right else cell + blanks


def visible(text: str) -> str:
    """One line without control characters: what a command holds must not move a cursor."""
    if text.isprintable():
        return text
    named = {"\n": "\\n", "\t": " ", "\r": "\\r"}
    return "".join(c if c.isprintable() else named.get(c) or f"\\x{ord(c):02x}" for c in text)


def visible_lines(text: str) -> str:
    """The lines without other control characters: what a message quotes must not move a cursor either."""
    return text if text.isprintable() else "\n".join(map(visible, text.split("\n")))


def width(text: str) -> int:
    """Columns on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def shortened(text: str, columns: int, *, ellipsis: str) -> str:
    """The text in at most so many columns."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - len(ellipsis):
        text = text[: columns - len(ellipsis)] if text.isascii() else text[:-1]
    return text + ellipsis


def about(seconds: float) -> str:
    """A duration for prose."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def stamp(epoch: float | None) -> str:
    """Local time for people; empty where unknown."""
    date = _date(epoch)
    return date.astimezone().strftime("%Y-%m-%d %H:%M:%S") if date else ""


def iso(epoch: float | None) -> str | None:
    """UTC in ISO 8601, for JSON."""
    date = _date(epoch)
    return date.isoformat(timespec="milliseconds").replace("+00:00", "Z") if date else None


def _date(epoch: float | None) -> datetime | None:
    """The moment; None where none is known, or where no calendar has it."""
    if not epoch or not DATES[0] < epoch < DATES[1]:
        return None
    from datetime import datetime, timezone

    return datetime.fromtimestamp(epoch, timezone.utc)


def memory(mebibytes: float) -> str:
    return (
        f"{mebibytes / 1024:.0f}G"
        if mebibytes >= 10240
        else f"{mebibytes / 1024:.1f}G"
        if mebibytes >= 1024
        else f"{mebibytes:.0f}M"
    )


def _colored(stream: TextIO, color: str) -> bool:
    if color != "auto":
        return color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0") or os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
