"""How long the jobs of a lease may stand unused before they give their nodes back."""

from __future__ import annotations

from leaseq.dataclass import dataclass
from leaseq.errors import Refused
from leaseq.lease import leases
from leaseq.lease.kinds import is_borrowed
from leaseq.models import Lease
from leaseq.protocol import allocs, leaving, records, requests
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
    known = [each for each in allocs.living_of(access.fs, lease, record) if each.is_known]
    made = [each for each in known if not each.adopted]
    if not made:
        called = leases.called(record)
        raise Refused(f"lease {called} was made elsewhere, and its end is not leaseq's", hint="`scancel` ends a job")
    nodes: list[str] = []
    for each in made:
        place = allocs.directory(lease, each)
        leaving.set_limit(access.fs, place, limit)
        if why := leaving.why_left(access.fs, place):
            raise Refused(f"{leases.part(record, each)} leaves already: {why}", hint="`leaseq add` asks for another")
        for node in allocs.nodes_of(access.fs, lease, each):
            records.prepare_node(access.fs, lease, node)
            requests.ask(access.fs, lease, node, "idle", {})
            nodes.append(node)
    return Idled(tuple(each.id for each in made), tuple(nodes))
