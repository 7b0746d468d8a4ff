"""What ran where, in time, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from leaseq.models import State
from leaseq.reading.report import NODE, SECOND, Held, Ran, Report, Span, as_drawn, clipped, length, rows_of
from leaseq.widths import cells

TICKS = 4
WIDTH_LEAST = 20
MARKS = {"busy": "█", "part": "▒", "bad": "╳", "idle": "·", "down": "!", "none": " "}
ASCII = {"busy": "#", "part": "+", "bad": "x", "idle": ".", "down": "!", "none": " "}


def lines(found: Report, *, columns: int, ascii: bool) -> Iterator[str]:
    """A line for each GPU of each node, or for the node if it has none; then the times, and what the marks say."""
    found, marks = as_drawn(found), ASCII if ascii else MARKS
    rows = rows_of(found)
    titles = {key: f"{key[0]}:{key[1]}".rstrip(":") for key in rows}
    left = max(map(cells, titles.values()), default=0) + 1
    width = max(WIDTH_LEAST, columns - left)
    bounds = [found.since + (found.until - found.since) * n // width for n in range(width + 1)]
    for key in sorted(rows):
        bad = [each for each in found.ran if _is_bad(each) and each.run.node == key[0]]
        mine = [each.span for each in bad if key[1] == NODE or key[1] in each.run.gpus]
        row = "".join(marks[_mark(rows[key], mine, (bounds[n], bounds[n + 1]))] for n in range(width))
        yield f"{titles[key]}{' ' * (left - cells(titles[key]))}{row}".rstrip()
    yield " " * left + _times(found, width)
    told = {"busy": "booked", "part": "in part", "bad": "failed or lost", "idle": "idle", "down": "down"}
    yield " " * left + "  ".join(f"{marks[mark]} {word}" for mark, word in told.items())


def _is_bad(each: Ran) -> bool:
    return each.run.state in (State.FAILED, State.TIMEOUT, State.LOST)


def _mark(parts: Sequence[Held], bad: Sequence[Span], cell: Span) -> str:
    def within(spans: Sequence[Span]) -> int:
        return length(some for span in spans if (some := clipped(span, cell)))

    held = sum(within((part.held,)) for part in parts)
    busy = sum(within(part.busy) for part in parts)
    down = sum(within(part.down) for part in parts)
    if not held:
        return "none"
    if busy and within(bad) * 2 >= busy:
        return "bad"
    if busy:
        return "busy" if busy * 10 >= held * 9 else "part"
    return "down" if down * 2 >= held else "idle"


def _times(found: Report, width: int) -> str:
    form = "%H:%M" if found.until - found.since <= 86400 * SECOND else "%m-%d %H:%M"
    row = ""
    for tick in range(TICKS):
        at = found.since + (found.until - found.since) * tick // TICKS
        row = f"{row:<{width * tick // TICKS}}"[: width * tick // TICKS] + datetime.fromtimestamp(at / SECOND).strftime(
            form
        )
    return row[:width]
