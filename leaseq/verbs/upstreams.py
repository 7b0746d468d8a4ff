"""What new tasks are to come after: from words that name tasks to edges, and the look once the tasks are published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from leaseq.errors import LeaseqError, Refused
from leaseq.layout import LeaseDir
from leaseq.lease.lookup import Located, Lookup
from leaseq.models import ANY, State
from leaseq.names import Entry
from leaseq.protocol import dependents, edges
from leaseq.protocol.retention import alive
from leaseq.reading.selectors import query_of
from leaseq.upstream import Edge, Upstream
from leaseq.verbs.access import Access


def resolve(access: Access, lease: LeaseDir, said: Sequence[tuple[str, str]]) -> list[tuple[Upstream, Located]]:
    """What each word stands for, in whichever lease of the home; raises NotFound, UsageError and Refused.

    said: what is waited for, one of `edges.KINDS`, and the word. A group, a name or a state stands for the tasks that
    are so now, without those that have ended well, unless it is waited for that they do not.
    """
    lookup = Lookup(access.fs, access.home, access.clock, first=lease, restricted=False)
    found = []
    for kind, word in said:
        named = lookup.find([word])
        for task in named.tasks:
            if task.row.state is State.DONE and kind != edges.NOT_OK and query_of(word):
                continue
            if task.row.cleaned:
                raise Refused(
                    f"{task.row.id} was removed by `leaseq clean`: nothing can be submitted to come after it",
                    hint="leave it out: it has ended long ago",
                )
            found.append((Upstream(kind, task.row.id, task.row.attempt, task.reader.lease.id), task))
        if named.problems:
            raise named.problems[0]
    return found


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
    for up in ups:
        home = lease.beside(up.lease)
        if up.kind == edges.BEGIN or up.id in there[up.lease] or edges.standing(access.fs, home, up.id, up.attempt):
            continue
        lookup = Lookup(access.fs, access.home, access.clock, first=home, restricted=False)
        now = lookup.find([up.id]).tasks[0]
        moved = up._replace(attempt=now.row.attempt, lease=now.reader.lease.id)
        if moved != up:
            edges.retarget(access.fs, lease, up, moved, downs=downs)
