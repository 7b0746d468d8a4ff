"""What a reader of a lease sees, as values: nodes, tasks, and both together at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from leaseq.dataclass import dataclass, field, replace
from leaseq.heartbeat import Heartbeat
from leaseq.models import ALL_GPUS, Lease, Need, State
from leaseq.protocol.groups import NONE, Limits
from leaseq.reading.waits import Wait
from leaseq.words import about, count, memory, per_time


class Health(Enum):
    """What an observer can say of a node's runner. UNKNOWN: no heartbeat was ever seen."""

    OK = "OK"
    LATE = "LATE"
    DOWN = "DOWN"
    STOPPED = "STOPPED"
    UNKNOWN = "UNKNOWN"

    @property
    def serving(self) -> bool:
        """True if the runner may still take tasks."""
        return self in (Health.OK, Health.LATE)


RUNNER_STOPPED = "RunnerStopped"
RUNNER_DOWN, NODE_SILENT, NODE_DOWN = "RunnerDown", "NodeSilent", "NodeDown"
"""Its process is gone and the node is up; nothing has been heard of it for too long; the node was lost or rebooted."""


@dataclass(frozen=True)
class Place:
    """Where a task file was seen."""

    directory: str
    name: str


@dataclass(frozen=True)
class News:
    """What is known of a lease's nodes that its files do not say yet; an upkeep writes it."""

    end: str = ""
    """Why the lease has ended; empty if it has not."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Why tasks of a node are LOST, for each node that the lease no longer has and that is not heard."""


@dataclass(frozen=True)
class NodeView:
    """A node and its runner as seen now."""

    node: str
    health: Health
    heartbeat: Heartbeat | None = None
    age_seconds: float | None = None
    """How old the last heartbeat is; None if there is none."""
    why: str = ""
    pending: int = 0
    """Tasks pinned to this node."""
    claimed: int = 0
    cause: str = ""
    """If it is DOWN, what is known to be: RUNNER_DOWN, NODE_SILENT, NODE_DOWN; the last, too, if it was given back."""
    kept: bool = False
    """True if no runner is alive on purpose, and the keeper of its tasks is known to be."""
    lost: str = ""
    """Why what it holds is LOST, if the lease no longer has the node and nothing is heard of it; else empty."""

    @property
    def holds(self) -> tuple[State, str]:
        """(state, reason) of what the node's runner has taken, by what is known of the runner."""
        if self.health is Health.OK:
            return State.RUNNING, ""
        if self.kept:
            return State.RUNNING, "NoRunner"
        if self.health in (Health.LATE, Health.UNKNOWN):
            return State.UNKNOWN, "NodeLate" if self.health is Health.LATE else "NoHeartbeat"
        return State.STUCK, RUNNER_STOPPED if self.health is Health.STOPPED else self.cause

    @property
    def left_running(self) -> bool:
        """False if the runner has said, when it stopped, that nothing ran on the node."""
        beat = self.heartbeat
        return beat is None or beat.state != "stopped" or bool(beat.running) or beat.idle_seconds == 0.0

    @property
    def takes_nothing(self) -> str:
        """`draining` or `ending` if its runner lives and starts nothing more; else empty."""
        told = self.heartbeat.state if self.heartbeat and self.health is Health.OK else ""
        return told if told in ("draining", "ending") else ""

    @property
    def booked_cpus(self) -> int:
        return self.heartbeat.cpus - self.heartbeat.free_cpus if self.heartbeat else 0

    @property
    def booked_mem_mb(self) -> int:
        return self.heartbeat.mem_mb - self.heartbeat.free_mem_mb if self.heartbeat else 0

    @property
    def booked_gpus(self) -> tuple[str, ...]:
        if not self.heartbeat:
            return ()
        return tuple(token for token in self.heartbeat.gpus if token not in self.heartbeat.free_gpus)


@dataclass(frozen=True)
class ArrayView:
    """The indices of an array, counted."""

    size: int
    counts: Mapping[State, int] = field(default_factory=dict)
    """How many are in each state; all others wait."""
    throttle: int | None = None
    """How many may run at once; 0: as many as have room; None: not known."""
    max_fails: int | None = None
    """With so many failed ones no other starts; 0: they all do; None: not known."""
    mean_seconds: float | None = None
    """How long those that have ended by themselves took, on average; None: not known."""

    @property
    def waiting(self) -> int:
        return max(0, self.size - sum(number for state, number in self.counts.items() if state is not State.PENDING))

    @property
    def fraction(self) -> float | None:
        """How much of it has ended; None if nothing is known of that."""
        ended = sum(number for state, number in self.counts.items() if state.ended)
        return ended / self.size if self.size and self.counts else None

    @property
    def per_second(self) -> float | None:
        """How many end in a second if as many go on running and take as long; None: not known."""
        running = self.counts.get(State.RUNNING, 0)
        return running / self.mean_seconds if running and self.mean_seconds else None

    @property
    def left_seconds(self) -> float | None:
        """How long the rest takes if as many go on running and take as long; None: not known."""
        running = self.counts.get(State.RUNNING, 0)
        if self.mean_seconds is None or not running:
            return None
        return self.mean_seconds * (self.waiting + running / 2) / running

    @property
    def pace(self) -> str:
        """`67 % · 12 a minute · about 4 min left`, as far as it is known; empty if nothing is."""
        said = [] if self.fraction is None else [f"{int(self.fraction * 100)} %"]
        said += [per_time(self.per_second)] if self.per_second else []
        said += [f"about {about(self.left_seconds)} left"] if self.left_seconds is not None else []
        return " · ".join(said)

    @property
    def limits(self) -> str:
        """How many may run, and fail, in words; empty if any number may, or it is not known."""
        said = [f"at most {self.throttle:,} at once"] if self.throttle else []
        said += [f"none starts once {count(self.max_fails, 'index', 'indices')} failed"] if self.max_fails else []
        return ", ".join(said)

    def __str__(self) -> str:
        """`12: 3 run, 8 done, 1 failed`."""
        counts = {**self.counts, State.PENDING: self.waiting}
        said = [f"{counts[state]:,} {word}" for state, word in COUNTED.items() if counts.get(state)]
        return f"{self.size:,}: {', '.join(said)}"

    @property
    def short(self) -> str:
        """How many are done and how many failed, in few letters: `8/12 1F`."""
        failed = self.counts.get(State.FAILED, 0)
        return f"{self.counts.get(State.DONE, 0):,}/{self.size:,}" + (f" {failed:,}F" if failed else "")


@dataclass(frozen=True)
class Progress:
    """How far a running task is, by its own last progress line."""

    fraction: float
    left_seconds: float | None = None
    """How long it takes yet, if the line itself says so."""
    part: str = ""
    """What the fraction is of, if that is known to be a part of the task only: `epoch 3`."""

    @property
    def percent(self) -> str:
        """`43 %`; 100 only of all."""
        return f"{int(self.fraction * 100 + 1e-9)} %"

    def __str__(self) -> str:
        """`43 % · 1:12 left`, `43 % of epoch 3`."""
        of = f" of {self.part}" if self.part else ""
        left = f" · {duration(self.left_seconds)} left" if self.left_seconds is not None else ""
        return self.percent + of + left


COUNTED = {
    State.RUNNING: "run",
    State.PENDING: "wait",
    State.DONE: "done",
    State.FAILED: "failed",
    State.TIMEOUT: "timed out",
    State.CANCELLED: "cancelled",
    State.LOST: "lost",
    State.STUCK: "stuck",
    State.UNKNOWN: "unknown",
}
"""What is said of so many indices in a state."""


HELD = "Held"


@dataclass(frozen=True)
class TaskView:
    """A task's newest attempt as seen now. `submitted`, `started`, `ended` are other hosts' clocks: for people."""

    id: str
    attempt: int
    state: State
    reason: str = ""
    node: str = ""
    name: str = ""
    command: str = ""
    need: Need | None = None
    gpus: tuple[str, ...] = ()
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    elapsed_seconds: float | None = None
    exit_code: int | None = None
    pid: int | None = None
    cpus_used: float | None = None
    """How many processors its processes keep busy; None if that is not known."""
    rss_mb: float | None = None
    """The memory of its processes; what they share counts for each of them."""
    place: Place | None = None
    group: str = ""
    waits: tuple[Wait, ...] = ()
    """What it waits for before it may start."""
    cleaned: bool = False
    """True if `clean` has left its line of history and no more."""
    array: ArrayView | None = None
    """Of a task that runs once for each of its indices. The id of an index is `ID_INDEX`."""
    values: Mapping[str, str] | None = None
    """Of an index, the values of its parameters, if they were asked for."""
    progress: Progress | None = None
    """How far it is, if its output was read for that and says so."""
    error: str = ""
    """The last error that it wrote, if it failed, its output was read for that, and there is one."""

    @property
    def unexplained(self) -> bool:
        """True if nothing but its output can tell why it failed."""
        return self.state is State.FAILED and not self.reason and self.array is None and not self.cleaned

    @property
    def held(self) -> bool:
        """True if nothing of it starts before its release."""
        return self.reason.partition(":")[0] == HELD


def running(rows: Iterable[TaskView]) -> tuple[tuple[str, int], ...]:
    """(id, attempt) of those whose output may say how far they are."""
    return tuple(
        (row.id, row.attempt) for row in rows if row.state in (State.RUNNING, State.UNKNOWN) and row.array is None
    )


def with_progress(rows: Iterable[TaskView], known: Mapping[str, Progress]) -> list[TaskView]:
    """The rows, those that run with how far they are."""
    return [
        replace(row, progress=known[row.id]) if row.id in known and row.state in (State.RUNNING, State.UNKNOWN) else row
        for row in rows
    ]


@dataclass(frozen=True)
class Snapshot:
    """A lease at one moment: running tasks, then pending in queue order, then the ended, newest first."""

    lease_id: str
    lease: Lease | None
    taken: float
    nodes: tuple[NodeView, ...]
    tasks: tuple[TaskView, ...]
    totals: Mapping[State, int]
    """Tasks by state. Pending and claimed ones are counted by their files' names, finished ones by the history."""
    notes: tuple[str, ...] = ()
    end: str = ""
    """Why the lease has ended, if that is known and its record does not say so yet."""
    limits: Limits = NONE
    """What of it is paused, and limited."""

    def node(self, name: str) -> NodeView | None:
        return next((view for view in self.nodes if view.node == name), None)


def duration(seconds: float | None) -> str:
    """[D-]HH:MM:SS as Slurm writes it, short ones as M:SS."""
    if seconds is None:
        return ""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    clock = f"{rest // 60:02d}:{rest % 60:02d}"
    if days:
        return f"{days}-{hours:02d}:{clock}"
    return f"{hours}:{clock}" if hours else f"{rest // 60}:{rest % 60:02d}"


def need_text(need: Need) -> str:
    """What the task books, in words."""
    parts = []
    if need.gpus is not None:
        parts.append("all GPUs" if need.gpus == ALL_GPUS else count(need.gpus, "GPU"))
    if need.cpus is not None:
        parts.append(count(need.cpus, "CPU"))
    if need.mem_mb is not None:
        parts.append(f"{memory(need.mem_mb)} memory")
    if not parts:
        parts.append("the whole node, alone")
    if need.time_seconds is not None:
        parts.append(f"time limit {duration(need.time_seconds)}")
    return ", ".join(parts)
