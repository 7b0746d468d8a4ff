"""Which lease has taken a task, its place in that lease's queue, and whether the lease lasts long enough: as lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leaseq.cli.app import App
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.models import ANY, Lease, Need
from leaseq.names import Entry
from leaseq.protocol import allocs
from leaseq.reading.views import duration
from leaseq.words import count as counted


def place_of(app: App, lease: LeaseDir, record: Lease, entry: Entry, *, count: int = 1) -> str:
    """Where those tasks went, and what is known of when the first, that entry, starts."""
    host = " (this host)" if leases.is_own(lease.id) else f" ({record.name})" if record.name else ""
    what = entry.id if count == 1 else counted(count, "task")
    return f"{what} -> lease {lease.id}{host}, {_when(app, lease, record, entry)}"


def _when(app: App, lease: LeaseDir, record: Lease, entry: Entry) -> str:
    pending = app.access.reader_of(lease).listing().pending
    if str(entry) not in pending:
        return "taken"
    at = pending[str(entry)].at
    if at.waits:
        return "where it waits for what it is to come after"
    if at.held:
        return "held"
    spots = [each.at for name, each in pending.items() if name < str(entry)]
    before = [spot for spot in spots if not spot.held and spot.node in (ANY, at.node)]
    ahead = f"{len(before)} ahead" if before else ""
    if not leases.has_started(app.fs, app.home, record):
        return "which has not started" + (f"; {ahead}" if ahead else "")
    return ahead or "starts next"


def tell_if_too_long(app: App, queued: Iterable[tuple[str, str, Need]]) -> None:
    """It is said which of the queued tasks (lease, id, need) have a time limit that is longer than their lease lasts.

    That is known by the last word of the lease's script.
    """
    limited: dict[tuple[str, int], list[str]] = {}
    for lease_id, task_id, need in queued:
        if need.time_seconds:
            limited.setdefault((lease_id, need.time_seconds), []).append(task_id)
    for (lease_id, seconds), ids in limited.items():
        left = allocs.time_left(app.fs, app.home.lease(lease_id))
        if left is not None and 0 < left < seconds:
            app.out.talk(f"leaseq: {_too_long(lease_id, ids, seconds, left)}")


def _too_long(lease_id: str, ids: Sequence[str], seconds: int, left: float) -> str:
    one = len(ids) == 1
    waits = f"{ids[0]} waits: its" if one else f"{counted(len(ids), 'task')} wait: their"
    carries = "carries it to another" if one else "carries them to another"
    lasts = f"lease {lease_id} lasts ({duration(left)} left)"
    return f"{waits} time limit ({duration(seconds)}) is longer than {lasts}; `leaseq move` {carries}"
