"""Which lease has taken a task, and its place in that lease's queue: as one line for whoever watches."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.layout import Entry, LeaseDir
from leaseq.lease import leases
from leaseq.models import ANY, Lease
from leaseq.snapshot import Reader


def place_of(app: App, lease: LeaseDir, record: Lease, entry: Entry, *, count: int = 1) -> str:
    """Where those tasks went, the first of which is that entry, and what is known of when it starts."""
    host = " (this host)" if lease.id == leases.local_id() else f" ({record.name})" if record.name else ""
    what = entry.id if count == 1 else f"{count} tasks"
    return f"{what} -> lease {lease.id}{host}, {_when(app, lease, record, entry)}"


def _when(app: App, lease: LeaseDir, record: Lease, entry: Entry) -> str:
    pending = Reader(lease, app.fs, app.clock).listing().pending
    if str(entry) not in pending:
        return "taken"
    _, node, held = pending[str(entry)]
    if held:
        return "held"
    before = [
        name for name, (_, other, kept) in pending.items() if name < str(entry) and not kept and other in (ANY, node)
    ]
    ahead = f"{len(before)} ahead" if before else ""
    if not leases.has_started(app.fs, app.home, record):
        return "which has not started" + (f"; {ahead}" if ahead else "")
    return ahead or "starts next"
