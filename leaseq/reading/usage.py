"""What each allocation of a lease has held, and how much of that its tasks have booked.

A node is held from the start of its allocation until its runner was heard last for it; if none was, until the
allocation's end was learnt. What is not known is None, and so is each sum of which a part is not known. The histories
and the journals of arrays are read whole: this is a lease's story.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from leaseq.allocation import Allocation
from leaseq.array_names import ArrayNames
from leaseq.dataclass import dataclass
from leaseq.errors import Malformed
from leaseq.heartbeat import Heartbeat
from leaseq.layout import ArrayDir, LeaseDir
from leaseq.models import Event, State
from leaseq.names import histories_in
from leaseq.protocol import allocs, files, journal, terms
from leaseq.protocol.facts import Ended
from leaseq.reading.history import added
from leaseq.reading.views import TaskView
from leaseq.world import Fs

Times = tuple[float | None, float | None]
"""When an allocation started last, and when it ended; None: not known, or it goes on."""

HOUR = 3600.0
SILENT_SECONDS = 120.0
"""A node whose runner was not heard for longer is down from when it was heard last."""
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
    gpus: tuple[str, ...]
    id: str
    attempt: int
    state: State
    """How it ended; RUNNING if it has not."""
    name: str = ""
    """Its name, its group and its command; of an index, `About` says them."""
    group: str = ""
    command: str = ""
    submitted: float = 0.0


class Stay(NamedTuple):
    """How long an allocation has a node; seconds since the epoch."""

    alloc: str
    node: str
    since: float
    until: float
    heard: float
    """When its runner was heard last; `until` if it is heard."""
    gpus: tuple[str, ...] | None
    """None: not known."""


class Span(NamedTuple):
    """How long one node was held, and how many GPUs it had; None: not known."""

    seconds: float | None
    gpus: int | None


def of_lease(fs: Fs, lease: LeaseDir, found: Sequence[Allocation], *, now: float) -> list[Held]:
    """Each of these allocations of the lease, in their order. now: this host's clock."""
    names = {each.id: nodes_of(fs, lease, each) for each in found}
    beats = {each.id: {node: _beat(fs, lease, each, node, now) for node in names[each.id]} for each in found}
    times = {each.id: (_start(fs, lease, each, now), _until(each, beats[each.id])) for each in found}
    heard = [beat for each in beats.values() for beat, _ in filter(None, each.values())]
    by_alloc: dict[str, list[Run]] = defaultdict(list)
    for run in runs(fs, lease, heard):
        by_alloc[_whose(run, [each for each in found if run.node in names[each.id]], times)].append(run)
    return [_held(fs, lease, each, beats[each.id], times[each.id], by_alloc[each.id], now) for each in found]


def stays_of(fs: Fs, lease: LeaseDir, found: Sequence[Allocation], *, now: float) -> tuple[list[Stay], list[Heartbeat]]:
    """(how long each of these allocations has had each of its nodes, as far as that is known; their last heartbeats)

    now: this host's clock.
    """
    stays: list[Stay] = []
    beats: list[Heartbeat] = []
    for each in found:
        since = _start(fs, lease, each, now)
        current = set(allocs.nodes_of(fs, lease, each)) if each.ended is None else set[str]()
        for node in nodes_of(fs, lease, each):
            told = _beat(fs, lease, each, node, now)
            beats += [told[0]] if told else []
            until = now if node in current else each.ended or (told[1] if told else None)
            if since is None or until is None or until <= since:
                continue
            heard = min(told[1], until) if told else since
            silent = until - heard > SILENT_SECONDS
            gpus = told[0].gpus if told and told[0].gpus_known else None
            stays.append(Stay(each.id, node, since, until, heard if silent else until, gpus))
    return stays, beats


def nodes_of(fs: Fs, lease: LeaseDir, alloc: Allocation) -> tuple[str, ...]:
    """All nodes that the allocation has ever had, as the lease calls them."""
    return tuple(sorted(allocs.ever_named(fs, lease, alloc) or alloc.nodes))


def _held(
    fs: Fs,
    lease: LeaseDir,
    alloc: Allocation,
    beats: Mapping[str, tuple[Heartbeat, float] | None],
    times: Times,
    ran: Sequence[Run],
    now: float,
) -> Held:
    """beats: the last of each of its nodes."""
    since, until = times
    current = set(allocs.nodes_of(fs, lease, alloc)) if alloc.ended is None else set[str]()
    spans = [_span(alloc, since, beat, now if node in current else None) for node, beat in beats.items()]
    known = bool(beats) and since is not None
    return Held(
        alloc,
        since,
        until,
        tuple(beats),
        _sum(span.seconds for span in spans) if known else None,
        _busy(ran) / HOUR if known else None,
        _sum(None if None in span else (span.seconds or 0) * (span.gpus or 0) for span in spans) if known else None,
        sum(run.seconds * len(run.gpus) for run in ran) / HOUR if known else None,
    )


def _span(alloc: Allocation, since: float | None, beat: tuple[Heartbeat, float] | None, now: float | None) -> Span:
    """now: if the allocation has the node yet."""
    until = now or (beat[1] if beat else alloc.ended)
    gpus = len(beat[0].gpus) if beat and beat[0].gpus_known else None
    return Span(None if until is None or since is None else max(0.0, until - since), gpus)


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


def _until(alloc: Allocation, beats: Mapping[str, tuple[Heartbeat, float] | None]) -> float | None:
    """When it ended, as its nodes' last heartbeats tell; None while it goes on."""
    return None if alloc.ended is None else max((at for _, at in filter(None, beats.values())), default=alloc.ended)


def _beat(fs: Fs, lease: LeaseDir, alloc: Allocation, node: str, now: float) -> tuple[Heartbeat, float] | None:
    """The node's last heartbeat of that allocation, and when it was, by this host's clock."""
    try:
        heard = terms.last_heartbeat(fs, lease, node, alloc.told_as)
    except Malformed:
        return None
    return None if heard is None else (heard[0], now - heard[1])


# -- what ran ------------------------------------------------------------------------------------------


def runs(fs: Fs, lease: LeaseDir, beats: Iterable[Heartbeat]) -> Iterator[Run]:
    """Every attempt that ran, and those that run by the last heartbeats; an array's by its indices."""
    told: set[tuple[str, int]] = set()
    for node, term in histories_in(files.names_in(fs, lease.events_dir)):
        for _, event in added(fs, lease.events(node, term), 0):
            if (event.id, event.attempt) not in told and (run := of_event(event, node)) is not None:
                told.add((event.id, event.attempt))
                yield run
    for name in files.names_in(fs, lease.arrays):
        array = ArrayDir(f"{lease.arrays}/{name}")
        try:
            for node, end in journal.ends(fs, array, ArrayNames.parse(fs.names(array.root))):
                if (run := of_index(end, node, name.partition(".")[0])) is not None:
                    told.add((run.id, run.attempt))
                    yield run
        except (FileNotFoundError, NotADirectoryError, Malformed):
            continue  # swept away, or no array's
    for beat in beats:
        yield from (run for run in going(beat) if (run.id, run.attempt) not in told)


def of_event(event: Event, node: str) -> Run | None:
    """The attempt that a line of the node's history tells of; None if it is of an array, or never ran."""
    if event.started is None or event.elapsed_seconds is None or event.counts:
        return None
    return Run(
        event.node or node,
        event.started,
        event.elapsed_seconds,
        event.gpus,
        event.id,
        event.attempt,
        event.state,
        event.name,
        event.group,
        event.command,
        event.submitted,
    )


def of_index(end: Ended, node: str, array: str) -> Run | None:
    """The attempt of an index whose end a journal tells; None if it never ran."""
    if end.started is None or end.elapsed_seconds is None:
        return None
    return Run(node, end.started, end.elapsed_seconds, tuple(end.gpus), f"{array}_{end.index}", end.attempt, end.state)


def going(beat: Heartbeat) -> Iterator[Run]:
    """What runs by that heartbeat."""
    for each in beat.running if beat.state != "stopped" else ():
        if each.started is not None:
            yield Run(
                beat.node,
                each.started,
                each.elapsed_seconds,
                each.gpus,
                each.id,
                each.attempt,
                State.RUNNING,
                each.name,
                command=each.command,
            )


def row_of(run: Run) -> TaskView:
    """The attempt as a row of which no more than that is known."""
    return TaskView(
        run.id,
        run.attempt,
        run.state,
        node=run.node,
        name=run.name,
        command=run.command,
        gpus=run.gpus,
        submitted=run.submitted or None,
        started=run.began,
        elapsed_seconds=run.seconds,
        group=run.group,
        cleaned=True,
    )


def _whose(run: Run, having: Sequence[Allocation], times: Mapping[str, Times]) -> str:
    """The allocation that had the node then; empty if none is known to.

    having: those that have ever had it. Their clocks may be a little apart: the nearest counts, of those the last.
    """
    if len(having) == 1:
        return having[0].id
    near: list[tuple[float, float, str]] = []
    for each in having:
        since, until = times[each.id]
        if since is not None and since <= run.began + APART_SECONDS:
            apart = max(since - run.began, run.began - (until or run.began), 0.0)
            near.append((apart, -since, each.id))
    return min(near, default=(0.0, 0.0, ""))[2]


def _busy(ran: Iterable[Run]) -> float:
    """Seconds in which something ran, of each node."""
    by_node: dict[str, list[Run]] = defaultdict(list)
    for run in ran:
        by_node[run.node].append(run)
    total = 0.0
    for several in by_node.values():
        end = 0.0
        for run in sorted(several, key=lambda each: each.began):
            total += max(0.0, run.began + run.seconds - max(end, run.began))
            end = max(end, run.began + run.seconds)
    return total
