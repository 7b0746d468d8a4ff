"""What a runner says of its node again and again: what runs there, what there is, what its GPUs do.

Times are seconds since the epoch of the host that wrote them, for people: no rule compares them. Memory is in MiB.
"""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.dataclass import dataclass, field
from leaseq.schema import Record, _as, flag, integer, mapping, maybe, number, record, several, text


@dataclass(frozen=True)
class Running(Record):
    """A task that a runner holds, as its heartbeat tells it."""

    id: str = _as(text)
    attempt: int = _as(integer)
    gpus: tuple[str, ...] = _as(several(text), default=())
    cpus: int = _as(integer, default=0)
    mem_mb: int = _as(integer, default=0)
    pid: int | None = _as(maybe(integer), default=None)
    started: float | None = _as(maybe(number), default=None)
    elapsed_seconds: float = _as(number, default=0.0)
    name: str = _as(text, default="")
    command: str = _as(text, default="")
    stopping: str = _as(text, default="")
    """Why it is being ended (`cancel`, `timeout`, `lease`), empty otherwise."""
    cpus_used: float | None = _as(maybe(number), default=None)
    """How many processors its processes kept busy lately; None if that is not known."""
    rss_mb: float | None = _as(maybe(number), default=None)
    """The memory of its processes; what they share counts for each of them."""
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class GpuUse(Record):
    """One GPU as the node sees it now. None if the driver does not say."""

    token: str = _as(text)
    """What CUDA_VISIBLE_DEVICES calls it: an index, a UUID or a MIG name, kept as granted."""
    uuid: str = _as(text, default="")
    name: str = _as(text, default="")
    utilisation: float | None = _as(maybe(number), default=None)
    """Percent."""
    mem_used_mb: float | None = _as(maybe(number), default=None)
    mem_total_mb: float | None = _as(maybe(number), default=None)
    temperature_c: float | None = _as(maybe(number), default=None)
    power_w: float | None = _as(maybe(number), default=None)
    idle_seconds: float | None = _as(maybe(number), default=None)
    """For how long at least it has been at 0 % while one task had it; None if none has it, or it is busy."""
    stranger_mb: float | None = _as(maybe(number), default=None)
    """The memory that is used on it though no task here has it, if that is more than a driver needs."""
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Heartbeat(Record):
    """What one runner says of its node. Alive means: another process saw `counter` change lately."""

    lease: str = _as(text)
    node: str = _as(text)
    incarnation: str = _as(text)
    counter: int = _as(integer)
    time: float = _as(number)
    interval_seconds: float = _as(number)
    host: str = _as(text, default="")
    boot: str = _as(text, default="")
    pid: int = _as(integer, default=0)
    pid_start: int = _as(integer, default=0)
    """Field 22 of /proc/PID/stat, which tells a reused pid from the runner."""
    alloc: str = _as(text, default="")
    """The id of the allocation that gives the node; empty: the one of which the lease's record tells."""
    version: str = _as(text, default="")
    state: str = _as(text, default="up")
    """`up`, `draining`, `ending` (as its lease is), or `stopped` (ended on purpose, nothing follows)."""
    started: float = _as(number, default=0.0)
    cpus: int = _as(integer, default=0)
    mem_mb: int = _as(integer, default=0)
    gpus: tuple[str, ...] = _as(several(text), default=())
    """Tokens of the GPUs this runner was granted."""
    gpus_known: bool = _as(flag, default=True)
    """False while the driver has not told which GPUs there are."""
    free_cpus: int = _as(integer, default=0)
    free_mem_mb: int = _as(integer, default=0)
    free_gpus: tuple[str, ...] = _as(several(text), default=())
    running: tuple[Running, ...] = _as(several(record(Running)), default=())
    totals: Mapping[str, int] = _as(mapping(integer), default_factory=dict)
    waiting: Mapping[str, str] = _as(mapping(text), default_factory=dict)
    """Why the first pending tasks do not start here: task id to reason."""
    load: float | None = _as(maybe(number), default=None)
    mem_used_mb: int | None = _as(maybe(integer), default=None)
    gpu_use: tuple[GpuUse, ...] = _as(several(record(GpuUse)), default=())
    gpu_error: str = _as(text, default="")
    ends: float | None = _as(maybe(number), default=None)
    """When the allocation ends, by this node's clock."""
    idle_seconds: float = _as(number, default=0.0)
    """How long no task has run here."""
    idle_limit_seconds: float | None = _as(maybe(number), default=None)
    """How long the node's allocation may stand unused; None: as long as it lasts."""
    unused_seconds: float | None = _as(maybe(number), default=None)
    """How long nothing has used the node, with such a limit: no task, no shell, nothing that could start here."""
    used_by: str = _as(text, default="")
    """What uses it, with such a limit, in words."""
    note: str = _as(text, default="")
    extra: Mapping[str, object] = field(default_factory=dict)
