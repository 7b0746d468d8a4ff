"""Slurm is asked for a lease, or for more nodes of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.lease import leases, states
from leaseq.models import Lease
from leaseq.verbs.access import Access

if TYPE_CHECKING:
    from leaseq.lease.slurm.estimate import Estimate
    from leaseq.lease.slurm.sbatch import LeaseRequest, Prepared


@dataclass(frozen=True)
class Added:
    """What Slurm has queued."""

    lease: Lease
    alloc: Allocation | None
    """None of a lease that scales: it has no job yet."""
    said: str
    """What sbatch had to say."""
    default: str
    """The id of the lease that commands mean until this one has started; its own id if they mean it at once.

    Empty if the lease was there before: then they mean what they meant."""


def lease_to_grow(access: Access, word: str) -> Lease:
    """The lease that the word stands for, to which a job that is asked for here can give nodes; raises LeaseqError."""
    from leaseq.lease.slurm.grow import refuse_to_grow

    directory = access.lease(word, acts=True)
    access.keep_up(directory)
    record = access.record(directory)
    refuse_to_grow(access.fs, access.home, record)
    return record


def prepare(access: Access, request: LeaseRequest, *, to: Lease | None = None) -> Prepared:
    """The command line and the script; nothing has been asked for. Raises LeaseqError.

    to: the lease that is to get more nodes; None: a new one.
    """
    from leaseq.lease.host import user_name
    from leaseq.lease.slurm import sbatch
    from leaseq.world import hostname

    made = sbatch.prepare(access.home, request, clock=access.clock, user=user_name(), host=hostname(), lease=to)
    if request.keep is not None:
        from leaseq.lease.slurm.asking import followed

        followed(made.script, made.asked, (2, 1))  # a template of one's own may not let it be followed
    return made


def estimates(prepared: Prepared, request: LeaseRequest) -> list[Estimate]:
    """When it would start by Slurm's present plan, and with less time, if then earlier; nothing is queued."""
    from leaseq.lease.slurm import estimate

    return estimate.estimates(prepared, request)


def add(access: Access, prepared: Prepared, request: LeaseRequest) -> Added:
    """The job is queued. A new lease is the default: at once if no other runs, else once it starts.

    Raises LeaseqError.
    """
    from leaseq.lease.slurm import sbatch

    access.make_home()
    asked, said = sbatch.submit(access.fs, access.home, prepared, request=request)
    return Added(asked.lease, asked.alloc, said, _choose(access, asked.lease) if asked.is_new else "")


def begin(access: Access, prepared: Prepared) -> Added:
    """A lease that scales is there, without a job; Slurm is asked for nothing. Raises LeaseqError.

    It is the default as one that was asked for is.
    """
    from leaseq.lease.slurm.scaling import begin

    access.make_home()
    lease = begin(access.fs, access.home, prepared)
    return Added(lease, None, "", _choose(access, lease))


def _choose(access: Access, lease: Lease) -> str:
    others = (each for each in states.active(access.fs, access.home, access.clock) if each.id != lease.id)
    if not any(leases.has_started(access.fs, access.home, each) for each in others):
        leases.choose(access.fs, access.home, lease.id)
        return lease.id
    meant = leases.chosen_or_own(access.fs, access.home)
    leases.choose_once_started(access.fs, access.home, lease.id)
    return meant
