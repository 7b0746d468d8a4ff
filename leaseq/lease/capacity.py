"""Somebody will run a lease's backlog: what makes backlog sees to that."""

from __future__ import annotations

from leaseq.layout import Home, LeaseDir
from leaseq.lease.host import LocalBackend, Started
from leaseq.lease.leases import local_id
from leaseq.world import Clock, Fs


def ensure(fs: Fs, home: Home, clock: Clock, lease: LeaseDir) -> Started | None:
    """This host's runner is alive, if the lease is this host's; a lease of Slurm's starts its own: then None.

    Raises Unavailable with the end of the runner's log, Refused, and OSError.
    """
    if lease.id != local_id():
        return None
    host = LocalBackend(fs, home, clock=clock)
    alive = host.runner()
    return Started(alive.pid, already=True) if alive is not None else host.start()
