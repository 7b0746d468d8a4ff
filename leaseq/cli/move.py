"""`leaseq move`: pending tasks go to another lease, or node."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.here import start_if_none
from leaseq.cli.options import JSON
from leaseq.cli.progress import Progress
from leaseq.cli.values import yes
from leaseq.errors import Refused, UsageError
from leaseq.layout import LeaseDir, valid_name
from leaseq.lease import leases
from leaseq.lease.lookup import Found, Located
from leaseq.models import ANY, Lease, State
from leaseq.protocol import keys, records, tasks
from leaseq.reading.snapshot import Reader, TaskView
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
    keys: dict[str, dict[str, str]] = field(default_factory=dict, compare=False)
    """By lease, the names of keys by task: read once, and only where a task that moves has one."""

    def perform(self, app: App) -> int:
        """0 where every task is where it was wanted, else 1."""
        if self.target and not self.node and self.source and app.lease(self.source).id == app.lease(self.target).id:
            raise UsageError("both are the same lease", hint="leaseq move --from LEASE --to ANOTHER")
        found = app.find(self.tasks, lease=self.source) if self.tasks else _pending(app.reader(self.source))
        homes = {each.reader.lease.id for each in found.tasks}
        if not self.target and len(homes) > 1:
            raise UsageError(f"they are in {count(len(homes), 'lease')}", hint="--from LEASE, or --to LEASE")
        target = app.lease(self.target or next(iter(homes), self.source))
        record = self._open(app, target)
        progress = Progress(app.out, "moving", len(found.tasks), quiet=self.json)
        moved = Counter[str]()
        for each in progress.over(found.tasks):
            problem = self._move(app, each.reader, each.row, target, record)
            if problem:
                progress.problem(problem)
            else:
                progress.did(each.row.id, f"moved to {target.id}")
                progress.print_ids([each.row.id])
                moved[each.reader.lease.id] += 1
        if moved and target.id == leases.local_id():
            from leaseq.lease.host import LocalBackend

            start_if_none(app, LocalBackend(app.fs, app.home, clock=app.clock))
        code = progress.end(summed=True)
        if self.json:
            problems = [*progress.problems, *(each.message for each in found.problems)]
            app.out.document({"to": target.id, "ids": progress.ids, "problems": problems})
            return max([code, *(each.exit_code for each in found.problems)])
        for source, number in moved.items() if moved or self.tasks else [(app.lease(self.source).id, 0)]:
            app.out.talk(f"leaseq: {count(number, 'task')} of lease {source} moved to {target.id}")
        if not self.tasks:
            self._tell_of_the_rest(app, app.reader(self.source))
        return app.tell(found.problems) or code

    def _open(self, app: App, target: LeaseDir) -> Lease:
        if target.id == leases.local_id():
            from leaseq.lease.host import LocalBackend, refuse_if_forbidden

            refuse_if_forbidden(app.home)
            record = LocalBackend(app.fs, app.home, clock=app.clock).ensure()
        else:
            record = app.record(target)
        state = leases.backend(record, fs=app.fs, home=app.home, clock=app.clock).state(record)
        if state.word == "ENDED":
            raise Refused(
                f"lease {leases.called(record)} has ended: {state.reason}", hint="`leaseq lease ls` lists the others"
            )
        return record

    def _move(self, app: App, reader: Reader, row: TaskView, target: LeaseDir, record: Lease) -> str:
        """Why the task stays where it is; nothing once it has moved."""
        if reader.lease.id == target.id and not self.node:
            return f"{row.id} is in lease {target.id} already"
        if row.state is not State.PENDING or row.place is None:
            return f"{row.id} is {row.state.name}: only a pending task can move" + (
                f" (`leaseq recover --lease {reader.lease.id} {row.id}` makes it pending)"
                if row.state in (State.LOST, State.STUCK)
                else ""
            )
        node = self.node or row.place.directory.rpartition("/")[2]
        if node != ANY and node not in record.nodes:
            return f"{row.id} is pinned to {node}, which lease {target.id} does not have; `--node any` unpins it"
        held = row.place.directory.startswith(reader.lease.helds)
        if node != ANY:
            records.prepare_node(app.fs, target, node)
        directory = target.held(node) if held else target.inbox(node)
        place = row.place.directory, row.place.name
        if directory == place[0]:
            return f"{row.id} is there already"
        spec = reader.spec(row.id, "/".join(place))
        key = "" if isinstance(spec, str) or reader.lease.id == target.id else spec.key
        if key and (digest := self._digest(app, reader, row.id)):
            given = keys.move_with_key(app.fs, target, digest, *place, directory)
            if given not in ("", row.id):
                return f"{row.id} stays: its key {key!r} stands for {given} in lease {target.id}"
            return "" if given else f"{row.id} is no longer pending"
        return "" if tasks.move_pending(app.fs, *place, directory) else f"{row.id} is no longer pending"

    def _digest(self, app: App, reader: Reader, task_id: str) -> str:
        """The name of the task's key; empty where it has none in this lease."""
        lease = reader.lease
        if lease.id not in self.keys:
            self.keys[lease.id] = keys.keys_by_task(app.fs, lease)
        return self.keys[lease.id].get(task_id, "")

    def _tell_of_the_rest(self, app: App, reader: Reader) -> None:
        totals = reader.read(recent=0, pending=0).totals
        left = totals.get(State.LOST, 0) + totals.get(State.STUCK, 0)
        if left:
            app.out.talk(
                f"leaseq: {count(left, 'task')} of it {'is' if left == 1 else 'are'} lost or stuck; "
                f"`leaseq recover --lease {reader.lease.id}` tells more"
            )


def _pending(reader: Reader) -> Found:
    rows = [row for row in reader.read(recent=0, pending=None).tasks if row.state is State.PENDING]
    return Found(tuple(Located(reader, row) for row in rows))


class Line:
    """Fire's component of `move`."""

    def move(self, *words: str, to: str = "", node: str = "", json: str = "", **named: str) -> Move:
        # `from` cannot be the name of a parameter.
        source = named.get("from", "")
        if words and not (to or node):
            raise UsageError("to which lease?", hint=f"leaseq move --to LEASE {' '.join(words)}")
        if not (to or node) or not (source or words):
            raise UsageError("from which lease, to which?", hint="leaseq move --from LEASE --to LEASE [ID...]")
        pin = ANY if node == "any" else valid_name(node, what="--node") if node else ""
        return Move(words, source, to, yes(json, what="--json"), pin)


COMMANDS = {
    "move": Command(
        Line,
        "move",
        "[--from LEASE] [--to LEASE] [--node NODE] [ID...]",
        "Pending tasks of one lease become another's, all of them or those named. Prints their ids, which stay. With "
        "--node they are pinned to another node, or with `any` to none, and later attempts too.",
        (
            Option("from", "the lease whose tasks they are; ids need none", metavar="LEASE"),
            Option("to", "the lease that is to run them (with --node: the same)", metavar="LEASE"),
            Option("node", "the node that is to run them; any: whichever has room", metavar="NODE"),
            JSON,
        ),
        ("leaseq move --from 12345 --to 12399", "leaseq move --to local T0c4", "leaseq move --node any T0c4"),
    ),
}
