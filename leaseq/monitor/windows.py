"""Where a window stands over the panes and what is in it, and the line that is typed at the bottom."""

from __future__ import annotations

from leaseq.monitor import logs, overlays
from leaseq.monitor.actions import form_line
from leaseq.monitor.help import help_rows
from leaseq.monitor.model import Scene
from leaseq.monitor.panes import Rows
from leaseq.monitor.text import Span, pad, part, splice, width
from leaseq.widths import cells

HELP_COLUMNS = 150


def help_columns(scene: Scene) -> int:
    """The columns of what stands in the help window."""
    return min(room_over(scene)[0], HELP_COLUMNS) - 2


def prompt(scene: Scene, columns: int) -> list[Span]:
    """The line that is being typed, with the number of matches; nothing if none is."""
    overlay = scene.ui.overlay
    if not isinstance(overlay, overlays.Prompt):
        return []
    count = ""
    if overlay.kind == "filter":
        count = " {:,} of {:,} ".format(*scene.listed)
    elif overlay.kind == "find":
        log = scene.data.log
        part = "" if log.live and not log.begin else " of those read"
        count = f" {len(logs.matches(log, scene.ui.log_find)):,} lines{part} "
    room = columns - 1 - cells(count)
    return pad([(overlay.sign, "key"), *overlay.edit.spans(max(1, room)), (count, "dim")], columns)


def put_over(rows: list[list[Span]], scene: Scene) -> None:
    """What is open stands over the panes."""
    overlay = scene.ui.overlay
    if overlay is None or isinstance(overlay, overlays.Prompt) or scene.columns < 12 or scene.lines < 5:
        return
    drawn = overlay_rows(scene, overlay)
    wide = width(drawn[0])
    x, y = (scene.columns - wide) // 2, max(0, (scene.lines - len(drawn)) // 2)
    for offset, row in enumerate(drawn[: scene.lines]):
        rows[y + offset] = splice(pad(rows[y + offset], scene.columns), x, row)


def room_over(scene: Scene) -> tuple[int, int]:
    """(columns, lines) that a window may take."""
    return scene.columns - (4 if scene.columns >= 60 else 0), scene.lines - (4 if scene.lines >= 16 else 2)


def clipped(rows: Rows, height: int, at: int) -> Rows:
    """As many rows as there is room for, that one among them."""
    top = clipped_top(len(rows), height, at)
    return rows[top : top + max(1, height)]


def clipped_top(count: int, height: int, at: int) -> int:
    return max(0, min(at - height // 2, count - height))


def overlay_rows(scene: Scene, overlay: object) -> Rows:
    most, high = room_over(scene)
    if isinstance(overlay, overlays.Menu):
        wide = max(cells(overlay.title) + 6, *(cells(i.label) + cells(i.why_not) + 9 for i in overlay.items))
        wide = min(most, wide + 2)
        rows = clipped(overlays.menu_rows(overlay, wide - 2), high - 2, overlay.at)
        return overlays.box(overlay.title, rows, wide, "Enter · Esc")
    if isinstance(overlay, overlays.Confirm):
        wide = min(most, 64)
        rows = overlays.confirm_rows(overlay, wide - 2)
        return overlays.box(overlay.title, clipped(rows, high - 2, len(rows)), wide)
    if isinstance(overlay, overlays.Form):
        wide = min(most, 78)
        foot_words = "Tab next · Enter does it · ctrl-p preview · Esc" if overlay.kind == "add" else "Tab · Enter · Esc"
        rows = overlays.form_rows(overlay, wide - 2, form_line(overlay))
        return overlays.box(overlay.title, clipped(rows, high - 2, overlay.at), wide, foot_words)
    if isinstance(overlay, overlays.Help):
        content = help_rows(scene, help_columns(scene))
        wide = min(most, max(width(row) for row in content) + 3)
        high = min(high - 2, len(content))
        top = max(0, min(overlay.top, len(content) - high))
        shown = [part(row, 0, wide - 2) for row in content[top : top + high]]
        return overlays.box("keys", shown, wide, "j/k scroll · Esc" if len(content) > high else "Esc")
    assert isinstance(overlay, overlays.Output)
    wide = overlays.output_width(overlay, most)
    content = overlays.output_content(overlay, wide)
    high = min(high - 2, len(content))
    top = max(0, min(overlay.top, len(content) - high))
    shown = [[(" ", ""), *row] for row in content[top : top + high]]
    return overlays.box(overlay.title, shown, wide, "j/k scroll · Esc" if len(content) > high else "Esc")
