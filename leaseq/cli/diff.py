"""`leaseq diff`: with which changes a task was submitted, or what differs between the code of two."""

from __future__ import annotations

import sys

from leaseq.cli.app import App
from leaseq.cli.command import Command, Words
from leaseq.cli.details import COMMIT_LETTERS
from leaseq.cli.options import LEASE
from leaseq.dataclass import dataclass
from leaseq.lease.lookup import How
from leaseq.reading.logtext import Harmless
from leaseq.verbs.code import between, changes_of, origin_of


@dataclass(frozen=True)
class Diff:
    """The code of a task against its commit, or against that of another task."""

    tasks: tuple[str, ...]
    lease: str

    def perform(self, app: App) -> int:
        found = app.access.find(self.tasks, lease=self.lease, indices=How.EACH)
        if found.problems:
            raise found.problems[0]
        known = [(each.row.id, origin_of(each.detail.task, each.row.id)) for each in found.tasks]
        if len(known) == 1:
            (task_id, origin), text = known[0], changes_of(app.access, *known[0])
            same = f"{task_id} was submitted from commit {origin.commit[:COMMIT_LETTERS]} as it is: nothing differed"
        else:
            text = between(app.access, known[0], known[1])
            same = f"the code of {known[0][0]} and {known[1][0]} is the same"
        if not text:
            app.out.talk(f"leaseq: {same}")
        shown = Harmless().feed(text, final=True) if sys.stdout.isatty() else text
        sys.stdout.buffer.write(shown)
        sys.stdout.buffer.flush()
        return 0


COMMAND = Command(
    usage="ID [ID]",
    about="Shows with which changes to the commit of its repository a task was submitted; of two tasks, what differs "
    "between their code. Untracked files are not looked at.",
    make=Diff,
    words=Words("tasks", "task", least=1, most=2, ask="of which task?", hint="leaseq diff ID [ID]"),
    options=(LEASE,),
    examples=("leaseq diff last", "leaseq diff T0c4 T1b7"),
)
