"""`leaseq lease`: which leases there are, and which one is the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Option, extra_words
from leaseq.cli.options import JSON, LOOK, Look, look
from leaseq.cli.output import about, iso, stamp
from leaseq.cli.values import yes
from leaseq.errors import NotFound, UsageError
from leaseq.lease import leases
from leaseq.lease.base import LeaseState
from leaseq.models import Lease, State
from leaseq.protocol import records
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import NodeView, duration
from leaseq.words import count, joined, one_line


@dataclass(frozen=True)
class ListLeases:
    """The leases of this home; ended ones only with `all`."""

    all: bool
    look: Look

    def perform(self, app: App) -> int:
        out = self.look.output(app)
        leases.check_home(app.home)
        chosen = default_of(app)
        rows: list[Overview] = []
        known = leases.list_leases(app.fs, app.home)
        unreadable = leases.unreadable(app.fs, app.home, known)
        for lease in known:
            if lease.ended is not None and not self.all:
                continue
            row = overview(app, lease)
            if row.state.word != "ENDED" or self.all:
                rows.append(row)
        if self.look.json:
            found = [lease_json(row, chosen=row.lease.id == chosen) for row in rows]
            out.document({"default": chosen, "leases": found, "unreadable": unreadable})
            return 0
        out.table(COLUMNS, [cells(row, now=app.clock.now(), chosen=row.lease.id == chosen) for row in rows])
        for lease_id, reason in unreadable.items():
            out.talk(f"leaseq: lease {lease_id} cannot be read: {reason}")
        if not rows and not unreadable:
            ways = "no lease yet: `leaseq submit -- COMMAND` uses this host, `leaseq add` asks Slurm for nodes"
            ended = "1 lease has ended" if len(known) == 1 else f"all {len(known)} leases have ended"
            out.talk("leaseq: " + (f"{ended}: `leaseq lease ls --all` lists what is there" if known else ways))
        return 0


@dataclass(frozen=True)
class LeaseInfo:
    """Details of a lease: its allocation, nodes, tasks and options."""

    lease: str
    look: Look

    def perform(self, app: App) -> int:
        out = self.look.output(app)
        directory = app.lease(self.lease)
        row = overview(app, app.record(directory))
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
            ("starts", f"expected {_clock(state.starts)}" if state.starts else ""),
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


@dataclass(frozen=True)
class Use:
    """The lease that is to be the default from now on."""

    lease: str
    json: bool

    def perform(self, app: App) -> int:
        directory = app.lease(self.lease)
        record = None if directory.id == leases.local_id() else leases.living(app.record(directory))
        app.make_home()
        leases.choose(app.fs, app.home, directory.id)
        if self.json:
            app.out.document({"default": directory.id})
        else:
            app.out.talk(f"leaseq: default lease is now {directory.id if record is None else leases.called(record)}")
        return 0


def default_of(app: App) -> str:
    """The id of the default lease; empty where LEASEQ_LEASE names none."""
    try:
        return leases.default(app.fs, app.home)
    except (NotFound, UsageError):
        return ""


@dataclass(frozen=True)
class Overview:
    """A lease as its allocation, its nodes and its tasks are now."""

    lease: Lease
    state: LeaseState
    nodes: tuple[str, ...]
    views: tuple[NodeView, ...]
    totals: Mapping[State, int]
    notes: Mapping[str, str]
    """Why nodes have no runner, by node."""

    @property
    def alive(self) -> int:
        return sum(1 for view in self.views if view.health.serving and view.node in self.nodes)

    @property
    def gpus(self) -> int:
        return sum(len(view.heartbeat.gpus) for view in self.views if view.heartbeat and view.node in self.nodes)

    @property
    def idle_seconds(self) -> float | None:
        """How long no node has run a task; None while one does, or where no runner tells."""
        told = [view.heartbeat.idle_seconds for view in self.views if view.heartbeat and view.health.serving]
        return min(told) if told and not self.totals.get(State.RUNNING) else None


def overview(app: App, lease: Lease) -> Overview:
    """The lease now: Slurm's part from the shared squeue, the rest from its files."""
    directory = app.home.lease(lease.id)
    state = leases.backend(lease, fs=app.fs, home=app.home, clock=app.clock).state(lease)
    snapshot = Reader(directory, app.fs, app.clock).read(recent=0, pending=0)
    nodes = state.nodes or lease.nodes or records.node_names(app.fs, directory)
    notes = records.notes(app.fs, directory) if lease.kind == "slurm" and state.word != "ENDED" else {}
    return Overview(lease, state, nodes, snapshot.nodes, snapshot.totals, notes)


COLUMNS = (
    Column(""),
    Column("ID", least=8, ending=True),
    Column("NAME", least=8, rank=6),
    Column("STATE"),
    Column("LEFT", right=True, rank=9),
    Column("ALIVE", right=True, rank=5),
    Column("GPUS", right=True, rank=2),
    Column("RUN", right=True, rank=8),
    Column("PEND", right=True, rank=7),
    Column("FAIL", right=True, rank=3),
    Column("TIMEOUT", right=True, rank=2),
    Column("LOST", right=True, rank=4),
    Column("IDLE", right=True, rank=1),
    Column("NODES / REASON", least=20),
)


def cells(row: Overview, *, now: float, chosen: bool) -> list[str]:
    """The lease as a row of the table."""
    left = duration(row.state.ends - now) if row.state.ends is not None else ""
    idle = row.idle_seconds
    where = ",".join(row.nodes) if row.state.word != "ENDED" else ""
    # What Slurm's commands had to say can be several lines: the first is the reason, `lease info` has them all.
    starts = f"expected {_clock(row.state.starts)}" if row.state.starts else ""
    words = [
        where,
        *row.state.reason.splitlines()[:1],
        starts,
        *(f"{node}: {note}" for node, note in row.notes.items()),
    ]
    return [
        "*" if chosen else "",
        row.lease.id,
        row.lease.name,
        row.state.word,
        left,
        f"{row.alive}/{len(row.nodes)}" if row.nodes and row.state.word != "ENDED" else "",
        str(row.gpus or "") if row.state.word != "ENDED" else "",
        str(row.totals.get(State.RUNNING, 0)),
        str(row.totals.get(State.PENDING, 0)),
        str(row.totals.get(State.FAILED, 0)),
        str(row.totals.get(State.TIMEOUT) or ""),
        str(row.totals.get(State.LOST) or ""),
        duration(idle) if idle is not None and row.state.word == "RUNNING" else "",
        "  ".join(word for word in words if word),
    ]


def _clock(stamp: str) -> str:
    """A time of Slurm's as other times are shown."""
    return stamp.replace("T", " ")


def lease_json(row: Overview, *, chosen: bool) -> dict[str, object]:
    lease, state = row.lease, row.state
    return {
        "id": lease.id,
        "name": lease.name,
        "kind": lease.kind,
        "default": chosen,
        "state": state.word,
        "reason": state.reason,
        "nodes": list(row.nodes),
        "nodes_alive": row.alive,
        "gpus": row.gpus,
        "tasks": {each.name: count for each, count in row.totals.items()},
        "idle_seconds": row.idle_seconds,
        "notes": dict(row.notes),
        "starts": state.starts or None,
        "ends": state.ends,
        "ends_at": iso(state.ends),
        "age_seconds": state.age_seconds,
        "created": lease.created,
        "created_at": iso(lease.created),
        "ended": lease.ended,
        "end_reason": lease.end_reason,
        "argv": list(lease.argv),
    }


class Leases:
    """Fire's component of `lease`."""

    def ls(self, *words: str, all: str = "", json: str = "", color: str = "", no_header: str = "") -> ListLeases:
        extra_words(words, usage="lease ls [--all]")
        return ListLeases(yes(all, what="--all"), look(json, color, no_header))

    def info(self, *words: str, json: str = "", color: str = "", no_header: str = "") -> LeaseInfo:
        extra_words(words[1:], usage="lease info [LEASE]")
        return LeaseInfo(words[0] if words else "", look(json, color, no_header))

    def use(self, *words: str, json: str = "") -> Use:
        if len(words) != 1:
            raise UsageError("which lease?", hint="leaseq lease use LEASE; `local` is this host")
        return Use(words[0], yes(json, what="--json"))


COMMANDS = {
    "lease ls": Command(
        Leases,
        "ls",
        "[--all]",
        "Lists leases; * marks the default: the one of commands that name none.",
        (Option("all", "ended ones too", kind="flag", short="a"), *LOOK),
    ),
    "lease info": Command(
        Leases, "info", "[LEASE]", "Details of a lease: its allocation, nodes, tasks and options.", LOOK
    ),
    "lease use": Command(
        Leases,
        "use",
        "LEASE",
        "Makes it the default lease, for commands that name none. LEASEQ_LEASE and --lease still go first.",
        (JSON,),
        ("leaseq lease use 12345", "leaseq lease use local"),
    ),
}
