"""What keys and the lines of menus do. Each gives a new state, and what is to be done outside.

What only a pressed key needs is imported then: it would be felt before the first frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaseq.dataclass import replace
from leaseq.monitor import moves, walking
from leaseq.monitor.cursor import LISTS
from leaseq.monitor.effects import Step
from leaseq.monitor.model import Scene, Sort, Ui, say
from leaseq.monitor.pane import Pane
from leaseq.monitor.stage import laid_out
from leaseq.monitor.wants import shown_attempt

if TYPE_CHECKING:
    from leaseq.monitor.effects import Foreground, Run
    from leaseq.monitor.overlays import Window


def opened(scene: Scene, value: Window | Run | Foreground | str) -> Step:
    """A window opens, a command runs, or the reason why not is said."""
    from leaseq.monitor.effects import Foreground, Run

    if isinstance(value, str):
        return Step(say(scene.ui, value, "warn"))
    if isinstance(value, (Run, Foreground)):
        return Step(scene.ui, (value,))
    return Step(replace(scene.ui, overlay=value))


# -- what opens a window or runs a command -------------------------------------------------------------


def cancel(scene: Scene) -> Step:
    from leaseq.monitor import actions

    return opened(scene, actions.cancel(scene))


def redo(scene: Scene) -> Step:
    from leaseq.monitor import actions

    return opened(scene, actions.redo(scene))


def recover(scene: Scene) -> Step:
    from leaseq.monitor import actions

    return opened(scene, actions.recover(scene))


def force(scene: Scene) -> Step:
    """Stuck tasks are queued again though they may still run, once that was asked."""
    from leaseq.monitor import actions

    return opened(scene, actions.recover(scene, force=True))


def hold(scene: Scene) -> Step:
    from leaseq.monitor import actions

    return opened(scene, actions.hold(scene))


def undo(scene: Scene) -> Step:
    """The last thing that was done here is taken back."""
    from leaseq.monitor import undo

    return undo.undo(scene)


def submit_form(scene: Scene) -> Step:
    from leaseq.monitor import actions, kept

    return opened(scene, kept.resumed(scene.ui, actions.submit_form(scene)))


def add_form(scene: Scene) -> Step:
    from leaseq.monitor import actions, kept

    return opened(scene, kept.resumed(scene.ui, actions.add_form(scene)))


def release_lease(scene: Scene) -> Step:
    from leaseq.monitor import actions

    return opened(scene, actions.release_lease(scene))


def watch(scene: Scene) -> Step:
    """The lease under the cursor is shown."""
    from leaseq.monitor.effects import Watch

    return Step(scene.ui, (Watch(scene.lease.id),)) if scene.lease else Step(scene.ui)


def refresh(scene: Scene) -> Step:
    from leaseq.monitor.effects import Refresh

    return Step(scene.ui, (Refresh(),))


def pause(scene: Scene) -> Step:
    return replace(refresh(scene), ui=replace(scene.ui, paused=not scene.ui.paused))


def quit(scene: Scene, code: int = 0) -> Step:
    from leaseq.monitor.effects import Quit

    return Step(scene.ui, (Quit(code),))


def interrupt(scene: Scene) -> Step:
    """What is open is left; if nothing is, the monitor ends."""
    return quit(scene, 130) if scene.ui.view is None else Step(escape(scene))


def help(scene: Scene) -> Step:
    from leaseq.monitor.overlays import Help

    return opened(scene, Help())


def doings(scene: Scene) -> Step:
    """What was done here is shown."""
    from leaseq.monitor.doings import lines
    from leaseq.monitor.overlays import Output

    return opened(scene, Output("what was done here", lines(scene)))


def command(scene: Scene) -> Step:
    from leaseq.monitor.overlays import Prompt

    return opened(scene, Prompt("command"))


def find(scene: Scene) -> Step:
    """Words are typed that lines of the output must have."""
    from leaseq.monitor.overlays import Edit, Prompt

    return opened(scene, Prompt("find", Edit.of(scene.ui.log_find), before=scene.ui.log_find))


def narrow(scene: Scene) -> Step:
    """Words are typed that tasks must have to be listed."""
    from leaseq.monitor.overlays import Edit, Prompt

    ui = replace(scene.ui, focus=Pane.TASKS, last_list=Pane.TASKS, view=None)
    return opened(replace(scene, ui=ui), Prompt("filter", Edit.of(ui.text), before=ui.text))


def shell(scene: Scene) -> Step:
    """A shell on the selected node, on the selected task's node, or on the lease's first."""
    from leaseq.monitor.effects import Foreground

    node, lease, shown = "", scene.data.lease_id, scene.ui.last_list
    if shown is Pane.JOBS and scene.ui.view:
        lease = scene.ui.view.of
    elif shown is Pane.LEASES:
        lease = scene.lease.id if scene.lease else lease
    elif shown is Pane.NODES:
        node = scene.node.node if scene.node else ""
    elif scene.task and scene.task.node != "_any":
        node = scene.task.node
    words = ("shell", "--lease", lease, *(("--node", node) if node else ()))
    return Step(scene.ui, (Foreground(words),))


def pager(scene: Scene) -> Step:
    """The whole output of the attempt that the logs pane shows."""
    from leaseq.monitor.effects import Pager

    task = scene.task
    assert task is not None
    streams = ("out", "err") if scene.ui.stream == "both" else (scene.ui.stream,)
    return Step(scene.ui, (Pager(scene.data.lease_id, task.id, shown_attempt(scene), streams),))


def copy(scene: Scene) -> Step:
    """What is selected in the focused pane, by its name."""
    from leaseq.monitor.effects import Copy

    ui = scene.ui
    if ui.focus is Pane.NODES and scene.node:
        text = scene.node.node
    elif ui.focus is Pane.LEASES and scene.lease:
        text = scene.lease.id
    else:
        text = " ".join(task.id for task in scene.chosen)
    return Step(ui, (Copy(text),)) if text else Step(say(ui, "nothing is selected"))


# -- the view ----------------------------------------------------------------------------------------


def next_match(scene: Scene, by: int) -> Ui:
    return _seek(scene, text=scene.ui.log_find, back=by < 0)


def next_error(scene: Scene, by: int) -> Ui:
    return _seek(scene, text="", back=by < 0)


def _seek(scene: Scene, *, text: str, back: bool) -> Ui:
    from leaseq.monitor import seeking

    rect = laid_out(scene).panes.get(Pane.LOGS)
    columns, height = (rect.width, rect.height) if rect else (scene.columns, 1)
    return seeking.seek(scene, text=text, back=back, columns=columns, height=height)


def escape(scene: Scene) -> Ui:
    """The last thing that narrows the view is dropped."""
    ui = scene.ui
    if ui.seek is not None:
        return say(replace(ui, seek=None), "the search was stopped", "dim")
    if ui.focus is Pane.LOGS and ui.log_find:
        return replace(ui, log_find="", log_mark=None)
    if ui.zoom:
        return moves.zoom(scene)
    if ui.view is None and (ui.text or ui.only_node):
        return replace(ui, text="", only_node="")
    if ui.view is not None:
        from leaseq.monitor import views

        return views.left(scene)
    if ui.marks:
        return replace(ui, marks=frozenset())
    return replace(ui, focus=ui.last_list if ui.focus not in LISTS else Pane.TASKS)


def mark(scene: Scene) -> Ui:
    assert scene.task is not None
    return walking.vertical(replace(scene, ui=replace(scene.ui, marks=scene.ui.marks ^ {scene.task.id})), 1)


def sort(scene: Scene, by: int) -> Ui:
    every = list(Sort)
    return replace(scene.ui, sort=every[(every.index(scene.ui.sort) + by) % len(every)])


def wrap(scene: Scene) -> Ui:
    return replace(scene.ui, wrap=not scene.ui.wrap)


def times(scene: Scene) -> Ui:
    return replace(scene.ui, times=not scene.ui.times)
