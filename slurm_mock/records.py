"""Request, Allocation, Step, Job and Node: what the cluster's files hold, as values with a JSON form."""

from __future__ import annotations

from slurm_mock.values import TYPE_CHECKING, dataclass, field, is_value

if TYPE_CHECKING:
    from typing import Any


ACTIVE = ("PENDING", "RUNNING", "SUSPENDED")
CODES = {
    "PENDING": "PD",
    "RUNNING": "R",
    "SUSPENDED": "S",
    "COMPLETED": "CD",
    "CANCELLED": "CA",
    "FAILED": "F",
    "TIMEOUT": "TO",
    "NODE_FAIL": "NF",
    "PREEMPTED": "PR",
    "BOOT_FAIL": "BF",
    "DEADLINE": "DL",
    "OUT_OF_MEMORY": "OOM",
    "COMPLETING": "CG",
    "CONFIGURING": "CF",
    "RESIZING": "RS",
    "RESV_DEL_HOLD": "RD",
    "REQUEUED": "RQ",
    "REQUEUE_FED": "RF",
    "REQUEUE_HOLD": "RH",
    "REVOKED": "RV",
    "SIGNALING": "SI",
    "SPECIAL_EXIT": "SE",
    "STAGE_OUT": "SO",
    "STOPPED": "ST",
}


@dataclass(kw_only=True)
class Request:
    """What was asked for; counts are None if nothing was said."""

    name: str
    user: str
    uid: int
    gid: int
    group: str
    batch: bool
    workdir: str
    submit_dir: str
    submit_host: str
    command: str = ""
    arguments: list[str] = field(default_factory=list)
    partition: str = ""
    nodes_min: int | None = None
    nodes_max: int | None = None
    ntasks: int | None = None
    ntasks_per_node: int | None = None
    cpus_per_task: int | None = None
    mem_per_node: int | None = None
    mem_per_cpu: int | None = None
    gres: str = ""
    gpus_per_node: int = 0
    gpus_total: int = 0
    gpus_per_task: int = 0
    exclusive: bool = False
    overcommit: bool = False
    limit_minutes: int | None = None
    limit_set: bool = False
    nodelist: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    features: str = ""
    dependency: str = ""
    array: str = ""
    begin: float = 0.0
    hold: bool = False
    signal: int = 0
    signal_lead: int = 60
    signal_batch: bool = False
    requeue: bool | None = None
    no_kill: bool = False
    comment: str = ""
    account: str = ""
    qos: str = ""
    reservation: str = ""
    licenses: str = ""
    prefer: str = ""
    batch_features: str = ""
    stale: bool = False
    """Its --deadline is over."""
    nice: int = 0
    stdin: str = "/dev/null"
    stdout: str = ""
    stderr: str = ""
    open_mode: str = ""
    umask: int = 0o022

    @property
    def any_gpus(self) -> bool:
        return bool(self.gpus_per_node or self.gpus_total or self.gpus_per_task)


@dataclass(kw_only=True)
class Share:
    """What a job holds on one node: CPU count, GPU indices, megabytes, tasks planned there."""

    cpus: int
    gpus: list[int]
    mem: int
    tasks: int


@dataclass(kw_only=True)
class Step:
    """A running step; `held` is empty for one started with --overlap, which blocks nobody."""

    id: int
    name: str
    nodes: list[str]
    tasks: dict[str, list[int]]
    gpus: dict[str, list[int]]
    held_cpus: dict[str, int]
    held_gpus: dict[str, list[int]]
    start: float
    user: str
    no_kill: bool
    srun_node: str
    done: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return all(node in self.done or node in self.lost for node in self.nodes)


@dataclass(kw_only=True)
class Job:
    """One job; `shares` is what it holds now, `nodes` what squeue shows (kept after its end)."""

    id: int
    request: Request
    state: str = "PENDING"
    reason: str = "None"
    completing: bool = False
    limit_minutes: int | None = None
    minute_seconds: float = 60.0
    submit: float = 0.0
    eligible: float = 0.0
    start: float = 0.0
    end: float = 0.0
    nodes: list[str] = field(default_factory=list)
    shares: dict[str, Share] = field(default_factory=dict)
    cpus_allocated: int = 0
    batch_host: str = ""
    batch_running: bool = False
    steps: dict[str, Step] = field(default_factory=dict)
    next_step: int = 0
    exit_code: int = 0
    exit_signal: int = 0
    derived_exit: int = 0
    restarts: int = 0
    requeue: bool = True
    warned: bool = False
    kill_at: float = 0.0
    requeue_after_end: bool = False
    held: str = ""
    """Why it may not start until it is released; a reason as squeue shows it."""
    comment: str = ""
    partition: str = ""
    array_job: int = 0
    """The id that the job's array goes by; 0 for a job that is of no array."""
    array_tasks: list[int] = field(default_factory=list)
    """Tasks that wait in this one record. A task that starts leaves for a record of its own; the last one stays."""
    array_task: int | None = None
    array_throttle: int = 0

    @property
    def indices(self) -> list[int]:
        """The array's tasks that this record stands for."""
        return self.array_tasks or ([] if self.array_task is None else [self.array_task])

    @property
    def spool(self) -> str:
        """The name of the folder that has its script and environment; an array's tasks share one."""
        return str(self.array_job or self.id)

    @property
    def shown_state(self) -> str:
        return "COMPLETING" if self.completing else self.state

    @property
    def listed(self) -> bool:
        """squeue shows it without -t."""
        return self.completing or self.state in ACTIVE

    @property
    def deadline(self) -> float | None:
        return self.start + self.limit_seconds if self.start and self.limit_minutes is not None else None

    @property
    def limit_seconds(self) -> float:
        """How long it may run; endless without a limit."""
        return float("inf") if self.limit_minutes is None else self.limit_minutes * self.minute_seconds

    def seconds(self, now: float) -> int:
        """Run time so far, or in the end."""
        if not self.start or self.state == "PENDING":
            return 0
        return max(0, int((self.end if self.state != "RUNNING" else now) - self.start))

    @property
    def cpus(self) -> int:
        if self.cpus_allocated:
            return self.cpus_allocated
        return max(self.ntasks * (self.request.cpus_per_task or 1), self.request.nodes_min or 1)

    @property
    def ntasks(self) -> int:
        request = self.request
        nodes = len(self.nodes) or request.nodes_min or 1
        if request.ntasks is not None:
            return request.ntasks
        return nodes * (request.ntasks_per_node or 1)


@dataclass(kw_only=True)
class Node:
    """A node's state: UP or DOWN, `responding` False from the crash on until DOWN is declared."""

    name: str
    cpus: int
    gpus: int
    mem: int
    up: bool = True
    drain: bool = False
    responding: bool = True
    lost_at: float = 0.0
    reason: str = ""
    boot: str = ""
    """What tells one life of the node from the next."""
    booted: float = 0.0


def to_json(record: Any) -> Any:
    """Plain JSON values; of values, and of what they hold."""
    if is_value(record):
        return {name: to_json(value) for name, value in vars(record).items()}
    if isinstance(record, dict):
        return {key: to_json(value) for key, value in record.items()}
    return record


def job_from(data: dict[str, Any]) -> Job:
    data = dict(data)
    data["request"] = Request(**data["request"])
    data["shares"] = {node: Share(**share) for node, share in data["shares"].items()}
    data["steps"] = {key: Step(**step) for key, step in data["steps"].items()}
    return Job(**data)
