"""`leaseq redo`: new tasks like old ones."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from leaseq.cli.after import ANYWAY
from leaseq.cli.app import App
from leaseq.cli.changes import CHANGE_OPTIONS, PRIORITY, with_changes
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.freezing import SAME_CODE, thawed
from leaseq.cli.options import JSON, LEASE, NO_START, OF_GROUP, by_group
from leaseq.cli.progress import Progress
from leaseq.cli.retry import Retry, refuse_unclear, tasks_meant, tell_if_forgotten, tell_of_queued
from leaseq.dataclass import dataclass, replace
from leaseq.errors import NotFound, Refused
from leaseq.lease.lookup import ENDED, Found
from leaseq.models import Task
from leaseq.names import Entry, order
from leaseq.verbs.changes import Changes
from leaseq.verbs.fits import Fits
from leaseq.verbs.origin import Origins
from leaseq.verbs.redo import check, redo, redone_before
from leaseq.verbs.retry import Queued, unknown

if TYPE_CHECKING:
    from leaseq.cli.sheet import Line


@dataclass(frozen=True)
class Redo:
    """New tasks like old ones, but for the changes."""

    tasks: tuple[str, ...]
    lease: str
    failed: bool
    changes: Changes
    priority: int
    edit: bool
    same_code: bool
    start: bool
    json: bool

    def __post_init__(self) -> None:
        refuse_unclear(self.tasks, failed=self.failed, command="redo")

    def perform(self, app: App) -> int:
        access = app.access
        found = tasks_meant(access, self.tasks, failed=self.failed, lease=self.lease, of=ENDED)
        once = self.failed and not self.tasks
        fits, origins = Fits(access), Origins(access.fs, access.home)
        for each in found.tasks:
            check(access, each, self.changes, fits=fits, start=self.start)
        lines, sheet = self._edited(found, fits) if self.edit else (None, "")
        if lines is not None:
            found = replace(found, tasks=tuple(each for each in found.tasks if each.row.id in lines))
        queued: list[Queued] = []
        progress = Progress(app.out, "submitting", len(found.tasks), quiet=self.json)
        for each in progress.over(found.tasks):
            if once and (why := redone_before(access, each)):
                progress.left(why)
                continue
            try:
                line = lines[each.row.id] if lines is not None else None
                done = redo(
                    access,
                    each,
                    self.changes,
                    priority=line.priority if line else self.priority,
                    once=once,
                    failed=self.failed,
                    made=partial(self._made, app, line),
                    origins=origins,
                )
            except (Refused, NotFound) as error:
                progress.problem(error.message)
                continue
            queued.append(done)
            tell_if_forgotten(app, done)
            progress.did(done.task.id, "submitted again")
            progress.print_ids([done.task.id])
        code = progress.end()
        if sheet and not code:
            os.unlink(sheet)
        elif sheet:
            app.out.talk(f"leaseq: what you wrote is in {sheet}")
        if self.json:
            lease = queued[0].lease.id if queued else found.lease if found.tasks else access.lease(self.lease).id
            olds = [each.task.redo_of for each in queued]
            app.out.document({"lease": lease, "ids": progress.ids, "redo_of": olds, "unknown": list(found.unknown)})
        tell_of_queued(app, queued, start=self.start)
        if self.failed and not found.tasks:
            app.out.talk("leaseq: no task has failed")
        return app.tell(found.problems) or code

    def _made(self, app: App, line: Line | None, task: Task) -> Task:
        """The task as it was edited, and in the code that it had."""
        task = task if line is None else line.task
        return thawed(app, task) if self.same_code else task

    def _edited(self, found: Found, fits: Fits) -> tuple[dict[str, Line], str]:
        """What the person makes of the tasks in an editor, and the sheet's path; raises LeaseqError."""
        from leaseq.cli.editor import edited

        known = {}
        for each in found.tasks:
            old = each.detail.task
            if old is None:
                raise Refused(unknown(each.row))
            if each.row.array is not None:
                raise Refused(f"{each.row.id} is an array, which is not edited", hint=f"`leaseq redo {each.row.id}`")
            place = order(priority=self.priority, micros=0, sequence=0)
            known[old.id] = self.changes.applied(old), Entry(place, old.id, old.need, 1)
        lines, path = edited(known, every=True)
        for each in found.tasks:
            if line := lines.get(each.row.id):
                fits.refuse(each.reader.lease, line.task.need, line.task.node, named="")
        return lines, path


def _request(*, in_place: bool, priority: int, edit: bool, **fields: Any) -> Redo | Retry:
    fields = with_changes(fields)
    return Retry(**fields) if in_place else Redo(priority=priority, edit=edit, **fields)


COMMAND = Command(
    usage="ID... [--failed] | -g GROUP | --failed",
    about="Submits tasks again as new ones, which are as they were: command, directory, need, and the environment that "
    "they had. Options change that. Prints the new ids.",
    make=by_group(_request),
    words=Words("tasks", "task"),
    options=(
        LEASE,
        OF_GROUP,
        Option(
            "failed",
            "only what failed or timed out; without an id every such task that was not submitted again yet",
            kind="flag",
        ),
        *CHANGE_OPTIONS,
        ANYWAY,
        PRIORITY,
        Option("edit", "change every field of them in $VISUAL or $EDITOR first", kind="flag"),
        Option(
            "in-place",
            "the same as `leaseq retry`: their next attempt where they stood, no new task",
            kind="flag",
            against=("priority", "edit"),
        ),
        SAME_CODE,
        NO_START,
        JSON,
    ),
    examples=("leaseq redo last", "leaseq redo --failed", "leaseq redo T0c4 --time 8h --mem 32G"),
)
