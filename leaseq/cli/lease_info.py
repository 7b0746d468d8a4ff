"""`leaseq lease info`: the details of a lease, and what its allocations have held and used."""

from __future__ import annotations

from collections import Counter

from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Words
from leaseq.cli.options import LOOK, Look
from leaseq.cli.output import iso, stamp
from leaseq.cli.overview import Overview, default_of, lease_json, overview
from leaseq.dataclass import dataclass, replace
from leaseq.lease import leases, wording
from leaseq.lease.base import LeaseState
from leaseq.lease.kinds import is_borrowed
from leaseq.lease.view import look as leases_seen
from leaseq.models import Lease, State
from leaseq.reading.usage import Held, of_lease
from leaseq.words import about, count, joined, reason_code


@dataclass(frozen=True, kw_only=True)
class LeaseInfo(Look):
    """Details of a lease: its allocations, nodes, tasks and options."""

    lease: str

    def perform(self, app: App) -> int:
        out = self.output(app)
        directory = app.access.lease(self.lease)
        held = leases.holding(app.fs, app.home, app.access.record(directory))
        (seen,) = leases_seen(app.fs, app.home, [held], clock=app.clock).views
        row = overview(app, seen)
        lease, state = row.lease, row.state
        chosen = default_of(app) == lease.id
        story = of_lease(app.fs, directory, held.allocs, now=app.clock.now()) if _has_several(lease) else []
        waits = _waits(app, row)
        if self.json:
            more = {"directory": directory.root, "history": [_held_json(each) for each in story], "waits": waits}
            out.document({"lease": {**lease_json(row, chosen=chosen), **more}})
            return 0
        tasks = ", ".join(f"{count} {each.name.lower()}" for each, count in row.totals.items() if count)
        lines = [
            ("id", lease.id + (" (the default)" if chosen else "")),
            ("name", lease.name),
            ("kind", lease.kind),
            ("state", wording.of_state(state)),
            ("starts", wording.start(state)),
            ("as of", f"{about(state.age_seconds)} ago, by Slurm" if is_borrowed(lease) else ""),
            ("nodes", ", ".join(row.nodes)),
            ("tasks", tasks),
            ("waits", ", ".join(f"{number} {reason}" for reason, number in waits.items())),
            ("unused", "; ".join(row.unused)),
            ("created", f"{stamp(lease.created)} by {lease.user or '?'} on {lease.host or '?'}"),
            ("options", joined(lease.argv)),
            ("ends", stamp(state.ends)),
            ("kept", wording.until(row.kept) if row.kept else ""),
            ("scales" if row.kept and row.kept.how.scale else "next", row.next_words.removeprefix("scales ")),
            ("ended", stamp(lease.ended) + (f" ({lease.end_reason})" if lease.end_reason else "")),
            ("directory", directory.root),
        ]
        out.pairs((key, value) for key, value in lines if value)
        for view in row.views:
            gpus = f", {count(len(view.heartbeat.gpus), 'GPU')}" if view.heartbeat and view.heartbeat.gpus else ""
            why = f", {view.why}" if view.why else ""
            out.pairs([(view.node, f"runner {view.health.value}{gpus}{why}")])
        out.pairs(row.notes.items())
        if story:
            states = {alloc.id: state for alloc, state in (*seen.allocs, *seen.ended)}
            columns = (replace(COLUMNS[0], title="HOST"), *COLUMNS[1:]) if lease.is_of_hosts else COLUMNS
            out.table(columns, [cells(each, states[each.alloc.id], now=app.clock.now()) for each in story])
        return 0


def _has_several(lease: Lease) -> bool:
    """True if what gives it nodes comes and goes."""
    return is_borrowed(lease) or lease.is_of_hosts


COLUMNS = (
    Column("JOB", least=6),
    Column("FROM", rank=7),
    Column("TO", rank=6),
    Column("NODES", right=True, rank=3),
    Column("NODE-H", right=True, rank=5),
    Column("USED", right=True, rank=4),
    Column("GPU-H", right=True, rank=9),
    Column("USED", right=True, rank=8),
    Column("STATE", least=12),
)


def cells(held: Held, state: LeaseState, *, now: float) -> list[str]:
    """The allocation as a row."""
    return [*wording.of_held(held), wording.of_alloc(state, held.nodes, now=now)]


def _waits(app: App, row: Overview) -> dict[str, int]:
    """Pending tasks by what they wait for, the most first."""
    if not row.totals.get(State.PENDING):
        return {}
    found = app.access.reader_of(app.home.lease(row.lease.id)).read(recent=0, pending=None).tasks
    reasons = Counter(reason_code(each.reason) for each in found if each.state is State.PENDING)
    return dict(reasons.most_common())


def _held_json(held: Held) -> dict[str, object]:
    alloc = held.alloc
    return {
        "id": alloc.id,
        "job": alloc.job,
        "cluster": alloc.cluster,
        "argv": list(alloc.argv),
        "since": held.since,
        "since_at": iso(held.since),
        "until": held.until,
        "until_at": iso(held.until),
        "end_reason": alloc.end_reason,
        "nodes": list(held.nodes),
        "node_hours": held.node_hours,
        "node_hours_used": held.node_hours_used,
        "gpu_hours": held.gpu_hours,
        "gpu_hours_used": held.gpu_hours_used,
    }


COMMAND = Command(
    usage="[LEASE]",
    about="Details of a lease: its allocations, nodes, tasks and options.",
    make=LeaseInfo,
    words=Words("lease", "lease", most=1),
    options=LOOK,
)
