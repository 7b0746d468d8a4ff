"""Whether a lease starts tasks."""

from __future__ import annotations

from leaseq.models import Lease
from leaseq.protocol import records, requests
from leaseq.verbs.access import Access


def hold_queue(access: Access, record: Lease, *, off: bool = False) -> tuple[str, ...]:
    """Every node of the lease has been asked to start no task any more, or with `off` to start them again.

    Gives the nodes' names: none if the lease has not started.
    """
    lease = access.home.lease(record.id)
    beats = () if record.nodes else access.reader_of(lease).read(recent=0, pending=0).nodes
    nodes = record.nodes or tuple(view.node for view in beats)
    for node in nodes:
        records.prepare_node(access.fs, lease, node)
        requests.ask(access.fs, lease, node, "resume" if off else "drain", {})
    return nodes
