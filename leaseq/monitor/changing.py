"""Pending tasks and queues are made other than they are: the commands, and what is asked before. Pure."""

from __future__ import annotations

from functools import partial

from leaseq.limit_names import ALL_GROUPS
from leaseq.models import ANY, State
from leaseq.monitor import acts
from leaseq.monitor.deed import Undo
from leaseq.monitor.effects import Run, Step
from leaseq.monitor.model import Scene
from leaseq.monitor.overlays import Edit, Item, Menu, Prompt, choice
from leaseq.monitor.undo import priority
from leaseq.reading.views import TaskView
from leaseq.words import count


def pending(scene: Scene) -> list[TaskView]:
    """Those of the chosen tasks that wait."""
    return [task for task in scene.chosen if task.state is State.PENDING]


def _which(tasks: list[TaskView]) -> str:
    return tasks[0].id[:8] if len(tasks) == 1 else count(len(tasks), "task")


# -- priority ----------------------------------------------------------------------------------------


def ask_priority(scene: Scene) -> Step:
    """A number is typed, beginning with the one that there is."""
    tasks = pending(scene)
    known = {priority(task) for task in tasks}
    now = known.pop() if len(known) == 1 else None
    about = f"priority of {_which(tasks)}, -499 to 499: "
    return acts.opened(scene, Prompt("priority", Edit.of(now or "0"), about=about))


def with_priority(scene: Scene, typed: str) -> Run | str:
    """The command that gives the chosen tasks that priority."""
    tasks, made = pending(scene), typed.strip()
    if not tasks:
        return "only a pending task has a priority"
    ids = tuple(task.id for task in tasks)
    before = {task.id: known for task in tasks if (known := priority(task)) is not None}
    undo = Undo(scene.data.lease_id, "set", tuple(before), before=before, made=made)
    return Run(("set", "--lease", scene.data.lease_id, "--priority", made, *ids), undo=undo)


# -- node --------------------------------------------------------------------------------------------


def pins(scene: Scene) -> Step:
    """The nodes that the chosen pending tasks may be pinned to."""
    tasks = pending(scene)
    now = {task.node for task in tasks}
    names = [view.node for view in scene.nodes if now != {view.node}]
    free = [] if now == {ANY} else [Item("a", "any node: whichever has room first", partial(_pin, node=ANY))]
    items = [Item(choice(number), name, partial(_pin, node=name)) for number, name in enumerate(names)]
    return acts.opened(scene, Menu(f"which node runs {_which(tasks)}?", (*free, *items)))


def _pin(scene: Scene, node: str) -> Step:
    tasks = [task for task in pending(scene) if task.node != node]
    before = {task.id: task.node or ANY for task in tasks}
    undo = Undo(scene.data.lease_id, "move", tuple(before), before=before, made=node)
    return acts.opened(scene, Run(("move", "--node", "any" if node == ANY else node, *before), undo=undo))


# -- pausing -----------------------------------------------------------------------------------------


def is_paused(scene: Scene, group: str) -> bool:
    """True if that group, or with none the lease, is itself paused."""
    shot = scene.data.lease.snapshot
    return shot is not None and (group or ALL_GROUPS) in shot.limits.paused


def pause(scene: Scene, group: str = "") -> Step:
    """The group, or the lease, starts nothing more, or starts tasks again."""
    verb = "resume" if is_paused(scene, group) else "pause"
    words = (verb, "--lease", scene.data.lease_id, *(("-g", group) if group else ()))
    return acts.opened(scene, Run(words, undo=Undo(scene.data.lease_id, verb, group=group)))
