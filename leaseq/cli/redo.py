"""`leaseq redo` and `recover`: tasks run once more, as new ones or as their next attempt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from leaseq import protocol
from leaseq.cli.app import App
from leaseq.cli.changes import CHANGE_OPTIONS, PRIORITY, Changes, changes, priority_of
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Option
from leaseq.cli.here import start_if_none
from leaseq.cli.options import JSON, LEASE, NO_START
from leaseq.cli.output import COLOURS, about
from leaseq.cli.progress import Progress
from leaseq.cli.rows import short_id, task_json
from leaseq.cli.values import yes
from leaseq.errors import LeaseqError, Malformed, Refused, UsageError
from leaseq.layout import Entry, LeaseDir
from leaseq.lease import leases
from leaseq.lease.leases import local_id
from leaseq.lease.local import LocalBackend, user_name
from leaseq.lease.lookup import Found, Located
from leaseq.models import State, Task
from leaseq.protocol import Claim
from leaseq.snapshot import Health, Reader, TaskView
from leaseq.submission import entries
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
        found = _failed(app.reader(self.lease)) if self.failed else app.find(self.tasks, lease=self.lease)
        for each in found.tasks:
            if not each.row.state.ended:
                raise UsageError(
                    f"{each.row.id} has not ended: it is {each.row.state.name}",
                    hint=f"`leaseq cancel {each.row.id}` ends it first",
                )
        ids, olds, leases_used, code = [], [], dict[str, None](), 0
        progress = Progress(app.out, "submitting", len(found.tasks), quiet=self.json)
        for each in progress.over(found.tasks):
            row, lease = each.row, each.reader.lease
            old = each.detail.task
            if old is None:
                progress.problem(_unknown(row))
                code = 1
                continue
            new_id = self._submit(app, lease, old, row)
            if new_id is None:
                progress.left(f"{row.id} was submitted again before")
                continue
            ids.append(new_id)
            olds.append(row.id)
            leases_used[lease.id] = None
            progress.did(new_id, "submitted again")
            progress.print_ids([new_id])
        progress.end()
        if self.json:
            first = next(iter(leases_used), "") or (found.lease if found.tasks else app.lease(self.lease).id)
            app.out.document({"lease": first, "ids": ids, "redo_of": olds, "unknown": list(found.unknown)})
        if self.start and local_id() in leases_used:
            start_if_none(app, LocalBackend(app.fs, app.home, clock=app.clock))
        if self.failed and not found.tasks:
            app.out.talk("leaseq: no task has failed")
        return app.tell(found.problems) or code

    def _submit(self, app: App, lease: LeaseDir, old: Task, row: TaskView) -> str | None:
        """The new task's id; None where `--failed` has submitted it again before."""
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
        )
        directory = protocol.inbox_of(lease, task)
        if not self.failed:
            protocol.publish(app.fs, directory, entry, task)
            return entry.id
        digest = hashlib.sha256(f"redo\0{row.id}\0{row.attempt}".encode()).hexdigest()[:40]
        given = protocol.publish_once(app.fs, lease, digest, directory, entry, task)
        return given if given == entry.id else None


def _failed(reader: Reader) -> Found:
    """Every failed task that the history holds, oldest first."""
    rows = reader.read(recent=10**9, pending=0).tasks
    failed = [row for row in rows if row.state in (State.FAILED, State.TIMEOUT)]
    return Found(tuple(Located(reader, row) for row in failed[::-1]))


def _unknown(row: TaskView) -> str:
    """Why the task cannot be submitted again."""
    if row.cleaned:
        gone = "its whole command, its directory and its need are gone"
        return f"`leaseq clean` has removed {row.id}: {gone}. It was: {row.command}"
    return f"what {row.id} was cannot be read any more"


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
        """The tasks are pending again, or it is said why not; the exit code."""
        done: list[Located] = []
        problems: list[LeaseqError] = []
        progress = Progress(app.out, "recovering", len(found.tasks), quiet=self.json)
        for each in progress.over(found.tasks):
            try:
                self._requeue(app, each.reader, each.row)
                done.append(each)
                progress.did(each.row.id, "queued again")
                progress.print_ids([each.row.id])
            except LeaseqError as error:
                problems.append(error)
                progress.problem(error.message + (f"\n  {error.hint}" if error.hint else ""))
        progress.end()
        if self.json:
            said = [problem.message for problem in problems]
            unknown = list(found.unknown)
            app.out.document({"lease": found.lease, "ids": progress.ids, "problems": said, "unknown": unknown})
        if self.start and any(each.reader.lease.id == local_id() for each in done):
            start_if_none(app, LocalBackend(app.fs, app.home, clock=app.clock))
        return app.tell(found.problems) or max((problem.exit_code for problem in problems), default=0)

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

    def _requeue(self, app: App, reader: Reader, row: TaskView) -> None:
        lease = reader.lease
        if row.state is State.LOST and row.place is not None:
            entry = Entry.parse(row.place.name)
            task = _task_at(app, row, entry)
            if not protocol.recover_lost(app.fs, lease, entry, protocol.inbox_of(lease, task)):
                raise Refused(f"{row.id} was recovered by someone else just now")
            return
        if row.state is State.LOST:
            raise Refused(f"the file of {row.id} is gone", hint=f"`leaseq redo {row.id}` submits it as a new task")
        if row.state is not State.STUCK or row.place is None:
            raise Refused(f"{row.id} is {row.state.name}, neither stuck nor lost", hint="nothing was done")
        if not self.force and (doubt := _doubt(app, reader, row)):
            raise Refused(f"{row.id}: {doubt}", hint=_next_step(app, reader, row))
        entry = Entry.parse(row.place.name)
        task = _task_at(app, row, entry)
        decided = protocol.recover_stuck(app.fs, lease, Claim(entry, row.node), task, ended=app.clock.now())
        if not decided.requeued:
            raise Refused(f"{row.id} had ended after all: {decided.state.name}")


def _task_at(app: App, row: TaskView, entry: Entry) -> Task:
    """The task in the row's file; raises Refused."""
    assert row.place is not None
    try:
        return protocol.read_task(app.fs, f"{row.place.directory}/{row.place.name}", entry)
    except (FileNotFoundError, Malformed) as error:
        raise Refused(f"{row.id}: its file cannot be read ({error})", hint="`leaseq info` tells more") from None


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
        start: str = "true",
        json: str = "",
    ) -> Redo:
        wanted = yes(failed, what="--failed")
        if bool(words) == wanted:
            raise UsageError("which tasks?", hint="leaseq redo ID..., or `leaseq redo --failed`")
        return Redo(
            tasks=words,
            lease=lease,
            failed=wanted,
            changes=changes(
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
            ),
            priority=priority_of(priority),
            start=yes(start, what="--start"),
            json=yes(json, what="--json"),
        )

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
