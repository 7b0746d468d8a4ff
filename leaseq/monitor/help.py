"""The help window: the table of keys in words."""

from __future__ import annotations

from leaseq.monitor.keymap import EVERY, TABLE, Key
from leaseq.monitor.model import Scene
from leaseq.monitor.panes import Rows
from leaseq.monitor.text import Span, fit, width


def help_rows(scene: Scene) -> Rows:
    """The table as help: the keys of the focused pane first, then those that work everywhere."""
    pane = scene.ui.focus
    usable = [entry for entry in TABLE if pane in entry.panes and not (entry.changes and scene.ui.readonly)]
    here = [entry for entry in usable if entry.panes != EVERY]
    everywhere = [entry for entry in usable if entry.panes == EVERY]
    left, right = _section(f"in {pane.value}", here), _section("everywhere", everywhere)
    wide = max(width(row) for row in left) + 2
    if wide + max(width(row) for row in right) > scene.columns - 8:
        return [*left, [], *right]
    rows: Rows = []
    for n in range(max(len(left), len(right))):
        first = left[n] if n < len(left) else []
        gap = (" " * (wide - width(first)), "")
        rows.append([*first, gap, *(right[n] if n < len(right) else [])])
    return rows


def _section(title: str, entries: list[Key]) -> Rows:
    rows: Rows = [[(f" {title}", "bold")]]
    for entry in entries:
        spans: list[Span] = [(f" {fit(entry.label, 11)}", "key"), (entry.help, "")]
        rows.append(spans)
    return rows
