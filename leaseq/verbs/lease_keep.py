"""One job of a lease follows the other, or none does any more."""

from __future__ import annotations

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.errors import Refused
from leaseq.lease import leases
from leaseq.lease.kept import kept_of
from leaseq.lease.kinds import is_borrowed
from leaseq.lease.leases import called, living
from leaseq.models import Lease
from leaseq.protocol import allocs, records, succession
from leaseq.protocol.succession import How
from leaseq.verbs.access import Access


def lease_to_keep(access: Access, word: str) -> tuple[Lease, Allocation]:
    """The lease that the word stands for, and the job of it that another is to be like; raises LeaseqError."""
    directory = access.lease(word, acts=True)
    access.keep_up(directory)
    record = living(access.record(directory))
    if not is_borrowed(record):
        raise Refused(
            f"lease {called(record)} is of hosts and not of Slurm: it does not end by itself", hint="`leaseq lease ls`"
        )
    if scales(access, record):
        raise Refused(
            f"lease {leases.called(record)} scales: its jobs do not follow each other",
            hint=f"`leaseq lease scale {record.id} 1..N` keeps one; `leaseq lease release {record.id}` ends it",
        )
    known = allocs.living_of(access.fs, directory, record)
    return record, next((each for each in reversed(known) if allocs.nodes_of(access.fs, directory, each)), known[-1])


def scales(access: Access, record: Lease) -> bool:
    """True if the lease has as many jobs as its tasks need."""
    kept = kept_of(access.fs, access.home.lease(record.id)) if record.kept else None
    return kept is not None and bool(kept.how.scale)


def keep(access: Access, record: Lease, alloc: Allocation, how: How, *, umask: int) -> How:
    """Another job follows each job of the lease, so from now on; raises LeaseqError.

    how: how long. What Slurm is asked for stays, or is as for that job of the lease if it has not been kept yet.
    """
    from leaseq.lease.slurm import successor

    lease = access.home.lease(record.id)
    until = None if how.seconds is None else access.clock.now() + how.seconds
    now = replace(how, seconds=None, until=until)
    succession.keep(access.fs, lease, successor.as_before(access.fs, access.home, record, alloc, now, umask=umask))
    asks = succession.asks_in(succession.names(access.fs, lease))
    stands = replace(
        succession.read_how(access.fs, lease),
        seconds=None,
        until=until,
        while_busy=how.while_busy,
        overlap_minutes=how.overlap_minutes,
        forgiven=asks[-1] if asks else (1, 1),
    )
    succession.go_on(access.fs, lease, stands)
    records.mark_kept(access.fs, lease)
    _follow(access)
    return stands


def end(access: Access, record: Lease) -> None:
    """No other job follows those that run; one that is queued is taken back."""
    lease = access.home.lease(record.id)
    if succession.is_kept(succession.names(access.fs, lease)):
        succession.stop(access.fs, lease, "`leaseq lease keep off`")
    _follow(access)


def _follow(access: Access) -> None:
    from leaseq.lease.upkeep import keep_up_now

    keep_up_now(access.fs, access.home, clock=access.clock)
