"""Where the panes are: three columns from 160, two from 60, one pane below. Any size has a layout.

A view that is open has the place of the lists: the output of what it is on stands under it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from leaseq.dataclass import dataclass, field
from leaseq.monitor.pane import MAIN, Pane

THREE_COLUMNS = 160
TWO_COLUMNS = 60
LOW = 14
"""Fewer lines than this hold one pane only."""


@dataclass(frozen=True)
class Rect:
    x: int
    y: int
    width: int
    height: int

    def holds(self, x: int, y: int) -> bool:
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


@dataclass(frozen=True)
class Layout:
    """The content of each pane that is shown, the boxes drawn around them, and the rows above and below."""

    panes: Mapping[Pane, Rect]
    boxes: tuple[tuple[int, int, int, int], ...]
    """(left, top, right, bottom) of each box's lines; neighbours share a line."""
    head: int | None = 0
    banner: int | None = None
    foot: int | None = None
    message: Rect | None = None
    columns: int = 80
    lines: int = 24
    tabs: tuple[Pane, ...] = field(default=MAIN)
    """The panes that Tab goes through; one of them may take another's place."""

    @property
    def single(self) -> bool:
        """True if one pane takes all the room, without a box."""
        return not self.boxes


@dataclass(frozen=True)
class Ask:
    """What the layout depends on, beside the size."""

    focus: Pane = Pane.TASKS
    zoom: bool = False
    banner: bool = False
    message_lines: int = 0
    leases: int = 1
    view: Pane | None = None


@lru_cache(maxsize=64)
def arrange(columns: int, lines: int, ask: Ask) -> Layout:
    """The layout of a terminal of that size."""
    columns, lines = max(1, columns), max(1, lines)
    head = 0 if lines >= 3 else None
    foot = lines - 1 if lines >= 2 else None
    top = 0 if head is None else 1
    banner = None
    if ask.banner and lines >= 8:
        banner, top = top, top + 1
    bottom = lines - (0 if foot is None else 1)
    message = None
    rows = min(ask.message_lines, max(0, bottom - top - 3))
    if rows:
        bottom -= rows
        message = Rect(0, bottom, columns, rows)
    common = {"head": head, "banner": banner, "foot": foot, "message": message, "columns": columns, "lines": lines}
    body = Rect(0, top, columns, max(0, bottom - top))
    if ask.zoom:
        return Layout(_one(body, Pane.LOGS), (), tabs=(Pane.LOGS,), **common)  # type: ignore[arg-type]
    tabs = MAIN if ask.view is None else tuple(dict.fromkeys((ask.view, Pane.DETAIL, Pane.LOGS)))
    tabs = (Pane.JOBS,) if ask.view is Pane.JOBS else tabs
    if columns < TWO_COLUMNS or lines < LOW:
        return Layout(_one(body, ask.focus), (), tabs=tabs, **common)  # type: ignore[arg-type]
    wide = columns >= THREE_COLUMNS and lines >= 20
    if ask.view is not None:
        panes, boxes = _viewed(body, ask, ask.view, beside=wide and ask.view is not Pane.DETAIL)
    else:
        panes, boxes = (_three if wide else _two)(body, ask)
    return Layout(panes, tuple(boxes), tabs=tabs, **common)  # type: ignore[arg-type]


def _one(body: Rect, pane: Pane) -> dict[Pane, Rect]:
    """The pane under a line that holds its title."""
    return {pane: Rect(0, body.y + 1, body.width, max(0, body.height - 1))}


Box = tuple[int, int, int, int]


def _inside(box: Box) -> Rect:
    left, top, right, bottom = box
    return Rect(left + 1, top + 1, max(0, right - left - 1), max(0, bottom - top - 1))


def _left(left: Box, leases: int) -> tuple[Box, Box]:
    """Leases above nodes: as many lines as there are leases, up to a third."""
    x0, y0, x1, y1 = left
    room = y1 - y0 - 2
    high = max(1, min(leases, max(1, room // 3)))
    middle = y0 + 1 + high
    return (x0, y0, x1, middle), (x0, middle, x1, y1)


def _two(body: Rect, ask: Ask) -> tuple[dict[Pane, Rect], list[Box]]:
    x1, y0, y1 = body.width - 1, body.y, body.y + body.height - 1
    middle = y0 + max(4, (body.height * 11 + 10) // 20)
    side = max(20, min(30, body.width * 3 // 10))
    leases, nodes = _left((0, y0, side, middle), ask.leases)
    tasks, below = (side, y0, x1, middle), (0, middle, x1, y1)
    low = Pane.DETAIL if ask.focus is Pane.DETAIL else Pane.LOGS
    found = {Pane.LEASES: leases, Pane.NODES: nodes, Pane.TASKS: tasks, low: below}
    return {pane: _inside(box) for pane, box in found.items()}, list(found.values())


def _three(body: Rect, ask: Ask) -> tuple[dict[Pane, Rect], list[Box]]:
    x1, y0, y1 = body.width - 1, body.y, body.y + body.height - 1
    middle = y0 + max(6, body.height // 2)
    side = max(31, min(38, body.width * 19 // 100))
    detail = _beside(body)
    leases, nodes = _left((0, y0, side, middle), ask.leases)
    found = {
        Pane.LEASES: leases,
        Pane.NODES: nodes,
        Pane.TASKS: (side, y0, detail, middle),
        Pane.DETAIL: (detail, y0, x1, middle),
        Pane.LOGS: (0, middle, x1, y1),
    }
    return {pane: _inside(box) for pane, box in found.items()}, list(found.values())


def _viewed(body: Rect, ask: Ask, view: Pane, *, beside: bool) -> tuple[dict[Pane, Rect], list[Box]]:
    """The view above, the output below; the detail beside the view, or in the place of the output.

    Allocations have no output.
    """
    x1, y0, y1 = body.width - 1, body.y, body.y + body.height - 1
    if view is Pane.JOBS:
        whole = (0, y0, x1, y1)
        return {view: _inside(whole)}, [whole]
    middle = y0 + max(4, body.height * (2 if view is Pane.DETAIL else 3) // 5)
    right = _beside(body) if beside else x1
    low = Pane.DETAIL if ask.focus is Pane.DETAIL and not beside and view is not Pane.DETAIL else Pane.LOGS
    found = {view: (0, y0, right, middle), low: (0, middle, x1, y1)}
    if beside:
        found[Pane.DETAIL] = (right, y0, x1, middle)
    return {pane: _inside(box) for pane, box in found.items()}, list(found.values())


def _beside(body: Rect) -> int:
    """Where the detail begins that has a column of its own."""
    return body.width - 1 - max(35, min(56, body.width * 28 // 100))


_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_GLYPHS = {
    _LEFT | _RIGHT: "─",
    _UP | _DOWN: "│",
    _DOWN | _RIGHT: "┌",
    _DOWN | _LEFT: "┐",
    _UP | _RIGHT: "└",
    _UP | _LEFT: "┘",
    _UP | _DOWN | _RIGHT: "├",
    _UP | _DOWN | _LEFT: "┤",
    _DOWN | _LEFT | _RIGHT: "┬",
    _UP | _LEFT | _RIGHT: "┴",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
}


@lru_cache(maxsize=16)
def lines_of(boxes: tuple[Box, ...], columns: int, lines: int) -> tuple[str, ...]:
    """The boxes drawn on an empty screen, with the right joints where they meet."""
    marks: dict[tuple[int, int], int] = {}

    def mark(x: int, y: int, bits: int) -> None:
        marks[x, y] = marks.get((x, y), 0) | bits

    for left, top, right, bottom in boxes:
        for x in range(left, right + 1):
            bits = (_LEFT if x > left else 0) | (_RIGHT if x < right else 0)
            mark(x, top, bits)
            mark(x, bottom, bits)
        for y in range(top, bottom + 1):
            bits = (_UP if y > top else 0) | (_DOWN if y < bottom else 0)
            mark(left, y, bits)
            mark(right, y, bits)
    return tuple("".join(_GLYPHS.get(marks.get((x, y), 0), " ") for x in range(columns)) for y in range(lines))
