"""The report as one page for a browser, which asks nobody for anything: a timeline, and what the command says."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape

from leaseq.models import State
from leaseq.reading.report import NODE, SECOND, Ran, Report, Span, as_drawn, rows_of
from leaseq.reading.timeline import ticks
from leaseq.reading.views import duration

WIDTH, ROW, LEFT, TOP = 1200, 22, 180, 26
TICKS_MAX = 12
FILLS = {
    State.DONE: "#3a8f5c",
    State.RUNNING: "#2f7fb8",
    State.FAILED: "#c8453b",
    State.TIMEOUT: "#d98324",
    State.LOST: "#8d4aa5",
    State.CANCELLED: "#8a8f98",
}
OTHER = "#8a8f98"
SPOT = 0.6
"""So wide is the narrowest box."""
STYLE = """\
:root { color-scheme: light dark; --back: #fff; --ink: #1d2430; --dim: #6b7482; --line: #dfe3e8; --held: #eef1f4 }
:root { --down: #f3d9d6 }
@media (prefers-color-scheme: dark) {
  :root { --back: #14181f; --ink: #e4e8ee; --dim: #98a2b0; --line: #2a313b; --held: #222934; --down: #4a2a28 }
}
body { background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 1240px; padding: 0 1rem }
h1 { font-size: 1.3rem; margin: 0 0 .6rem }
p { margin: .2rem 0 }
svg { display: block; width: 100%; height: auto; margin: 1rem 0 }
text { fill: var(--ink); font: 12px system-ui, sans-serif }
.dim { color: var(--dim) }
.axis { fill: var(--dim) }
.held { fill: var(--held) }
.down { fill: var(--down) }
.grid { stroke: var(--line) }
.key { display: inline-block; margin-right: 1rem }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em }
"""


def write(path: str, found: Report, said: Sequence[str], *, umask: int) -> None:
    """The page stands at that path, whole; raises OSError."""
    hidden = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}")
    with open(hidden, "w", encoding="utf-8") as file:
        file.write("".join(_page(found, said)))
    os.chmod(hidden, 0o666 & ~umask)
    os.replace(hidden, path)


def _page(found: Report, said: Sequence[str]) -> Iterator[str]:
    until = datetime.fromtimestamp(found.until / SECOND).strftime("%Y-%m-%d %H:%M")
    yield "<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>leaseq report</title>\n"
    yield f'<meta name=viewport content="width=device-width">\n<style>\n{STYLE}</style></head><body>\n'
    yield f"<h1>leaseq report <span class=dim>{until}</span></h1>\n"
    yield from (f"<p>{escape(line)}</p>\n" for line in said)
    yield from _timeline(found)
    keys = ((fill, state.name.lower()) for state, fill in FILLS.items())
    for fill, word in (*keys, ("var(--held)", "idle"), ("var(--down)", "down")):
        yield f'<span class=key><i style="background:{fill}"></i>{word}</span>'
    yield "\n</body></html>\n"


def _timeline(found: Report) -> Iterator[str]:
    found = as_drawn(found)
    rows = rows_of(found)
    height = TOP + ROW * len(rows)
    yield f'<svg viewBox="0 0 {WIDTH} {height + 4}" role=img aria-label="what ran where, in time">\n'
    for at, word in ticks(found.since, found.until, most=TICKS_MAX):
        x = _x(found, at)
        yield f"<line class=grid x1={x:.1f} x2={x:.1f} y1={TOP - 6} y2={height}></line>"
        yield f"<text class=axis x={x:.1f} y=12 text-anchor=middle>{word}</text>\n"
    by_node: dict[str, list[Ran]] = defaultdict(list)
    for each in found.ran:
        by_node[each.run.node].append(each)
    for number, key in enumerate(sorted(rows)):
        y = TOP + ROW * number
        title = escape(f"{key[0]} {key[1]}".strip())
        yield f"<text x=0 y={y + 14}>{title}</text>\n"
        for part in rows[key]:
            yield _box(found, part.held, y, "class=held")
            yield from (_box(found, span, y, "class=down", "down") for span in part.down)
        yield from _boxes(found, y, [each for each in by_node[key[0]] if key[1] in (NODE, *each.run.gpus)])
    yield "</svg>\n"


def _boxes(found: Report, y: int, ran: Sequence[Ran]) -> Iterator[str]:
    """A box for each attempt. Of several that end alike and lie on one spot the first stands for all."""
    drawn: dict[State, float] = {}
    for each in sorted(ran, key=lambda each: each.span):
        state, end = each.run.state, _x(found, each.span[1])
        if end - drawn.get(state, -1.0) >= SPOT:
            drawn[state] = end
            yield _box(found, each.span, y, f'fill="{FILLS.get(state, OTHER)}"', _told(each))


def _told(each: Ran) -> str:
    run = each.run
    what = run.name or run.command[:80]
    return f"{run.id} {what}: {run.state.name}, {duration(run.seconds)}"


def _box(found: Report, span: Span, y: int, look: str, title: str = "") -> str:
    x, end = _x(found, span[0]), _x(found, span[1])
    told = f"<title>{escape(title)}</title>" if title else ""
    return f"<rect {look} x={x:.2f} y={y} width={max(end - x, SPOT):.2f} height={ROW - 5} rx=2>{told}</rect>\n"


def _x(found: Report, at: int) -> float:
    return LEFT + (WIDTH - LEFT - 10) * (at - found.since) / max(1, found.until - found.since)
