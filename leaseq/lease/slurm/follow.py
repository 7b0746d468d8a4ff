"""Of each lease for which one job is asked for after the other what is due is done."""

from __future__ import annotations

import contextlib

from leaseq.errors import LeaseqError
from leaseq.layout import Home
from leaseq.lease import leases
from leaseq.lease.leases import Holding
from leaseq.lease.slurm.answer import Queue
from leaseq.lease.slurm.asking import Asker, Hands
from leaseq.lease.slurm.scaling import Pool
from leaseq.lease.slurm.successor import Chain
from leaseq.protocol import succession
from leaseq.world import Clock, Fs


def follow(fs: Fs, home: Home, queue: Queue, *, clock: Clock, on_node: bool) -> None:
    """What is due is done. on_node: a node of a lease asks, which may not be allowed to."""
    for held in leases.list_holdings(fs, home):
        if held.lease.kind == "slurm" and held.lease.ended is None:
            with contextlib.suppress(LeaseqError, OSError):  # the next answer finds it as it is
                if (asker := asker_of(fs, home, held, queue, clock=clock, on_node=on_node)) is not None:
                    asker.follow()


def asker_of(fs: Fs, home: Home, held: Holding, queue: Queue, *, clock: Clock, on_node: bool) -> Asker | None:
    """Who knows what is due of the lease; None if it has the job alone that it was made with."""
    lease = home.lease(held.lease.id)
    if "how" not in succession.names(fs, lease):
        return None
    kind = Pool if succession.read_how(fs, lease).scale else Chain
    return kind(fs, home, held, queue, clock=clock, on_node=on_node, hands=Hands(fs, home, clock=clock))
