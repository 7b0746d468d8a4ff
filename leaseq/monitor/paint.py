"""From one frame to the next: the shortest output that makes the one on the terminal into the other. Pure."""

from __future__ import annotations

from leaseq.monitor.text import Span, Spans, part, width
from leaseq.monitor.theme import codes
from leaseq.monitor.view import Frame
from leaseq.widths import cells, narrow

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronized output: a terminal that knows it shows the change at once, others ignore it."""


def changes(old: Frame, new: Frame, *, mono: bool) -> str:
    """What is written to a terminal that shows `old`, or to an empty one if the sizes differ."""
    out = []
    if not old or len(old) != len(new) or width(old[0]) != width(new[0]):
        out.append("\x1b[0m\x1b[2J")
        old = tuple(() for _ in new)
    for y, (before, after) in enumerate(zip(old, new, strict=True)):
        if before != after:
            for x, spans in differences(before, after):
                out.append(f"\x1b[{y + 1};{x + 1}H{styled(spans, mono=mono)}")
    return BEGIN + "".join(out) + END if out else ""


def styled(spans: list[Span] | Spans, *, mono: bool) -> str:
    """The spans with their sequences, ending in plain style."""
    out, now = [], ""
    for text, style in spans:
        wanted = codes(style, mono=mono)
        if wanted != now:
            out.append(f"\x1b[0;{wanted}m" if wanted else "\x1b[m")
            now = wanted
        out.append(text)
    return "".join(out) + ("\x1b[m" if now else "")


def differences(before: Spans, after: Spans) -> list[tuple[int, list[Span]]]:
    """Each (first column, spans) that has to be written; if only the words of some spans changed, only those."""
    alike = len(before) == len(after) and all(
        old[1] == new[1] and cells(old[0]) == cells(new[0]) for old, new in zip(before, after, strict=True)
    )
    if not alike:
        x, spans = difference(before, after)
        return [(x, spans)] if spans else []
    found, at = [], 0
    for old, new in zip(before, after, strict=True):
        if old != new:
            x, spans = difference((old,), (new,))
            found.append((at + x, spans))
        at += cells(new[0])
    return found


def difference(before: Spans, after: Spans) -> tuple[int, list[Span]]:
    """(first column that differs, the spans from there to the last that differs); both rows are equally wide."""
    size = width(after)
    start, first = _equal(before, after)
    if start >= size:
        return 0, []
    end = size - _equal_at_end(before[first:], after[first:]) if before else size
    return start, part(after, start, max(end, start))


def _equal(before: Spans, after: Spans) -> tuple[int, int]:
    """(columns that are equal at the start, spans that are)"""
    columns = index = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            return columns + (_common(old[0], new[0]) if old[1] == new[1] else 0), index
        columns += cells(new[0])
        index += 1
    return columns, index


def _equal_at_end(before: Spans, after: Spans) -> int:
    columns = 0
    for old, new in zip(reversed(before), reversed(after), strict=False):
        if old != new:
            return columns + (_common(old[0][::-1], new[0][::-1]) if old[1] == new[1] else 0)
        columns += cells(new[0])
    return columns


def _common(old: str, new: str) -> int:
    """Columns of the start that both texts share; none if a letter's width depends on its neighbours."""
    if not (narrow(old) and narrow(new)):
        return 0
    for index, (a, b) in enumerate(zip(old, new, strict=False)):
        if a != b:
            return index
    return min(len(old), len(new))
