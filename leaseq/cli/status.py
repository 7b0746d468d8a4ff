"""`leaseq status`: counts of tasks and the health of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaseq.cli import rows
from leaseq.cli.advice import advise
from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Option
from leaseq.cli.howfar import with_progress
from leaseq.cli.limits import limits_told
from leaseq.cli.options import LEASE, LOOK, Look
from leaseq.cli.output import COLOURS, Output
from leaseq.dataclass import dataclass, replace
from leaseq.lease.kinds import is_borrowed
from leaseq.models import State
from leaseq.protocol import allocs
from leaseq.reading.snapshot import Reader
from leaseq.reading.unused import unused
from leaseq.reading.views import Health, NodeView, Snapshot
from leaseq.words import about, memory, visible

LOOKED_AT = 200
"""So many of the tasks that ended last are looked at for those that went wrong, if these are to be named."""
PROGRESS = 20
"""Of so many of the running tasks it is said how far they are."""
HEALTH_COLOURS = {Health.OK: "32", Health.LATE: "33", Health.DOWN: "31", Health.STOPPED: "33", Health.UNKNOWN: "33"}


@dataclass(frozen=True, kw_only=True)
class Status(Look):
    """How many tasks are in which state, and how the nodes are."""

    lease: str
    brief: bool = False

    def perform(self, app: App) -> int:
        out = self.output(app)
        reader = app.access.reader(self.lease)
        snapshot = reader.read(recent=LOOKED_AT if self.brief else 1, pending=0)
        snapshot = replace(snapshot, tasks=tuple(with_progress(app, reader.lease, snapshot.tasks, most=PROGRESS)))
        telling = [row for row in snapshot.tasks if row.progress is not None]
        if self.json:
            out.document(rows.status_json(snapshot) | {"progress": [rows.progress_of(row) for row in telling]})
            return 0
        record = snapshot.lease
        name = f" ({record.name})" if record and record.name else ""
        reason = (record.end_reason or "released") if record and record.ended else snapshot.end
        ended = f"  ended: {reason}" if reason else ""
        title = f"lease {snapshot.lease_id}{name}{ended}"
        if self.brief:
            said = [*_unused(snapshot)[:1], self._forecast(app, reader, snapshot)]
            left = allocs.time_left(app.fs, reader.lease) if not reason else None
            from leaseq.cli.brief import brief

            brief(out, snapshot, title=title, said=[each for each in said if each], left=left)
            return 0
        out.wrap(visible(title), indent=2)
        shown = [state for state in State if snapshot.totals[state] or state in _ALWAYS]
        counts = [
            (f"{snapshot.totals[state]} {state.name.lower()}", COLOURS[state] if snapshot.totals[state] else "")
            for state in shown
        ]
        out.items("tasks", counts)
        if telling:
            out.items("progress", [(rows.progress_line(row, ascii=out.ascii), "") for row in telling])
        for told in limits_told(snapshot.limits):
            out.wrap(told, indent=2)
        for each in _unused(snapshot):
            out.wrap(each, indent=2)
        if forecast := self._forecast(app, reader, snapshot):
            out.wrap(forecast, indent=2)
        if snapshot.nodes:
            out.line()
            self._nodes(out, snapshot.nodes, allocs.notes_of(app.fs, reader.lease))
        advise(out, snapshot)
        return 0

    def _forecast(self, app: App, reader: Reader, snapshot: Snapshot) -> str:
        """How long what is pending takes, as far as that is known; of a lease that has ended nothing is said."""
        if snapshot.end or (snapshot.lease and snapshot.lease.ended):
            return ""
        if not snapshot.totals[State.PENDING] and not any(row.array for row in snapshot.tasks):
            return ""
        from leaseq.reading.forecast import EVENTS, forecast, indexed

        left = allocs.time_left(app.fs, reader.lease)
        arrays = indexed(snapshot.tasks)
        events = reader.histories.known(EVENTS)
        found = forecast(snapshot.totals, events, left=left, nodes=snapshot.nodes, arrays=arrays)
        return found.words if found else ""

    def _nodes(self, out: Output, nodes: Sequence[NodeView], notes: Mapping[str, str]) -> None:
        """notes: what the lease script had to say of a node."""
        table = [_node_row(view, notes.get(view.node, "")) for view in nodes]
        out.table(NODE_COLUMNS, table, paint=[HEALTH_COLOURS[view.health] for view in nodes])


def _unused(snapshot: Snapshot) -> list[str]:
    """What a lease holds for nothing, if others want its nodes."""
    record = snapshot.lease
    if record is None or not is_borrowed(record) or record.ended or snapshot.end:
        return []
    return [each.words for each in unused(snapshot.nodes, snapshot.totals)]


NODE_COLUMNS = (
    Column("NODE", least=8, ending=True),
    Column("RUNNER"),
    Column("SEEN", rank=4),
    Column("TASKS", right=True, rank=3),
    Column("CPUS", rank=2),
    Column("GPUS", rank=5),
    Column("MEMORY", rank=1),
    Column("NOTE", least=20),
)
_ALWAYS = (State.PENDING, State.RUNNING, State.DONE, State.FAILED)


def _node_row(view: NodeView, note: str) -> list[str]:
    # How long it has been silent is what SEEN says.
    beat, why = view.heartbeat, note or ("" if view.why.startswith("silent for ") else view.why)
    word = (view.health is Health.OK and view.takes_nothing) or view.health.value
    if beat is None:
        return [view.node, word, "never", str(view.claimed), "", "", "", why]
    if beat.gpu_use and view.health.serving:
        from leaseq.reading.used import gpu_notes

        why = "; ".join(filter(None, [why, *gpu_notes(beat)]))
    seen = f"{about(view.age_seconds or 0.0)} ago"
    gpus = f"{len(view.booked_gpus)}/{len(beat.gpus)}" if beat.gpus else "0" if beat.gpus_known else "?"
    booked = f"{memory(view.booked_mem_mb)}/{memory(beat.mem_mb)}" if beat.mem_mb else ""
    return [view.node, word, seen, str(view.claimed), f"{view.booked_cpus}/{beat.cpus}", gpus, booked, why]


COMMAND = Command(
    usage="[--lease LEASE] [--brief]",
    about="Counts of tasks by state, and the health and room of each node.",
    make=Status,
    options=(
        LEASE,
        Option("brief", "at most 15 lines, with what runs and what went wrong last", kind="flag", against=("json",)),
        *LOOK,
    ),
    examples=("leaseq status", "leaseq status --brief", "leaseq status --json"),
)
