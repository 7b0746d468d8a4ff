"""Which lease has taken a task, and its place in that lease's queue: as one line for whoever watches."""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.cli.app import App
from leaseq.layout import Entry, LeaseDir
from leaseq.lease import leases, records
from leaseq.models import ANY, Lease
from leaseq.snapshot import Reader
from leaseq.views import duration
from leaseq.words import count as counted


def place_of(app: App, lease: LeaseDir, record: Lease, entry: Entry, *, count: int = 1) -> str:
    """Where those tasks went, the first of which is that entry, and what is known of when it starts."""
    host = " (this host)" if lease.id == leases.local_id() else f" ({record.name})" if record.name else ""
    what = entry.id if count == 1 else counted(count, "task")
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


def too_long(app: App, lease: LeaseDir, ids: Sequence[str], time_seconds: int) -> str:
    """That those tasks' time limit is longer than the lease lasts, by its script's last word; empty if it is not."""
    left = records.seconds_left(app.fs, lease)
    if left is None or left <= 0 or time_seconds <= left:
        return ""
    one = len(ids) == 1
    waits = f"{ids[0]} waits: its" if one else f"{counted(len(ids), 'task')} wait: their"
    carries = "carries it to another" if one else "carries them to another"
    lasts = f"lease {lease.id} lasts ({duration(left)} left)"
    return f"{waits} time limit ({duration(time_seconds)}) is longer than {lasts}; `leaseq move` {carries}"
