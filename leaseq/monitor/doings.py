"""What was done in this monitor, when, and what was answered. Pure."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.monitor.detail import clock
from leaseq.monitor.model import Doing, Scene, Ui
from leaseq.monitor.text import Spans
from leaseq.words import visible

KEPT = 200
ANSWER_LINES = 3
"""So many lines of an answer are kept."""


def noted(ui: Ui, at: float, line: str, *, code: int = 0, answer: str = "") -> Ui:
    """With one command more, the oldest of very many forgotten."""
    lines = [line for line in answer.split("\n") if line.strip()]
    more = [f"… {len(lines) - ANSWER_LINES} more lines"] if len(lines) > ANSWER_LINES + 1 else []
    kept = (*lines[: ANSWER_LINES if more else ANSWER_LINES + 1], *more)
    return replace(ui, doings=(*ui.doings, Doing(at, line, code, kept))[-KEPT:])


def lines(scene: Scene) -> tuple[Spans, ...]:
    """All of them, the newest first."""
    found: list[Spans] = []
    for each in reversed(scene.ui.doings):
        found.append(((f"{clock(each.at, scene.wall)}  ", "dim"), (visible(each.line), "bold")))
        found += [((f"    {visible(line)}", "bad" if each.code else ""),) for line in each.answer]
        if each.code:
            found.append(((f"    ended with {each.code}", "bad"),))
    return tuple(found) or ((("nothing yet: what keys and : have run stands here", "dim"),),)
