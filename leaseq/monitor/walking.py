"""Where the keys of movement go: the cursor of a view, of a list, or the text of a pane."""

from __future__ import annotations

from leaseq.monitor import moves
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.pane import VIEWS
from leaseq.monitor.stage import laid_out


def vertical(scene: Scene, by: int) -> Ui:
    """The cursor, or the text of the focused pane, has moved by that many lines."""
    if scene.ui.focus in VIEWS:
        from leaseq.monitor import views  # not before the first frame

        return views.moved(scene, down=by)
    return moves.vertical(scene, by)


def sideways(scene: Scene, by: int) -> Ui:
    """In a view the cursor has moved; else the pane in that direction has the focus."""
    if scene.ui.focus in VIEWS:
        from leaseq.monitor import views

        return views.moved(scene, right=by)
    return moves.sideways(scene, by)


def page(scene: Scene, by: int) -> Ui:
    """As `vertical`, by what the pane shows."""
    rect = laid_out(scene).panes.get(scene.ui.focus)
    return vertical(scene, by * max(1, (rect.height if rect else 10) - 2))
