"""The menus: what can be done with tasks and nodes, and why something cannot be done now."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.lease.lookup import BAD
from leaseq.models import State
from leaseq.monitor import actions, acts, moves
from leaseq.monitor.effects import Run
from leaseq.monitor.model import Pane, Scene
from leaseq.monitor.moves import Step
from leaseq.monitor.overlays import Item, Menu


def task_menu(scene: Scene) -> Menu | str:
    """All that can be done with the selected or marked tasks; what cannot be done says why."""
    tasks = scene.chosen
    if not tasks:
        return "no task is selected"
    first = tasks[0]
    locked = "read-only" if scene.ui.readonly else ""
    ended = all(task.state.ended for task in tasks)
    pending = any(task.state is State.PENDING for task in tasks)
    held = pending and all(task.held for task in tasks if task.state is State.PENDING)
    stuck = "" if any(actions.recoverable(task) for task in tasks) else "neither stuck nor lost"
    running = "" if first.state in actions.ACTIVE and first.node else "it is on no node"
    bad = any(BAD.fits(task) for task in tasks)
    about = "what it waits for" if first.state is State.PENDING else "how long it may take yet"
    about = "what went wrong, and what to try" if bad else about
    array = first.array is not None
    own = "each index has its own" if array else ""
    items = (
        Item("v", "view logs", lambda s: Step(moves.zoom(s)), own),
        Item("i", "details", _info),
        *((Item("e", "list its indices", _indices),) if array else ()),
        Item("w", about, _why, "it has ended well" if ended and not bad else ""),
        Item("o", "whole output in a pager", acts.pager, own),
        Item("b", "recover to inbox", acts.recover, locked or stuck),
        Item("c", "cancel", acts.cancel, locked or ("it has ended" if ended else "")),
        Item("r", "redo: submit it again", acts.redo, locked or ("" if ended else "it has not ended")),
        Item("a", "retry: run it again, same id", _retry, locked or ("" if bad else "it has not gone wrong")),
        Item("t", "let it start" if held else "hold", acts.hold, locked or ("" if pending else "it is not pending")),
        Item("s", f"shell on {first.node}" if not running else "shell on its node", acts.shell, locked or running),
        Item("y", "copy id", acts.copy),
    )
    title = first.id if len(tasks) == 1 else f"{len(tasks)} tasks"
    return Menu(title, items)


def node_menu(scene: Scene) -> Menu | str:
    if scene.node is None:
        return "no node is selected"
    name = scene.node.node
    only = f"tasks of {name} only" if scene.ui.only_node != name else "tasks of all nodes"
    locked = "read-only" if scene.ui.readonly else ""
    return Menu(
        name,
        (
            Item("f", only, _only_node),
            Item("s", f"shell on {name}", acts.shell, locked),
            Item("y", "copy name", acts.copy),
        ),
    )


def _info(scene: Scene) -> Step:
    """All that `info` says of the chosen tasks."""
    tasks = tuple(task.id for task in scene.chosen)
    return Step(scene.ui, (Run(actions.on_lease(scene, "info", *tasks), whole=True),))


def _why(scene: Scene) -> Step:
    """What is known of why the chosen tasks wait, or went wrong."""
    bad = any(BAD.fits(task) for task in scene.chosen)
    words = ("triage" if bad else "why", *(task.id for task in scene.chosen))
    return Step(scene.ui, (Run(actions.on_lease(scene, *words), whole=True),))


def _retry(scene: Scene) -> Step:
    return acts.opened(scene, actions.retry(scene))


def _indices(scene: Scene) -> Step:
    """The indices of the chosen arrays, those first that run or went wrong."""
    tasks = tuple(task.id for task in scene.chosen)
    return Step(scene.ui, (Run(actions.on_lease(scene, "tasks", *tasks, "--values"), whole=True),))


def _only_node(scene: Scene) -> Step:
    """The tasks of the selected node alone are listed, or those of all nodes again."""
    assert scene.node is not None
    only = "" if scene.ui.only_node == scene.node.node else scene.node.node
    return Step(replace(moves.focus(scene.ui, Pane.TASKS), only_node=only))
