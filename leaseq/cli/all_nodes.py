"""Every node of a lease is asked the same."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.models import Lease
from leaseq.protocol import records, requests
from leaseq.reading.snapshot import Reader


def ask_all_nodes(app: App, record: Lease, reader: Reader, verb: str) -> tuple[str, ...]:
    """Every node of the lease has been asked; their names."""
    nodes = record.nodes or tuple(view.node for view in reader.read(recent=0, pending=0).nodes)
    for node in nodes:
        records.prepare_node(app.fs, reader.lease, node)
        requests.ask(app.fs, reader.lease, node, verb, {})
    return nodes
