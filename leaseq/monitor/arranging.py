"""The scene as it is shown: its selections in sight, the view's cursor on something that is there."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.monitor.model import FAILURES, Scene, settled
from leaseq.monitor.pane import Pane
from leaseq.monitor.panes import has_header, has_more_line
from leaseq.monitor.stage import laid_out


def arranged(scene: Scene) -> Scene:
    """The scene with its selections in sight, as the sizes of the panes demand."""
    layout = laid_out(scene)
    heights = {pane: rect.height for pane, rect in layout.panes.items()}
    if Pane.TASKS in heights:
        heights[Pane.TASKS] -= has_header(heights[Pane.TASKS])
        scene = replace(scene, room=heights[Pane.TASKS])
        if scene.more and has_more_line(scene.room):
            heights[Pane.TASKS] -= 1
            scene = replace(scene, room=heights[Pane.TASKS])
    scene = settled(scene, heights)
    if scene.ui.view is not None:
        from leaseq.monitor import views  # as all of them: not before the first frame

        scene = views.settled(scene, layout)
    failed = Pane.LOGS in heights and scene.task is not None and scene.task.state in FAILURES
    if scene.ui.seek is None and not failed:
        return scene
    from leaseq.monitor.seeking import resolved

    return resolved(scene, heights.get(Pane.LOGS, scene.lines))
