"""What the person chose, and what follows from that and from what is known: values, nothing read, nothing drawn."""

from __future__ import annotations

from collections.abc import Mapping, Set
from enum import Enum
from functools import cached_property

from leaseq.dataclass import dataclass, field, replace
from leaseq.heartbeat import Heartbeat
from leaseq.lease.view import LeaseView
from leaseq.models import State
from leaseq.monitor.data import Data, Seek
from leaseq.monitor.deed import Undo
from leaseq.monitor.filters import STATES, Filter, filtered, in_states
from leaseq.monitor.pane import Pane
from leaseq.monitor.viewing import Viewing
from leaseq.reading.unused import unused
from leaseq.reading.views import NodeView, TaskView, with_progress

SLOW_SECONDS = 10.0
FAILURES = frozenset({State.FAILED, State.TIMEOUT, State.LOST})
FEW_ROWS = 100
ROWS_MAX = 2000


class Sort(Enum):
    """The column that orders the tasks. QUEUE: running, then pending in their order, then ended, newest first."""

    QUEUE = ""
    STATE = "ST"
    ID = "ID"
    GPUS = "GPU"
    NODE = "NODE"
    TIME = "TIME"
    COMMAND = "COMMAND"


@dataclass(frozen=True)
class Message:
    """An answer to the person; it stands until the next key."""

    text: str
    style: str = ""
    until: float = float("inf")


@dataclass(frozen=True)
class Doing:
    """A command that was run here, when it had ended, and its answer."""

    at: float
    line: str
    code: int
    answer: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ui:
    """What the person chose."""

    focus: Pane = Pane.TASKS
    lease: str = ""
    """The lease the cursor of the list of leases is on."""
    node: str = ""
    task: str = ""
    view: Viewing | None = None
    places: Mapping[Pane, int] = field(default_factory=dict)
    """The cursor's place in each list: where to go when what it was on has gone."""
    tops: Mapping[Pane, int] = field(default_factory=dict)
    filter: Filter = Filter.RECENT
    text: str = ""
    only_node: str = ""
    sort: Sort = Sort.QUEUE
    marks: frozenset[str] = frozenset()
    stream: str = "both"
    follow: bool = True
    wrap: bool = False
    zoom: bool = False
    log_top: int = 0
    """Where the line begins that is shown while the log is not followed."""
    log_lift: int = 0
    """So many lines before it are shown, too."""
    log_mark: int | None = None
    """The line that was looked for and found."""
    log_whole: int = 0
    """Where the output ended when it was no longer followed."""
    log_find: str = ""
    log_attempt: int = 0
    """The attempt whose output is shown; 0: the last one that has any."""
    seek: Seek | None = None
    """A line of the output that is being looked for."""
    opened: tuple[str, int] = ("", 0)
    """The failed attempt whose error has been gone to."""
    times: bool = False
    """When each line came is shown."""
    rows: int = FEW_ROWS
    """How many pending and how many ended tasks are asked for."""
    paused: bool = False
    readonly: bool = False
    ascii: bool = False
    overlay: object = None
    doings: tuple[Doing, ...] = ()
    """What was done here, the oldest first."""
    undos: tuple[Undo, ...] = ()
    """What of it can be taken back."""
    message: Message | None = None
    typed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lines that were typed, by the kind of their prompt, the newest last."""
    drafts: Mapping[str, object] = field(default_factory=dict)
    """Forms that were closed with something in them, by kind."""
    last_list: Pane = Pane.TASKS
    """The list whose selection the detail pane shows."""


def fresh_log(ui: Ui) -> Ui:
    """An output is shown from its end."""
    return replace(ui, follow=True, log_top=0, log_lift=0, log_mark=None, seek=None)


def say(ui: Ui, text: str, style: str = "") -> Ui:
    """The text is the message, if there is any."""
    return replace(ui, message=Message(text, style)) if text else ui


@dataclass(frozen=True)
class Scene:
    """All that a frame or a key depends on."""

    data: Data
    ui: Ui
    columns: int = 80
    lines: int = 24
    now: float = 0.0
    wall: float = 0.0
    room: int = 0
    """How many tasks the list of tasks shows at once; 0: not known yet."""

    @cached_property
    def tasks(self) -> tuple[TaskView, ...]:
        """The rows of the task list, filtered and sorted."""
        if not self.data.lease.snapshot:
            return ()
        rows = filtered(
            self.data.lease.snapshot.tasks,
            self.ui.filter,
            text=self.ui.text,
            only_node=self.ui.only_node,
            room=self.room,
            now=self.wall,
        )
        return ordered(with_progress(rows, self.data.progress), self)

    @property
    def _states(self) -> set[State]:
        """Those of the filter."""
        return STATES.get(self.ui.filter) or set(State)

    @property
    def listed(self) -> tuple[int, int]:
        """How many tasks of the filter are listed, and how many there are; of arrays each index."""
        return in_states(self.tasks, self._states), self.count(*self._states)

    @cached_property
    def unread(self) -> int:
        """How many tasks of the filter are known by number only."""
        return self._unread(self._states)

    def _unread(self, states: Set[State]) -> int:
        read = self.data.lease.snapshot.tasks if self.data.lease.snapshot else ()
        return max(0, self.count(*states) - in_states(read, states))

    @cached_property
    def hidden(self) -> int:
        """How many pending tasks `Recent` leaves out."""
        if self.ui.filter is not Filter.RECENT or self.ui.text or self.ui.only_node:
            return 0
        return max(0, self.count(State.PENDING) - in_states(self.tasks, {State.PENDING}))

    @property
    def more(self) -> str:
        """What is there and not in the list, in words; empty if all is, or who looks did not ask for all."""
        ui = self.ui
        if self.hidden:
            return f"… {self.hidden:,} more pending: F lists them"
        if not self.unread or ui.only_node or (ui.filter is Filter.RECENT and not ui.text):
            return ""
        if ui.text and self._unread({State.PENDING}):
            return f"… {self.unread:,} more are being searched"
        if ui.text:
            return f"… {self.unread:,} that ended earlier are not searched"
        return f"… {self.unread:,} more: " + ("G reads on" if ui.rows < ROWS_MAX else "/ finds them")

    @cached_property
    def nodes(self) -> tuple[NodeView, ...]:
        return self.data.lease.snapshot.nodes if self.data.lease.snapshot else ()

    @cached_property
    def task_place(self) -> int:
        return _place([row.id for row in self.tasks], self.ui.task, self.ui.places.get(Pane.TASKS, 0))

    @cached_property
    def task(self) -> TaskView | None:
        """The selected task."""
        if self.ui.view is not None:
            return self._viewed
        return self.tasks[self.task_place] if self.tasks else None

    @property
    def _viewed(self) -> TaskView | None:
        """The task that the cursor of the open view is on."""
        snapshot, wanted = self.data.lease.snapshot, self.ui.task
        row = next((row for row in snapshot.tasks if row.id == wanted), None) if snapshot else None
        row = row or self.data.seen.rows.get(wanted)
        return with_progress([row], self.data.progress)[0] if row else None

    @cached_property
    def node_place(self) -> int:
        return _place([row.node for row in self.nodes], self.ui.node, self.ui.places.get(Pane.NODES, 0))

    @cached_property
    def node(self) -> NodeView | None:
        return self.nodes[self.node_place] if self.nodes else None

    @cached_property
    def lease_place(self) -> int:
        wanted = self.ui.lease or self.data.lease_id
        return _place([row.id for row in self.data.leases.rows], wanted, self.ui.places.get(Pane.LEASES, 0))

    @cached_property
    def lease(self) -> LeaseView | None:
        """The lease that the cursor of the list of leases is on."""
        return self.data.leases.rows[self.lease_place] if self.data.leases.rows else None

    @cached_property
    def watched(self) -> LeaseView | None:
        """The lease that the other panes show."""
        return next((row for row in self.data.leases.rows if row.id == self.data.lease_id), None)

    @property
    def meant(self) -> LeaseView | None:
        """The lease that keys act on: under the cursor of their list, if that has the focus, else the watched one."""
        return self.lease if self.ui.focus is Pane.LEASES else self.watched

    @cached_property
    def chosen(self) -> tuple[TaskView, ...]:
        """The tasks that an action means: the marked ones, or else the selected one."""
        every = self.data.lease.snapshot.tasks if self.data.lease.snapshot and self.ui.view is None else ()
        marked = tuple(row for row in every if row.id in self.ui.marks)
        return marked or ((self.task,) if self.task else ())

    @property
    def snapshot_age(self) -> float | None:
        return None if self.data.lease.snapshot is None else max(0.0, self.now - self.data.lease.at)

    @property
    def heard(self) -> float | None:
        """For how long the most silent node that serves has not been heard; None if there is none."""
        ages = [view.age_seconds for view in self.nodes if view.health.serving and view.age_seconds is not None]
        return max(ages) + (self.snapshot_age or 0.0) if ages else None

    @property
    def not_answering(self) -> float | None:
        """For how long a read has not come back, if that is longer than a person should wonder."""
        began = [since for since in (self.data.lease.since, self.data.log.since) if since is not None]
        waited = self.now - min(began) if began else 0.0
        return waited if waited >= SLOW_SECONDS else None

    @property
    def left_seconds(self) -> float | None:
        """What is left of the watched lease's time: by Slurm, or else by what the lease itself wrote."""
        row = self.watched
        if row is not None and row.left_seconds is not None and self.data.leases.at is not None:
            return max(0.0, row.left_seconds - (self.now - self.data.leases.at))
        if self.data.lease.left_seconds is None:
            return None
        return max(0.0, self.data.lease.left_seconds - (self.now - self.data.lease.at))

    def elapsed(self, task: TaskView) -> float | None:
        """How long it runs or ran; while pending, how long it has waited."""
        if task.state in (State.RUNNING, State.UNKNOWN, State.STUCK):
            late = (
                0.0 if self.data.lease.snapshot is None or task.state is not State.RUNNING else self.snapshot_age or 0.0
            )
            return None if task.elapsed_seconds is None else task.elapsed_seconds + late
        if task.state is State.PENDING:
            return max(0.0, self.wall - task.submitted) if task.submitted and self.wall else None
        return task.elapsed_seconds

    def heartbeat(self, node: str) -> Heartbeat | None:
        return self._beats.get(node)

    @cached_property
    def _beats(self) -> dict[str, Heartbeat | None]:
        return {view.node: view.heartbeat for view in self.nodes}

    def count(self, *states: State) -> int:
        totals = self.data.lease.snapshot.totals if self.data.lease.snapshot else {}
        return sum(totals.get(state, 0) for state in states)

    @cached_property
    def unused(self) -> str:
        """What a held lease holds for nothing, if that is to be known now."""
        row, snapshot = self.watched, self.data.lease.snapshot
        if snapshot is None or row is None or not row.is_borrowed or row.word == "ENDED":
            return ""
        found = unused(self.nodes, snapshot.totals, later=self.snapshot_age or 0.0)
        return next((each.words for each in found if each.pressing), "")


def ordered(rows: list[TaskView], scene: Scene) -> tuple[TaskView, ...]:
    sort = scene.ui.sort
    if sort is Sort.STATE:
        every = list(State)
        rows.sort(key=lambda row: every.index(row.state))
    elif sort is Sort.ID:
        rows.sort(key=lambda row: row.id)
    elif sort is Sort.GPUS:
        rows.sort(key=lambda row: -gpu_count(row))
    elif sort is Sort.NODE:
        rows.sort(key=lambda row: row.node or "~")
    elif sort is Sort.TIME:
        rows.sort(key=lambda row: -(scene.elapsed(row) or 0.0))
    elif sort is Sort.COMMAND:
        rows.sort(key=lambda row: row.name or row.command)
    return tuple(rows)


def gpu_count(row: TaskView) -> int:
    """GPUs it holds, or asked for; -1 is all of a node."""
    if row.gpus:
        return len(row.gpus)
    return row.need.gpus or 0 if row.need else 0


def _place(ids: list[str], wanted: str, place: int) -> int:
    if wanted in ids:
        return ids.index(wanted)
    return max(0, min(place, len(ids) - 1))


def settled(scene: Scene, heights: Mapping[Pane, int]) -> Scene:
    """The scene with every selection on something that is there, and in sight: selections go by id."""
    ui = scene.ui
    places = {Pane.TASKS: scene.task_place, Pane.NODES: scene.node_place, Pane.LEASES: scene.lease_place}
    sizes = {Pane.TASKS: len(scene.tasks), Pane.NODES: len(scene.nodes), Pane.LEASES: len(scene.data.leases.rows)}
    tops = dict(ui.tops)
    for pane, place in places.items():
        height = max(1, heights.get(pane, 1))
        top = min(tops.get(pane, 0), place, max(0, sizes[pane] - height))
        tops[pane] = max(top, place - height + 1)
    known = {row.id for row in scene.data.lease.snapshot.tasks} if ui.marks and scene.data.lease.snapshot else set()
    task = scene.task.id if scene.task else ui.task
    if ui.task and task != ui.task and ui.view is None:
        ui = replace(fresh_log(ui), task=task, log_attempt=0)
    new = replace(
        ui,
        node=scene.node.node if scene.node else ui.node,
        lease=scene.lease.id if scene.lease else ui.lease,
        places=places,
        tops=tops,
        marks=ui.marks & known,
    )
    return scene if new == scene.ui else replace(scene, ui=new)
