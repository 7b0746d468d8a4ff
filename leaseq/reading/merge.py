"""One row for each task out of all the places where its files were seen."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from leaseq.dataclass import replace
from leaseq.errors import Newer
from leaseq.heartbeat import Running
from leaseq.models import ANY, Event, State, Task
from leaseq.names import ARRAYS, CLI, Entry, attempt_of, submitted_at, task_of
from leaseq.protocol.fate import lost_with_lease
from leaseq.protocol.groups import NONE, Limits
from leaseq.protocol.history import command_text, counted
from leaseq.reading import folded
from leaseq.reading.sightings import Listing, Rank, Sighting, newest, told
from leaseq.reading.views import (
    HELD,
    NODE_DOWN,
    NODE_SILENT,
    RUNNER_DOWN,
    RUNNER_STOPPED,
    Health,
    NodeView,
    Place,
    TaskView,
    duration,
)
from leaseq.reading.waits import reason as waits_reason

QUEUED = "Queued"
PAUSED, CHANGING = "Paused", "Changing"
NO_RUNNER = "NoRunner"
NO_NODE = f"{NO_RUNNER}: the lease has no node yet"
NOBODY = (NO_RUNNER, RUNNER_STOPPED, RUNNER_DOWN, NODE_SILENT, NODE_DOWN)
"""Reasons of a task that nobody takes now, the most hopeful first."""


class Merge:
    """Joins what was seen in several places to one row for each task."""

    def __init__(
        self,
        spec: Callable[[str, str], Task | str],
        listing: Listing,
        nodes: Mapping[str, NodeView],
        ended: Mapping[str, Event],
        *,
        queue: Mapping[str, Sighting] | None = None,
        limits: Limits = NONE,
        arrays: folded.Arrays = folded.NO_ARRAYS,
    ) -> None:
        """queue: every pending name, if the listing holds a few of them only.

        arrays: what their directories say.
        """
        self.spec = spec
        self.listing = listing
        self.nodes = nodes
        self.queue = listing.pending if queue is None else queue
        self.events = ended
        self.serving = [view for view in nodes.values() if view.health.serving]
        self.newest = newest([*listing.live(), *told(ended.values())])
        self.claims = newest(listing.claims)
        self.limits = limits
        self.lost = newest(listing.lost)
        self.arrays = arrays
        self.chunks: dict[str, list[Sighting]] = {}
        """Of each array the chunks that nodes have."""
        for each in listing.chunks:
            if each.rank is Rank.CLAIMED:
                self.chunks.setdefault(each.id, []).append(each)
        self.indices = folded.running(nodes.values())
        self.ranked: dict[Rank, list[Sighting]] = {rank: [] for rank in Rank}
        """The tasks by the kind of place they are in, by what was seen of all."""
        self.again: list[Sighting] = []
        """Those that have had an attempt before."""
        for each in self.newest.values():
            self.ranked[each.rank].append(each)
            if each.attempt > 1:
                self.again.append(each)
        self.waiting = {each.name: each for each in self.ranked[Rank.PENDING] if each.id not in self.chunks}
        self.counts: dict[State, int] = {}

    def _count(self, state: State, by: int = 1) -> None:
        self.counts[state] = self.counts.get(state, 0) + by

    def claimed(self) -> list[TaskView]:
        """The rows of tasks that have a claim, and whose end, if it stands already, another attempt follows."""
        rows = [self._view_claim(each) for each in self.ranked[Rank.CLAIMED]]
        rows += [self._view_array(each) for each in self.ranked[Rank.PENDING] if each.id in self.chunks]
        for each in self.ranked[Rank.ENDED]:
            if each.event and each.event.requeued and each.id in self.claims:
                rows.append(self._view_requeued(each.event, self.claims[each.id]))
        for row in rows:
            self._count(row.state)
        return sorted(rows, key=lambda row: (row.state is State.PENDING, row.started or float("inf"), row.id))

    def _view_requeued(self, event: Event, claim: Sighting | None) -> TaskView:
        """The row of a task whose next attempt is not to be seen yet."""
        place = Place(claim.at.directory, claim.name) if claim else None
        row = view_event(event)
        return replace(row, state=State.PENDING, reason="Requeue", attempt=event.attempt + 1, place=place)

    def _view_claim(self, claim: Sighting) -> TaskView:
        owner, entry, place = claim.at.node, claim.entry, Place(claim.at.directory, claim.name)
        if owner == ARRAYS:
            return self._view_array(claim)
        if owner == CLI:
            row = TaskView(entry.id, entry.attempt, State.CANCELLED, place=place, group=entry.group)
            return self._from_spec(row, entry)
        node = self.nodes.get(owner) or NodeView(owner, Health.UNKNOWN)
        if node.lost:
            return self._view_lost_with_node(entry, node, place)
        state, reason = node.holds
        row = TaskView(
            entry.id,
            entry.attempt,
            state,
            reason,
            owner,
            need=entry.need,
            submitted=submitted_at(entry.order),
            place=place,
            group=entry.group,
        )
        beat = node.heartbeat
        run = (
            next((run for run in beat.running if run.id == entry.id and run.attempt == entry.attempt), None)
            if beat
            else None
        )
        return from_heartbeat(row, run, node) if run else self._from_spec(row, entry)

    def _view_array(self, seen: Sighting) -> TaskView:
        """The row of an array of which something was taken, wherever its file is."""
        entry, place = seen.entry, Place(seen.at.directory, seen.name)
        names = sorted({each.at.node for each in self.chunks.get(entry.id, ())})
        holders = [self.nodes.get(name) or NodeView(name, Health.UNKNOWN) for name in names]
        given_back = any(each.id == entry.id and each.rank is Rank.PENDING for each in self.listing.chunks)
        state, reason = folded.state_of(holders, given_back=given_back)
        if seen.at.held:
            reason = f"{HELD}: {why}" if (why := self.arrays.held_because(entry)) else HELD
        node = names[0] if len(names) == 1 else ""
        row = TaskView(entry.id, entry.attempt, state, reason, node, need=entry.need, place=place, group=entry.group)
        waits = [wait for wait in self.listing.waits.get(entry.key, []) if wait.is_open] if entry.each else []
        row = self._from_spec(replace(row, submitted=submitted_at(entry.order), waits=tuple(waits)), entry)
        return self._counted(row, entry, seen.path, holders)

    def _counted(self, row: TaskView, entry: Entry, path: str, holders: Sequence[NodeView] = ()) -> TaskView:
        """The row, that of an array with the counts of its indices."""
        if not entry.count:
            return row
        task, (totals, throttle) = self.spec(entry.id, path), self.arrays.known(entry)
        running = self.indices.get(entry.id, {})
        return folded.counted(row, entry, task, totals, running, holders, throttle)

    def _view_lost_with_node(self, entry: Entry, node: NodeView, place: Place) -> TaskView:
        """The row of a claim that an upkeep will decide: LOST, or pending again."""
        row = TaskView(
            entry.id,
            entry.attempt,
            State.LOST,
            node.lost,
            node.node,
            need=entry.need,
            place=place,
            group=entry.group,
        )
        task = self.spec(entry.id, f"{place.directory}/{place.name}")
        if isinstance(task, Task):
            outcome = lost_with_lease(task, entry, node=node.node, incarnation="", reason=node.lost, now=0.0)
            if outcome.requeued:
                row = replace(row, state=State.PENDING, reason="Requeue", attempt=entry.attempt + 1)
        return self._from_spec(row, entry)

    def pending(self, limit: int | None) -> list[TaskView]:
        changing = [self._view_edited(each) for each in self.ranked[Rank.EDITED]]
        self._count(State.PENDING, len(self.waiting) + len(changing))
        names = self.waiting
        first = sorted(names) if limit is None else heapq.nsmallest(limit, names)
        ahead = self._ahead(first)
        return [self.view_pending(name, ahead[name]) for name in first] + changing

    def _view_edited(self, each: Sighting) -> TaskView:
        """The row of a pending task that a command is changing."""
        entry, place = each.entry, Place(each.at.directory, each.name)
        row = TaskView(entry.id, entry.attempt, State.PENDING, CHANGING, ANY, need=entry.need, place=place)
        return self._from_spec(replace(row, group=entry.group, submitted=submitted_at(entry.order)), entry)

    def _ahead(self, first: Sequence[str]) -> dict[str, int]:
        """How many tasks that may start stand before each of these in its node's queue."""
        before: Counter[str] = Counter()
        found = {}
        last = first[-1] if first else ""
        for name in sorted([name for name in self.queue if name <= last]):
            spot = self.queue[name].at
            found[name] = before[ANY] + (before[spot.node] if spot.node != ANY else 0)
            if not spot.held:
                before[spot.node] += 1
        return found

    def view_pending(self, name: str, ahead: int) -> TaskView:
        spot = self.waiting[name].at
        place, node = Place(spot.directory, name), spot.node
        try:
            entry = Entry.parse(name)
        except Newer as error:
            return TaskView(task_of(name), attempt_of(name), State.PENDING, f"Newer: {error}", place=place)
        waits = self.listing.waits.get(entry.key, []) if spot.held or entry.each else []
        if spot.waits:
            reason = waits_reason(waits)
        elif spot.held:
            why = self.arrays.held_because(entry) if entry.count else ""
            reason = f"{HELD}: {why}" if why else HELD
        else:
            each = [wait for wait in waits if wait.is_open]
            reason = self._reason(entry, node) or (waits_reason(each) if each else "")
            reason = reason or f"{QUEUED}: {f'{ahead} ahead' if ahead else 'next'}"
        row = TaskView(
            entry.id, entry.attempt, State.PENDING, reason, place=place, group=entry.group, waits=tuple(waits)
        )
        row = self._from_spec(replace(row, node=node, need=entry.need, submitted=submitted_at(entry.order)), entry)
        return self._counted(row, entry, f"{spot.directory}/{name}")

    def _reason(self, entry: Entry, node: str) -> str:
        """Why no runner takes it now, as far as anybody says; empty if it stands in the queue."""
        if self.limits.stop(entry.group):
            return PAUSED if self.limits.stop("") else f"{PAUSED}: group {entry.group}"
        serving = self.serving if node == ANY else [view for view in self.serving if view.node == node]
        if not serving:
            return _nobody([view for view in self.nodes.values() if node in (ANY, view.node)])
        most, held = self.limits.parallel.get(entry.group), self.limits.held.get(entry.group, 0)
        if most is not None and held >= most:
            return f"Group: {held} of {entry.group} run, {most} may"
        for view in serving:
            if view.heartbeat and (why := view.heartbeat.waiting.get(entry.id)):
                return f"{why} on {view.node}" if len(serving) > 1 and ": " in why else why
        if all(view.takes_nothing for view in serving):
            ends = all(view.takes_nothing == "ending" for view in serving)
            return "Ending" if ends else "Draining"
        left = max((_seconds_left(view) for view in serving), default=math.inf)
        if entry.need.time_seconds is not None and entry.need.time_seconds > left:
            return f"LeaseTime: needs {duration(entry.need.time_seconds)}, {duration(left)} left"
        return ""

    def _from_spec(self, row: TaskView, entry: Entry) -> TaskView:
        place = row.place
        task = self.spec(entry.id, f"{place.directory}/{place.name}") if place else ""
        if isinstance(task, str):
            return replace(row, command=task)
        return replace(row, name=task.name, command=command_text(task), need=task.need, submitted=task.submitted)

    def ended(self, limit: int) -> list[TaskView]:
        found = [each.event for each in self.ranked[Rank.ENDED] if each.event]
        found = [event for event in found if not event.requeued or event.id not in self.claims]
        last = sorted(found, key=lambda event: -(event.ended or 0.0))[: max(limit, 0)]
        rows = [self._view_requeued(event, None) if event.requeued else self._view_ended(event) for event in last]
        return rows + [self._view_lost(each) for each in self.ranked[Rank.LOST][: max(0, limit)]]

    def _view_ended(self, event: Event) -> TaskView:
        lost = self.lost.get(event.id)
        return view_event(event, lost if lost and lost.attempt == event.attempt else None)

    def _view_lost(self, lost: Sighting) -> TaskView:
        place = Place(lost.at.directory, lost.name)
        entry = lost.entry
        row = TaskView(lost.id, lost.attempt, State.LOST, need=entry.need, place=place, group=entry.group)
        return self._from_spec(row, entry)

    def later_attempts(self) -> dict[tuple[str, int], str]:
        """The files of tasks that are not over and have had an attempt before, by id and attempt."""
        found = {(each.id, each.attempt): each.path for each in self.listing.lost if each.attempt > 1}
        for each in self.again:
            if each.rank in (Rank.EDITED, Rank.PENDING, Rank.CLAIMED):
                found[each.id, each.attempt] = each.path
        for each in self.ranked[Rank.ENDED]:
            if each.event and each.event.requeued and each.id in self.claims and self.claims[each.id].attempt > 1:
                claim = self.claims[each.id]
                found[claim.id, claim.attempt] = claim.path
        return found

    def totals(self, finished: dict[State, int], retried: Iterable[str]) -> dict[State, int]:
        """Tasks by state. retried: how the histories count tasks that are not over."""
        counts = dict(self.counts)
        for state, count in finished.items():
            counts[state] = counts.get(state, 0) + count
        changes = [(state, -1) for state in retried]
        for each in self.listing.booked:
            changes += counted(each.event) if each.event else [(State.CANCELLED.name, 1)]
        for word, number in changes:
            counts[State[word]] = counts.get(State[word], 0) + number
        # History counts every loss; what matters is how many still wait for `recover`.
        counts[State.LOST] = len(self.listing.lost) + self.counts.get(State.LOST, 0)
        return {state: counts.get(state, 0) for state in State}


def view_event(event: Event, lost: Sighting | None = None) -> TaskView:
    """The row of a task that has ended, as the history tells it; `lost` is its file if `recover` can take it."""
    return TaskView(
        id=event.id,
        attempt=event.attempt,
        state=event.state,
        reason=event.reason,
        node=event.node,
        name=event.name,
        command=event.command,
        gpus=event.gpus,
        submitted=event.submitted or None,
        started=event.started,
        ended=event.ended,
        elapsed_seconds=event.elapsed_seconds,
        exit_code=event.exit_code,
        group=event.group,
        need=lost.entry.need if lost else None,
        array=folded.array_of(event),
        place=Place(lost.at.directory, lost.name) if lost else None,
    )


def _nobody(nodes: Sequence[NodeView]) -> str:
    """Why no runner takes what is pending for these nodes, by the node that may come back soonest."""
    said = {_silence(view) for view in nodes}
    return min(said, key=lambda why: NOBODY.index(why.partition(":")[0]), default=NO_NODE)


def _silence(node: NodeView) -> str:
    if node.cause:
        return f"{node.cause}: {node.why}"
    return RUNNER_STOPPED if node.health is Health.STOPPED else NO_RUNNER


def _seconds_left(node: NodeView) -> float:
    """Until the lease ends, by the node's own clock and its last heartbeat; infinite if it has no end."""
    beat = node.heartbeat
    if beat is None or beat.ends is None:
        return math.inf
    return max(0.0, beat.ends - beat.time - (node.age_seconds or 0.0))


def from_heartbeat(row: TaskView, run: Running, node: NodeView) -> TaskView:
    return replace(
        row,
        name=run.name,
        command=run.command,
        gpus=run.gpus,
        started=run.started,
        pid=run.pid,
        cpus_used=run.cpus_used,
        rss_mb=run.rss_mb,
        elapsed_seconds=run.elapsed_seconds + (node.age_seconds or 0.0),
        reason=row.reason or (f"stopping: {run.stopping}" if run.stopping else ""),
    )
