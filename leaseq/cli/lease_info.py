"""`leaseq lease info`: the details of a lease."""

from __future__ import annotations

from leaseq.allocation import Allocation
from leaseq.cli.app import App
from leaseq.cli.command import Command, Words
from leaseq.cli.options import LOOK, Look
from leaseq.cli.output import stamp
from leaseq.cli.overview import clock, default_of, lease_json, overview
from leaseq.dataclass import dataclass
from leaseq.lease import leases
from leaseq.lease.base import LeaseState
from leaseq.lease.kinds import is_borrowed
from leaseq.lease.view import look as leases_seen
from leaseq.words import about, count, joined, one_line


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
        if self.json:
            out.document({"lease": {**lease_json(row, chosen=chosen), "directory": directory.root}})
            return 0
        tasks = ", ".join(f"{count} {each.name.lower()}" for each, count in row.totals.items() if count)
        lines = [
            ("id", lease.id + (" (the default)" if chosen else "")),
            ("name", lease.name),
            ("kind", lease.kind),
            ("state", state.word + (f" ({one_line(state.reason)})" if state.reason else "")),
            ("starts", f"expected {clock(state.starts)}" if state.starts else ""),
            ("as of", f"{about(state.age_seconds)} ago, by Slurm" if is_borrowed(lease) else ""),
            ("nodes", ", ".join(row.nodes)),
            ("tasks", tasks),
            ("created", f"{stamp(lease.created)} by {lease.user or '?'} on {lease.host or '?'}"),
            ("options", joined(lease.argv)),
            ("ends", stamp(state.ends)),
            *(_alloc_row(*each) for each in row.allocs if len(row.allocs) > 1),
            ("ended", stamp(lease.ended) + (f" ({lease.end_reason})" if lease.end_reason else "")),
            ("directory", directory.root),
        ]
        out.pairs((key, value) for key, value in lines if value)
        for view in row.views:
            gpus = f", {count(len(view.heartbeat.gpus), 'GPU')}" if view.heartbeat and view.heartbeat.gpus else ""
            why = f", {view.why}" if view.why else ""
            out.pairs([(view.node, f"runner {view.health.value}{gpus}{why}")])
        out.pairs(row.notes.items())
        return 0


def _alloc_row(alloc: Allocation, state: LeaseState) -> tuple[str, str]:
    """One of several allocations."""
    reason = f" ({one_line(state.reason)})" if state.reason else ""
    ends = f"ends {stamp(state.ends)}" if state.ends is not None else ""
    return f"job {alloc.job}", ", ".join(word for word in (state.word + reason, *state.nodes, ends) if word)


COMMAND = Command(
    usage="[LEASE]",
    about="Details of a lease: its allocations, nodes, tasks and options.",
    make=LeaseInfo,
    words=Words("lease", "lease", most=1),
    options=LOOK,
)
