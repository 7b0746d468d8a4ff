"""`leaseq recover`: stuck and lost tasks, listed or queued again."""

from __future__ import annotations

from functools import partial

from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import JSON, LEASE, NO_START
from leaseq.cli.output import COLOURS
from leaseq.cli.retry import queue_again
from leaseq.cli.rows import short_id, task_json
from leaseq.dataclass import dataclass
from leaseq.errors import Refused, UsageError
from leaseq.lease.lookup import Found, Located
from leaseq.reading.snapshot import Reader
from leaseq.verbs.recover import next_step, recover, recoverable
from leaseq.verbs.retry import Queued
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

    def __post_init__(self) -> None:
        if self.tasks and self.all:
            raise UsageError("--all takes no ids")

    def perform(self, app: App) -> int:
        if self.tasks:
            return self._queue(app, app.access.find(self.tasks, lease=self.lease, acts=True))
        reader = app.access.reader(self.lease, acts=True)
        found = recoverable(reader)
        if not self.all:
            return self._list(app, reader, found)
        if not found.tasks and not self.json:
            app.out.talk("leaseq: nothing is stuck or lost")
        if not found.tasks and self.json:
            app.out.document({"lease": reader.lease.id, "ids": [], "problems": [], "unknown": []})
        return self._queue(app, found) if found.tasks else 0

    def _queue(self, app: App, found: Found) -> int:
        return queue_again(app, found, partial(self._recover, app), start=self.start, json=self.json)

    def _recover(self, app: App, each: Located) -> Queued:
        done = recover(app.access, each, force=self.force)
        if done.decided is not None and not done.queued:
            raise Refused(f"{each.row.id} had ended after all: {done.decided.state.name}")
        return done

    def _list(self, app: App, reader: Reader, found: Found) -> int:
        rows = [(each.row, next_step(app.access, each)) for each in found.tasks]
        if self.json:
            told = [{**task_json(row), "next_step": step} for row, step in rows]
            app.out.document({"lease": reader.lease.id, "tasks": told})
            return 0
        if not rows:
            app.out.talk("leaseq: nothing is stuck or lost")
            return 0
        table = [[row.id, app.out.state(row.state), row.reason, row.node, step, row.command] for row, step in rows]
        app.out.table(COLUMNS, table, paint=[COLOURS[row.state] for row, _ in rows])
        app.out.talk("leaseq: `leaseq recover ID...` or `--all` queues them again; what they did so far is done twice")
        return 0


COMMAND = Command(
    usage="[ID... | --all]",
    about="Lists tasks that are stuck (their runner is down) or lost (nobody can know how they ended), with the next "
    "step. With ids or --all: queues them again, as their next attempt.",
    make=Recover,
    words=Words("tasks", "task"),
    options=(
        LEASE,
        Option("all", "all that are listed", kind="flag"),
        Option("force", "also if the node may still run it: then it may run twice", kind="flag"),
        NO_START,
        JSON,
    ),
    examples=("leaseq recover", "leaseq recover T0c4"),
)
