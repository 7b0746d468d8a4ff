"""The views that are opened over the lists: what each shows, how its cursor moves, what Enter goes on to. Pure."""

from __future__ import annotations

from types import ModuleType

from leaseq.dataclass import replace
from leaseq.monitor import grid, jobs, timeline, tree
from leaseq.monitor.cursor import LISTS, of_task
from leaseq.monitor.effects import Step
from leaseq.monitor.layout import Layout
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.pane import VIEWS, Pane
from leaseq.monitor.panes import Rows
from leaseq.monitor.stage import laid_out
from leaseq.monitor.viewing import Viewing
from leaseq.reading.views import TaskView

MODULES = {Pane.GRID: grid, Pane.TIMELINE: timeline, Pane.TREE: tree, Pane.JOBS: jobs}


def _module(scene: Scene) -> ModuleType:
    """That of the view that is open."""
    assert scene.ui.view is not None
    return MODULES[scene.ui.view.pane]


def rows(scene: Scene, columns: int, height: int) -> Rows:
    """What stands in the pane of the view that is open."""
    found: Rows = _module(scene).rows(scene, columns, height)
    return found


def title(scene: Scene) -> str:
    found: str = _module(scene).title(scene)
    return found


def settled(scene: Scene, layout: Layout) -> Scene:
    """The scene with the view's cursor on something that is there."""
    view = scene.ui.view
    rect = layout.panes.get(view.pane) if view is not None and view.pane in MODULES else None
    if rect is None:
        return scene
    return replace(scene, ui=_module(scene).settled(scene, rect.width, rect.height))


def _room(scene: Scene) -> tuple[int, int]:
    """(columns, lines) of the view's pane."""
    view = scene.ui.view
    rect = laid_out(scene).panes.get(view.pane) if view else None
    return (rect.width, rect.height) if rect else (scene.columns, scene.lines)


# -- open and close ------------------------------------------------------------------------------------


def opened(scene: Scene, view: Viewing) -> Ui:
    """The view is open over what was there; Esc goes back to that."""
    ui = scene.ui
    before = ui.view.task if ui.view else scene.task.id if scene.task else ""
    pane = ui.view.before if ui.view else ui.focus if ui.focus in LISTS else Pane.TASKS
    view = replace(view, back=ui.view, task=before, before=pane)
    task = ui.task if ui.view else before
    return replace(ui, view=view, focus=view.pane, last_list=_list(view), zoom=False, task=task)


def _list(view: Viewing) -> Pane:
    """Of which list the detail shows what is selected."""
    return view.pane if view.pane in VIEWS else Pane.TASKS


def left(scene: Scene) -> Ui:
    """From the output back to the view; from the view to what was there before it."""
    ui, view = scene.ui, scene.ui.view
    assert view is not None
    if ui.focus is not view.pane and view.pane is not Pane.DETAIL:
        return replace(ui, focus=view.pane, last_list=_list(view))
    if view.back is not None:
        return replace(ui, view=view.back, focus=view.back.pane, last_list=_list(view.back))
    ui = replace(ui, view=None, focus=view.before, last_list=view.before)
    return of_task(ui, view.task) if view.task else ui


def unfold(scene: Scene) -> Ui:
    """The indices of the selected array."""
    assert scene.task is not None
    return replace(opened(scene, Viewing(Pane.GRID, scene.task.id)), task="")


def group(scene: Scene) -> Ui:
    """The tasks of the selected one's group, that one under the cursor."""
    assert scene.task is not None
    return opened(scene, Viewing(Pane.GRID, f"{grid.GROUP_PREFIX}{scene.task.group}"))


def ran(scene: Scene) -> Ui:
    """What ran where in the last hours, the cursor on the selected task if it did."""
    return opened(scene, Viewing(Pane.TIMELINE, scene.data.lease_id))


def dependencies(scene: Scene) -> Ui:
    """What comes after what, the cursor on the selected task if it does."""
    return opened(scene, Viewing(Pane.TREE, scene.data.lease_id))


def allocations(scene: Scene) -> Ui:
    """The allocations of the lease under the cursor, or of the one that is looked at, and what is next."""
    lease = scene.lease.id if scene.lease and scene.ui.focus is Pane.LEASES else scene.data.lease_id
    return opened(scene, Viewing(Pane.JOBS, lease))


def one(scene: Scene, task: str) -> Ui:
    """One task, its detail over its output."""
    return of_task(replace(opened(scene, Viewing(Pane.DETAIL, task)), focus=Pane.LOGS), task)


# -- keys in a view --------------------------------------------------------------------------------------


def moved(scene: Scene, *, down: int = 0, right: int = 0) -> Ui:
    found: Ui = _module(scene).moved(scene, *_room(scene), down=down, right=right)
    return found


def sought(scene: Scene, by: int) -> Ui:
    return grid.sought(scene, *_room(scene), by)


def scrolled(scene: Scene, by: int) -> Ui:
    return timeline.scrolled(scene, by)


def zoomed(scene: Scene, by: int) -> Ui:
    return timeline.zoomed(scene, by)


def now(scene: Scene) -> Ui:
    return timeline.now(scene)


def entered(scene: Scene) -> Step:
    """What the cursor is on is shown."""
    found = _module(scene).into(scene, *_room(scene))
    if isinstance(found, Viewing):
        return Step(opened(scene, found))
    if isinstance(found, TaskView):
        return Step(unfold(scene) if found.array is not None else one(scene, found.id))
    return Step(scene.ui)


def clicked(scene: Scene, x: int, y: int) -> Step:
    """What stands there is under the cursor; if it was already, it is shown."""
    view = scene.ui.view
    assert view is not None
    rect = laid_out(scene).panes[view.pane]
    ui = _module(scene).clicked(scene, rect.width, rect.height, x - rect.x, y - rect.y)
    if ui is None:
        return Step(replace(scene.ui, focus=view.pane))
    if ui.view == view and scene.ui.focus is view.pane:
        return entered(scene)
    return Step(replace(ui, focus=view.pane))
