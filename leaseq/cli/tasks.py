"""`leaseq tasks`: the tasks of a lease, as a list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from leaseq.cli import rows
from leaseq.cli.advice import advise
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.limits import limits_told
from leaseq.cli.options import GROUP, LEASE, LOOK, NODE, Look
from leaseq.cli.output import Output
from leaseq.cli.outputs import with_output
from leaseq.dataclass import dataclass, replace
from leaseq.errors import UsageError
from leaseq.indices import Indices
from leaseq.models import State
from leaseq.names import ids_in
from leaseq.protocol.keys import redone
from leaseq.reading.views import Snapshot, TaskView
from leaseq.values import integer
from leaseq.words import count

if TYPE_CHECKING:
    from leaseq.lease.lookup import Located
    from leaseq.reading.tree import Branch

ALL_ROWS = 10**9
FIRST = (
    State.RUNNING,
    State.UNKNOWN,
    State.STUCK,
    State.FAILED,
    State.TIMEOUT,
    State.LOST,
    State.CANCELLED,
    State.PENDING,
    State.DONE,
)
"""Which indices of an array are shown, if not all: first those that run or went wrong."""


@dataclass(frozen=True, kw_only=True)
class Tasks(Look):
    """A list of tasks. None of `states`: all of them."""

    tasks: tuple[str, ...]
    """Those alone, and of arrays their indices; none: what the lease has."""
    lease: str
    values: bool
    states: tuple[State, ...]
    node: str
    group: str
    search: str
    limit: int
    quiet: bool
    tree: bool = False

    def perform(self, app: App) -> int:
        out = self.output(app)
        if self.tasks:
            return self._unfold(app, out)
        snapshot, found = self._find(app)
        if not self.quiet:
            found = with_output(app, app.home.lease(snapshot.lease_id), found)
        if self.json:
            tasks = _with_redone(app, snapshot.lease_id, found)
            out.document({"lease": snapshot.lease_id, "tasks": tasks, "unknown": []})
        elif self.quiet:
            for row in found:
                out.line(row.id)
        else:
            if self.tree:
                from leaseq.reading.tree import in_tree

                reader = app.access.reader_of(app.home.lease(snapshot.lease_id))
                found = [_set_in(each, mark="`- " if out.ascii else "└ ") for each in in_tree(reader, found)]
            rows.task_table(out, found)
            self._remark(out, snapshot, found)
        return 0

    def _unfold(self, app: App, out: Output) -> int:
        """The tasks that are named, arrays index by index."""
        from leaseq.lease.lookup import How

        found = app.access.find(self.tasks, lease=self.lease, indices=How.TOGETHER)
        left = self.limit
        listed: list[TaskView] = []
        remarks: list[str] = []
        documents: list[dict[str, object]] = []
        for each in found.tasks:
            if each.row.array is None:
                shown, remark = [each.row] if self._matches(each.row) else [], ""
            else:
                shown, remark = self._indices_of(each, left)
            shown = shown if self.quiet else with_output(app, each.reader.lease, shown)
            listed += shown
            documents += _with_redone(app, each.reader.lease.id, shown) if self.json else []
            remarks += [remark] if remark else []
            left = max(0, left - len(shown))
        if self.json:
            out.document({"lease": found.lease, "tasks": documents, "unknown": list(found.unknown)})
        elif self.quiet:
            for row in listed:
                out.line(row.id)
        else:
            rows.task_table(out, listed, values=self.values)
            for remark in remarks or ([] if listed else ["no task matches"]):
                out.talk(f"leaseq: {remark}")
        return app.tell(found.problems)

    def _indices_of(self, each: Located, limit: int) -> tuple[list[TaskView], str]:
        """(the rows of the array's indices that are asked for, what is to be said of others)"""
        array = each.indexed
        wanted = array.every if each.indices is None else each.indices
        array.refuse_strange(wanted)
        if self.node or self.search:
            matching = [row for row in array.rows(wanted) if self._matches(row)]
            return matching[:limit], ""
        found = array.by_state(wanted)
        chosen, total = Indices(), 0
        for state in FIRST:
            some = found.get(state, Indices()) if not self.states or state in self.states else Indices()
            total += len(some)
            chosen |= some.slice(0, max(0, limit - len(chosen)))
        shown = list(array.rows(chosen)) if chosen else []
        if len(shown) == total:
            return shown, ""
        from leaseq.verbs.arrays import named

        return shown, f"{len(shown):,} of {count(total, 'index', 'indices')} of {named(each)}; --all shows all"

    def _find(self, app: App) -> tuple[Snapshot, list[TaskView]]:
        """(the snapshot, the rows asked for); history is read further back until there are enough of them."""
        reader = app.access.reader(self.lease)
        filtered = bool(self.states or self.node or self.group or self.search)
        ends = not self.states or any(state.ended for state in self.states)
        pending = None if self.limit >= ALL_ROWS or (filtered and self._wants_pending()) else self.limit
        recent = (ALL_ROWS if self.limit >= ALL_ROWS else self.limit) if ends else 1
        while True:
            snapshot = reader.read(recent=recent, pending=pending)
            found = [row for row in snapshot.tasks if self._matches(row)]
            read = sum(1 for row in snapshot.tasks if row.state.ended)
            if not filtered or not ends or len(found) >= self.limit or read < recent:
                return snapshot, _cut(found, self.limit)
            recent *= 10

    def _wants_pending(self) -> bool:
        return not self.states or State.PENDING in self.states

    def _matches(self, row: TaskView) -> bool:
        if self.states and row.state not in self.states:
            return False
        if self.node and row.node != self.node:
            return False
        if self.group and row.group != self.group:
            return False
        wanted = self.search.lower()
        return not wanted or any(wanted in text.lower() for text in (row.command, row.name, row.id, row.reason))

    def _remark(self, out: Output, snapshot: Snapshot, found: list[TaskView]) -> None:
        if self.states or self.node or self.group or self.search:
            if not found:
                out.talk("leaseq: no task matches")
            elif len(found) == self.limit:
                out.talk(f"leaseq: the first {self.limit} are shown; -n N shows more")
            return
        for line in limits_told(snapshot.limits):
            out.talk(f"leaseq: {line}")
        total = sum(snapshot.totals.values())
        if total > len(found):
            out.talk(f"leaseq: {len(found):,} of {count(total, 'task')}; --all shows all that are not cleaned up")
        elif not total:
            advise(out, snapshot)


def _set_in(branch: Branch, *, mark: str) -> TaskView:
    """The row, its command set in as deep as it stands."""
    row, depth = branch.row, branch.depth
    return replace(row, command="  " * (depth - 1) + mark + row.command) if depth else row


def _with_redone(app: App, lease_id: str, found: list[TaskView]) -> list[dict[str, object]]:
    """The rows as JSON, each with the tasks that repeat it; which have any is listed once."""
    lease = app.home.lease(lease_id)
    try:
        repeated = ids_in(app.fs.names(lease.redone))
    except FileNotFoundError:
        repeated = set()
    return [
        {**rows.task_json(row), "redone_as": redone(app.fs, lease, row.id) if row.id in repeated else []}
        for row in found
    ]


def _cut(found: list[TaskView], limit: int) -> list[TaskView]:
    """At most so many rows: what runs, then half of the room for what waits if what ended needs the other half."""
    if len(found) <= limit:
        return found
    running = [row for row in found if not row.state.ended and row.state is not State.PENDING][:limit]
    pending = [row for row in found if row.state is State.PENDING]
    ended = [row for row in found if row.state.ended]
    room = limit - len(running)
    for_pending = max(room - room // 2, room - len(ended))
    return running + pending[:for_pending] + ended[: room - min(for_pending, len(pending))]


def states(texts: Sequence[str], *, what: str) -> tuple[State, ...]:
    """The states that are named, by word or code; none if one of them is `all`."""
    found = []
    for word in filter(None, (part.strip() for text in texts for part in text.split(","))):
        if word.lower() == "all":
            return ()
        try:
            found.append(State.parse(word))
        except KeyError:
            known = ", ".join(f"{state.name.lower()} ({state.code})" for state in State)
            raise UsageError(f"{word!r} is not a state", hint=f"one of {known}") from None
    return tuple(found)


def _request(*, all: bool, limit: int, **fields: Any) -> Tasks:
    return Tasks(limit=ALL_ROWS if all else limit, **fields)


COMMAND = Command(
    usage="[ID...] [OPTIONS]",
    about="Lists tasks: running, then pending in the order in which they start, then ended, newest first. With ids "
    "those alone; of arrays each index, or those that stand behind the id.",
    make=_request,
    words=Words("tasks", "task"),
    options=(
        LEASE,
        Option(
            "state",
            "only these states, by word or Slurm's code (repeatable, commas)",
            kind="list",
            short="t",
            read=states,
            completes="state",
            field="states",
        ),
        replace(NODE, help="only on this node", read=None),
        replace(GROUP, help="only of this group"),
        Option("values", "of indices their values instead of their commands", kind="flag"),
        Option("search", "only tasks whose command, name, id or reason contains this", metavar="TEXT", blank=True),
        Option("all", "as many as there are", kind="flag", short="a", against=("limit",)),
        Option("limit", "at most N", short="n", metavar="N", read=partial(integer, low=1), default="50"),
        Option("quiet", "ids only", kind="flag", short="q"),
        Option("tree", "below each task those that come after it", kind="flag", against=("quiet", "json")),
        *LOOK,
    ),
    examples=(
        "leaseq tasks",
        "leaseq tasks --state failed,to",
        "leaseq tasks -t PD -n 10",
        "leaseq tasks T0c4 --values",
    ),
)
