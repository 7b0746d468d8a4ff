"""`leaseq recover`: stuck and lost tasks, listed or queued again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Option
from leaseq.cli.options import JSON, LEASE, NO_START
from leaseq.cli.output import COLOURS, about
from leaseq.cli.retry import (
    queue_again,
    queue_lost,
    task_at,
)
from leaseq.cli.rows import short_id, task_json
from leaseq.cli.values import yes
from leaseq.errors import Refused, UsageError
from leaseq.layout import Entry
from leaseq.lease import leases
from leaseq.lease.host import LocalBackend
from leaseq.lease.leases import local_id
from leaseq.lease.lookup import Found, Located
from leaseq.models import Need, State
from leaseq.protocol import tasks
from leaseq.protocol.tasks import Claim
from leaseq.reading.snapshot import Health, Reader, TaskView
from leaseq.words import reason_code

COLUMNS = (
    Column("ID", code=short_id),
    Column("ST"),
    Column("REASON", code=reason_code, least=12, rank=2),
    Column("NODE", least=8, rank=3, ending=True),
    Column("NEXT STEP", least=24, rank=4),
    Column("COMMAND", least=8),
)


@dataclass(frozen=True)
class Recover:
    """Stuck and lost tasks: listed, or queued again as their next attempt."""

    tasks: tuple[str, ...]
    lease: str
    all: bool
    force: bool
    start: bool
    json: bool

    def perform(self, app: App) -> int:
        if self.tasks:
            return self._queue(app, app.find(self.tasks, lease=self.lease))
        reader = app.reader(self.lease)
        if not self.all:
            return self._list(app, reader)
        rows = _recoverable(reader)
        if not rows and not self.json:
            app.out.talk("leaseq: nothing is stuck or lost")
        if not rows and self.json:
            app.out.document({"lease": reader.lease.id, "ids": [], "problems": [], "unknown": []})
        return self._queue(app, Found(tuple(Located(reader, row) for row in rows))) if rows else 0

    def _queue(self, app: App, found: Found) -> int:
        act = partial(self._requeue, app)
        return queue_again(app, found, act, start=self.start, json=self.json)

    def _list(self, app: App, reader: Reader) -> int:
        rows = _recoverable(reader)
        if self.json:
            found = [{**task_json(row), "next_step": _next_step(app, reader, row)} for row in rows]
            app.out.document({"lease": reader.lease.id, "tasks": found})
            return 0
        if not rows:
            app.out.talk("leaseq: nothing is stuck or lost")
            return 0
        table = [
            [row.id, app.out.state(row.state), row.reason, row.node, _next_step(app, reader, row), row.command]
            for row in rows
        ]
        paint = [COLOURS[row.state] for row in rows]
        app.out.table(COLUMNS, table, paint=paint)
        app.out.talk("leaseq: `leaseq recover ID...` or `--all` queues them again; what they did so far is done twice")
        return 0

    def _requeue(self, app: App, each: Located) -> Need:
        """What the task needs, which is pending; raises Refused."""
        reader, row, lease = each.reader, each.row, each.reader.lease
        if row.state is State.LOST:
            return queue_lost(app, reader, row)
        if row.state in (State.FAILED, State.TIMEOUT, State.CANCELLED):
            hint = f"`leaseq retry {row.id}` queues it again as its next attempt"
            raise Refused(f"{row.id} is {row.state.name}, neither stuck nor lost", hint=hint)
        if row.state is not State.STUCK or row.place is None:
            raise Refused(f"{row.id} is {row.state.name}, neither stuck nor lost", hint="nothing was done")
        if not self.force and (doubt := _doubt(app, reader, row)):
            raise Refused(f"{row.id}: {doubt}", hint=_next_step(app, reader, row))
        entry = Entry.parse(row.place.name)
        task = task_at(app, row, entry)
        decided = tasks.recover_stuck(app.fs, lease, Claim(entry, row.node), task, ended=app.clock.now())
        if not decided.requeued:
            raise Refused(f"{row.id} had ended after all: {decided.state.name}")
        return task.need


def _recoverable(reader: Reader) -> list[TaskView]:
    rows = reader.read(recent=1000, pending=0).tasks
    return [row for row in rows if row.state is State.STUCK or (row.state is State.LOST and row.place is not None)]


def _next_step(app: App, reader: Reader, row: TaskView) -> str:
    if row.state is State.LOST:
        return f"leaseq recover {row.id}"
    if reader.lease.id == local_id():
        return "leaseq daemon start   (takes it up again, or records how it ended)"
    if _doubt(app, reader, row):
        return f"wait for the node, or `leaseq recover {row.id} --force` if it cannot run there any more"
    return f"leaseq recover {row.id}"


def _doubt(app: App, reader: Reader, row: TaskView) -> str:
    """Why the task may still run; empty where it certainly does not."""
    node = reader.health(row.node)
    if reader.lease.id == local_id():
        keeper = LocalBackend(app.fs, app.home, clock=app.clock).keeper()
        return f"it may still run under the keeper (process {keeper.pid})" if keeper else ""
    record = app.record(reader.lease)
    if node.health is Health.STOPPED:
        return ""
    if leases.backend(record, fs=app.fs, home=app.home, clock=app.clock).state(record).word == "ENDED":
        return ""
    silent = about(node.age_seconds or 0.0)
    return f"{row.node} has been silent for {silent}, which is no proof that the task has ended"


class Line:
    """Fire's component of `recover`."""

    def recover(
        self, *words: str, lease: str = "", all: str = "", force: str = "", start: str = "true", json: str = ""
    ) -> Recover:
        everything = yes(all, what="--all")
        if words and everything:
            raise UsageError("--all takes no ids")
        forced, started = yes(force, what="--force"), yes(start, what="--start")
        return Recover(words, lease, everything, forced, started, yes(json, what="--json"))


COMMANDS = {
    "recover": Command(
        Line,
        "recover",
        "[ID... | --all]",
        "Lists tasks that are stuck (their runner is down) or lost (nobody can know how they ended), with the next "
        "step. With ids or --all: queues them again, as their next attempt.",
        (
            LEASE,
            Option("all", "all that are listed", kind="flag"),
            Option("force", "also where the node may still run it: then it may run twice", kind="flag"),
            NO_START,
            JSON,
        ),
        ("leaseq recover", "leaseq recover T0c4"),
    ),
}
