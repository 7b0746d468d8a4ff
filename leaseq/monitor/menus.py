"""The menus: what can be done with tasks and nodes here and now, first what helps; and why something cannot be done."""

from __future__ import annotations

from functools import partial

from leaseq.dataclass import replace
from leaseq.lease.lookup import BAD
from leaseq.models import ANY, State
from leaseq.monitor import actions, acts, changing, going, likes, moves, remedies
from leaseq.monitor.effects import Run, Step
from leaseq.monitor.model import Scene
from leaseq.monitor.overlays import Item, Menu
from leaseq.monitor.pane import Pane
from leaseq.reading.views import TaskView


def task_menu(scene: Scene) -> Menu | str:
    """All that can be done with the selected or marked tasks; what cannot be done says why."""
    tasks = scene.chosen
    if not tasks:
        return "no task is selected"
    locked = "read-only" if scene.ui.readonly else ""
    items = (
        *_help(scene, tasks, locked),
        *_looks(tasks),
        *_changes(scene, tasks, locked),
        *_others(scene, tasks, locked),
    )
    title = tasks[0].id if len(tasks) == 1 else f"{len(tasks)} tasks"
    return Menu(title, items)


def _help(scene: Scene, tasks: tuple[TaskView, ...], locked: str) -> list[Item]:
    """What brings tasks back that nobody runs any more."""
    items = []
    if any(task.state is State.STUCK and remedies.startable(scene, task.node) for task in tasks):
        items.append(Item("d", "start this host's runner: it goes on, or is told how it ended", _start, locked))
    recoverable = [task for task in tasks if actions.recoverable(task)]
    if recoverable:
        doubts = [remedies.doubt(scene, task) for task in recoverable]
        items.append(Item("b", "recover: queue it again", acts.recover, locked or next(filter(None, doubts), "")))
        if any(doubts):
            items.append(Item("B", "recover by force: it may run twice", acts.force, locked))
    return items


def _looks(tasks: tuple[TaskView, ...]) -> list[Item]:
    first = tasks[0]
    array = first.array is not None
    own = "each index has its own" if array else ""
    bad = any(BAD.fits(task) for task in tasks)
    well = all(task.state.ended for task in tasks) and not bad
    about = "what it waits for" if first.state is State.PENDING else "how long it may take yet"
    return [
        Item("v", "view logs", lambda s: Step(moves.zoom(s)), own),
        Item("i", "details", _info),
        *([Item("e", "list its indices", _indices)] if array else []),
        Item("w", "what went wrong, and what to try" if bad else about, _why, "it has ended well" if well else ""),
        Item("o", "whole output in a pager", acts.pager, own),
    ]


def _changes(scene: Scene, tasks: tuple[TaskView, ...], locked: str) -> list[Item]:
    """What is done to the tasks themselves."""
    first = tasks[0]
    ended = all(task.state.ended for task in tasks)
    waiting = [task for task in tasks if task.state is State.PENDING]
    held = bool(waiting) and all(task.held for task in waiting)
    bad = any(BAD.fits(task) for task in tasks)
    running = "" if first.state in actions.ACTIVE and first.node else "it is on no node"
    items = [Item("c", "cancel", acts.cancel, locked or ("it has ended" if ended else ""))]
    if waiting:
        whole = "an array is not changed as a whole" if any(task.array for task in waiting) else ""
        items.append(Item("t", "let it start" if held else "hold", acts.hold, locked))
        items.append(Item("p", "change its priority", changing.ask_priority, locked or whole))
        pinned = any(task.node not in ("", ANY) for task in waiting)
        nodes = "" if pinned or scene.nodes else "no node has reported"
        items.append(
            Item(
                "n",
                "pin it to another node, or to none" if pinned else "pin it to a node",
                changing.pins,
                locked or nodes,
            )
        )
    if not waiting or any(task.state.ended for task in tasks):
        items.append(Item("r", "redo: submit it again", acts.redo, locked or ("" if ended else "it has not ended")))
        items.append(
            Item("a", "retry: run it again, same id", _retry, locked or ("" if bad else "it has not gone wrong"))
        )
    if not waiting:
        items.append(
            Item("s", f"shell on {first.node}" if not running else "shell on its node", acts.shell, locked or running)
        )
    return items


def _others(scene: Scene, tasks: tuple[TaskView, ...], locked: str) -> list[Item]:
    """Where to go from it, what else is like it, and what it is in."""
    first = tasks[0]
    ups, downs = going.ups(first), going.downs(scene, first)
    one = "" if len(tasks) == 1 else "one task at a time"
    like = one or ("an array: r submits it again" if first.array is not None else "")
    items = []
    if ups:
        title = f"{first.id[:8]} waits for"
        items.append(Item("<", "go to what it waits for", partial(going.offer, found=ups, title=title)))
    if downs:
        title = f"these wait for {first.id[:8]}"
        items.append(Item(">", "go to what waits for it", partial(going.offer, found=downs, title=title)))
    items.append(Item("S", "submit one like it", likes.one_like_it, locked or like))
    if first.group:
        verb = "resume" if changing.is_paused(scene, first.group) else "pause"
        items.append(Item("g", f"{verb} group {first.group}", partial(changing.pause, group=first.group), locked))
    items.append(_pause_lease(scene, locked))
    items.append(Item("y", "copy id", acts.copy))
    items.append(Item("Y", "copy command", likes.copy_command, one))
    return items


def _pause_lease(scene: Scene, locked: str) -> Item:
    paused = changing.is_paused(scene, "")
    row = scene.watched
    ended = "it has ended" if row is not None and row.word == "ENDED" else ""
    return Item("P", "resume the lease" if paused else "pause the lease", changing.pause, locked or ended)


def node_menu(scene: Scene) -> Menu | str:
    if scene.node is None:
        return "no node is selected"
    name = scene.node.node
    only = f"tasks of {name} only" if scene.ui.only_node != name else "tasks of all nodes"
    locked = "read-only" if scene.ui.readonly else ""
    start = [Item("d", "start this host's runner", _start, locked)] if remedies.startable(scene, name) else []
    return Menu(
        name,
        (
            *start,
            Item("f", only, _only_node),
            Item("s", f"shell on {name}", acts.shell, locked),
            _pause_lease(scene, locked),
            Item("y", "copy name", acts.copy),
        ),
    )


def _start(scene: Scene) -> Step:
    """This host's runner is started."""
    return Step(scene.ui, (Run(remedies.start_words(scene)),))


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
