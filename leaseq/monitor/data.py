"""What is known: everything read so far, each part by a reader of its own. Values, nothing read.

Times named `at` and `since` are this process's monotonic clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING

from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import LeaseqError
from leaseq.lease.view import LeaseView
from leaseq.reading.forecast import Forecast
from leaseq.reading.logtext import Line
from leaseq.reading.views import Progress, Snapshot, TaskView

if TYPE_CHECKING:
    from leaseq.reading.timeline import Story
    from leaseq.reading.tree import Branch
    from leaseq.reading.unfolding import Unfolded
    from leaseq.reading.usage import Held

HISTORY_SAMPLES = 60
ERRORS_MAX = 2000
Past = Mapping[tuple[str, str], tuple[str, ...]]
"""Nodes, by lease and allocation."""


@dataclass(frozen=True)
class Seek:
    """A line of an output that is looked for, from an offset on: the next one, or the one before."""

    start: int
    back: bool = True
    text: str = ""
    """What it says; empty: it tells of an error."""


@dataclass(frozen=True)
class Sought:
    """What came of a search: where the line begins, once it is found."""

    seek: Seek
    at: int | None = None
    done: bool = False
    wrapped: bool = False
    """The search has gone on from the other end."""
    come: int = 0
    """How many bytes have been searched."""


@dataclass(frozen=True)
class Index:
    """All lines that have the words, from an offset to the end of what is written."""

    text: str = ""
    offsets: tuple[int, ...] = ()
    begin: int = 0
    """Before it nothing has been looked at; 0: these are all."""


def known_by(index: Index, seek: Seek) -> Sought | None:
    """What the lines that are known say of what is looked for; None if they do not tell."""
    if index.text != seek.text or not index.text:
        return None
    offsets = index.offsets
    place = bisect_left(offsets, seek.start) - 1 if seek.back else bisect_right(offsets, seek.start)
    if 0 <= place < len(offsets) and (seek.back or seek.start >= index.begin):
        return Sought(seek, offsets[place], done=True)
    if index.begin:
        return None
    return Sought(seek, offsets[-1 if seek.back else 0] if offsets else None, done=True, wrapped=True)


@dataclass(frozen=True)
class Log:
    """The part of an attempt's output that is looked at, as it was read last."""

    task: str = ""
    attempt: int = 0
    stream: str = "both"
    lines: tuple[Line, ...] = ()
    end: int = 0
    """Where the whole lines that were read end."""
    whole: int = 0
    """Where the whole lines of the output end."""
    size: int = 0
    """Bytes in the files."""
    parts: tuple[int, ...] = ()
    """Where in what was there at the first look another stream begins."""
    note: str = ""
    at: float = 0.0
    since: float | None = None
    """When the read that has not come back yet began."""
    index: Index = Index()
    sought: Sought | None = None

    @property
    def begin(self) -> int:
        """Where the first line begins that was read: what is above it was not."""
        return self.lines[0].at if self.lines else 0

    @property
    def live(self) -> bool:
        """True if the end of the output is part of it."""
        return self.end >= self.whole


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
    gpus: Mapping[tuple[str, str], tuple[float | None, ...]] = field(default_factory=dict)
    """Utilisation of (node, GPU) in the last heartbeats, oldest first; None: the driver did not say."""


@dataclass(frozen=True)
class Leases:
    """Which leases there are, and what Slurm said of them."""

    rows: tuple[LeaseView, ...] = ()
    at: float | None = None
    slurm_age: float | None = None
    """Of Slurm's answer at `at`; None if no lease is Slurm's or it never answered."""
    failure: str = ""


@dataclass(frozen=True, eq=False)
class Forest:
    """The tasks that come after others, or others after them, as they were read last."""

    branches: tuple[Branch, ...]
    pending: int = 0
    """Of the pending tasks only so many were looked at, if not 0."""
    ended: int = 0
    """Of the ended ones only the last so many."""


@dataclass(frozen=True, eq=False)
class Books:
    """What the allocations of a lease have held and used, as it was read last."""

    held: tuple[Held, ...]


@dataclass(frozen=True)
class Seen:
    """What the open view shows, as it was read last."""

    pane: str = ""
    of: str = ""
    """Which view that is, and of what."""
    body: Unfolded | Story | Forest | Books | None = None
    rows: Mapping[str, TaskView] = field(default_factory=dict)
    """Tasks that were read for it, by id."""
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
    seen: Seen = Seen()
    errors: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """The last errors of failed attempts, as far as they have been read; empty: it named none."""


def with_seen(data: Data, found: Seen) -> Data:
    return replace(data, seen=found)


def with_errors(data: Data, found: Mapping[tuple[str, int], str]) -> Data:
    """With the errors of some attempts more; of very many those are forgotten that were read first."""
    kept = dict(list({**data.errors, **found}.items())[-ERRORS_MAX:])
    return replace(data, errors=kept)


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
                samples = (*samples, use.utilisation)[-HISTORY_SAMPLES:]
            gpus[view.node, use.token] = samples
    return replace(found, gpus=gpus)


def said_of(error: BaseException) -> str:
    """What went wrong, in words."""
    if isinstance(error, LeaseqError):
        return error.message
    if isinstance(error, OSError):
        return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    return str(error)
