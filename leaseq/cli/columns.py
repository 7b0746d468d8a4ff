"""Lines that fit: a table in so many columns of a terminal, text wrapped to them. Values in, values out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leaseq.dataclass import dataclass
from leaseq.widths import cells, cut

GAP = 2
"""Blanks between two columns of a table."""


@dataclass(frozen=True)
class Column:
    """A column of a table, and what becomes of it if the table is wider than the terminal."""

    title: str
    right: bool = False
    least: int = 0
    """It keeps so many columns of the terminal while another can still be left out; 0: it is never cut."""
    rank: int = 0
    """The order in which columns are left out: 1 goes first; 0 stays while anything does."""
    code: Callable[[str], str] | None = None
    """A shorter word for a cell, used if the whole one does not fit."""
    into: str = ""
    """If this column is left out its text goes to the front of another's: the title of that one."""
    ending: bool = False
    """True if the end of a cell says more than its beginning."""


@dataclass(frozen=True)
class Table:
    """A table that fits: which columns are left, how wide each is, and the cells of the rows, cut."""

    kept: tuple[int, ...]
    widths: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int, *, ellipsis: str = "…") -> Table:
    """The table in at most `room` columns of a terminal, its titles too; the last column takes what is left.

    Empty columns are left out first, then those of the lowest rank, until all others have the least that they need.
    """
    table = [list(row) for row in rows]
    last = len(columns) - 1
    kept = [n for n in range(len(columns)) if n in (0, 1, last) or any(row[n] for row in table)]
    for n in sorted((n for n in kept if columns[n].rank), key=lambda n: columns[n].rank):
        if _total([_least(columns[k], table, k) for k in kept]) <= room:
            break
        kept.remove(n)
        for target in [k for k in kept if columns[n].into and columns[n].into == columns[k].title]:
            for row in table:
                row[target] = ": ".join(text for text in (row[n], row[target]) if text)
    widths = [_least(columns[n], table, n) for n in kept]
    while len(kept) > 1 and _total(widths) - widths[-1] >= room:
        kept, widths = kept[:-1], widths[:-1]
    widths[-1] = max(0, min(widths[-1], room - _total(widths) + widths[-1]))
    _grow(widths, kept, columns, table, room)
    lines = [
        tuple(_cell(row[n], size, columns[n], ellipsis=ellipsis) for n, size in zip(kept, widths, strict=True))
        for row in [[column.title for column in columns], *table]
    ]
    return Table(tuple(kept), tuple(widths), tuple(lines))


def whole(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    """The table as wide as it needs to be, every column in it: a script counts columns."""
    lines = [tuple(column.title for column in columns), *map(tuple, rows)]
    widths = tuple(max(cells(row[n]) for row in lines) for n in range(len(columns)))
    return Table(tuple(range(len(columns))), widths, tuple(lines))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _natural(column: Column, table: Sequence[Sequence[str]], n: int) -> int:
    return max([cells(column.title), *(cells(row[n]) for row in table)])


def _least(column: Column, table: Sequence[Sequence[str]], n: int) -> int:
    code, natural = column.code, _natural(column, table, n)
    if code is not None:
        natural = min(natural, max([cells(column.title), *(cells(code(row[n])) for row in table)]))
    return min(natural, column.least) if column.least else natural


def _grow(
    widths: list[int], kept: Sequence[int], columns: Sequence[Column], table: Sequence[Sequence[str]], room: int
) -> None:
    """The rest of the room goes to cells that were cut, then to words instead of codes, then to the last column."""
    end = len(kept) - 1
    wishes = [_natural(columns[n], table, n) - size for n, size in zip(kept, widths, strict=True)]
    coded = [k for k in range(end) if columns[kept[k]].code is not None]
    for k in [*(k for k in range(end) if k not in coded), end]:
        grown = max(0, min(wishes[k], room - _total(widths), widths[end] if k == end and coded else room))
        widths[k] += grown
        wishes[k] -= grown
    for k in coded:
        if wishes[k] <= room - _total(widths):
            widths[k] += wishes[k]
    widths[end] += max(0, min(wishes[end], room - _total(widths)))


def _cell(text: str, size: int, column: Column, *, ellipsis: str) -> str:
    if cells(text) > size and column.code is not None:
        text = column.code(text)
    return shortened(text, size, ellipsis=ellipsis, ending=column.ending)


def shortened(text: str, size: int, *, ellipsis: str, ending: bool = False) -> str:
    """The text in at most so many columns: its beginning, or its end."""
    if cells(text) <= size:
        return text
    if size <= len(ellipsis):
        return cut(text, size)
    if ending:
        return ellipsis + cut(text[::-1], size - len(ellipsis))[::-1]
    return cut(text, size - len(ellipsis)) + ellipsis


def wrapped(text: str, size: int, *, indent: str = "") -> list[str]:
    """The text in lines of at most so many columns, broken at blanks if it has them; `indent` starts all but one."""
    indent = indent[: max(0, size - 10)]
    fresh = size - cells(indent)
    lines: list[str] = []
    line = ""
    for word in _words(text):
        bare, room = word.rstrip(" "), size - cells(line)
        if line.strip(" ") and not _fits(bare, room) and _fits(bare, fresh):
            lines.append(line.rstrip(" "))
            line, room = indent, fresh
        while not _fits(bare, room):
            piece = cut(bare, room) or (bare[:1] if room >= fresh else "")
            lines.append((line + piece).rstrip(" "))
            bare, word = bare[len(piece) :], word[len(piece) :]
            line, room = indent, fresh
        line += word
    return [*lines, line.rstrip(" ")]


def _fits(text: str, size: int) -> bool:
    return len(cut(text, size)) == len(text)


def _words(text: str) -> list[str]:
    """The words, each with the blanks that follow it."""
    words: list[str] = []
    for part in text.split(" "):
        if part or not words:
            words.append(f"{part} ")
        else:
            words[-1] += " "
    words[-1] = words[-1][:-1]
    return words
