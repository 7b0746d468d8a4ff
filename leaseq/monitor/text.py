"""Styled text of known width: cut, padded, joined. A wide character takes two columns, a combining one none.

Text is laid out plain and styled last; no escape sequence ever stands in a span.
"""

from __future__ import annotations

from collections.abc import Iterable

from leaseq.widths import cells, cut, narrow

Span = tuple[str, str]
Spans = tuple[Span, ...]


def width(spans: Iterable[Span]) -> int:
    return sum(cells(text) for text, _ in spans)


def short(text: str, columns: int, *, more: str = "…") -> str:
    """The text in at most that many columns; if it is cut, `more` says so."""
    if cells(text) <= columns:
        return text
    return cut(text, columns - len(more)) + more if columns > len(more) else cut(text, columns)


def tail(text: str, columns: int) -> str:
    """The end of the text in at most that many columns: names of one kind differ at their end."""
    if cells(text) <= columns:
        return text
    size = cells(text)
    return "…" + "".join(piece for piece, _ in part([(text, "")], size - columns + 1, size)) if columns > 1 else "…"


def fit(text: str, columns: int, *, right: bool = False, more: str = "…") -> str:
    """The text in exactly that many columns."""
    text = short(text, columns, more=more)
    blanks = " " * (columns - cells(text))
    return blanks + text if right else text + blanks


def part(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """The columns from start up to end; half of a wide character is a blank."""
    out: list[Span] = []
    at = 0
    for text, style in spans:
        size = cells(text)
        left, right = max(start - at, 0), min(end - at, size)
        if left < right:
            if narrow(text):
                out.append((text[left:right], style))
            else:
                out.append((_part_of_wide(text, left, right), style))
        at += size
        if at >= end:
            break
    return out


def _part_of_wide(text: str, left: int, right: int) -> str:
    out, at = "", 0
    for c in text:
        size = cells(c)
        if at >= left and at + size <= right:
            if size or out:
                out += c
        elif at + size > left and at < right:
            out += " " * (min(at + size, right) - max(at, left))
        at += size
    return out


def pad(spans: Iterable[Span], columns: int, *, style: str = "") -> list[Span]:
    """The spans in exactly that many columns."""
    spans = list(spans)
    size = width(spans)
    if size > columns:
        return part(spans, 0, columns)
    return [*spans, (" " * (columns - size), style)] if size < columns else spans


def splice(row: list[Span], x: int, new: Iterable[Span]) -> list[Span]:
    """The row with the new spans standing at column x."""
    new = list(new)
    end = x + width(new)
    return part(row, 0, x) + new + part(row, end, 1 << 30)


def restyle(spans: Iterable[Span], style: str) -> list[Span]:
    """One span of that style."""
    return [("".join(text for text, _ in spans), style)]


def joined(spans: Iterable[Span]) -> Spans:
    """The same row in the fewest spans, so that equal rows compare equal."""
    out: list[Span] = []
    for text, style in spans:
        if not text:
            continue
        if out and out[-1][1] == style:
            out[-1] = (out[-1][0] + text, style)
        else:
            out.append((text, style))
    return tuple(out)


def wrap(text: str, columns: int) -> list[str]:
    """The text in lines of at most that many columns, broken at blanks if there are any."""
    columns = max(1, columns)
    lines: list[str] = []
    for paragraph in text.split("\n"):
        while cells(paragraph) > columns:
            head = cut(paragraph, columns) or paragraph[:1]
            blank = head.rfind(" ")
            if blank > columns // 3 and paragraph[len(head) : len(head) + 1] != " ":
                head = head[:blank]
            lines.append(head)
            paragraph = paragraph[len(head) :].lstrip(" ")
        lines.append(paragraph)
    return lines


def fold(spans: Iterable[Span], columns: int) -> list[list[Span]]:
    """The spans in rows of at most that many columns, broken anywhere: output is shown as it is."""
    spans = list(spans)
    size = width(spans)
    if size <= columns:
        return [spans]
    rows: list[list[Span]] = []
    at = 0
    while at < size:
        piece = part(spans, at, at + columns)
        rows.append(piece)
        at += columns
    return rows


def short_id(task: str) -> str:
    """Its first letters, and which index it is."""
    task, line, index = task.partition("_")
    return task[:8] + line + index
