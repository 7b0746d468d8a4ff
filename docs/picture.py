"""Draws docs/monitor.svg: a real frame of the monitor, made from the situation that its tests call busy.

The same frame gives the same bytes: nothing of this machine or of now is in the picture.
"""

from __future__ import annotations

import os
import sys
import time
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from leaseq.monitor.arranging import arranged  # noqa: E402
from leaseq.monitor.model import Ui  # noqa: E402
from leaseq.monitor.text import Spans  # noqa: E402
from leaseq.monitor.theme import codes  # noqa: E402
from leaseq.monitor.view import Frame, frame  # noqa: E402
from leaseq.widths import cells  # noqa: E402
from tests.unit import monitor_scenes as situations  # noqa: E402

CELL, LINE, MARGIN, SIZE = 8.4, 17, 14, 14
PAPER, INK = "#15181e", "#c9d1d9"
COLOURS = {
    "30": "#15181e",
    "31": "#ff7b72",
    "32": "#7ee787",
    "33": "#e3b341",
    "35": "#d2a8ff",
    "36": "#76d9e6",
    "43": "#e3b341",
}
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"


def style_of(style: str) -> tuple[str, str, str]:
    """(ink, paper or nothing, further attributes) of a span."""
    words = codes(style, mono=False).split(";")
    ink = next((COLOURS[word] for word in words if word in COLOURS and word[0] == "3"), INK)
    paper = next((COLOURS[word] for word in words if word in COLOURS and word[0] == "4"), "")
    if "7" in words:
        ink, paper = PAPER, ink
    more = ' font-weight="bold"' if "1" in words else ""
    return ink, paper, more + (' opacity="0.55"' if "2" in words else "")


def row_of(row: Spans, y: int) -> list[str]:
    found, at = [], 0
    for text, style in row:
        size = cells(text)
        ink, paper, more = style_of(style)
        x = MARGIN + at * CELL
        if paper:
            top = MARGIN + y * LINE
            found.append(f'<rect x="{x:.1f}" y="{top}" width="{size * CELL:.1f}" height="{LINE}" fill="{paper}"/>')
        if text.strip():
            words = escape(text.rstrip())
            length = cells(text.rstrip()) * CELL
            base = MARGIN + y * LINE + 13
            place = f'x="{x:.1f}" y="{base}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"'
            found.append(f'<text {place} fill="{ink}"{more} xml:space="preserve">{words}</text>')
        at += size
    return found


def svg(picture: Frame) -> str:
    """The frame as a picture."""
    columns = sum(cells(text) for text, _ in picture[0])
    wide, high = columns * CELL + 2 * MARGIN, len(picture) * LINE + 2 * MARGIN
    body = [line for y, row in enumerate(picture) for line in row_of(row, y)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" '
        f'font-family="{escape(FONT)}" font-size="{SIZE}" role="img" aria-label="leaseq tui">'
    )
    paper = f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>'
    return "\n".join([head, paper, *body, "</svg>"]) + "\n"


def main() -> None:
    os.environ["TZ"] = "UTC"
    time.tzset()
    scene = arranged(situations.scene(situations.busy(), Ui(), size="120x40"))
    (ROOT / "docs" / "monitor.svg").write_text(svg(frame(scene)), encoding="utf-8")


if __name__ == "__main__":
    main()
