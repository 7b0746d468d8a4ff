"""Moving about: cursors, panes, filters, the log. Each gives a new state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaseq.dataclass import dataclass, replace
from leaseq.monitor import detail
from leaseq.monitor.cursor import FAR, LISTS, of_task
from leaseq.monitor.filters import Filter
from leaseq.monitor.logs import current, shown_index
from leaseq.monitor.model import FEW_ROWS, ROWS_MAX, Scene, Ui, fresh_log, say
from leaseq.monitor.pane import VIEWS, Pane
from leaseq.monitor.stage import laid_out
from leaseq.monitor.wants import shown_attempt

if TYPE_CHECKING:
    pass

NEAR_END = 20
STREAMS = ("both", "out", "err")


@dataclass(frozen=True)
class Mouse:
    """What the mouse did: `kind` is press, up or down (the wheel); the place counts from 0."""

    kind: str
    x: int
    y: int


def vertical(scene: Scene, by: int) -> Ui:
    """The cursor of the focused list, or the text of the focused pane, has moved by that many lines."""
    pane = scene.ui.focus
    if pane is Pane.LOGS:
        return scroll_log(scene, by)
    if pane is Pane.DETAIL:
        return _scroll_detail(scene, by)
    return select(scene, pane, _place(scene, pane) + by)


def _place(scene: Scene, pane: Pane) -> int:
    return {Pane.LEASES: scene.lease_place, Pane.NODES: scene.node_place, Pane.TASKS: scene.task_place}[pane]


def select(scene: Scene, pane: Pane, place: int) -> Ui:
    """The list's cursor is on that place, or the nearest there is."""
    ui = replace(scene.ui, last_list=pane)
    rows = {Pane.LEASES: scene.data.leases.rows, Pane.NODES: scene.nodes, Pane.TASKS: scene.tasks}[pane]
    if not rows:
        return ui
    place = max(0, min(place, len(rows) - 1))
    ui = replace(ui, places={**ui.places, pane: place}, tops={**ui.tops, Pane.DETAIL: 0})
    if pane is Pane.LEASES:
        return replace(ui, lease=scene.data.leases.rows[place].id)
    if pane is Pane.NODES:
        return replace(ui, node=scene.nodes[place].node)
    if place >= len(rows) - NEAR_END and scene.unread:
        ui = replace(ui, rows=min(ROWS_MAX, ui.rows * 2))
    return of_task(ui, scene.tasks[place].id)


def _scroll_detail(scene: Scene, by: int) -> Ui:
    rect = laid_out(scene).panes.get(Pane.DETAIL)
    if rect is None:
        return scene.ui
    most = max(0, len(detail.content(scene, rect.width)) - rect.height)
    top = max(0, min(scene.ui.tops.get(Pane.DETAIL, 0) + by, most))
    return replace(scene.ui, tops={**scene.ui.tops, Pane.DETAIL: top})


# -- panes -------------------------------------------------------------------------------------------


def focus(ui: Ui, pane: Pane) -> Ui:
    return replace(ui, focus=pane, zoom=False, last_list=pane if pane in LISTS or pane in VIEWS else ui.last_list)


def next_pane(scene: Scene, by: int) -> Ui:
    tabs = laid_out(scene).tabs
    place = tabs.index(scene.ui.focus) if scene.ui.focus in tabs else 0
    return scene.ui if scene.ui.zoom else focus(scene.ui, tabs[(place + by) % len(tabs)])


def sideways(scene: Scene, by: int) -> Ui:
    """The nearest pane in that direction; if only one is shown, the next one."""
    layout = laid_out(scene)
    here = layout.panes.get(scene.ui.focus)
    if layout.single or here is None:
        return next_pane(scene, by)
    middle = here.x + here.width // 2, here.y + here.height // 2
    best, nearest = None, float("inf")
    for pane, rect in layout.panes.items():
        aside = rect.x >= here.x + here.width if by > 0 else rect.x + rect.width <= here.x
        distance = abs(rect.x + rect.width // 2 - middle[0]) + 3 * abs(rect.y + rect.height // 2 - middle[1])
        if pane is not scene.ui.focus and aside and distance < nearest:
            best, nearest = pane, distance
    return focus(scene.ui, best) if best else next_pane(scene, by)


def zoom(scene: Scene) -> Ui:
    """The logs have the whole screen, or give it back."""
    ui = scene.ui
    if ui.zoom:
        alone = ui.view is not None and ui.view.pane not in VIEWS
        return replace(ui, zoom=False, focus=Pane.LOGS if alone else ui.last_list)
    return replace(ui, zoom=True, focus=Pane.LOGS)


def next_filter(scene: Scene) -> Ui:
    return filtered(scene, scene.ui.filter.next())


def filtered(scene: Scene, wanted: Filter) -> Ui:
    """The list of tasks has that filter."""
    ui = scene.ui
    return replace(focus(ui, Pane.TASKS), view=None, filter=wanted, rows=FEW_ROWS)


# -- the log -----------------------------------------------------------------------------------------


def follow(scene: Scene) -> Ui:
    """The end of the output is kept in sight, or what is shown stays."""
    if not scene.ui.follow:
        return replace(scene.ui, follow=True, log_mark=None)
    log, rect = current(scene), laid_out(scene).panes.get(Pane.LOGS)
    if log is None or rect is None or not log.lines:
        return replace(scene.ui, follow=False)
    top = log.lines[shown_index(scene, log, rect.width, rect.height)].at
    return replace(scene.ui, follow=False, log_top=top, log_lift=0, log_whole=log.whole)


def next_stream(scene: Scene) -> Ui:
    place = STREAMS.index(scene.ui.stream)
    return replace(fresh_log(scene.ui), stream=STREAMS[(place + 1) % len(STREAMS)])


def attempt(scene: Scene, by: int) -> Ui:
    """The output of an earlier attempt is shown, or of a later one."""
    shown = shown_attempt(scene)
    last = shown_attempt(replace(scene, ui=replace(scene.ui, log_attempt=0)))
    wanted = shown + by
    if last < 2 or not 1 <= wanted <= last:
        which = "the first" if by < 0 else "the last"
        return say(scene.ui, f"attempt {shown} is {which}" if last > 1 else "there was one attempt only", "dim")
    return replace(fresh_log(scene.ui), log_attempt=0 if wanted == last else wanted)


def scroll_log(scene: Scene, by: int) -> Ui:
    """Up leaves the end, and a far way up is the first line of all; down to the end follows again."""
    log, rect = current(scene), laid_out(scene).panes.get(Pane.LOGS)
    if log is None or rect is None or not log.lines:
        return scene.ui
    if by >= FAR:
        return replace(scene.ui, follow=True, seek=None)
    top = shown_index(scene, log, rect.width, rect.height) + by
    last = len(log.lines) - rect.height
    if by > 0 and top >= last and log.live:
        return replace(scene.ui, follow=True)
    if last <= 0 and log.begin == 0:
        return scene.ui
    at = 0 if by <= -FAR else log.lines[max(0, min(top, last))].at
    whole = log.whole if scene.ui.follow else scene.ui.log_whole
    return replace(scene.ui, follow=False, log_top=at, log_lift=0, log_whole=whole)
