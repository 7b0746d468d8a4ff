"""How results look: tables and JSON on stdout, talk on stderr. Plain if nobody watches."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from leaseq.cli.columns import GAP, Column, fitted, whole, wrapped
from leaseq.models import State
from leaseq.widths import cells
from leaseq.words import visible, visible_lines

if TYPE_CHECKING:
    from datetime import datetime

JSON_SCHEMA = 1
DATES = (-62_000_000_000, 253_000_000_000)
"""Seconds since the epoch of the years 5 to 9987: what a record holds beyond is no date in any time zone."""
TITLE = 11
"""Room for the title of what is known of one thing, with its colon."""
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

    @property
    def columns(self) -> int | None:
        """How wide a line may be; None if nobody watches: what a program reads is never cut."""
        return terminal_columns() if self.watched else None

    def in_lines(self, text: str, *, indent: int) -> list[str]:
        """The text in lines that fit; all but the first are indented."""
        room = self.columns
        return [text] if room is None else wrapped(text, room, indent=" " * indent)

    def wrap(self, text: str, *, indent: int = 0) -> None:
        """The text is said in lines that fit."""
        for line in self.in_lines(text, indent=indent):
            print(line)

    def items(self, title: str, items: Sequence[tuple[str, str]]) -> None:
        """The title and the items, each with its colour, in lines that fit."""
        room, used, line = self.columns, cells(title), title
        for text, colour in items:
            gap = " " if used == cells(title) else "  "
            if room is not None and used + len(gap) + cells(text) > room and used > cells(title):
                print(line)
                used, line, gap = cells(title), " " * cells(title), " "
            used += len(gap) + cells(text)
            line += gap + self.paint(text, colour)
        print(line)

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """What is known as `title: text`, the texts below one another; control characters are made visible."""
        for title, text in pairs:
            self.wrap(visible(f"{title + ':' if title else '':<{TITLE}} {text}"), indent=TITLE + 1)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]], *, paint: Sequence[str] = ()) -> None:
        """The rows in columns that fit the terminal, and unshortened in a pipe.

        `paint` is a colour for each row's second column.
        """
        cells = [[visible(cell) for cell in row] for row in rows]
        room = self.columns
        table = (
            whole(columns, cells)
            if room is None
            else fitted(columns, cells, room, ellipsis="..." if self.ascii else "…")
        )
        painted = table.kept.index(1) if paint and 1 in table.kept else None
        for number, row in enumerate(table.rows):
            if number == 0 and not self.header:
                continue
            padded = [
                _padded(cell, size, right=columns[n].right)
                for n, size, cell in zip(table.kept, table.widths, row, strict=True)
            ]
            padded[-1] = padded[-1].rstrip()
            if number == 0:
                padded = [self.paint(cell, "1") for cell in padded]
            elif painted is not None:
                padded[painted] = self.paint(padded[painted], paint[number - 1])
            print((" " * GAP).join(padded).rstrip())


def terminal_columns() -> int:
    """How wide the terminal is."""
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _padded(cell: str, size: int, *, right: bool) -> str:
    blanks = " " * (size - cells(cell))
    return blanks + cell if right else cell + blanks


def stamp(epoch: float | None) -> str:
    """Local time for people; empty if unknown."""
    date = _date(epoch)
    return date.astimezone().strftime("%Y-%m-%d %H:%M:%S") if date else ""


def iso(epoch: float | None) -> str | None:
    """UTC in ISO 8601, for JSON."""
    date = _date(epoch)
    return date.isoformat(timespec="milliseconds").replace("+00:00", "Z") if date else None


def _date(epoch: float | None) -> datetime | None:
    """The moment; None if none is known, or if no calendar has it."""
    if not epoch or not DATES[0] < epoch < DATES[1]:
        return None
    from datetime import datetime, timezone

    return datetime.fromtimestamp(epoch, timezone.utc)


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
