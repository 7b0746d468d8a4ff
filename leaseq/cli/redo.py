"""`leaseq redo`: new tasks like old ones."""

from __future__ import annotations

from typing import Any

from leaseq.cli.after import ANYWAY
from leaseq.cli.app import App
from leaseq.cli.changes import CHANGE_OPTIONS, PRIORITY, with_changes
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import JSON, LEASE, NO_START, OF_GROUP, by_group
from leaseq.cli.progress import Progress
from leaseq.cli.retry import Retry, refuse_unclear, tasks_meant, tell_if_forgotten, tell_of_queued
from leaseq.dataclass import dataclass
from leaseq.errors import Refused
from leaseq.lease.lookup import ENDED
from leaseq.verbs.changes import Changes
from leaseq.verbs.fits import Fits
from leaseq.verbs.redo import check, redo, redone_before
from leaseq.verbs.retry import Queued


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

    def __post_init__(self) -> None:
        refuse_unclear(self.tasks, failed=self.failed, command="redo")

    def perform(self, app: App) -> int:
        access = app.access
        found = tasks_meant(access, self.tasks, failed=self.failed, lease=self.lease, of=ENDED)
        once = self.failed and not self.tasks
        fits = Fits(access)
        for each in found.tasks:
            check(access, each, self.changes, fits=fits, start=self.start)
        queued: list[Queued] = []
        progress = Progress(app.out, "submitting", len(found.tasks), quiet=self.json)
        for each in progress.over(found.tasks):
            if once and (why := redone_before(access, each)):
                progress.left(why)
                continue
            try:
                done = redo(access, each, self.changes, priority=self.priority, once=once, failed=self.failed)
            except Refused as error:
                progress.problem(error.message)
                continue
            queued.append(done)
            tell_if_forgotten(app, done)
            progress.did(done.task.id, "submitted again")
            progress.print_ids([done.task.id])
        code = progress.end()
        if self.json:
            lease = queued[0].lease.id if queued else found.lease if found.tasks else access.lease(self.lease).id
            olds = [each.task.redo_of for each in queued]
            app.out.document({"lease": lease, "ids": progress.ids, "redo_of": olds, "unknown": list(found.unknown)})
        tell_of_queued(app, queued, start=self.start)
        if self.failed and not found.tasks:
            app.out.talk("leaseq: no task has failed")
        return app.tell(found.problems) or code


def _request(*, in_place: bool, priority: int, **fields: Any) -> Redo | Retry:
    fields = with_changes(fields)
    return Retry(**fields) if in_place else Redo(priority=priority, **fields)


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
        Option(
            "in-place",
            "the same as `leaseq retry`: their next attempt where they stood, no new task",
            kind="flag",
            against=("priority",),
        ),
        NO_START,
        JSON,
    ),
    examples=("leaseq redo last", "leaseq redo --failed", "leaseq redo T0c4 --time 8h --mem 32G"),
)
