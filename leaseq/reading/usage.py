"""What each allocation of a lease has held, and how much of that its tasks have booked.

A node is held from the start of its allocation until its runner was heard last; if another allocation's runner has
been heard under that name since, until the allocation's end was learnt. What is not known is None, and so is each sum
of which a part is not known. The histories and the journals of arrays are read whole: this is a lease's story.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from leaseq.allocation import Allocation
from leaseq.array_names import ArrayNames
from leaseq.dataclass import dataclass
from leaseq.errors import Malformed
from leaseq.layout import ArrayDir, LeaseDir
from leaseq.models import Heartbeat
from leaseq.names import histories_in
from leaseq.protocol import allocs, journal, terms
from leaseq.reading.history import added
from leaseq.world import Fs

HOUR = 3600.0
APART_SECONDS = 120.0
"""So far the clocks of a node and of the file server may be apart, and a task is yet that allocation's."""


@dataclass(frozen=True)
class Held:
    """An allocation in time: seconds since the epoch, hours of nodes and of GPUs; None: not known."""

    alloc: Allocation
    since: float | None
    """When it started last."""
    until: float | None
    """When it ended; None while it goes on, too."""
    nodes: tuple[str, ...]
    """All that it has ever had."""
    node_hours: float | None
    node_hours_used: float | None
    """So long a task ran on each of them, added up."""
    gpu_hours: float | None
    gpu_hours_used: float | None
    """GPUs that tasks had booked, times how long."""


class Run(NamedTuple):
    """One attempt that ran, or runs."""

    node: str
    began: float
    seconds: float
    gpus: int


class Span(NamedTuple):
    """How long one node was held, and how many GPUs it had; None: not known."""

    seconds: float | None
    gpus: int | None


def of_lease(fs: Fs, lease: LeaseDir, found: Sequence[Allocation], *, now: float) -> list[Held]:
    """Each of these allocations of the lease, in their order. now: this host's clock."""
    names = {each.id: nodes_of(fs, lease, each) for each in found}
    starts = {each.id: _start(fs, lease, each, now) for each in found}
    beats = {node: _beat(fs, lease, node, now) for node in {node for each in names.values() for node in each}}
    by_alloc: dict[str, list[Run]] = defaultdict(list)
    for run in _runs(fs, lease, [beat for beat, _ in filter(None, beats.values())]):
        if whose := _whose(run, found, names, starts):
            by_alloc[whose].append(run)
    return [_held(fs, lease, each, names[each.id], starts[each.id], beats, by_alloc[each.id], now) for each in found]


def nodes_of(fs: Fs, lease: LeaseDir, alloc: Allocation) -> tuple[str, ...]:
    """All nodes that the allocation has ever had, as the lease calls them."""
    return tuple(sorted(allocs.ever_named(fs, lease, alloc) or alloc.nodes))


def _held(
    fs: Fs,
    lease: LeaseDir,
    alloc: Allocation,
    names: tuple[str, ...],
    since: float | None,
    beats: Mapping[str, tuple[Heartbeat, float] | None],
    runs: Sequence[Run],
    now: float,
) -> Held:
    current = set(allocs.nodes_of(fs, lease, alloc)) if alloc.ended is None else set[str]()
    spans = [_span(alloc, since, beats[node], now if node in current else None) for node in names]
    last = [heard for node in names if (each := beats[node]) and _is_of(each[0], alloc) for heard in (each[1],)]
    known = bool(names) and since is not None
    return Held(
        alloc,
        since,
        None if alloc.ended is None else max(last, default=alloc.ended),
        names,
        _sum(span.seconds for span in spans) if known else None,
        _busy(runs) / HOUR if known else None,
        _sum(None if None in span else (span.seconds or 0) * (span.gpus or 0) for span in spans) if known else None,
        sum(run.seconds * run.gpus for run in runs) / HOUR if known else None,
    )


def _span(alloc: Allocation, since: float | None, beat: tuple[Heartbeat, float] | None, now: float | None) -> Span:
    """now: if the allocation has the node yet."""
    own = beat if beat is not None and _is_of(beat[0], alloc) else None
    until = now or (own[1] if own else alloc.ended)
    gpus = len(own[0].gpus) if own and own[0].gpus_known else None
    return Span(None if until is None or since is None else max(0.0, until - since), gpus)


def _is_of(beat: Heartbeat, alloc: Allocation) -> bool:
    return beat.alloc == alloc.id or (alloc.in_lease and not beat.alloc)


def _sum(seconds: Iterable[float | None]) -> float | None:
    known = list(seconds)
    return None if None in known else sum(each or 0.0 for each in known) / HOUR


def _start(fs: Fs, lease: LeaseDir, alloc: Allocation, now: float) -> float | None:
    """When its script named its nodes: the start, by this host's clock; a host's is its record's."""
    if alloc.nodes:
        return alloc.created
    try:
        return now - fs.age(allocs.directory(lease, alloc).named, lease.heartbeats)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _beat(fs: Fs, lease: LeaseDir, node: str, now: float) -> tuple[Heartbeat, float] | None:
    """The node's last heartbeat, and when it was, by this host's clock."""
    try:
        beat = terms.read_heartbeat(fs, lease, node)
        return None if beat is None else (beat, now - fs.age(lease.heartbeat(node), lease.heartbeats))
    except (FileNotFoundError, Malformed):
        return None


# -- what ran ------------------------------------------------------------------------------------------


def _runs(fs: Fs, lease: LeaseDir, beats: Iterable[Heartbeat]) -> Iterator[Run]:
    """Every attempt that ran, and those that run by the last heartbeats; an array's by its indices."""
    told: set[tuple[str, int]] = set()
    for node, term in histories_in(_names(fs, lease.events_dir)):
        for _, event in added(fs, lease.events(node, term), 0):
            key = event.id, event.attempt
            if event.started is None or event.elapsed_seconds is None or event.counts or key in told:
                continue
            told.add(key)
            yield Run(event.node or node, event.started, event.elapsed_seconds, len(event.gpus))
    for name in _names(fs, lease.arrays):
        array = ArrayDir(f"{lease.arrays}/{name}")
        try:
            for node, end in journal.ends(fs, array, ArrayNames.parse(fs.names(array.root))):
                if end.started is not None and end.elapsed_seconds is not None:
                    yield Run(node, end.started, end.elapsed_seconds, len(end.gpus))
        except (FileNotFoundError, NotADirectoryError, Malformed):
            continue  # swept away, or no array's
    for beat in beats:
        if beat.state != "stopped":
            for each in beat.running:
                if each.started is not None and (each.id, each.attempt) not in told:
                    yield Run(beat.node, each.started, each.elapsed_seconds, len(each.gpus))


def _whose(
    run: Run,
    found: Sequence[Allocation],
    names: Mapping[str, tuple[str, ...]],
    starts: Mapping[str, float | None],
) -> str:
    """The allocation that had the node then: of several the one that had started last; empty if none is known to."""
    having = [each for each in found if run.node in names[each.id]]
    began = [(start, each.id) for each in having if (start := starts[each.id]) is not None]
    before = [each for each in began if each[0] <= run.began + APART_SECONDS]
    return max(before, default=(0.0, having[0].id if len(having) == 1 else ""))[1]


def _busy(runs: Iterable[Run]) -> float:
    """Seconds in which something ran, of each node."""
    by_node: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_node[run.node].append(run)
    total = 0.0
    for several in by_node.values():
        end = 0.0
        for run in sorted(several, key=lambda each: each.began):
            total += max(0.0, run.began + run.seconds - max(end, run.began))
            end = max(end, run.began + run.seconds)
    return total


def _names(fs: Fs, path: str) -> list[str]:
    try:
        return fs.names(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
