"""What ran where, in time, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from leaseq.reading.report import NODE, Ran, Report, as_drawn, rows_of
from leaseq.reading.timeline import ENDED_BADLY, axis, marks
from leaseq.widths import cells

WIDTH_LEAST = 20
MARKS = {"busy": "█", "part": "▒", "bad": "╳", "idle": "·", "down": "!", "none": " "}
ASCII = {"busy": "#", "part": "+", "bad": "x", "idle": ".", "down": "!", "none": " "}


def lines(found: Report, *, columns: int, ascii: bool) -> Iterator[str]:
    """A line for each GPU of each node, or for the node if it has none; then the times, and what the marks say."""
    found, signs = as_drawn(found), ASCII if ascii else MARKS
    rows = rows_of(found)
    titles = {key: f"{key[0]}:{key[1]}".rstrip(":") for key in rows}
    left = max(map(cells, titles.values()), default=0) + 1
    width = max(WIDTH_LEAST, columns - left)
    bounds = [found.since + (found.until - found.since) * n // width for n in range(width + 1)]
    for key in sorted(rows):
        bad = [each for each in found.ran if _is_bad(each) and each.run.node == key[0]]
        mine = [each.span for each in bad if key[1] == NODE or key[1] in each.run.gpus]
        row = "".join(signs[each] for each in marks(rows[key], mine, bounds))
        yield f"{titles[key]}{' ' * (left - cells(titles[key]))}{row}".rstrip()
    yield " " * left + axis(found.since, found.until, width)
    told = {"busy": "booked", "part": "in part", "bad": "failed or lost", "idle": "idle", "down": "down"}
    yield " " * left + "  ".join(f"{signs[each]} {word}" for each, word in told.items())


def _is_bad(each: Ran) -> bool:
    return each.run.state in ENDED_BADLY
