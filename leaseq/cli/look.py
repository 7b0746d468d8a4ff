"""`leaseq status`, `tasks`, `info`: the lease as it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaseq.cli import rows
from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Option, extra_words
from leaseq.cli.options import LEASE, LOOK, Look, look
from leaseq.cli.output import COLOURS, Output, about, visible
from leaseq.cli.values import integer, yes
from leaseq.errors import UsageError
from leaseq.layout import ids_in
from leaseq.models import State
from leaseq.protocol import records
from leaseq.protocol.keys import redone
from leaseq.reading.snapshot import Health, NodeView, Snapshot, TaskView
from leaseq.words import count, memory

DEFAULT_ROWS = 50
ALL_ROWS = 10**9
HEALTH_COLOURS = {Health.OK: "32", Health.LATE: "33", Health.DOWN: "31", Health.STOPPED: "33", Health.UNKNOWN: "33"}


# -- status ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Status:
    """How many tasks are in which state, and how the nodes are."""

    lease: str
    look: Look

    def perform(self, app: App) -> int:
        out = self.look.output(app)
        reader = app.reader(self.lease)
        snapshot = reader.read(recent=1, pending=0)
        if self.look.json:
            out.document(rows.status_json(snapshot))
            return 0
        record = snapshot.lease
        name = f" ({record.name})" if record and record.name else ""
        ended = f"  ended: {record.end_reason or 'released'}" if record and record.ended else ""
        out.wrap(visible(f"lease {snapshot.lease_id}{name}{ended}"), indent=2)
        shown = [state for state in State if snapshot.totals[state] or state in _ALWAYS]
        counts = [
            (f"{snapshot.totals[state]} {state.name.lower()}", COLOURS[state] if snapshot.totals[state] else "")
            for state in shown
        ]
        out.items("tasks", counts)
        if snapshot.nodes:
            out.line()
            self._nodes(out, snapshot.nodes, records.notes(app.fs, reader.lease))
        _advise(out, snapshot)
        return 0

    def _nodes(self, out: Output, nodes: Sequence[NodeView], notes: Mapping[str, str]) -> None:
        """notes: what the lease script had to say of a node."""
        table = [_node_row(view, notes.get(view.node, "")) for view in nodes]
        out.table(NODE_COLUMNS, table, paint=[HEALTH_COLOURS[view.health] for view in nodes])


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
    word = "draining" if view.health is Health.OK and beat and beat.state == "draining" else view.health.value
    if beat is None:
        return [view.node, word, "never", str(view.claimed), "", "", "", why]
    seen = f"{about(view.age_seconds or 0.0)} ago"
    gpus = f"{len(view.booked_gpus)}/{len(beat.gpus)}" if beat.gpus else "0" if beat.gpus_known else "?"
    booked = f"{memory(view.booked_mem_mb)}/{memory(beat.mem_mb)}" if beat.mem_mb else ""
    return [view.node, word, seen, str(view.claimed), f"{view.booked_cpus}/{beat.cpus}", gpus, booked, why]


def _advise(out: Output, snapshot: Snapshot) -> None:
    """What the person may want to do now, on stderr."""
    for note in snapshot.notes[:5]:
        out.talk(f"leaseq: {note}")
    if snapshot.lease is None:
        out.talk("leaseq: nothing was ever submitted here: `leaseq submit -- COMMAND` queues a task")
    elif snapshot.totals[State.STUCK]:
        stuck = snapshot.totals[State.STUCK]
        out.talk(f"leaseq: {count(stuck, 'task is', 'tasks are')} stuck: `leaseq recover` tells the next step")
    elif snapshot.totals[State.PENDING] and not any(view.health.serving for view in snapshot.nodes):
        if snapshot.lease.kind == "slurm" and not snapshot.nodes:
            out.talk(f"leaseq: it has no node yet: `leaseq lease info {snapshot.lease_id}` tells what Slurm says of it")
        if snapshot.lease.kind == "local" and snapshot.lease.ended is None:
            out.talk("leaseq: no runner takes the pending tasks: `leaseq daemon start` starts one")
    elif snapshot.totals[State.LOST]:
        lost = snapshot.totals[State.LOST]
        out.talk(f"leaseq: {count(lost, 'task is', 'tasks are')} lost: `leaseq recover` queues them again")


# -- tasks -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tasks:
    """A list of tasks. None of `states`: all of them."""

    lease: str
    states: tuple[State, ...]
    node: str
    search: str
    limit: int
    quiet: bool
    look: Look

    def perform(self, app: App) -> int:
        out = self.look.output(app)
        snapshot, found = self._find(app)
        if self.look.json:
            out.document({"lease": snapshot.lease_id, "tasks": _with_redone(app, snapshot.lease_id, found)})
        elif self.quiet:
            for row in found:
                out.line(row.id)
        else:
            rows.task_table(out, found)
            self._remark(out, snapshot, found)
        return 0

    def _find(self, app: App) -> tuple[Snapshot, list[TaskView]]:
        """(the snapshot, the rows asked for); history is read further back until there are enough of them."""
        reader = app.reader(self.lease)
        filtered = bool(self.states or self.node or self.search)
        ends = not self.states or any(state.ended for state in self.states)
        pending = None if self.limit >= ALL_ROWS or (filtered and self._wants_pending()) else self.limit
        recent = (ALL_ROWS if self.limit >= ALL_ROWS else self.limit) if ends else 1
        while True:
            snapshot = reader.read(recent=recent, pending=pending)
            found = [row for row in snapshot.tasks if self._matches(row)]
            read = sum(1 for row in snapshot.tasks if row.state.ended)
            if not filtered or not ends or len(found) >= self.limit or read < recent:
                return snapshot, _cut(found, self.limit)
            recent *= 10

    def _wants_pending(self) -> bool:
        return not self.states or State.PENDING in self.states

    def _matches(self, row: TaskView) -> bool:
        if self.states and row.state not in self.states:
            return False
        if self.node and row.node != self.node:
            return False
        wanted = self.search.lower()
        return not wanted or any(wanted in text.lower() for text in (row.command, row.name, row.id, row.reason))

    def _remark(self, out: Output, snapshot: Snapshot, found: list[TaskView]) -> None:
        if self.states or self.node or self.search:
            if not found:
                out.talk("leaseq: no task matches")
            elif len(found) == self.limit:
                out.talk(f"leaseq: the first {self.limit} are shown; -n N shows more")
            return
        total = sum(snapshot.totals.values())
        if total > len(found):
            out.talk(f"leaseq: {len(found):,} of {count(total, 'task')}; --all shows all that are not cleaned up")
        elif not total:
            _advise(out, snapshot)


def _with_redone(app: App, lease_id: str, found: list[TaskView]) -> list[dict[str, object]]:
    """The rows as JSON, each with the tasks that repeat it; which have any is listed once."""
    lease = app.home.lease(lease_id)
    try:
        repeated = ids_in(app.fs.names(lease.redone))
    except FileNotFoundError:
        repeated = set()
    return [
        {**rows.task_json(row), "redone_as": redone(app.fs, lease, row.id) if row.id in repeated else []}
        for row in found
    ]


def _cut(found: list[TaskView], limit: int) -> list[TaskView]:
    """At most so many rows: what runs, then half of the room for what waits if what ended needs the other half."""
    if len(found) <= limit:
        return found
    running = [row for row in found if not row.state.ended and row.state is not State.PENDING][:limit]
    pending = [row for row in found if row.state is State.PENDING]
    ended = [row for row in found if row.state.ended]
    room = limit - len(running)
    for_pending = max(room - room // 2, room - len(ended))
    return running + pending[:for_pending] + ended[: room - min(for_pending, len(pending))]


# -- info ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Info:
    """The details of tasks."""

    tasks: tuple[str, ...]
    lease: str
    env: bool
    look: Look

    def perform(self, app: App) -> int:
        out = self.look.output(app)
        found = app.find(self.tasks, lease=self.lease)
        known = [(each.reader.lease, each.detail) for each in found.tasks]
        if self.look.json:
            tasks = [rows.detail_json(lease, each, env=self.env) for lease, each in known]
            out.document({"lease": found.lease, "tasks": tasks, "unknown": list(found.unknown)})
            return app.tell(found.problems)
        for number, (lease, each) in enumerate(known):
            if number:
                out.line()
            out.pairs(rows.detail_lines(lease, each, env=self.env))
        return app.tell(found.problems)


# -- the command line ------------------------------------------------------------------------------


class Looking:
    """Fire's component of the commands that only look."""

    def status(self, *words: str, lease: str = "", json: str = "", color: str = "", no_header: str = "") -> Status:
        extra_words(words, usage="status [--lease LEASE]")
        return Status(lease, look(json, color, no_header))

    def tasks(
        self,
        *words: str,
        lease: str = "",
        state: str = "",
        node: str = "",
        search: str = "",
        all: str = "",
        limit: str = "",
        quiet: str = "",
        json: str = "",
        color: str = "",
        no_header: str = "",
    ) -> Tasks:
        extra_words(words, usage="tasks [--state S] [--search X]; `leaseq info ID` tells of one task")
        everything = yes(all, what="--all")
        if everything and limit:
            raise UsageError("--all and --limit contradict each other")
        return Tasks(
            lease=lease,
            states=_states(state),
            node=node,
            search=search,
            limit=ALL_ROWS if everything else integer(limit, what="--limit", low=1) if limit else DEFAULT_ROWS,
            quiet=yes(quiet, what="--quiet"),
            look=look(json, color, no_header),
        )

    def info(
        self, *words: str, lease: str = "", env: str = "", json: str = "", color: str = "", no_header: str = ""
    ) -> Info:
        if not words:
            raise UsageError("which task?", hint="leaseq info ID, or `leaseq info last`")
        return Info(words, lease, yes(env, what="--env"), look(json, color, no_header))


def _states(text: str) -> tuple[State, ...]:
    found = []
    for word in filter(None, (part.strip() for part in text.replace("\0", ",").split(","))):
        if word.lower() == "all":
            return ()
        try:
            found.append(State.parse(word))
        except KeyError:
            known = ", ".join(f"{state.name.lower()} ({state.code})" for state in State)
            raise UsageError(f"{word!r} is not a state", hint=f"one of {known}") from None
    return tuple(found)


COMMANDS = {
    "status": Command(
        Looking,
        "status",
        "[--lease LEASE]",
        "Counts of tasks by state, and the health and room of each node.",
        (LEASE, *LOOK),
        ("leaseq status", "leaseq status --json"),
    ),
    "tasks": Command(
        Looking,
        "tasks",
        "[OPTIONS]",
        "Lists tasks: running, then pending in the order in which they start, then ended, newest first.",
        (
            LEASE,
            Option("state", "only these states, by word or Slurm's code (repeatable, commas)", "list", "t", "STATE"),
            Option("node", "only on this node", short="w", metavar="NODE"),
            Option("search", "only where command, name, id or reason hold this", metavar="TEXT", blank=True),
            Option("all", "as many as there are", kind="flag", short="a"),
            Option("limit", f"at most N (default {DEFAULT_ROWS})", short="n", metavar="N"),
            Option("quiet", "ids only", kind="flag", short="q"),
            *LOOK,
        ),
        ("leaseq tasks", "leaseq tasks --state failed,to", "leaseq tasks -t PD -n 10"),
    ),
    "info": Command(
        Looking,
        "info",
        "ID...",
        "Details of tasks: what was submitted, their attempts, where their output is, why they wait.",
        (LEASE, Option("env", "with the values of its environment, secrets and all", kind="flag"), *LOOK),
        ("leaseq info last", "leaseq info T0c4 --json"),
    ),
}
