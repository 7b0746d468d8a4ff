"""Somebody will run a lease's backlog: what makes backlog sees to that."""

from __future__ import annotations

from leaseq.errors import Newer
from leaseq.layout import Home, LeaseDir
from leaseq.lease.host import LocalBackend, Started
from leaseq.lease.leases import local_id, read_record
from leaseq.models import Lease
from leaseq.protocol import allocs
from leaseq.world import Clock, Fs


def ensure(fs: Fs, home: Home, clock: Clock, lease: LeaseDir, record: Lease | None = None) -> Started | str | None:
    """This host's runner is alive, if the lease is this host's; a lease of Slurm's starts its own.

    Of one of Slurm's for which others are asked for what is due is done, by the shared answer, and what a person must
    know of that is given; nothing is, of one whose nodes are all that it will have. Of a lease of hosts it is given if
    there is none. record: the lease's, if known.
    Raises Unavailable with the end of the runner's log, Refused, and OSError.
    """
    if lease.id != local_id():
        found = record or _record(fs, lease)
        if found is not None and found.is_of_hosts:
            return _without_host(fs, lease, found)
        return _asked(fs, home, clock, found) if found is not None and found.kept and found.ended is None else None
    host = LocalBackend(fs, home, clock=clock)
    alive = host.runner()
    return Started(alive.pid, already=True) if alive is not None else host.start()


def _record(fs: Fs, lease: LeaseDir) -> Lease | None:
    try:
        return read_record(fs, lease)
    except Newer:
        return None


def _without_host(fs: Fs, lease: LeaseDir, record: Lease) -> str | None:
    """What is said of a lease of hosts that has none now."""
    from leaseq.lease.states import without_host

    return (
        None
        if allocs.living_of(fs, lease, record)
        else f"queued, and lease {lease.id} has {without_host(record).reason}"
    )


def _asked(fs: Fs, home: Home, clock: Clock, record: Lease) -> str | None:
    from leaseq.errors import LeaseqError
    from leaseq.lease import leases, upkeep
    from leaseq.lease.slurm.follow import asker_of
    from leaseq.lease.slurm.scaling import Pool
    from leaseq.lease.wording import of_wanted

    try:
        queue = upkeep.keep_up(fs, home, clock=clock)
        held = leases.holding(fs, home, record)
        asker = asker_of(fs, home, held, queue, clock=clock, on_node=False)
        told = asker.look() if isinstance(asker, Pool) else None
    except (LeaseqError, OSError) as error:
        return f"whether lease {leases.called(record)} needs another job cannot be known: {error}"
    return of_wanted(told, leases.called(record)) or None if told is not None else None
