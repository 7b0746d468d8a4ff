"""Who keeps an allocation, by its kind."""

from __future__ import annotations

from leaseq.allocation import Allocation
from leaseq.errors import Unavailable, UsageError
from leaseq.layout import Home
from leaseq.lease.base import Backend
from leaseq.world import Clock, Fs

NOW_SECONDS = 0.1
"""How old an answer of Slurm may be that a decision stands on."""


def backend(alloc: Allocation, *, fs: Fs, home: Home, clock: Clock, period_seconds: float | None = None) -> Backend:
    """Who keeps that allocation. period_seconds: how old an answer of Slurm may be (None: by the settings)."""
    if alloc.kind == "host":
        from leaseq.lease.host import LocalBackend

        return LocalBackend(fs, home, clock=clock, lease_id=alloc.lease)
    if alloc.kind == "slurm":
        from leaseq.lease.slurm.job import SlurmBackend, by_settings

        if period_seconds is None:
            return by_settings(fs, home, clock=clock)
        return SlurmBackend(fs, home, clock=clock, period_seconds=period_seconds)
    if not alloc.is_known:
        path = home.lease(alloc.lease).alloc(alloc.id).record
        raise Unavailable(
            f"the record of {alloc.id}, which gives lease {alloc.lease} nodes, cannot be read", hint=f"see {path}"
        )
    raise UsageError(
        f"lease {alloc.lease} is of an unknown kind {alloc.kind!r}", hint="a newer leaseq may have made it"
    )
