"""Tasks that come after indices of an array, with one thing wrong each: of `tests.crash.index_rules.Protocol`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.models import Outcome, State
from leaseq.names import Entry
from leaseq.protocol import array_places, arrays, dependents, edges, journal
from leaseq.protocol.dependents import Looked
from leaseq.protocol.stops import Stop
from leaseq.upstream import Edge
from leaseq.world import Fs


def nobody_is_told(fs: Fs, lease: LeaseDir, ended: Collection[str]) -> frozenset[str]:
    return frozenset()


def published_and_not_looked(fs: Fs, lease: LeaseDir, **options: Any) -> Looked:
    return Looked()


def cancelled_and_not_looked(fs: Fs, lease: LeaseDir, entry: Entry, what: Stop, *, now: float) -> Outcome | None:
    """Who cancels indices leaves it to the nodes that have them to see who waits."""
    arrays.stop(fs, lease, entry, what)
    arrays.ask_holders(fs, lease, entry)
    return None


def retry_that_brings_nothing_back(fs: Fs, lease: LeaseDir, task_id: str, *, now: float) -> list[str]:
    return []


def _free(fs: Fs, lease: LeaseDir, comes: Callable[[Edge], bool]) -> None:
    """Edges of which that is true are gone, and who waits for nothing more may start."""
    edges.drop(fs, lease, [edge for edge in edges.edges_of(fs, lease) if comes(edge)])
    edges.release(fs, lease, edges.pending_in(fs, lease.waitings))


def follow_every_line(fs: Fs, lease: LeaseDir, ended: Collection[str]) -> frozenset[str]:
    """What a journal says counts, whoever has taken its chunk away."""

    def comes(edge: Edge) -> bool:
        array = lease.array(edge.up.task, 1)
        names = array_places.names_in(fs, array)
        names.cut.clear()
        told = journal.read(fs, array, names, wanted=Indices.of([edge.up.number or 0])).ended.get(edge.up.number or 0)
        return edge.up.id in ended and told is not None and edges.verdict(edge.up.kind, told.state) is True

    _free(fs, lease, comes)
    return dependents.follow_indices(fs, lease, ended)


def lost_counts_as_ended(fs: Fs, lease: LeaseDir, **options: Any) -> Looked:
    def comes(edge: Edge) -> bool:
        told = journal.read(fs, lease.array(edge.up.task, 1), array_places.names_in(fs, lease.array(edge.up.task, 1)))
        end = told.ended.get(edge.up.number or 0)
        return end is not None and end.state is State.LOST

    _free(fs, lease, comes)
    return dependents.look(fs, lease, **options)


MUTANTS: dict[str, dict[str, Any]] = {
    "index: whoever ends it does not look who waits": {"follow": nobody_is_told},
    "index: a submitter does not look once it has published": {"look_once_published": published_and_not_looked},
    "index: whoever cancels it does not look who waits": {"cancel": cancelled_and_not_looked},
    "index: a retry brings nothing back": {"revive": retry_that_brings_nothing_back},
    "index: a line counts that was written too late": {"follow": follow_every_line},
    "index: LOST counts as ended": {"look": lost_counts_as_ended},
}
CAUGHT_BY: dict[str, str] = {
    "index: whoever ends it does not look who waits": "meetings: work, submit after",
    "index: a submitter does not look once it has published": "meetings: submit after, work",
    "index: whoever cancels it does not look who waits": "meetings: cancel some, work",
    "index: a retry brings nothing back": "retried",
    "index: a line counts that was written too late": "meetings: lose, end late",
    "index: LOST counts as ended": "deaths: inherit",
}
"""What was seen to catch it, which is tried first."""
