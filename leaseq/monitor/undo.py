"""What keys and menus have done here and can be taken back: what it was before, and what brings that back. Pure."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.models import ANY, State
from leaseq.monitor.deed import Undo
from leaseq.monitor.effects import Run, Step
from leaseq.monitor.model import Scene, Ui, say
from leaseq.monitor.overlays import Confirm
from leaseq.names import priority_of
from leaseq.reading.views import TaskView
from leaseq.schema import whole

KEPT = 50
BACK = {"hold": "release", "release": "hold", "pause": "resume", "resume": "pause"}
"""What takes the verb back; a verb that is not here has one of its own."""


def priority(task: TaskView) -> str | None:
    """The pending task's, by the name of its file; None if it has none now."""
    place = None if task.place is None else whole(priority_of(task.place.name))
    return None if place is None else str(500 - place)


def done(ui: Ui, undo: Undo) -> Ui:
    """It is the last thing that was done."""
    return replace(ui, undos=(*ui.undos, undo)[-KEPT:])


def last(scene: Scene) -> Undo | None:
    """What was done last in the lease that is looked at, and not taken back since."""
    return next((each for each in reversed(scene.ui.undos) if each.lease == scene.data.lease_id), None)


def undo(scene: Scene) -> Step:
    """The last thing is taken back, or it is said why that cannot be any more."""
    each = last(scene)
    assert each is not None
    ui = replace(scene.ui, undos=tuple(other for other in scene.ui.undos if other is not each))
    runs, why = _back(scene, each)
    if not runs:
        return Step(say(ui, f"cannot be undone any more: {each.words}: {why}", "warn"))
    held = [task for task in runs[0].words if each.before.get(task) == "held"] if each.verb == "cancel" else []
    if held:
        # Nothing queues a task again and holds it in one step.
        lines = ("it was held, and is queued again free: it may start at once.", "t in its menu holds it then")
        return Step(replace(ui, overlay=Confirm(f"undo {each.words}", lines, runs[0].words, undoes=each.words)))
    return Step(ui, tuple(runs))


def _back(scene: Scene, each: Undo) -> tuple[list[Run], str]:
    """The commands that take it back; or why there is none."""
    on = ("--lease", each.lease)
    if each.verb in ("pause", "resume"):
        group = ("-g", each.group) if each.group else ()
        return [Run((BACK[each.verb], *on, *group), undoes=each.words)], ""
    shot = scene.data.lease.snapshot
    rows = {row.id: row for row in shot.tasks} if shot else {}
    whys = {task: _too_late(rows.get(task), each) for task in each.tasks}
    left = [task for task in each.tasks if not whys[task]]
    if not left:
        return [], "; ".join(list(dict.fromkeys(whys.values()))[:2])
    if each.verb in ("set", "move"):
        return [
            _as_before(each, value, [t for t in left if each.before[t] == value]) for value in _values(each, left)
        ], ""
    verb = "retry" if each.verb == "cancel" else BACK[each.verb]
    return [Run((verb, *on, *left), undoes=each.words)], ""


def _values(each: Undo, tasks: list[str]) -> list[str]:
    return list(dict.fromkeys(each.before[task] for task in tasks))


def _as_before(each: Undo, value: str, tasks: list[str]) -> Run:
    """These tasks have their old priority, or are pinned as they were."""
    if each.verb == "set":
        return Run(("set", "--lease", each.lease, "--priority", value, *tasks), undoes=each.words)
    return Run(("move", "--node", "any" if value == ANY else value, *tasks), undoes=each.words)


def _too_late(row: TaskView | None, each: Undo) -> str:
    """Why it cannot be taken back of the task, as far as it is known; empty if it may be.

    What was read last may be from before it was done: then the command judges.
    """
    if row is None:
        return "it is not among the tasks that are shown" if each.verb == "cancel" else ""
    if each.verb == "cancel":
        if row.state not in (State.CANCELLED, State.PENDING):
            return f"{row.id[:8]} is {row.state.name} by now"
        return f"{row.id[:8]} had started: what it did is lost; m, a runs it again" if row.started else ""
    if row.state is not State.PENDING:
        return f"{row.id[:8]} is {row.state.name} by now"
    now = {"set": priority(row), "move": row.node}.get(each.verb)
    known = (None, each.made, each.before.get(row.id))
    return "" if now in known else f"{row.id[:8]} was changed again since"
