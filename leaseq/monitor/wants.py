"""What the readers are to read, by what is shown. Pure."""

from __future__ import annotations

from collections.abc import Container

from leaseq.dataclass import dataclass
from leaseq.models import State
from leaseq.monitor.data import Seek
from leaseq.monitor.filters import Filter
from leaseq.monitor.model import FAILURES, FEW_ROWS, Scene
from leaseq.monitor.pane import Pane
from leaseq.reading.views import TaskView, running

SEARCHED_MAX = 10_000
"""In so many of the tasks that ended last typed words are looked for; in all that have not ended."""
LOG_STEP_BYTES = 16 << 10
"""The place in an output that is looked at is told to its reader as exactly as this."""


@dataclass(frozen=True)
class Look:
    """What an open view is to show."""

    lease_id: str
    pane: str
    of: str
    task: str = ""
    """Of this task the row is to be read, too; empty: it is known."""
    back: int = 0
    """What ran in so many seconds before now."""


@dataclass(frozen=True)
class Want:
    """What the readers are to read."""

    lease_id: str
    recent: int = FEW_ROWS
    pending: int | None = FEW_ROWS
    """None: all."""
    task: str = ""
    attempt: int = 0
    stream: str = "both"
    log_top: int | None = None
    """Which part of the output is shown, about; None: its end."""
    find: str = ""
    """Words whose lines are counted."""
    seek: Seek | None = None
    failed: bool = False
    """What is written last is an error, more likely than not."""
    paused: bool = False
    running: tuple[tuple[str, int], ...] = ()
    """(id, attempt) of running tasks in sight, of which it is read how far they are."""
    failures: tuple[tuple[str, int], ...] = ()
    """(id, attempt) of failed ones in sight, of which nothing but their output tells why."""
    past_of: str = ""
    """The lease whose detail is shown: what its ended allocations had is read, too."""
    look: Look | None = None
    """None: no view is open."""

    @property
    def log(self) -> tuple[object, ...]:
        """What of the output is to be read."""
        return self.task, self.attempt, self.stream, self.log_top, self.find, self.seek


def want(scene: Scene, panes: Container[Pane] = ()) -> Want:
    """What the readers are to read for this scene; panes: those that it shows."""
    ui, task = scene.ui, scene.task
    sparse = ui.filter in (Filter.DONE, Filter.FAILED, Filter.CANCELLED, Filter.STUCK)
    return Want(
        lease_id=scene.data.lease_id,
        recent=SEARCHED_MAX if ui.text else max(ui.rows, 1000) if sparse else ui.rows,
        pending=None if ui.text else ui.rows,
        task=task.id if task and task.array is None else "",
        attempt=shown_attempt(scene),
        stream=ui.stream,
        log_top=None if ui.follow else ui.log_top // LOG_STEP_BYTES * LOG_STEP_BYTES,
        find="" if getattr(ui.overlay, "kind", "") == "find" else ui.log_find,
        seek=ui.seek,
        failed=task is not None and task.state in FAILURES,
        paused=ui.paused,
        running=running(_in_sight(scene)),
        failures=tuple((row.id, row.attempt) for row in _in_sight(scene) if row.unexplained),
        past_of=scene.lease.id if scene.lease and ui.last_list is Pane.LEASES and Pane.DETAIL in panes else "",
        look=_look(scene),
    )


def _look(scene: Scene) -> Look | None:
    view = scene.ui.view.under if scene.ui.view else None
    if view is None:
        return None
    snapshot, task = scene.data.lease.snapshot, scene.ui.task
    known = any(row.id == task for row in snapshot.tasks) if snapshot else False
    back = 0
    if view.pane is Pane.TIMELINE:
        from leaseq.monitor import timeline  # as all views: not before the first frame

        back = timeline.back(view, scene.wall)
    return Look(scene.data.lease_id, view.pane.value, view.of, "" if known else task, back)


def _in_sight(scene: Scene) -> tuple[TaskView, ...]:
    """The rows of the list of tasks that are shown now, and the selected one."""
    if scene.ui.view is not None:
        return (scene.task,) if scene.task else ()
    top = scene.ui.tops.get(Pane.TASKS, 0)
    shown = scene.tasks[top : top + max(1, scene.room)]
    return shown if scene.task is None or scene.task in shown else (*shown, scene.task)


def shown_attempt(scene: Scene) -> int:
    """The attempt whose output is shown: a task that waits for its next one shows what the last one said."""
    task = scene.task
    if task is None:
        return 0
    last = max(1, task.attempt - 1) if task.state is State.PENDING else task.attempt
    return min(scene.ui.log_attempt, last) or last
