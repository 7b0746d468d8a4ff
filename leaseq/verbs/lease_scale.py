"""How many jobs a lease that scales may have, and why it has as many as it has."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.errors import Refused
from leaseq.layout import LeaseDir
from leaseq.lease import leases, wording
from leaseq.lease.slurm.want import Wanted
from leaseq.models import Lease
from leaseq.protocol import allocs, leaving, succession
from leaseq.protocol.succession import How
from leaseq.reading.backlog import Backlog, pending
from leaseq.verbs.access import Access
from leaseq.verbs.lease_idle import set_limit


def lease_that_scales(access: Access, word: str, *, acts: bool = False) -> tuple[Lease, How]:
    """The living lease that the word stands for, and how it scales; raises LeaseqError."""
    directory = access.lease(word, acts=acts)
    record = leases.living(access.record(directory))
    if record.kept and "how" in succession.names(access.fs, directory):
        how = succession.read_how(access.fs, directory)
        if how.scale:
            return record, how
    raise Refused(
        f"lease {leases.called(record)} does not scale: it has the jobs that were asked for",
        hint="`leaseq add --scale 0..4` makes one that does; `leaseq add --to` gives this one another job",
    )


def scale(access: Access, record: Lease, how: How, bounds: tuple[int, int]) -> None:
    """The lease may have so many jobs from now on, whatever went wrong before. What runs goes on."""
    lease = access.home.lease(record.id)
    asks = succession.asks_in(succession.names(access.fs, lease))
    _settle(access, record, bounds[0])
    succession.go_on(access.fs, lease, replace(how, scale=bounds, forgiven=asks[-1] if asks else ()))
    from leaseq.lease.upkeep import keep_up_now

    keep_up_now(access.fs, access.home, clock=access.clock)


def _settle(access: Access, record: Lease, least: int) -> None:
    """So many of its jobs stay, tasks or none; the newest that are too many leave once nothing uses them."""
    lease = access.home.lease(record.id)
    limit = succession.model(access.fs, lease).idle_seconds
    living = [each for each in allocs.living_of(access.fs, lease, record) if each.ended is None and each.is_known]
    here = [each for each in living if not leaving.why_left(access.fs, allocs.directory(lease, each))]
    lasting = [each for each in here if leaving.limit_of(access.fs, allocs.directory(lease, each), each) is None]
    for each in lasting[least:] if limit is not None else []:
        set_limit(access, lease, each, limit)
    for each in [each for each in here if each not in lasting][: max(0, least - len(lasting))]:
        set_limit(access, lease, each, None)


def words(access: Access, lease: LeaseDir) -> str:
    """What is said of a lease that scales whose tasks wait for room; empty of another. Raises LeaseqError."""
    record = access.record(lease)
    how = succession.read_how(access.fs, lease) if record.kept and record.ended is None else None
    told = reckoning(access, record)[0] if how is not None and how.scale else None
    return wording.of_wanted(told, leases.called(record)) if told is not None else ""


def reckoning(access: Access, record: Lease) -> tuple[Wanted | None, Backlog]:
    """(what is wanted now, None if nothing is asked for; what is pending); nothing is done. Raises LeaseqError."""
    from leaseq.lease.slurm.follow import asker_of
    from leaseq.lease.slurm.job import by_settings
    from leaseq.lease.slurm.scaling import Pool

    queue = by_settings(access.fs, access.home, clock=access.clock).queue()
    held = leases.holding(access.fs, access.home, record)
    asker = asker_of(access.fs, access.home, held, queue, clock=access.clock, on_node=False)
    assert isinstance(asker, Pool)
    return asker.look(), pending(access.fs, access.home.lease(record.id))
