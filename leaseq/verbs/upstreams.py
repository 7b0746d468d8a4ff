"""What new tasks are to come after: from words that name tasks to edges, and the look once the tasks are published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from leaseq.dataclass import replace
from leaseq.errors import LeaseqError, Malformed, Refused, UsageError
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.lease.lookup import How, Located, Lookup
from leaseq.models import ANY, Array, State, Task
from leaseq.names import Entry, parse_key
from leaseq.protocol import dependents, edges
from leaseq.protocol.retention import alive
from leaseq.reading.indexed import TEXT_MAX
from leaseq.reading.selectors import query_of
from leaseq.upstream import Edge, Upstream
from leaseq.verbs.access import Access

INDICES_MAX = 1_000
"""For so many indices one by one a task may wait: each of them is a name in a directory."""


def resolve(
    access: Access, lease: LeaseDir, said: Sequence[tuple[str, str]], *, array: Array | None = None
) -> list[tuple[Upstream, Located]]:
    """What each word stands for, in whichever lease of the home; raises NotFound, UsageError and Refused.

    said: what is waited for, one of `edges.KINDS`, and the word. A group, a name or a state stands for the tasks that
    are so now, without those that have ended well, unless it is waited for that they do not.
    array: what the new task is, if it is one.
    """
    lookup = Lookup(access.fs, access.home, access.clock, first=lease, restricted=False)
    found = []
    for kind, word in said:
        named = lookup.find([word], indices=How.TOGETHER)
        for task in named.tasks:
            if task.row.state is State.DONE and kind != edges.NOT_OK and query_of(word):
                continue
            if task.row.cleaned:
                raise Refused(
                    f"{task.row.id} was removed by `leaseq clean`: nothing can be submitted to come after it",
                    hint="leave it out: it has ended long ago",
                )
            if kind == edges.EACH:
                _refuse_unlike(task, Indices.parse(array.indices) if array else None)
            found += [(Upstream(kind, *place, task.reader.lease.id), task) for place in _places(task)]
        if named.problems:
            raise named.problems[0]
    return found


def _refuse_unlike(task: Located, indices: Indices | None) -> None:
    """Raises UsageError and Refused if an array of those indices cannot wait for that task index by index."""
    row, what = task.row, f"each:{task.row.id}"
    if indices is None:
        raise UsageError(
            f"{what} is index by index, and this is one task without indices",
            hint=f"`--after {row.id}` waits for all of it; -a, --sweep or --each make an array",
        )
    if row.array is None:
        raise UsageError(f"{what}: that is one task, without indices", hint=f"--after {row.id}")
    if task.indices is not None:
        raise UsageError(
            f"{what}_{str(task.indices)[:TEXT_MAX]}: an array is waited for as a whole index by index",
            hint=f"each:{row.id}",
        )
    try:
        every = task.indexed.every
    except Malformed as error:
        raise Refused(f"{row.id}: its indices cannot be read ({error})", hint="`leaseq info` says more") from None
    if every != indices:
        has, wants = (str(some)[:TEXT_MAX] for some in (every, indices))
        raise UsageError(
            f"{row.id} has the indices {has}, and this array {wants}: index by index they have to be the same",
            hint=f"-a {has}, or `--after {row.id}`, which waits for all of it",
        )
    if row.state in edges.BADLY and not row.array.counts.get(State.DONE):
        raise Refused(
            f"{row.id} is {row.state.name}, and no index of it is DONE: what is to come after it could never start",
            hint=f"`leaseq retry {row.id}` runs it once more",
        )


def _places(task: Located) -> list[tuple[str, int]]:
    """(id, attempt) of the task, or of each of the indices that are meant; raises NotFound, UsageError and Refused."""
    row, wanted = task.row, task.indices
    if wanted is None:
        return [(row.id, row.attempt)]
    if len(wanted) > INDICES_MAX:
        raise UsageError(
            f"{row.id}_{str(wanted)[:TEXT_MAX]}: more than {INDICES_MAX:,} indices to wait for",
            hint=f"`--after {row.id}` waits for all of them",
        )
    array = task.indexed
    array.refuse_strange(wanted)
    try:
        return [(f"{row.id}_{index}", each.attempt) for each, own in array.newest(wanted) for index in own]
    except Malformed as error:
        raise Refused(f"{row.id}: its indices cannot be read ({error})", hint="`leaseq info` says more") from None


def weighed(access: Access, lease: LeaseDir, words: Iterable[str], *, now: float) -> tuple[Upstream, ...]:
    """Which of those upstreams a task of the lease has to wait for; raises Refused if one never comes."""
    found = edges.weigh(access.fs, lease, map(Upstream.parse, words), now=now)
    for up, state in found.never:
        if state is State.DONE:
            hint = f"`--after {up.id}` comes after a task that ended well"
        else:
            hint = f"`leaseq retry {up.id}` runs it once more; `--after any:{up.id}` does not mind how it ended"
        raise Refused(f"{up.id} is {state.name}: what is to come after it could never start", hint=hint)
    return found.open


def replaced(
    access: Access, lease: LeaseDir, task: Task, said: Sequence[tuple[str, str]]
) -> tuple[Task, tuple[Upstream, ...]]:
    """(the pending task that comes after that, and not before the time that it waits for; what of it has not come).

    Raises NotFound, UsageError, and Refused if it could never start, or waited for itself.
    """
    times = [word for word in task.after if Upstream.parse(word).kind == edges.BEGIN]
    found = []
    for kind, word in said:
        # A group that it is of stands for the others of it.
        others = bool(query_of(word))
        found += [str(up) for up, _ in resolve(access, lease, [(kind, word)]) if not others or up.task != task.id]
    words = tuple(dict.fromkeys([*times, *found]))
    refuse_circle(access, lease, task.id, map(Upstream.parse, found))
    return replace(task, after=words), weighed(access, lease, words, now=access.clock.now())


def refuse_circle(
    access: Access, lease: LeaseDir, task_id: str, ups: Iterable[Upstream], *, made: bool = False
) -> None:
    """Raises Refused if one of these waits for the task, for its part, perhaps through others, in whichever lease.

    made: the task waits for them by now.
    """
    wanted = {up.task for up in ups if up.kind != edges.BEGIN}
    because = {task_id: ""}
    queue = [(lease, task_id)]
    for home, up_id in queue:
        for there, edge in edges.waiting_for(access.fs, home, up_id):
            down = parse_key(edge.down)[0]
            if down not in because:
                because[down] = up_id
                queue.append((there, down))
    for up_id in wanted & because.keys():
        chain = [up_id]
        while chain[-1] != task_id:
            chain.append(because[chain[-1]])
        if made:
            text = (
                f"{task_id} and {up_id} wait for each other by now: somebody has changed one of them at the same moment"
            )
            raise Refused(text, hint=f"`leaseq set {task_id} --after none` ends that")
        if up_id == task_id:
            raise Refused(f"{task_id} cannot come after itself")
        through = "".join(f", which waits for {each}" for each in chain[1:])
        raise Refused(f"{task_id} cannot come after {up_id}{through}", hint=f"leaseq set {up_id} --after none")


def put(access: Access, lease: LeaseDir, node: str, ups: Sequence[Upstream], new: Iterable[Entry]) -> None:
    """The tasks that are about to be published wait for that."""
    if node != ANY:
        edges.prepare(access.fs, lease, node)
    edges.put(access.fs, lease, ups, [entry.key for entry in new])


def look(
    access: Access, lease: LeaseDir, ups: Sequence[Upstream], new: Sequence[Entry], *, others: Iterable[Entry] = ()
) -> None:
    """What has come since the tasks were published keeps none of them waiting; edges of those that were not go.

    Whoever decided it may not have seen them: then this does. If it fails, a runner does it within a minute.
    """
    fs, downs = access.fs, [entry.key for entry in new]
    with suppress(OSError, LeaseqError):
        edges.drop(fs, lease, [Edge(up, entry.key) for entry in others for up in ups])
        _find_moved(access, lease, ups, downs)
        dependents.look(fs, lease, now=access.clock.now(), only=downs)


def _find_moved(access: Access, lease: LeaseDir, ups: Sequence[Upstream], downs: Sequence[str]) -> None:
    """The edges say where their upstreams are, also if one has moved to another lease since it was looked up."""
    there = {lease_id: alive(access.fs, lease.beside(lease_id)) for lease_id in {up.lease for up in ups}}
    gone = [up for up in ups if up.kind != edges.BEGIN and up.task not in there[up.lease]]
    stand = edges.standings(access.fs, lease, gone)
    for up in gone:
        if (up.lease, up.id, up.attempt) in stand:
            continue
        home = lease.beside(up.lease)
        lookup = Lookup(access.fs, access.home, access.clock, first=home, restricted=False)
        now = lookup.find([up.task]).tasks[0]
        moved = up._replace(attempt=now.row.attempt, lease=now.reader.lease.id)
        if moved != up:
            edges.retarget(access.fs, lease, up, moved, downs=downs)
