"""`leaseq redo`: new tasks like old ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from leaseq.cli.app import App
from leaseq.cli.changes import CHANGE_OPTIONS, PRIORITY, Changes, changes, priority_of
from leaseq.cli.command import Command, Option
from leaseq.cli.fits import Fits
from leaseq.cli.here import refuse_again, start_if_none
from leaseq.cli.options import JSON, LEASE, NO_START
from leaseq.cli.place import tell_if_too_long
from leaseq.cli.progress import Progress
from leaseq.cli.retry import (
    Retry,
    failed,
    refuse_unfit,
    tell_of_ended_leases,
    unknown,
)
from leaseq.cli.values import yes
from leaseq.errors import UsageError
from leaseq.layout import LeaseDir
from leaseq.lease.host import LocalBackend, user_name
from leaseq.lease.leases import local_id
from leaseq.lease.lookup import Located
from leaseq.models import ANY, Need, Task
from leaseq.protocol import keys, records, tasks
from leaseq.protocol.submission import entries
from leaseq.reading.snapshot import TaskView
from leaseq.world import hostname


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


class Line:
    """Fire's component of `redo`."""

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


COMMANDS = {
    "redo": Command(
        Line,
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
}
