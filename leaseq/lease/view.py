"""What state leases are in, for whoever looks: one answer for the command line and the monitor. Nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError, Newer
from leaseq.layout import Home, LeaseDir
from leaseq.lease import leases, states
from leaseq.lease.base import LeaseState
from leaseq.lease.kinds import is_borrowed
from leaseq.lease.leases import Holding
from leaseq.models import Lease
from leaseq.protocol import allocs
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import News
from leaseq.world import Clock, Fs

if TYPE_CHECKING:
    from leaseq.lease.kept import Kept
    from leaseq.lease.slurm.answer import Queue
    from leaseq.lease.slurm.job import SlurmBackend

Known = Sequence[tuple[Allocation, LeaseState]]
"""The states of allocations."""
REQUEUED_SECONDS = 3600.0
"""How long after a lease's end Slurm is asked whether it is there again."""


@dataclass(frozen=True)
class LeaseView:
    """A lease with its state and those of the allocations that it has now."""

    lease: Lease
    state: LeaseState
    nodes: tuple[str, ...] = ()
    left_seconds: float | None = None
    """Until its end; None if it has none, or that is not known."""
    allocs: tuple[tuple[Allocation, LeaseState], ...] = ()
    """Its living allocations, oldest first; none if the lease has ended."""
    ended: Known = ()
    """Those that it has no more, oldest first, by their records or by what Slurm says."""
    kept: Kept | None = None
    """How one is followed by another; None if it is not, or the lease has ended."""

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
    def is_of_hosts(self) -> bool:
        return self.lease.is_of_hosts

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
    return look(fs, home, leases.list_holdings(fs, home), clock=clock, others=True)


def look(fs: Fs, home: Home, found: Sequence[Holding], *, clock: Clock, others: bool = False) -> Looked:
    """Those leases now. Slurm is asked at most as often as the settings say.

    others: leases, too, whose command died before it could write their record.
    """
    unfinished = others and _scripts_wait(fs, home)
    if not unfinished and not any(_may_have_news(each.lease, clock) for each in found):
        # Most homes need no Slurm, and it brings subprocess with it.
        return Looked(tuple(_view(fs, home, each, _recorded(fs, home, each, clock), clock) for each in found))
    from leaseq.lease.slurm import answer
    from leaseq.lease.slurm.job import by_settings
    from leaseq.lease.slurm.sbatch import without_record

    slurm = by_settings(fs, home, clock=clock)
    try:
        queue = slurm.queue()
    except (OSError, LeaseqError) as error:
        queue = answer.Queue(failure=f"cannot tell: {error}")
    asked = [each for each, _ in without_record(fs, home, queue)] if unfinished else []
    new = [Holding(each.lease, (each.alloc,)) for each in asked if each.is_new]
    views = []
    for of in (*new, *found):
        is_known = of.lease.kind != "slurm" or (of.lease.ended is not None and not queue.says_alive(of.lease))
        views.append(_view(fs, home, of, _recorded(fs, home, of, clock) if is_known else told(slurm, queue, of), clock))
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


def told(slurm: SlurmBackend, queue: Queue, of: Holding) -> Known:
    """The states of the lease's living allocations by that answer, and by what is known besides: see `state_by`."""
    directory = slurm.home.lease(of.lease.id)
    again = {(each.lease, each.alloc) for each in queue.verdicts if each.alive}
    living = [each for each in of.allocs if each.ended is None or (each.lease, each.id) in again] or of.living
    return [(each, states.as_named(slurm.fs, directory, each, slurm.state_by(queue, each))) for each in living]


def _recorded(fs: Fs, home: Home, of: Holding, clock: Clock) -> Known:
    """The states of a lease that has ended by its record (then none), or of which Slurm knows nothing."""
    if of.lease.ended is not None:
        return []
    return [(each, states.of_alloc(fs, home, clock, each)) for each in of.living]


def _view(fs: Fs, home: Home, of: Holding, known: Known, clock: Clock) -> LeaseView:
    lease = of.lease
    state = LeaseState("ENDED", reason=lease.end_reason)
    if known:
        state = states.merged([state for _, state in known])
    elif lease.is_of_hosts:
        state = states.without_host(lease)
    kept = states.kept(fs, home, lease)
    if kept is not None and state.word == "ENDED":
        state = states.between(kept, clock.now()) or state
    nodes = state.nodes or lease.nodes
    if not nodes and state.word != "ENDED":
        nodes = allocs.merged_nodes(fs, home.lease(lease.id), of.living)
    left = None if state.ends is None else max(0.0, state.ends - clock.now())
    by_id = {each.id: state for each, state in known}
    now = [(each, by_id.get(each.id) or LeaseState("ENDED", reason=each.end_reason)) for each in of.allocs]
    return LeaseView(
        lease, state, nodes, left, tuple(known), tuple(each for each in now if each[1].word == "ENDED"), kept
    )


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

    home, lost = Home(lease.root.rsplit("/", 2)[0]), {}
    known = allocs.living_of(fs, lease, record)
    kept = {cluster: answer.read(fs, home, cluster) for cluster in {each.cluster for each in known}}
    found = [kept[each.cluster].verdict(each) for each in known]
    for verdict in found:
        lost.update(dict.fromkeys(verdict.lost, verdict.why) if verdict else {})
    ends = [verdict.end for verdict in found if verdict is not None and verdict.over]
    return News(ends[-1] if ends and len(ends) == len(known) else "", lost)
