"""From a task to what it waits for, and to what waits for it. Pure."""

from __future__ import annotations

from functools import partial

from leaseq.dataclass import replace
from leaseq.monitor import acts, moves
from leaseq.monitor.cursor import of_task
from leaseq.monitor.effects import Step, Watch
from leaseq.monitor.filters import Filter
from leaseq.monitor.model import Scene, say
from leaseq.monitor.overlays import Item, Menu, choice
from leaseq.monitor.pane import Pane
from leaseq.protocol.edges import BEGIN
from leaseq.reading.views import TaskView
from leaseq.words import visible

SHOWN_MAX = 20


def ups(task: TaskView) -> list[tuple[str, str]]:
    """(id, lease if it is another one) of the tasks that it waits for; of an index its array."""
    waits = [wait for wait in task.waits if wait.up.kind != BEGIN]
    return list(dict.fromkeys((wait.up.task, wait.up.lease if wait.elsewhere else "") for wait in waits))


def downs(scene: Scene, task: TaskView) -> list[tuple[str, str]]:
    """The tasks that wait for it, of those that are read."""
    shot = scene.data.lease.snapshot
    rows = shot.tasks if shot else ()
    return [(row.id, "") for row in rows if row.waits and any((task.id, "") == up for up in ups(row))]


def offer(scene: Scene, found: list[tuple[str, str]], title: str) -> Step:
    """The one that it is, or a choice of several."""
    if len(found) == 1:
        return to(scene, *found[0])
    shot = scene.data.lease.snapshot
    rows = {row.id: row for row in shot.tasks} if shot else {}
    items = [
        Item(
            choice(number),
            _label(rows.get(task), task, lease),
            partial(to, task=task, lease=lease),
        )
        for number, (task, lease) in enumerate(found[:SHOWN_MAX])
    ]
    return acts.opened(scene, Menu(title, tuple(items)))


def _label(row: TaskView | None, task: str, lease: str) -> str:
    if row is None:
        return f"{task} in lease {lease}" if lease else task
    return visible(f"{row.id[:8]} {row.state.name} {row.name or row.command}")[:60]


def to(scene: Scene, task: str, lease: str = "") -> Step:
    """That task is under the cursor of the list of tasks; of another lease once that is read."""
    if lease:
        return Step(scene.ui, (Watch(lease, task),))
    if not any(row.id == task for row in scene.tasks):
        shot = scene.data.lease.snapshot
        if not any(row.id == task for row in (shot.tasks if shot else ())):
            # It may be one of those that are not read: words are looked for in all of them.
            ui = say(scene.ui, f"{task} is searched; Esc shows all again", "dim")
            return Step(replace(moves.focus(ui, Pane.TASKS), filter=Filter.ALL, text=task, only_node="", view=None))
        scene = replace(scene, ui=replace(scene.ui, filter=Filter.ALL, text="", only_node=""))
    return Step(of_task(replace(moves.focus(scene.ui, Pane.TASKS), view=None), task))
