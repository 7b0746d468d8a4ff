"""`leaseq move`: pending tasks go to another lease, or node."""

from __future__ import annotations

from collections import Counter

from leaseq.cli.acting import see_to_jobs
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.here import see_to_capacity
from leaseq.cli.options import JSON
from leaseq.cli.progress import Progress
from leaseq.dataclass import dataclass
from leaseq.errors import Refused, UsageError
from leaseq.lease.lookup import PENDING
from leaseq.models import ANY, State
from leaseq.names import valid_name
from leaseq.reading.snapshot import Reader
from leaseq.verbs.move import destination, move, pending
from leaseq.words import count


@dataclass(frozen=True)
class Move:
    """Pending tasks that are to be another lease's: those named, or all of the source."""

    tasks: tuple[str, ...]
    source: str
    target: str
    json: bool
    node: str = ""
    """The node that they are pinned to from now on, `_any` for whichever has room; empty: as they are."""

    def __post_init__(self) -> None:
        if self.target or self.node:
            if not self.source and not self.tasks:
                raise UsageError("which tasks, or of which lease?", hint="leaseq move --from LEASE --to LEASE [ID...]")
        elif self.tasks or self.source:
            which = " ".join(self.tasks or (f"--from {self.source}",))
            raise UsageError("to which lease?", hint=f"leaseq move --to LEASE {which}")
        else:
            raise UsageError("from which lease, to which?", hint="leaseq move --from LEASE --to LEASE [ID...]")

    def perform(self, app: App) -> int:
        """0 if every task is where it was wanted, else 1."""
        access, source, target = app.access, self.source, self.target
        if target and not self.node and source and access.lease(source).id == access.lease(target).id:
            raise UsageError("both are the same lease", hint="leaseq move --from LEASE --to ANOTHER")
        found = (
            access.find(self.tasks, lease=source, acts=True, of=PENDING)
            if self.tasks
            else pending(access.reader(source, acts=True))
        )
        to = destination(access, found, source=source, target=target, node=self.node)
        progress = Progress(app.out, "moving", len(found.tasks), quiet=self.json)
        moved = Counter[str]()
        for each in progress.over(found.tasks):
            try:
                move(access, each, to)
            except Refused as error:
                progress.problem(error.message)
                continue
            progress.did(each.row.id, f"moved to {to.lease.id}")
            progress.print_ids([each.row.id])
            moved[each.reader.lease.id] += 1
        if moved:
            see_to_capacity(app, [to.lease])
            see_to_jobs(app, [app.home.lease(each) for each in moved if each != to.lease.id])
        code = progress.end(summed=True)
        if self.json:
            problems = [*progress.problems, *(each.message for each in found.problems)]
            app.out.document({"to": to.lease.id, "ids": progress.ids, "problems": problems})
            return max([code, *(each.exit_code for each in found.problems)])
        for home, number in moved.items() if moved or self.tasks else [(access.lease(source).id, 0)]:
            app.out.talk(f"leaseq: {count(number, 'task')} of lease {home} moved to {to.lease.id}")
        if not self.tasks:
            _tell_of_the_rest(app, access.reader(source))
        return app.tell(found.problems) or code


def _tell_of_the_rest(app: App, reader: Reader) -> None:
    totals = reader.read(recent=0, pending=0).totals
    left = totals.get(State.LOST, 0) + totals.get(State.STUCK, 0)
    if left:
        app.out.talk(
            f"leaseq: {left} of its tasks {'is' if left == 1 else 'are'} lost or stuck; "
            f"`leaseq recover --lease {reader.lease.id}` says more"
        )


def _pin(text: str, *, what: str) -> str:
    return ANY if text == "any" else valid_name(text, what=what)


COMMAND = Command(
    usage="[--from LEASE] [--to LEASE] [--node NODE] [ID...]",
    about="Moves pending tasks of one lease to another, all of them or those named. Prints their ids, which stay. With "
    "--node they are pinned to another node, or with `any` to none, and later attempts too.",
    make=Move,
    words=Words("tasks", "task"),
    options=(
        Option("from", "the lease whose tasks they are; ids need none", completes="lease", field="source"),
        Option("to", "the lease that is to run them (with --node: the same)", completes="lease", field="target"),
        Option("node", "the node that is to run them; any: whichever has room", read=_pin, absent="", completes="node"),
        JSON,
    ),
    examples=("leaseq move --from 12345 --to 12399", "leaseq move --to local T0c4", "leaseq move --node any T0c4"),
)
