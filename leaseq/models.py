"""The words of leaseq as values: Task, Need, Outcome, Lease and the states of a task.

Times are seconds since the epoch of the host that wrote them, for people: no rule compares them. Memory is in MiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, field
from leaseq.errors import Malformed
from leaseq.origin import Origin
from leaseq.schema import Record, _as, axis, flag, integer, mapping, maybe, number, record, several, text

ANY = "_any"
"""The node name that stands for "whichever node has room first"."""


class Why(Enum):
    """Why an attempt is being ended before it ends by itself; the first reason stands."""

    CANCEL = "cancel"
    KILL = "kill"
    """The runner was told to end its tasks."""
    TIMEOUT = "timeout"
    LEASE = "lease"
    """Its lease ends."""

    @property
    def by_user(self) -> bool:
        """True if somebody wanted its end: then nobody wants another attempt."""
        return self in (Why.CANCEL, Why.KILL)


class State(Enum):
    """What a task is doing. STUCK and UNKNOWN are derived by a reader and never stored."""

    PENDING = ("PD", "○", "o", -1)
    RUNNING = ("R", "●", "*", -1)
    DONE = ("CD", "✓", "+", 0)
    FAILED = ("F", "✗", "x", 1)
    CANCELLED = ("CA", "⊘", "-", 120)
    TIMEOUT = ("TO", "◷", "t", 121)
    LOST = ("NF", "?", "?", 122)
    STUCK = ("ST", "!", "!", -1)
    UNKNOWN = ("??", "~", "~", -1)

    def __init__(self, code: str, glyph: str, ascii_glyph: str, exit_code: int) -> None:
        self.code = code
        """Slurm's two letters."""
        self.glyph = glyph
        self.ascii_glyph = ascii_glyph
        self.exit_code = exit_code
        """What `wait` returns if the task has no exit code of its own; -1 while it has not ended."""

    @property
    def ended(self) -> bool:
        """True if no attempt of the task is pending or running."""
        return self.exit_code >= 0

    @classmethod
    def parse(cls, word: str) -> State:
        """The state of that word or Slurm code, in any case; raises KeyError."""
        wanted = word.strip().upper()
        wanted = {"COMPLETED": "DONE", "NODE_FAIL": "LOST", "CANCELED": "CANCELLED", "?": "UNKNOWN"}.get(wanted, wanted)
        for state in cls:
            if wanted in (state.name, state.code):
                return state
        raise KeyError(word)


def state(value: object) -> State:
    try:
        return State[text(value)]
    except KeyError:
        raise Malformed(f"no such state: {value!r:.60}") from None


KEEP_FAILED, KEEP_PACKED = "failed", "packed"
"""Which logs of ended indices an array keeps: of those that are not DONE; all, in few files. Any other word: all."""
ALL_GPUS = -1
"""As a task's GPU count: every GPU of the node."""


@dataclass(frozen=True)
class Need(Record):
    """What a task books on its node. Nothing named at all means the whole node, alone."""

    gpus: int | None = _as(maybe(integer), default=None)
    cpus: int | None = _as(maybe(integer), default=None)
    mem_mb: int | None = _as(maybe(integer), default=None)
    time_seconds: int | None = _as(maybe(integer), default=None)
    """The task's time limit: it takes no room, but a lease that ends sooner does not start the task."""
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def alone(self) -> bool:
        """True if the task shares its node with no other."""
        return self.gpus is None and self.cpus is None and self.mem_mb is None


@dataclass(frozen=True)
class Array(Record):
    """The indices of a task that runs once for each, and what differs between them; see `leaseq.arrays`."""

    indices: str = _as(text)
    """As `leaseq.indices` writes them: `0-49999`, `0-9:2,15`."""
    axes: tuple[Mapping[str, tuple[str, ...] | str], ...] = _as(several(axis), default=())
    """The values of parameters by name, or `a..b..step`. An index is the number of a combination, last axis fastest."""
    before: Mapping[str, int] = _as(mapping(integer), default_factory=dict)
    """Of an array that was queued again: how its other indices have ended, by state."""
    size: int = _as(integer, default=0)
    """What its commands are told of how many there are, if that is not how many indices are here."""
    throttle: int = _as(integer, default=0)
    """How many run at once over all nodes; 0: as many as have room."""
    max_fails: int = _as(integer, default=0)
    """With so many failed ones no other starts; 0: they all do."""
    logs: str = _as(text, default="")
    """Which logs are kept once an index has ended: empty (a pair of files for each), `failed`, `packed`."""
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Task(Record):
    """One command and how it is to run. Written once by its submitter; attempts never change it."""

    id: str = _as(text)
    argv: tuple[str, ...] = _as(several(text))
    """The exact words; if there is one word and `shell` is true, a line for `bash -c`."""
    cwd: str = _as(text)
    submitted: float = _as(number)
    shell: bool = _as(flag, default=False)
    need: Need = _as(record(Need), default=Need())
    env: Mapping[str, str] = _as(mapping(text), default_factory=dict)
    """What `--export` and `--env` chose of the submitter's environment: what a rerun needs."""
    export: str = _as(text, default="")
    """What `--export` said: `ALL`, `NONE`, or names; empty if an older leaseq did not keep it."""
    env_given: tuple[str, ...] = _as(several(text), default=())
    """The names of those variables that `--env` said."""
    name: str = _as(text, default="")
    node: str = _as(text, default=ANY)
    retries: int = _as(integer, default=0)
    on_lost: str = _as(text, default="")
    """`requeue`, `fail`, or empty: requeued as long as retries are left."""
    requeue: bool = _as(flag, default=False)
    """True if the end of the lease puts the running task back as pending."""
    umask: int = _as(integer, default=0o022)
    key: str = _as(text, default="")
    user: str = _as(text, default="")
    host: str = _as(text, default="")
    redo_of: str = _as(text, default="")
    group: str = _as(text, default="")
    """What it is paused, limited and found with."""
    array: Array | None = _as(maybe(record(Array)), default=None)
    """Of a task that runs once for each of its indices."""
    task_dir: bool = _as(flag, default=False)
    """True if its runner makes the task's own directory for results before it starts an attempt."""
    after: tuple[str, ...] = _as(several(text), default=())
    """What it waits for before its first attempt: words of `Upstream`."""
    on_dep: str = _as(text, default="")
    """What becomes of it if that can never come: `hold`, or empty: it is cancelled."""
    retried: Mapping[str, str] = _as(mapping(text), default_factory=dict)
    """By lease, the state in which its histories count the task: an attempt ended so, and `retry` asked for another."""
    origin: Origin | None = _as(maybe(record(Origin)), default=None)
    """What it was submitted from; None if that was not looked at."""
    notify: bool = _as(flag, default=False)
    """True if every hook is told how it ended, whatever else it hears of."""
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome(Record):
    """How one attempt ended. Decided once, by the first who links it; later reports are evidence only."""

    task: Task = _as(record(Task))
    attempt: int = _as(integer)
    state: State = _as(state)
    node: str = _as(text, default="")
    incarnation: str = _as(text, default="")
    exit_code: int | None = _as(maybe(integer), default=None)
    signal: int | None = _as(maybe(integer), default=None)
    reason: str = _as(text, default="")
    requeued: str = _as(text, default="")
    """Why another attempt follows (`retry`, `lost`, `requeue`, `recover`); empty if this one is the last."""
    started: float | None = _as(maybe(number), default=None)
    ended: float = _as(number, default=0.0)
    elapsed_seconds: float | None = _as(maybe(number), default=None)
    gpus: tuple[str, ...] = _as(several(text), default=())
    pid: int | None = _as(maybe(integer), default=None)
    max_rss_mb: float | None = _as(maybe(number), default=None)
    cpu_seconds: float | None = _as(maybe(number), default=None)
    order: str = _as(text, default="")
    """The ORDER in the names of the task's files, for another attempt; empty if an older leaseq did not keep it."""
    counts: Mapping[str, int] = _as(mapping(integer), default_factory=dict)
    """Of an array, how many of its indices ended so, by state."""
    last_attempt: int = _as(integer, default=0)
    """Of an array, the highest attempt of any of its indices: a `retry` of it begins after that."""
    because: str = _as(text, default="")
    """What it waited for and could never come, as a word of `Upstream`: for that alone it was cancelled."""
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The attempt after which the next one of the task comes: indices of an array may have had several."""
        return max(self.attempt, self.last_attempt)


@dataclass(frozen=True)
class Event(Record):
    """One line of a node's history: an attempt that ended, with the node's running totals after it."""

    id: str = _as(text)
    attempt: int = _as(integer)
    state: State = _as(state)
    ended: float = _as(number)
    node: str = _as(text, default="")
    name: str = _as(text, default="")
    command: str = _as(text, default="")
    exit_code: int | None = _as(maybe(integer), default=None)
    reason: str = _as(text, default="")
    requeued: str = _as(text, default="")
    submitted: float = _as(number, default=0.0)
    started: float | None = _as(maybe(number), default=None)
    elapsed_seconds: float | None = _as(maybe(number), default=None)
    gpus: tuple[str, ...] = _as(several(text), default=())
    group: str = _as(text, default="")
    retried: str = _as(text, default="")
    """The state in which an earlier line counts the task: this line counts in its place."""
    counts: Mapping[str, int] = _as(mapping(integer), default_factory=dict)
    """Of an array, how many of its indices ended so, by state."""
    totals: Mapping[str, int] = _as(mapping(integer), default_factory=dict)
    """Finished tasks of this node so far, by state; one that was retried elsewhere may be taken off here."""
    earlier: Mapping[str, int] = _as(mapping(integer), default_factory=dict)
    """By the name of an earlier history of this node: how many of its bytes `totals` counts."""
    notify: bool = _as(flag, default=False)
    """As its task's."""
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Lease(Record):
    """A queue with a name, and what was asked for to run it: by whom, when."""

    id: str = _as(text)
    kind: str = _as(text)
    """`local`, `hosts` or `slurm`."""
    created: float = _as(number)
    user: str = _as(text, default="")
    host: str = _as(text, default="")
    name: str = _as(text, default="")
    nodes: tuple[str, ...] = _as(several(text), default=())
    """Nodes that are known from the start: a host's; else empty."""
    argv: tuple[str, ...] = _as(several(text), default=())
    """The Slurm options as typed."""
    cwd: str = _as(text, default="")
    ended: float | None = _as(maybe(number), default=None)
    """When the last of its allocations had ended; None while one has not."""
    end_reason: str = _as(text, default="")
    version: str = _as(text, default="")
    allocs: bool = _as(flag, default=False)
    """True if its allocations have records of their own. The first leaseq knew one, of which the fields below tell."""
    cluster: str = _as(text, default="")
    """Where the job is that it was made with, as Slurm calls the cluster; empty: not known."""
    job: str = _as(text, default="")
    """The number of that job; empty: the lease's id."""
    token: str = _as(text, default="")
    """What that job is marked with, and what tells the lease from another that has had its id."""
    options: Mapping[str, str] = _as(mapping(text), default_factory=dict)
    python: str = _as(text, default="")
    main: str = _as(text, default="")
    adopted: bool = _as(flag, default=False)
    marked: bool = _as(flag, default=False)
    kept: bool = _as(flag, default=False)
    """True if other allocations are, or once were, asked for when they are due: see `protocol.succession`."""
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_of_hosts(self) -> bool:
        """True if its allocations are hosts that come and go: it may have none, and goes on without."""
        return self.kind == "hosts"

    @property
    def has_first(self) -> bool:
        """False if it was made without an allocation: each of them comes later."""
        return not self.is_of_hosts and (self.kind != "slurm" or not self.allocs or bool(self.job))

    @property
    def first(self) -> Allocation:
        """The allocation that it was made with, as far as this record tells: see `protocol.allocs.all_of`."""
        host = self.kind == "local"
        return Allocation(
            id=self.id.partition(":")[2] if host else self.job or self.id,
            kind="host" if host else self.kind,
            lease=self.id,
            created=self.created,
            user=self.user,
            name=self.name,
            argv=self.argv,
            options=self.options,
            python=self.python,
            main=self.main,
            adopted=self.adopted,
            marked=self.marked,
            cluster=self.cluster,
            job="" if host else self.job or self.id,
            token=self.token,
            nodes=self.nodes,
            ended=self.ended,
            end_reason=self.end_reason,
            in_lease=not self.allocs,
        )
