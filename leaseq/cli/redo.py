"""`leaseq redo` and `recover`: tasks run once more, as new ones or as their next attempt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial

from leaseq.cli.app import App
from leaseq.cli.changes import CHANGE_OPTIONS, PRIORITY, Changes, changes, priority_of
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Option
from leaseq.cli.fits import Fits
from leaseq.cli.here import refuse_again, start_if_none
from leaseq.cli.options import JSON, LEASE, NO_START
from leaseq.cli.output import COLOURS, about
from leaseq.cli.place import tell_if_too_long
from leaseq.cli.progress import Progress
from leaseq.cli.retry import (
    Retry,
    failed,
    queue_again,
    queue_lost,
    refuse_unfit,
    task_at,
    tell_of_ended_leases,
    unknown,
)
from leaseq.cli.rows import short_id, task_json
from leaseq.cli.values import yes
from leaseq.errors import Refused, UsageError
from leaseq.layout import Entry, LeaseDir
from leaseq.lease import leases
from leaseq.lease.host import LocalBackend, user_name
from leaseq.lease.leases import local_id
from leaseq.lease.lookup import Found, Located
from leaseq.models import ANY, Need, State, Task
from leaseq.protocol import keys, records, tasks
from leaseq.protocol.submission import entries
from leaseq.protocol.tasks import Claim
from leaseq.reading.snapshot import Health, Reader, TaskView
from leaseq.words import reason_code
from leaseq.world import hostname

# -- redo ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Redo:
    """New tasks like old ones, but for the changes."""

    tasks: tuple[str, ...]
    lease: str
    failed: bool
    changes: Changes
    priority: int
    start: bool
    json: bool

    def perform(self, app: App) -> int:
        found = failed(app.reader(self.lease)) if self.failed else app.find(self.tasks, lease=self.lease)
        fits = Fits(app)
        for each in found.tasks:
            if not each.row.state.ended:
                raise UsageError(
                    f"{each.row.id} has not ended: it is {each.row.state.name}",
                    hint=f"`leaseq cancel {each.row.id}` ends it first",
                )
            refuse_again(app, each.reader.lease.id, start=self.start)
            refuse_unfit(fits, each, self.changes)
        ids, olds, used, code = [], [], dict[str, Located](), 0
        queued: list[tuple[str, str, Need]] = []
        progress = Progress(app.out, "submitting", len(found.tasks), quiet=self.json)
        for each in progress.over(found.tasks):
            row, lease = each.row, each.reader.lease
            old = each.detail.task
            if old is None:
                progress.problem(unknown(row))
                code = 1
                continue
            if self.failed and (why := _redone_before(app, lease, row)):
                progress.left(why)
                continue
            new_id, need = self._submit(app, lease, old)
            queued.append((lease.id, new_id, need))
            ids.append(new_id)
            olds.append(row.id)
            used[lease.id] = each
            progress.did(new_id, "submitted again")
            progress.print_ids([new_id])
        progress.end()
        if self.json:
            first = next(iter(used), "") or (found.lease if found.tasks else app.lease(self.lease).id)
            app.out.document({"lease": first, "ids": ids, "redo_of": olds, "unknown": list(found.unknown)})
        ended = tell_of_ended_leases(app, list(used.values()))
        tell_if_too_long(app, [each for each in queued if each[0] not in ended])
        if self.start and local_id() in used:
            start_if_none(app, LocalBackend(app.fs, app.home, clock=app.clock))
        if self.failed and not found.tasks:
            app.out.talk("leaseq: no task has failed")
        return app.tell(found.problems) or code

    def _submit(self, app: App, lease: LeaseDir, old: Task) -> tuple[str, Need]:
        """(the new task's id, once it is durable; what it needs)"""
        now = app.clock.now()
        changed = self.changes.applied(app, old)
        entry = entries(1, need=changed.need, priority=self.priority, now=now)[0]
        task = replace(
            changed,
            id=entry.id,
            submitted=now,
            key="",
            user=user_name(),
            host=hostname(),
            redo_of=old.id,
            retried={},
        )
        if task.node != ANY:
            records.prepare_node(app.fs, lease, task.node)
        directory = tasks.inbox_of(lease, task)
        number = len(keys.redos(app.fs, lease, old.id)) + 1
        if self.failed:
            # The first redo of it, whoever makes it: one that died on the way is brought to its end.
            return keys.publish_redo(app.fs, lease, 1, directory, entry, task), task.need
        while keys.publish_redo(app.fs, lease, number, directory, entry, task) != entry.id:
            number += 1
        return entry.id, task.need


def _redone_before(app: App, lease: LeaseDir, row: TaskView) -> str:
    """Why `--failed` leaves the task as it is; nothing where it was not submitted again."""
    if newer := keys.redone(app.fs, lease, row.id):
        return f"{row.id} was submitted again before, as {newer[-1]}"
    try:
        keys.read_key(app.fs, lease, _old_key(row))
    except FileNotFoundError:
        return ""
    return f"{row.id} was submitted again before"


def _old_key(row: TaskView) -> str:
    """The key by which an older leaseq, which kept no links, submitted a failed task again once."""
    return hashlib.sha256(f"redo\0{row.id}\0{row.attempt}".encode()).hexdigest()[:40]


# -- recover ---------------------------------------------------------------------------------------


RECOVER_COLUMNS = (
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
        app.out.table(RECOVER_COLUMNS, table, paint=paint)
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


# -- the command line ------------------------------------------------------------------------------


class Again:
    """Fire's component of `redo` and `recover`."""

    def redo(
        self,
        *words: str,
        lease: str = "",
        failed: str = "",
        gpus: str = "",
        cpus: str = "",
        mem: str = "",
        time: str = "",
        name: str | None = None,
        env: str = "",
        export: str = "",
        node: str = "",
        cwd: str = "",
        retries: str = "",
        on_lost: str = "",
        requeue: str = "",
        priority: str = "",
        in_place: str = "",
        start: str = "true",
        json: str = "",
    ) -> Redo | Retry:
        wanted = yes(failed, what="--failed")
        if bool(words) == wanted:
            raise UsageError("which tasks?", hint="leaseq redo ID..., or `leaseq redo --failed`")
        said = changes(
            gpus=gpus,
            cpus=cpus,
            mem=mem,
            time=time,
            name=name,
            env=env,
            export=export,
            node=node,
            cwd=cwd,
            retries=retries,
            on_lost=on_lost,
            requeue=requeue,
        )
        starts, as_json = yes(start, what="--start"), yes(json, what="--json")
        if yes(in_place, what="--in-place"):
            if priority:
                raise UsageError("--in-place goes without --priority: the task keeps its place")
            return Retry(words, lease, wanted, said, starts, as_json)
        return Redo(words, lease, wanted, said, priority_of(priority), starts, as_json)

    def recover(
        self, *words: str, lease: str = "", all: str = "", force: str = "", start: str = "true", json: str = ""
    ) -> Recover:
        everything = yes(all, what="--all")
        if words and everything:
            raise UsageError("--all takes no ids")
        forced, started = yes(force, what="--force"), yes(start, what="--start")
        return Recover(words, lease, everything, forced, started, yes(json, what="--json"))


COMMANDS = {
    "redo": Command(
        Again,
        "redo",
        "ID... | --failed",
        "Submits tasks again as new ones, which are as they were: command, directory, need, and the environment that "
        "they had. Options change that. Prints the new ids.",
        (
            LEASE,
            Option("failed", "every failed or timed out task that was not submitted again yet", kind="flag"),
            *CHANGE_OPTIONS,
            PRIORITY,
            Option("in-place", "the same as `leaseq retry`: their next attempt, no new task", kind="flag"),
            NO_START,
            JSON,
        ),
        ("leaseq redo last", "leaseq redo --failed", "leaseq redo T0c4 --time 8h --mem 32G"),
    ),
    "recover": Command(
        Again,
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
