"""How long the jobs of a lease may stand unused before they give their nodes back."""

from __future__ import annotations

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.errors import Refused
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.lease.kinds import is_borrowed
from leaseq.models import Lease
from leaseq.protocol import allocs, leaving, records, requests, succession
from leaseq.verbs.access import Access


@dataclass(frozen=True)
class Idled:
    """What the limit holds for."""

    allocs: tuple[str, ...]
    nodes: tuple[str, ...]
    """Those whose runners were told; their clocks start again."""


def set_idle(access: Access, record: Lease, limit: float | None) -> Idled:
    """Every job that the lease has now may stand unused for so long, durably (None: as long as it lasts).

    Raises Refused if the lease's nodes are nobody's to take back.
    """
    lease = access.home.lease(record.id)
    if not is_borrowed(record):
        raise Refused(f"lease {record.id} has hosts for nodes: nobody takes them back", hint="`leaseq daemon stop`")
    scales = record.kept and succession.set_idle(access.fs, lease, limit)
    known = [
        each
        for each in allocs.living_of(access.fs, lease, record)
        if each.is_known and (each.ended is None or not record.kept)
    ]
    made = [each for each in known if not each.adopted]
    if not made and not scales:
        called = leases.called(record)
        raise Refused(f"lease {called} was made elsewhere, and its end is not leaseq's", hint="`scancel` ends a job")
    nodes: list[str] = []
    for each in made:
        nodes += set_limit(access, lease, each, limit)
        if why := leaving.why_left(access.fs, allocs.directory(lease, each)):
            raise Refused(f"{leases.part(record, each)} leaves already: {why}", hint="`leaseq add` asks for another")
    return Idled(tuple(each.id for each in made), tuple(nodes))


def set_limit(access: Access, lease: LeaseDir, alloc: Allocation, limit: float | None) -> list[str]:
    """That job may stand unused for so long, durably; the nodes whose runners were told."""
    leaving.set_limit(access.fs, allocs.directory(lease, alloc), limit)
    nodes = list(allocs.nodes_of(access.fs, lease, alloc))
    for node in nodes:
        records.prepare_node(access.fs, lease, node)
        requests.ask(access.fs, lease, node, "idle", {})
    return nodes
