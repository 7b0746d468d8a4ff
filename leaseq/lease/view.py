"""What state leases are in, for whoever looks: one answer for the command line and the monitor. Nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError, Newer
from leaseq.layout import Home, LeaseDir
from leaseq.lease import keeping, leases
from leaseq.lease.base import LeaseState
from leaseq.lease.kinds import is_borrowed
from leaseq.models import Lease
from leaseq.protocol import allocs
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import News
from leaseq.world import Clock, Fs

REQUEUED_SECONDS = 3600.0
"""How long after a lease's end Slurm is asked whether it is there again."""


@dataclass(frozen=True)
class LeaseView:
    """A lease with the state of its allocation."""

    lease: Lease
    state: LeaseState
    nodes: tuple[str, ...] = ()
    left_seconds: float | None = None
    """Until its end; None if it has none, or that is not known."""

    @property
    def id(self) -> str:
        return self.lease.id

    @property
    def kind(self) -> str:
        return self.lease.kind

    @property
    def is_borrowed(self) -> bool:
        return is_borrowed(self.lease)

    @property
    def name(self) -> str:
        return self.lease.name

    @property
    def word(self) -> str:
        return self.state.word

    @property
    def reason(self) -> str:
        return self.state.reason

    @property
    def argv(self) -> tuple[str, ...]:
        return self.lease.argv

    @property
    def created(self) -> float:
        return self.lease.created


@dataclass(frozen=True)
class Looked:
    """Leases as they were seen, and how good Slurm's part of that is."""

    views: tuple[LeaseView, ...]
    age_seconds: float | None = None
    """Of Slurm's answer; None if no lease is Slurm's, or it never answered."""
    failure: str = ""
    """Why no newer answer could be had."""


def look_at_all(fs: Fs, home: Home, *, clock: Clock) -> Looked:
    """Every lease of the home, newest first, and those of which Slurm alone knows: see `sbatch.without_record`."""
    return look(fs, home, leases.list_leases(fs, home), clock=clock, others=True)


def look(fs: Fs, home: Home, found: Sequence[Lease], *, clock: Clock, others: bool = False) -> Looked:
    """Those leases now. Slurm is asked at most as often as the settings say.

    others: leases, too, whose command died before it could write their record.
    """
    unfinished = others and _scripts_wait(fs, home)
    if not unfinished and not any(_may_have_news(lease, clock) for lease in found):
        # Most homes need no Slurm, and it brings subprocess with it.
        return Looked(tuple(_view(fs, home, lease, _recorded(fs, home, lease, clock), clock) for lease in found))
    from leaseq.lease.slurm import answer
    from leaseq.lease.slurm.job import by_settings
    from leaseq.lease.slurm.sbatch import without_record

    slurm = by_settings(fs, home, clock=clock)
    try:
        queue = slurm.queue()
    except (OSError, LeaseqError) as error:
        queue = answer.Queue(failure=f"cannot tell: {error}")
    new = [lease for lease, _ in without_record(fs, home, queue)] if unfinished else []
    views = []
    for lease in (*new, *found):
        known = lease.kind != "slurm" or (lease.ended is not None and not queue.says_alive(lease))
        state = _recorded(fs, home, lease, clock) if known else slurm.state_by(queue, lease.allocation)
        views.append(_view(fs, home, lease, state, clock))
    return Looked(tuple(views), None if queue.age_seconds == float("inf") else queue.age_seconds, queue.failure)


def _may_have_news(lease: Lease, clock: Clock) -> bool:
    """True for a lease of Slurm's that has not ended, or so lately that Slurm may have requeued its job."""
    return lease.kind == "slurm" and (lease.ended is None or clock.now() - lease.ended < REQUEUED_SECONDS)


def _scripts_wait(fs: Fs, home: Home) -> bool:
    """True if a command may have died between sbatch's answer and its lease's record."""
    try:
        return bool(fs.names(home.scripts))
    except FileNotFoundError:
        return False


def _recorded(fs: Fs, home: Home, lease: Lease, clock: Clock) -> LeaseState:
    """The state of a lease that has ended by its record, or of which Slurm knows nothing."""
    if lease.ended is not None:
        return LeaseState("ENDED", reason=lease.end_reason)
    return keeping.backend(lease.allocation, fs=fs, home=home, clock=clock).state(lease.allocation)


def _view(fs: Fs, home: Home, lease: Lease, state: LeaseState, clock: Clock) -> LeaseView:
    nodes = state.nodes or lease.nodes
    if not nodes and state.word != "ENDED":
        nodes = allocs.members(fs, home.lease(lease.id))
    left = None if state.ends is None else max(0.0, state.ends - clock.now())
    return LeaseView(lease, state, nodes, left)


def reader_of(fs: Fs, lease: LeaseDir, clock: Clock) -> Reader:
    """A reader of the lease that shows what an upkeep would decide by the last answer of Slurm. It asks nobody."""
    return Reader(lease, fs, clock, news=lambda: _news(fs, lease))


def _news(fs: Fs, lease: LeaseDir) -> News:
    try:
        record = leases.read_record(fs, lease)
    except Newer:
        return News()  # the reader says so
    if record is None or record.kind != "slurm" or record.ended is not None:
        return News()
    from leaseq.lease.slurm import answer

    verdict = answer.read(fs, Home(lease.root.rsplit("/", 2)[0]), record.cluster).verdicts.get(lease.id)
    if verdict is None:
        return News()
    return News(verdict.end if verdict.over else "", dict.fromkeys(verdict.lost, verdict.why))
