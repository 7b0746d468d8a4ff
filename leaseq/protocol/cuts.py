"""Which tasks that wait are to be cancelled because of what has ended, each after the one because of whom: pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from leaseq.dataclass import dataclass
from leaseq.layout import LeaseDir
from leaseq.models import State
from leaseq.names import parse_key
from leaseq.protocol.edges import verdict
from leaseq.upstream import Edge, Standing, Upstream

Seen = tuple[LeaseDir, Edge]
"""An edge, with the lease of who waits."""


@dataclass(frozen=True)
class End:
    """A task, or an index of an array, that has ended for ever, by the attempt with which it did."""

    lease: LeaseDir
    id: str
    attempt: int
    state: State
    ended: float
    is_array: bool = False
    """True of an array as a whole."""
    never_began: bool = False
    """True of a task that waited: if it is an array, so did each of its indices, and ended so."""

    @property
    def key(self) -> str:
        return f"{self.id}.{self.attempt}"

    @classmethod
    def of(cls, lease: LeaseDir, up_id: str, stands: Standing) -> End:
        return cls(lease, up_id, stands.attempt, stands.state, stands.ended, stands.is_array)

    def decides(self, edge: Edge) -> bool | None:
        """True if what the edge waits for has come with this end, False if it never will; None if it may come yet."""
        return verdict(edge.up.kind, self.state) if edge.up.attempt <= self.attempt else None


@dataclass(frozen=True)
class Cut:
    """An attempt that is to be cancelled, because of whom, and what it is."""

    lease: LeaseDir
    edge: Edge
    up: End
    parent: Cut | None
    """The cut because of which the upstream ends; None if it has ended."""

    @property
    def key(self) -> str:
        return self.edge.down

    @property
    def cause(self) -> Upstream:
        """What was waited for, as it ended."""
        return self.edge.up._replace(attempt=self.up.attempt, lease=self.up.lease.id)

    @property
    def end(self) -> End:
        task_id, attempt = parse_key(self.key)
        return End(self.lease, task_id, attempt, State.CANCELLED, self.up.ended, never_began=True)


class Edges:
    """The edges that were seen at one look, by what they wait for."""

    def __init__(self, seen: Iterable[Seen]) -> None:
        self.all = list(seen)
        self._by_up: dict[str, list[Seen]] = defaultdict(list)
        self._indices: dict[str, set[str]] = defaultdict(set)
        for each in self.all:
            up = each[1].up
            self._by_up[up.id].append(each)
            if up.number is not None:
                self._indices[up.task].add(up.id)

    def to(self, end: End) -> Iterator[Seen]:
        """Those that wait for what has ended so."""
        yield from self._by_up.get(end.id, ())
        for index in self._indices.get(end.id, ()) if end.never_began else ():
            yield from self._by_up[index]

    def indices(self, ended: Iterable[str]) -> list[Upstream]:
        """The indices of arrays that are waited for, of those that are named, or whose array is."""
        found = []
        for each in ended:
            for up_id in [each] if "_" in each else sorted(self._indices.get(each, ())):
                found += [edge.up for _, edge in self._by_up.get(up_id, ())]
        return found


def plan(seen: Edges, ends: Sequence[End], was_retried: Callable[[End], bool]) -> list[Cut]:
    """Who is to be cancelled if all of these are, each after the one because of whom."""
    found: dict[tuple[str, str], Cut] = {}
    queue: list[tuple[End, Cut | None]] = [(end, None) for end in ends]
    for end, parent in queue:
        for lease, edge in seen.to(end):
            if end.decides(edge) is not False:
                continue
            if (lease.id, edge.down) not in found and (parent or not was_retried(end)):
                cut = found[lease.id, edge.down] = Cut(lease, edge, end, parent)
                queue.append((cut.end, cut))
    return list(found.values())
