"""An allocation made elsewhere becomes a lease."""

from __future__ import annotations

from leaseq.lease import leases
from leaseq.models import Lease
from leaseq.verbs.access import Access

LOOK_SECONDS = 0.1
"""How old an answer of Slurm may be on which a job is adopted."""


def adopt(access: Access, job: str, *, name: str, umask: int) -> tuple[Lease, tuple[str, ...]]:
    """(the lease that the job is, which is the default now; the nodes where runners start); raises LeaseqError."""
    from leaseq.lease.host import user_name
    from leaseq.lease.slurm.adopt import adopt as take
    from leaseq.lease.slurm.job import SlurmBackend
    from leaseq.world import hostname

    access.make_home()
    backend = SlurmBackend(access.fs, access.home, clock=access.clock, period_seconds=LOOK_SECONDS)
    record, nodes = take(backend, job, name=name, user=user_name(), host=hostname(), umask=umask)
    leases.choose(access.fs, access.home, record.id)
    return record, nodes
