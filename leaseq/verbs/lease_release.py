"""A lease ends."""

from __future__ import annotations

from collections.abc import Iterator

from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.lease import leases, states
from leaseq.models import Lease, State
from leaseq.protocol import succession
from leaseq.reading.views import Snapshot
from leaseq.verbs.access import Access
from leaseq.verbs.lease_hold_queue import hold_queue

DRAIN_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Released:
    """What became of a lease that was to end."""

    now: bool
    """False if it had ended before."""
    left: bool = False
    """True if it was the default, and is so no longer."""
    default: Lease | None = None
    """The lease that is the default instead; None if that is this host's own."""


def in_use(access: Access) -> str:
    """The id of the default lease, if that is not this host's own; raises UsageError."""
    chosen = leases.default(access.fs, access.home)
    if leases.is_own(chosen):
        raise UsageError("which lease?", hint="leaseq lease release LEASE; `leaseq lease ls` lists them")
    return chosen


def look(access: Access, record: Lease) -> Snapshot:
    """The lease's counts of now."""
    return access.reader_of(access.home.lease(record.id)).read(recent=0, pending=0)


def taken(snapshot: Snapshot) -> int:
    """Tasks that a runner has taken, whether or not it can be heard now."""
    return sum(snapshot.totals.get(state, 0) for state in (State.RUNNING, State.STUCK, State.UNKNOWN))


def drain(access: Access, record: Lease) -> Iterator[int]:
    """No task runs on the lease and none will start, nor on a job that it would ask for. Gives how many run yet.

    A caller that stops asking leaves the lease draining.
    """
    lease = access.home.lease(record.id)
    reader = access.reader_of(lease)
    if succession.is_kept(succession.names(access.fs, lease)):
        succession.stop(access.fs, lease, "released")
    hold_queue(access, record)
    while running := taken(reader.read(recent=0, pending=0)):
        yield running
        access.pause(DRAIN_LOOK_SECONDS)


def release(access: Access, record: Lease) -> Released:
    """The lease has been released, or is being. If it was the default, another is: the newest that runs, or waits."""
    now = access.release(record)
    was_default = not leases.is_own(record.id) and leases.chosen(access.fs, access.home) == record.id
    if record.ended is not None or not was_default:
        return Released(now)
    others = [each for each in states.active(access.fs, access.home, access.clock, anew=True) if each.id != record.id]
    leases.choose(access.fs, access.home, others[0].id if others else "")
    return Released(now, left=True, default=others[0] if others else None)
