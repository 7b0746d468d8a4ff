"""`leaseq retry`: tasks that have ended run once more under their own id, as their next attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from leaseq.cli.app import App
from leaseq.cli.changes import CHANGE_OPTIONS, Changes, changes
from leaseq.cli.command import Command, Option
from leaseq.cli.fits import Fits
from leaseq.cli.here import refuse_again, start_if_none
from leaseq.cli.options import JSON, LEASE, NO_START
from leaseq.cli.place import tell_if_too_long
from leaseq.cli.progress import Progress
from leaseq.cli.values import yes
from leaseq.errors import LeaseqError, Malformed, NotFound, Refused, UsageError
from leaseq.layout import Entry, new_incarnation, order
from leaseq.lease.host import LocalBackend
from leaseq.lease.leases import local_id, read_record
from leaseq.lease.lookup import Found, Located
from leaseq.models import ANY, Need, Outcome, State, Task
from leaseq.protocol import keys, records, tasks
from leaseq.reading.snapshot import Reader, TaskView


@dataclass(frozen=True)
class Retry:
    """Ended tasks that are to have another attempt, with these changes."""

    tasks: tuple[str, ...]
    lease: str
    failed: bool
    changes: Changes
    start: bool
    json: bool

    def perform(self, app: App) -> int:
        found = failed(app.reader(self.lease)) if self.failed else app.find(self.tasks, lease=self.lease)
        code = queue_again(
            app, found, partial(self._queue, app, Fits(app)), start=self.start, json=self.json, lease=self.lease
        )
        if self.failed and not found.tasks and not self.json:
            app.out.talk("leaseq: no task has failed")
        return code

    def _queue(self, app: App, fits: Fits, each: Located) -> Need:
        """What the task needs, which is pending; raises LeaseqError where it is not, and why."""
        row, reader = each.row, each.reader
        if row.state is State.LOST:
            if self.changes.said:
                raise Refused(f"{row.id} is LOST: it is queued again as it is", hint=f"leaseq retry {row.id}")
            return queue_lost(app, reader, row)
        ended = last_outcome(each)
        if self.failed and (newer := keys.redone(app.fs, reader.lease, row.id)):
            raise Refused(f"{row.id} was submitted again as {newer[-1]}", hint=f"`leaseq retry {row.id}` does it still")
        refuse_unfit(fits, each, self.changes)
        return retry(app, reader, ended, self.changes)


def refuse_unfit(fits: Fits, each: Located, changes: Changes) -> None:
    """Raises LeaseqError where the ended task, with these changes, could never run in the lease that has it."""
    old = each.detail.task
    if old is not None:
        node = changes.node or old.node
        fits.refuse(each.reader.lease, changes.need_after(old.need), node, named=changes.node)


def retry(app: App, reader: Reader, ended: Outcome, changes: Changes) -> Need:
    """Another attempt of the task is pending; what it needs.

    Raises Refused where somebody was first and these changes are lost.
    """
    lease = reader.lease
    task = changes.applied(app, ended.task)
    task = replace(task, retried={**task.retried, lease.id: ended.state.name})
    place = ended.order or order(priority=0, micros=int(task.submitted * 1e6), sequence=0)
    entry = Entry(place, task.id, task.need, ended.attempt + 1, new_incarnation())
    if task.node != ANY:
        records.prepare_node(app.fs, lease, task.node)
    first = keys.retry(app.fs, lease, ended, tasks.inbox_of(lease, task), entry, task)
    if first.owner != entry.owner and changes.said:
        raise Refused(
            f"{task.id} was queued again before, without these options",
            hint=f"`leaseq cancel {task.id}` and retry it then, or `leaseq redo {task.id}` submits a new one",
        )
    return task.need


def last_outcome(each: Located) -> Outcome:
    """How the ended task ended; raises Refused where it cannot be retried."""
    row = each.row
    if row.cleaned:
        raise Refused(unknown(row), hint="leaseq submit -- COMMAND")
    if row.state is State.DONE:
        raise Refused(f"{row.id} is DONE", hint=f"`leaseq redo {row.id}` submits it as a new task")
    if row.state is State.STUCK:
        raise Refused(f"{row.id} is STUCK: its runner is down", hint=f"`leaseq recover {row.id}` tells the next step")
    outcomes = each.detail.outcomes
    if not row.state.ended or not outcomes or outcomes[-1].attempt != row.attempt or outcomes[-1].requeued:
        raise Refused(f"{row.id} has not ended: it is {row.state.name}", hint=f"`leaseq wait {row.id}` waits for it")
    return outcomes[-1]


def queue_lost(app: App, reader: Reader, row: TaskView) -> Need:
    """What the LOST task needs, which is pending as its next attempt; raises Refused."""
    if row.place is None:
        raise Refused(f"the file of {row.id} is gone", hint=f"`leaseq redo {row.id}` submits it as a new task")
    entry = Entry.parse(row.place.name)
    task = task_at(app, row, entry)
    if not tasks.recover_lost(app.fs, reader.lease, entry, tasks.inbox_of(reader.lease, task)):
        raise Refused(f"{row.id} was queued again by someone else just now")
    return task.need


def task_at(app: App, row: TaskView, entry: Entry) -> Task:
    """The task in the row's file; raises Refused."""
    assert row.place is not None
    try:
        return tasks.read_task(app.fs, f"{row.place.directory}/{row.place.name}", entry)
    except (FileNotFoundError, Malformed) as error:
        raise Refused(f"{row.id}: its file cannot be read ({error})", hint="`leaseq info` tells more") from None


def queue_again(
    app: App, found: Found, act: Callable[[Located], Need], *, start: bool, json: bool, lease: str = ""
) -> int:
    """Each task was queued again by `act`, which gives its need, or it is said why not; the exit code."""
    done: list[Located] = []
    queued: list[tuple[str, str, Need]] = []
    problems: list[LeaseqError] = []
    progress = Progress(app.out, "queueing", len(found.tasks), quiet=json)
    for each in progress.over(found.tasks):
        try:
            refuse_again(app, each.reader.lease.id, start=start)
            queued.append((each.reader.lease.id, each.row.id, act(each)))
            done.append(each)
            progress.did(each.row.id, "queued again")
            progress.print_ids([each.row.id])
        except LeaseqError as error:
            problems.append(error)
            progress.problem(error.message + (f"\n  {error.hint}" if error.hint else ""))
    progress.end()
    if json:
        said = [problem.message for problem in problems]
        lease = found.lease if found.tasks else app.lease(lease).id
        app.out.document({"lease": lease, "ids": progress.ids, "problems": said, "unknown": list(found.unknown)})
    ended = tell_of_ended_leases(app, done)
    tell_if_too_long(app, [each for each in queued if each[0] not in ended])
    if start and any(each.reader.lease.id == local_id() for each in done):
        start_if_none(app, LocalBackend(app.fs, app.home, clock=app.clock))
    return app.tell(found.problems) or max((problem.exit_code for problem in problems), default=0)


FIRST_TOLD_MAX = 5


def tell_of_first(app: App, ids: list[str], *, again: bool) -> None:
    """It is said of the tasks for which keys stand how they ended, where not well. again: they are retried."""
    if not ids:
        return
    try:
        found = app.find(ids, lease="")
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
            if again and row.state is State.LOST:
                queue_lost(app, each.reader, row)
            elif again:
                retry(app, each.reader, last_outcome(each), Changes(Need()))
            told.append(f"{why}: " + ("it is queued again" if again else _way_on(row)))
        except LeaseqError as error:
            told.append(f"{why}; it cannot be queued again: {error.message}")
    for words in told[:FIRST_TOLD_MAX]:
        app.out.talk(f"leaseq: {words}")
    if len(told) > FIRST_TOLD_MAX:
        app.out.talk(f"leaseq: and {len(told) - FIRST_TOLD_MAX} more like these")


def _way_on(row: TaskView) -> str:
    if row.cleaned:
        return "its results were removed by `leaseq clean`; another key runs it anew"
    return f"`leaseq retry {row.id}` queues it again, and so does --unless-done"


def tell_of_ended_leases(app: App, queued: list[Located]) -> set[str]:
    """It is said where a queued task waits in a lease that has ended: nothing runs there any more. Their ids."""
    ended = set()
    for lease in dict.fromkeys(each.reader.lease for each in queued):
        record = read_record(app.fs, lease)
        if record is not None and record.ended is not None:
            ended.add(lease.id)
            app.out.talk(
                f"leaseq: lease {lease.id} has ended: `leaseq move --from {lease.id} --to LEASE` takes its tasks on"
            )
    return ended


def failed(reader: Reader) -> Found:
    """Every failed task that the history holds, oldest first."""
    rows = reader.read(recent=10**9, pending=0).tasks
    ended = [row for row in rows if row.state in (State.FAILED, State.TIMEOUT)]
    return Found(tuple(Located(reader, row) for row in ended[::-1]))


def unknown(row: TaskView) -> str:
    """Why the task cannot run once more."""
    if row.cleaned:
        gone = "its whole command, its directory and its need are gone"
        return f"`leaseq clean` has removed {row.id}: {gone}. It was: {row.command}"
    return f"what {row.id} was cannot be read any more"


class Retrying:
    """Fire's component of `retry`."""

    def retry(
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
        start: str = "true",
        json: str = "",
    ) -> Retry:
        wanted = yes(failed, what="--failed")
        if bool(words) == wanted:
            raise UsageError("which tasks?", hint="leaseq retry ID..., or `leaseq retry --failed`")
        return Retry(
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
            start=yes(start, what="--start"),
            json=yes(json, what="--json"),
        )


COMMANDS = {
    "retry": Command(
        Retrying,
        "retry",
        "ID... | --failed",
        "Queues tasks again that failed, ran into their time limit, were cancelled or lost: under their own id, as "
        "their next attempt, where they stood. `wait ID` then waits for that one. What they wrote before stays. They "
        "are as they were; options change that.",
        (
            LEASE,
            Option("failed", "every failed or timed out task that was not submitted again", kind="flag"),
            *CHANGE_OPTIONS,
            NO_START,
            JSON,
        ),
        ("leaseq retry last", "leaseq retry --failed", "leaseq retry T0c4 --time 8h"),
    ),
}
