"""Who keeps an allocation, by its kind; and which leases hold one."""

from __future__ import annotations

from leaseq.allocation import Allocation
from leaseq.errors import UsageError
from leaseq.layout import Home
from leaseq.lease.base import Backend
from leaseq.lease.leases import has_started, list_leases
from leaseq.models import Lease
from leaseq.world import Clock, Fs

NOW_SECONDS = 0.1
"""How old an answer of Slurm may be that a decision stands on."""


def backend(alloc: Allocation, *, fs: Fs, home: Home, clock: Clock, period_seconds: float | None = None) -> Backend:
    """Who keeps that allocation. period_seconds: how old an answer of Slurm may be (None: by the settings)."""
    if alloc.kind == "host":
        from leaseq.lease.host import LocalBackend

        return LocalBackend(fs, home, clock=clock)
    if alloc.kind == "slurm":
        from leaseq.lease.slurm.job import SlurmBackend, by_settings

        if period_seconds is None:
            return by_settings(fs, home, clock=clock)
        return SlurmBackend(fs, home, clock=clock, period_seconds=period_seconds)
    raise UsageError(
        f"lease {alloc.lease} is of an unknown kind {alloc.kind!r}", hint="a newer leaseq may have made it"
    )


def active(fs: Fs, home: Home, clock: Clock, *, anew: bool = False) -> list[Lease]:
    """Slurm's leases that have not ended and are not about to: those that have started first, newest first.

    By the shared squeue, which is asked now where `anew`.
    """
    found = []
    for lease in list_leases(fs, home):
        if lease.kind != "slurm" or lease.ended is not None:
            continue
        alloc = lease.allocation
        keeper = backend(alloc, fs=fs, home=home, clock=clock, period_seconds=NOW_SECONDS if anew else None)
        if keeper.state(alloc).word not in ("COMPLETING", "ENDED"):
            found.append(lease)
    return sorted(found, key=lambda lease: not has_started(fs, home, lease))
