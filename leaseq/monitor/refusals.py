"""Why a key does nothing now: words for the person, empty if it works."""

from __future__ import annotations

from leaseq.monitor.logs import current
from leaseq.monitor.model import Scene
from leaseq.monitor.pane import Pane


def no_task(scene: Scene) -> str:
    return "" if scene.task else "no task is selected"


def no_group(scene: Scene) -> str:
    return no_task(scene) or ("" if scene.task and scene.task.group else "it is in no group")


def no_output(scene: Scene) -> str:
    log = current(scene)
    return "it has written nothing yet" if log and not log.lines and not log.size else no_task(scene)


def one_pane(scene: Scene) -> str:
    if scene.ui.view is not None and scene.ui.view.pane is Pane.JOBS:
        return "there is no other pane: Esc goes back"
    return "the output has the whole screen: z or Esc gives it back" if scene.ui.zoom else ""


def no_find(scene: Scene) -> str:
    return "" if scene.ui.log_find else "search first: /"


def no_end(scene: Scene) -> str:
    return (
        ""
        if scene.chosen and not all(t.state.ended for t in scene.chosen)
        else no_task(scene) or "it has ended already"
    )


def no_redo(scene: Scene) -> str:
    return "" if any(t.state.ended for t in scene.chosen) else no_task(scene) or "it has not ended: cancel it first"


def no_lease(scene: Scene) -> str:
    return "" if scene.lease else "there is no lease yet"


def no_release(scene: Scene) -> str:
    row = scene.meant
    if row is None:
        return "there is no lease yet"
    return f"lease {row.id} has ended already" if row.word == "ENDED" else ""


def no_undo(scene: Scene) -> str:
    if not scene.ui.undos:
        return "nothing was done here that can be undone"
    from leaseq.monitor.undo import last

    return "" if last(scene) else "nothing was done in this lease that can be undone"


def no_submit(scene: Scene) -> str:
    row = scene.watched
    return f"lease {row.id} has ended: n asks for another" if row is not None and row.word == "ENDED" else ""


def nothing_under(scene: Scene) -> str:
    pane = scene.ui.focus
    if pane is Pane.LEASES:
        return no_lease(scene)
    if pane is Pane.NODES:
        return "" if scene.node else "no node is selected"
    return no_task(scene)
