"""Whether another job can give a lease nodes."""

from __future__ import annotations

from leaseq.errors import Refused
from leaseq.layout import Home
from leaseq.lease.kept import kept_of
from leaseq.lease.kinds import is_borrowed
from leaseq.lease.leases import called, living
from leaseq.lease.slurm import clusters
from leaseq.models import Lease
from leaseq.protocol import allocs
from leaseq.world import Fs

NEW_LEASE = "`leaseq add` without --to asks for a lease of its own"


def refuse_to_grow(fs: Fs, home: Home, lease: Lease) -> None:
    """A job that is asked for here can give the lease nodes; raises Refused."""
    living(lease)
    if not is_borrowed(lease):
        raise Refused(f"lease {called(lease)} has hosts for nodes, and no job of Slurm can join them", hint=NEW_LEASE)
    kept = kept_of(fs, home.lease(lease.id)) if lease.kept else None
    if kept is not None and kept.how.scale:
        raise Refused(
            f"lease {called(lease)} scales: it asks for its jobs itself",
            hint=f"`leaseq lease scale {lease.id} MIN..MAX` says how many it may have",
        )
    here = clusters.here(fs, home)
    others = {each.cluster for each in allocs.living_of(fs, home.lease(lease.id), lease) if each.cluster}
    if here and others and here.casefold() not in {each.casefold() for each in others}:
        raise Refused(
            f"lease {called(lease)} is on cluster {', '.join(sorted(others))}; Slurm's commands mean {here} here",
            hint=f"{NEW_LEASE}; on a login host of {min(others)}, or with its SLURM_CONF, --to {lease.id} works",
        )
