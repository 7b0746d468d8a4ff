"""`leaseq diff`: with which changes a task was queued, or what differs between the code of two, or of two attempts."""

from __future__ import annotations

import sys

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.details import COMMIT_LETTERS
from leaseq.cli.options import LEASE
from leaseq.dataclass import dataclass
from leaseq.errors import NotFound, UsageError
from leaseq.lease.lookup import How, Located
from leaseq.origin import Origin
from leaseq.reading.logtext import Harmless
from leaseq.values import integer
from leaseq.verbs.code import attempts_of, between, changes_of, origin_of


@dataclass(frozen=True)
class Diff:
    """The code of a task against its commit, or against that of another task."""

    tasks: tuple[str, ...]
    lease: str
    attempts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.attempts and len(self.tasks) > 1:
            raise UsageError("--attempt is of one task", hint="leaseq diff ID -k K[,K]")

    def perform(self, app: App) -> int:
        found = app.access.find(self.tasks, lease=self.lease, indices=How.EACH)
        if found.problems:
            raise found.problems[0]
        if self.attempts:
            known = _of_attempts(found.tasks[0], self.attempts)
        else:
            known = [(each.row.id, origin_of(each.detail.task, each.row.id)) for each in found.tasks]
        if len(known) == 1:
            (task_id, origin), text = known[0], changes_of(app.access, *known[0])
            same = f"{task_id} was queued from commit {origin.commit[:COMMIT_LETTERS]} as it is: nothing differed"
        else:
            text = between(app.access, known[0], known[1])
            same = f"the code of {known[0][0]} and {known[1][0]} is the same"
        if not text:
            app.out.talk(f"leaseq: {same}")
        shown = Harmless().feed(text, final=True) if sys.stdout.isatty() else text
        sys.stdout.buffer.write(shown)
        sys.stdout.buffer.flush()
        return 0


def _of_attempts(each: Located, attempts: tuple[int, ...]) -> list[tuple[str, Origin]]:
    """What those attempts were queued from, each as ID.ATTEMPT; raises NotFound."""
    tasks = attempts_of(each.detail)
    for attempt in attempts:
        if attempt not in tasks:
            raise NotFound(f"{each.row.id} has no attempt {attempt}", hint=f"`leaseq info {each.row.id}` lists them")
    return [(f"{each.row.id}.{attempt}", origin_of(tasks[attempt], f"{each.row.id}.{attempt}")) for attempt in attempts]


def _one_or_two(text: str, *, what: str) -> tuple[int, ...]:
    numbers = tuple(integer(word, what=what, low=1, high=999_999) for word in text.split(","))
    if len(numbers) > 2:
        raise UsageError(f"{what} {text!r} names more than two")
    return numbers


COMMAND = Command(
    usage="ID [ID] | ID -k K[,K]",
    about="Shows with which changes to the commit of its repository a task was queued last; of two tasks, or of two "
    "attempts of one, what differs between their code. Untracked files are not looked at.",
    make=Diff,
    words=Words("tasks", "task", least=1, most=2, ask="of which task?", hint="leaseq diff ID [ID]"),
    options=(
        LEASE,
        Option(
            "attempt",
            "of attempt K of one task; of two, what differs between these",
            short="k",
            metavar="K[,K]",
            read=_one_or_two,
            absent=(),
            field="attempts",
        ),
    ),
    examples=("leaseq diff last", "leaseq diff T0c4 T1b7", "leaseq diff T0c4 -k 1,2"),
)
