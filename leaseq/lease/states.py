"""The state of a lease out of those of its allocations: it is as well off as the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.errors import LeaseqError
from leaseq.layout import Home, LeaseDir
from leaseq.lease import keeping, leases
from leaseq.lease.base import LeaseState
from leaseq.lease.kinds import is_borrowed, way_in
from leaseq.models import Lease
from leaseq.protocol import allocs
from leaseq.world import Clock, Fs

if TYPE_CHECKING:
    from leaseq.lease.kept import Kept

BEST_FIRST = ("RUNNING", "PENDING", "UNKNOWN", "ENDING", "COMPLETING", "ENDED")


def merged(states: Sequence[LeaseState]) -> LeaseState:
    """The state of a lease whose allocations have those states."""
    if not states:
        return LeaseState("UNKNOWN", reason="nothing is known of what gives it nodes")
    if len(states) == 1:
        return states[0]
    best = min(states, key=lambda each: BEST_FIRST.index(each.word))
    alike = [each for each in states if each.word == best.word]
    ends = [each.ends for each in alike if each.ends is not None]
    return replace(
        best if best.word != "ENDED" else alike[-1],
        nodes=tuple(dict.fromkeys(node for each in states for node in each.nodes)),
        starts=min((each.starts for each in alike if each.starts), default=""),
        ends=max(ends) if len(ends) == len(alike) else None,
        age_seconds=max(each.age_seconds for each in alike),
    )


def of_lease(fs: Fs, home: Home, clock: Clock, lease: Lease, *, period_seconds: float | None = None) -> LeaseState:
    """The lease's state as the keepers of its allocations know it; never raises because an answer is late or missing.

    period_seconds: how old an answer of Slurm may be (None: by the settings).
    """
    known = allocs.living_of(fs, home.lease(lease.id), lease)
    if not known and lease.is_of_hosts:
        return without_host(lease)
    state = merged([of_alloc(fs, home, clock, each, period_seconds=period_seconds) for each in known])
    if known and state.word != "ENDED":
        return state
    how = kept(fs, home, lease)
    return (between(how, clock.now()) if how is not None else None) or state


def kept(fs: Fs, home: Home, lease: Lease) -> Kept | None:
    """How others are asked for of the lease; None if none is, or it has ended."""
    if lease.ended is not None or not is_borrowed(lease):
        return None
    from leaseq.lease.kept import kept_of

    return kept_of(fs, home.lease(lease.id))


def between(how: Kept, now: float) -> LeaseState | None:
    """The state of a lease that has no job, if there is to be another; None if not."""
    if not how.goes_on(now):
        return None
    from leaseq.lease import wording

    if how.how.scale:
        return LeaseState("PENDING", f"no node now, {wording.scales(how)}")
    return LeaseState("PENDING", wording.following(how, ()) or "no job is left; who acts next asks for another")


def without_host(lease: Lease) -> LeaseState:
    """The state of a lease of hosts that has none now."""
    if lease.ended is not None:
        return LeaseState("ENDED", reason=lease.end_reason)
    return LeaseState("PENDING", reason=f"no host: {way_in(lease)}")


def of_alloc(fs: Fs, home: Home, clock: Clock, alloc: Allocation, *, period_seconds: float | None = None) -> LeaseState:
    """The same of one allocation, with its nodes as the lease calls them."""
    return as_named(fs, home.lease(alloc.lease), alloc, _state(fs, home, clock, alloc, period_seconds))


def _state(fs: Fs, home: Home, clock: Clock, alloc: Allocation, period_seconds: float | None) -> LeaseState:
    try:
        return keeping.backend(alloc, fs=fs, home=home, clock=clock, period_seconds=period_seconds).state(alloc)
    except LeaseqError as error:
        return LeaseState("UNKNOWN", reason=error.message)


def as_named(fs: Fs, lease: LeaseDir, alloc: Allocation, state: LeaseState) -> LeaseState:
    """The state of that allocation, with its nodes as the lease calls them, and not as their hosts are called.

    A host that the lease has given back is none of them, though Slurm may count it until the job ends.
    """
    if not state.nodes:
        return state
    called = {host: node for node, host in allocs.hosts(fs, allocs.directory(lease, alloc)).items()}
    return replace(state, nodes=tuple(called[host] for host in state.nodes if host in called) or state.nodes)


def active(fs: Fs, home: Home, clock: Clock, *, anew: bool = False) -> list[Lease]:
    """Slurm's leases that have not ended and are not about to: those that have started first, newest first.

    By the shared squeue, which is asked now if `anew`.
    """
    found, period = [], keeping.NOW_SECONDS if anew else None
    for lease in leases.list_leases(fs, home):
        if lease.kind != "slurm" or lease.ended is not None:
            continue
        if of_lease(fs, home, clock, lease, period_seconds=period).word not in ("COMPLETING", "ENDED"):
            found.append(lease)
    return sorted(found, key=lambda lease: not leases.has_started(fs, home, lease))
