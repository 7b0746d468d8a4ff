"""Which panes this scene has and where, what stands in the rows between, and what is under the mouse."""

from __future__ import annotations

from leaseq.monitor.banners import banner
from leaseq.monitor.layout import Ask, Layout, Rect, arrange
from leaseq.monitor.model import Scene
from leaseq.monitor.pane import Pane
from leaseq.monitor.panes import Rows, has_header
from leaseq.monitor.text import wrap


def laid_out(scene: Scene) -> Layout:
    """Where the panes of this scene are."""
    ui = scene.ui
    ask = Ask(
        focus=ui.focus,
        zoom=ui.zoom,
        banner=bool(banner(scene)),
        message_lines=len(message_lines(scene)),
        leases=len(scene.data.leases.rows),
        view=ui.view.pane if ui.view else None,
    )
    return arrange(scene.columns, scene.lines, ask)


def message_lines(scene: Scene) -> Rows:
    message = scene.ui.message
    if message is None:
        return []
    lines = [part for line in message.text.splitlines() for part in wrap(line, scene.columns - 2)]
    return [[(f" {line}", message.style)] for line in lines[:3]]


def task_at(scene: Scene, rect: Rect, y: int) -> int | None:
    """The place in the task list of what stands in that row of the screen."""
    row = y - rect.y - has_header(rect.height)
    place = scene.ui.tops.get(Pane.TASKS, 0) + row
    return place if 0 <= row < max(1, scene.room) and place < len(scene.tasks) else None
