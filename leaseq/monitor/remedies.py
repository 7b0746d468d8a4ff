"""What a person can do about tasks that nobody runs any more, and by which key or command. Pure."""

from __future__ import annotations

from leaseq.lease.leases import is_own
from leaseq.models import State
from leaseq.monitor.model import Scene
from leaseq.reading.views import Health, NodeView, TaskView
from leaseq.world import hostname


def view_of(scene: Scene, node: str) -> NodeView | None:
    return next((view for view in scene.nodes if view.node == node), None)


def is_here(scene: Scene, node: str) -> bool:
    """True if the node of the lease that is looked at is this host, whose runner may be started here."""
    row = scene.watched
    if row is None or row.is_borrowed or row.word == "ENDED":
        return False
    beat = scene.heartbeat(node)
    return is_own(row.id) if beat is None else beat.host == hostname()


def start_words(scene: Scene) -> tuple[str, ...]:
    """The command that starts this host's runner for the lease that is looked at."""
    row = scene.watched
    named = ("--lease", row.name or row.id) if row is not None and row.is_of_hosts else ()
    return ("daemon", "start", *named)


def startable(scene: Scene, node: str) -> bool:
    """True if the node is this host and nothing serves it."""
    view = view_of(scene, node)
    return is_here(scene, node) and (view is None or not view.health.serving)


def doubt(scene: Scene, task: TaskView) -> str:
    """Why the stuck task may still run, as far as can be seen from here; empty if it certainly does not."""
    if task.state is not State.STUCK:
        return ""
    if is_here(scene, task.node):
        return "first d: it may still run"
    view, row = view_of(scene, task.node), scene.watched
    if row is None or row.word == "ENDED" or view is None:
        return ""
    if view.health is Health.STOPPED:
        safe = row.is_borrowed or not view.left_running
        return "" if safe else f"the runner of {task.node} has left it running"
    return f"{task.node} is silent, which is no proof"


def next_step(scene: Scene, task: TaskView) -> str:
    """What can be done about the task, by a key or a command that works now."""
    if task.state is State.UNKNOWN:
        return "its node is late: wait, it may be a file server's restart"
    if task.state is State.STUCK:
        return _of_stuck(scene, task)
    if task.state is not State.LOST:
        return ""
    if task.array is not None:
        how = f"`leaseq retry {task.id}`" if scene.ui.readonly else "m, a"
        return f"nobody knows how all of it ended: {how} runs what was lost again"
    if task.place is None:
        how = f"`leaseq redo {task.id}`" if scene.ui.readonly else "r"
        return f"nobody knows how it ended, and its file is gone: {how} submits it again"
    how = f"`leaseq recover {task.id}`" if scene.ui.readonly else "m, b"
    return f"nobody knows how it ended: {how} queues it again"


def _of_stuck(scene: Scene, task: TaskView) -> str:
    if scene.ui.readonly:
        return f"its runner is gone: `leaseq recover --lease {scene.data.lease_id}` shows what to do"
    if is_here(scene, task.node):
        return "its runner is gone: m, d starts this host's, and it goes on"
    if doubt(scene, task):
        return "its runner is gone: wait for it; if it cannot run there any more, m, B queues it again"
    return "its runner is gone, and it does not run: m, b queues it again"
