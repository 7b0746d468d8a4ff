"""`leaseq lease info`: the details of a lease."""

from __future__ import annotations

from dataclasses import dataclass

from leaseq.cli.app import App
from leaseq.cli.command import Command, extra_words
from leaseq.cli.options import LOOK, Look, look
from leaseq.cli.output import stamp
from leaseq.cli.overview import clock, default_of, lease_json, overview
from leaseq.words import about, count, joined, one_line


@dataclass(frozen=True)
class LeaseInfo:
    """Details of a lease: its allocation, nodes, tasks and options."""

    lease: str
    look: Look

    def perform(self, app: App) -> int:
        out = self.look.output(app)
        directory = app.access.lease(self.lease)
        row = overview(app, app.access.record(directory))
        lease, state = row.lease, row.state
        chosen = default_of(app) == lease.id
        if self.look.json:
            out.document({"lease": {**lease_json(row, chosen=chosen), "directory": directory.root}})
            return 0
        tasks = ", ".join(f"{count} {each.name.lower()}" for each, count in row.totals.items() if count)
        lines = [
            ("id", lease.id + (" (the default)" if chosen else "")),
            ("name", lease.name),
            ("kind", lease.kind),
            ("state", state.word + (f" ({one_line(state.reason)})" if state.reason else "")),
            ("starts", f"expected {clock(state.starts)}" if state.starts else ""),
            ("as of", f"{about(state.age_seconds)} ago, by Slurm" if lease.kind == "slurm" else ""),
            ("nodes", ", ".join(row.nodes)),
            ("tasks", tasks),
            ("created", f"{stamp(lease.created)} by {lease.user or '?'} on {lease.host or '?'}"),
            ("options", joined(lease.argv)),
            ("ends", stamp(state.ends)),
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


class Line:
    """Fire's component of `lease info`."""

    def info(self, *words: str, json: str = "", color: str = "", no_header: str = "") -> LeaseInfo:
        extra_words(words[1:], usage="lease info [LEASE]")
        return LeaseInfo(words[0] if words else "", look(json, color, no_header))


COMMANDS = {
    "lease info": Command(
        Line, "info", "[LEASE]", "Details of a lease: its allocation, nodes, tasks and options.", LOOK
    ),
}
