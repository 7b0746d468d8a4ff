"""The mouse: a click selects, a second one is Enter, the wheel scrolls what is under it. Hints can be clicked."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.monitor import dialogs, moves, views, walking
from leaseq.monitor.effects import Step
from leaseq.monitor.layout import Rect
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.moves import Mouse
from leaseq.monitor.overlays import Help, Menu, Output, Prompt
from leaseq.monitor.pane import VIEWS, Pane
from leaseq.monitor.panes import leases_shown, node_at
from leaseq.monitor.press import press
from leaseq.monitor.stage import laid_out, task_at
from leaseq.monitor.text import width
from leaseq.monitor.view import footer_hit
from leaseq.monitor.windows import clipped_top, overlay_rows

WHEEL_LINES = 3


def moved(scene: Scene, mouse: Mouse) -> Step:
    """What the mouse makes of the scene."""
    layout = laid_out(scene)
    overlay = scene.ui.overlay
    if overlay is not None and not isinstance(overlay, Prompt):
        return _over(scene, overlay, mouse)
    if mouse.kind == "press" and mouse.y == layout.foot:
        key = footer_hit(scene, mouse.x)
        return press(scene, key) if key else Step(scene.ui)
    found = next(((pane, rect) for pane, rect in layout.panes.items() if rect.holds(mouse.x, mouse.y)), None)
    if found is None:
        return Step(scene.ui)
    pane, rect = found
    if mouse.kind != "press":
        by = WHEEL_LINES if mouse.kind == "down" else -WHEEL_LINES
        ui = walking.vertical(replace(scene, ui=replace(scene.ui, focus=pane)), by)
        return Step(replace(ui, focus=scene.ui.focus, last_list=scene.ui.last_list))
    if pane in VIEWS:
        return views.clicked(scene, mouse.x, mouse.y)
    return _click(scene, pane, rect, mouse.y)


def _click(scene: Scene, pane: Pane, rect: Rect, y: int) -> Step:
    place = _place(scene, pane, rect, y)
    ui = scene.ui if scene.ui.zoom else moves.focus(scene.ui, pane)
    if place is None:
        return Step(ui)
    before = {Pane.TASKS: scene.task_place, Pane.NODES: scene.node_place, Pane.LEASES: scene.lease_place}[pane]
    focused = replace(scene, ui=ui)
    if place == before and scene.ui.focus is pane:
        return press(focused, "enter")
    return Step(moves.select(focused, pane, place))


def _place(scene: Scene, pane: Pane, rect: Rect, y: int) -> int | None:
    """The place in the pane's list of what stands there."""
    if pane is Pane.TASKS:
        return task_at(scene, rect, y)
    if pane is Pane.NODES:
        view = node_at(scene, rect.height, y - rect.y)
        return scene.nodes.index(view) if view else None
    if pane is Pane.LEASES:
        shown = leases_shown(scene, rect.height)[y - rect.y :]
        return scene.data.leases.rows.index(shown[0]) if shown else None
    return None


def _over(scene: Scene, overlay: object, mouse: Mouse) -> Step:
    if mouse.kind != "press":
        scrolls = isinstance(overlay, (Help, Output, Menu))
        return dialogs.press(scene, "j" if mouse.kind == "down" else "k") if scrolls else Step(scene.ui)
    rows = overlay_rows(scene, overlay)
    left, top = (scene.columns - width(rows[0])) // 2, max(0, (scene.lines - len(rows)) // 2)
    if not Rect(left, top, width(rows[0]), len(rows)).holds(mouse.x, mouse.y):
        return dialogs.press(scene, "esc")
    if isinstance(overlay, Menu) and 0 < mouse.y - top < len(rows) - 1:
        at = mouse.y - top - 1 + clipped_top(len(overlay.items), len(rows) - 2, overlay.at)
        chosen: Ui = replace(scene.ui, overlay=replace(overlay, at=at))
        return dialogs.press(replace(scene, ui=chosen), "enter")
    return Step(scene.ui)
