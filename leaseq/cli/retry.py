"""`leaseq retry`: tasks that have ended run once more under their own id, as their next attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from leaseq.cli.after import ANYWAY
from leaseq.cli.app import App
from leaseq.cli.changes import CHANGE_OPTIONS, with_changes
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.freezing import SAME_CODE, thawed
from leaseq.cli.here import see_to_capacity
from leaseq.cli.options import JSON, LEASE, NO_START, OF_GROUP, by_group
from leaseq.cli.place import tell_if_too_long
from leaseq.cli.progress import Progress
from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError, NotFound, UsageError
from leaseq.layout import LeaseDir
from leaseq.lease.leases import read_record
from leaseq.lease.lookup import BAD, FAILED, Found, How, Located, Of
from leaseq.models import State
from leaseq.reading.views import TaskView
from leaseq.verbs.access import Access
from leaseq.verbs.changes import Changes
from leaseq.verbs.fits import Fits, refuse_again
from leaseq.verbs.origin import Origins
from leaseq.verbs.retry import Queued, retry
from leaseq.verbs.retry import failed as all_failed


@dataclass(frozen=True)
class Retry:
    """Ended tasks that are to have another attempt, with these changes."""

    tasks: tuple[str, ...]
    lease: str
    failed: bool
    changes: Changes
    start: bool
    json: bool
    cascade: bool = True
    same_code: bool = False

    def __post_init__(self) -> None:
        refuse_unclear(self.tasks, failed=self.failed, command="retry")

    def perform(self, app: App) -> int:
        access = app.access
        found = tasks_meant(access, self.tasks, failed=self.failed, lease=self.lease, of=BAD)
        once = self.failed and not self.tasks
        act = partial(
            retry,
            access,
            changes=self.changes,
            fits=Fits(access),
            unless_redone=once,
            failed=self.failed,
            cascade=self.cascade,
            made=partial(thawed, app) if self.same_code else None,
            origins=Origins(access.fs, access.home),
        )
        code = queue_again(app, found, act, start=self.start, json=self.json, lease=self.lease)
        if self.failed and not found.tasks and not self.json:
            app.out.talk("leaseq: no task has failed")
        return code


def refuse_unclear(tasks: Sequence[str], *, failed: bool, command: str) -> None:
    """Raises UsageError unless some tasks are named, or all that failed are meant."""
    if not tasks and not failed:
        raise UsageError("which tasks?", hint=f"leaseq {command} ID..., or `leaseq {command} --failed`")


def tasks_meant(access: Access, tasks: Sequence[str], *, failed: bool, lease: str, of: Of) -> Found:
    """The tasks that are named, or all of the lease that failed."""
    if failed and not tasks:
        return all_failed(access.reader(lease, acts=True))
    return access.find(tasks, lease=lease, acts=True, indices=How.TOGETHER, of=FAILED if failed else of)


def queue_again(
    app: App, found: Found, act: Callable[[Located], Queued], *, start: bool, json: bool, lease: str = ""
) -> int:
    """Each task was queued again by `act`, or it is said why not; the exit code."""
    queued: list[Queued] = []
    revived: list[str] = []
    problems: list[LeaseqError] = []
    progress = Progress(app.out, "queueing", len(found.tasks), quiet=json)
    for each in progress.over(found.tasks):
        try:
            refuse_again(app.access, each.reader.lease, start=start)
            queued.append(act(each))
            tell_if_forgotten(app, queued[-1])
            progress.did(each.row.id, "queued again")
            progress.print_ids([each.row.id])
            revived += queued[-1].revived
        except LeaseqError as error:
            problems.append(error)
            progress.problem(error.message + (f"\n  {error.hint}" if error.hint else ""))
    progress.end()
    if json:
        said = [problem.message for problem in problems]
        named = found.lease if found.tasks else app.access.lease(lease).id
        body = {"lease": named, "ids": progress.ids, "problems": said, "unknown": list(found.unknown)}
        app.out.document({**body, "revived": revived})
    elif revived:
        more = f" and {len(revived) - REVIVED_SHOWN} more" if len(revived) > REVIVED_SHOWN else ""
        waits = "waits for it again" if len(revived) == 1 else "wait again"
        app.out.talk(f"leaseq: {', '.join(revived[:REVIVED_SHOWN])}{more}, cancelled because of that, {waits}")
    tell_of_queued(app, queued, start=start)
    return app.tell(found.problems) or max((problem.exit_code for problem in problems), default=0)


def tell_of_queued(app: App, queued: Sequence[Queued], *, start: bool) -> None:
    """What a person must know of tasks that wait in those leases is said; with start, somebody will run them."""
    used = list(dict.fromkeys(each.lease for each in queued))
    ended = _tell_of_ended(app, used)
    tell_if_too_long(app, [(each.lease.id, each.task.id, each.task.need) for each in queued if each.lease not in ended])
    if start:
        see_to_capacity(app, used)


def tell_if_forgotten(app: App, queued: Queued) -> None:
    """It is said if the task's environment is not known any more."""
    old = queued.forgotten
    if old is not None:
        lost = f" ({', '.join(old.env_given)} of --env too)" if old.env_given else ""
        app.out.talk(
            f"leaseq: the environment of {old.id} is not known any more{lost}, for an older leaseq wrote down how "
            "it ended: it gets the one of now"
        )


FIRST_TOLD_MAX = 5
REVIVED_SHOWN = 3


def tell_of_first(app: App, ids: list[str], *, again: bool) -> None:
    """It is said how the tasks ended that were submitted before with the keys, if not well. again: they are retried."""
    if not ids:
        return
    try:
        found = app.access.find(ids, lease="", acts=True)
    except NotFound as error:
        app.out.talk(f"leaseq: what the key stands for is not known any more: {error.message}")
        return
    told = [f"nothing is known any more of {word}, for which the key stands" for word in found.unknown]
    for each in found.tasks:
        row = each.row
        if row.state is State.DONE or not row.state.ended:
            continue
        why = f"{row.id} was first with this key and is {row.state.name}"
        try:
            if again:
                tell_if_forgotten(app, retry(app.access, each))
            told.append(f"{why}: " + ("it is queued again" if again else _way_on(row)))
        except LeaseqError as error:
            told.append(f"{why}; it cannot be queued again: {error.message}")
    for words in told[:FIRST_TOLD_MAX]:
        app.out.talk(f"leaseq: {words}")
    if len(told) > FIRST_TOLD_MAX:
        app.out.talk(f"leaseq: and {len(told) - FIRST_TOLD_MAX} more like these")


def _way_on(row: TaskView) -> str:
    if row.cleaned:
        return "its results were removed by `leaseq clean`; another key runs it again"
    return f"`leaseq retry {row.id}` queues it again, and so does --unless-done"


def _tell_of_ended(app: App, used: Iterable[LeaseDir]) -> set[LeaseDir]:
    """Those of the leases that have ended, which is said: nothing runs there any more."""
    ended = set()
    for lease in used:
        record = read_record(app.fs, lease)
        if record is not None and record.ended is not None:
            ended.add(lease)
            app.out.talk(
                f"leaseq: lease {lease.id} has ended: `leaseq move --from {lease.id} --to LEASE` takes its tasks on"
            )
    return ended


CASCADE = Option("cascade", "leave what was cancelled because of them as it is", kind="flag", default="true")


def _request(**fields: Any) -> Retry:
    return Retry(**with_changes(fields))


COMMAND = Command(
    usage="ID... [--failed] | -g GROUP | --failed",
    about="Queues tasks again that failed, ran into their time limit, were cancelled or lost: under their own id, as "
    "their next attempt, where they stood. `wait ID` then waits for that one. What they wrote before stays. They "
    "are as they were; options change that. Of an array those of its indices run again that are not DONE, with their "
    "numbers. What was cancelled because one of them had failed waits for it again.",
    make=by_group(_request),
    words=Words("tasks", "task"),
    options=(
        LEASE,
        OF_GROUP,
        Option(
            "failed",
            "only what failed or timed out; without an id every such task that was not submitted again",
            kind="flag",
        ),
        *CHANGE_OPTIONS,
        ANYWAY,
        CASCADE,
        SAME_CODE,
        NO_START,
        JSON,
    ),
    examples=("leaseq retry last", "leaseq retry --failed", "leaseq retry T0c4_3,17", "leaseq retry T0c4 --time 8h"),
)
