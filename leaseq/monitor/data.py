"""What is known: everything read so far, each part by a reader of its own. Values, nothing read.

Times named `at` and `since` are this process's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.dataclass import dataclass, field, replace
from leaseq.lease.view import LeaseView
from leaseq.reading.forecast import Forecast
from leaseq.reading.logtext import Line
from leaseq.reading.views import Progress, Snapshot

HISTORY_SAMPLES = 60
Past = Mapping[tuple[str, str], tuple[str, ...]]
"""Nodes, by lease and allocation."""


@dataclass(frozen=True)
class Log:
    """The end of a task's output as it was read last."""

    task: str = ""
    attempt: int = 0
    stream: str = "out"
    lines: tuple[Line, ...] = ()
    first: int = 0
    """The number of the first line: a line keeps its number while more is read before and after it."""
    size: int = 0
    skipped: int = 0
    note: str = ""
    at: float = 0.0
    since: float | None = None
    """When the read that has not come back yet began."""


@dataclass(frozen=True)
class Watched:
    """The lease that is looked at, as it was read last."""

    snapshot: Snapshot | None = None
    at: float = 0.0
    since: float | None = None
    """When the read that has not come back yet began."""
    left_seconds: float | None = None
    """Of the lease's time, when the snapshot was taken."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What the lease script said of nodes without a runner."""
    failure: str = ""
    ahead: Forecast | None = None
    """How long what is pending takes; None: nothing is."""
    gpus: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)
    """Utilisation of (node, GPU) in the last heartbeats, oldest first."""


@dataclass(frozen=True)
class Leases:
    """Which leases there are, and what Slurm said of them."""

    rows: tuple[LeaseView, ...] = ()
    at: float | None = None
    slurm_age: float | None = None
    """Of Slurm's answer at `at`; None if no lease is Slurm's or it never answered."""
    failure: str = ""


@dataclass(frozen=True)
class Data:
    """All of it. `lease_id`: the lease that is looked at."""

    lease_id: str = ""
    lease: Watched = Watched()
    leases: Leases = Leases()
    log: Log = Log()
    progress: Mapping[str, Progress] = field(default_factory=dict)
    """How far running tasks in sight are, by id."""
    had: Past = field(default_factory=dict)
    """The nodes that allocations had which have ended, as far as they have been read."""


def with_history(found: Watched, before: Watched) -> Watched:
    """What was found, with one more sample of each GPU whose node has reported since."""
    if found.snapshot is None:
        return found
    last = {view.node: view.heartbeat for view in before.snapshot.nodes} if before.snapshot else {}
    gpus = {}
    for view in found.snapshot.nodes:
        beat, old = view.heartbeat, last.get(view.node)
        for use in beat.gpu_use if beat else ():
            samples = before.gpus.get((view.node, use.token), ())
            if old is None or beat is None or old.counter != beat.counter:
                samples = (*samples, use.utilisation or 0.0)[-HISTORY_SAMPLES:]
            gpus[view.node, use.token] = samples
    return replace(found, gpus=gpus)
