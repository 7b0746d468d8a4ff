"""How long tasks may take, by those that have ended, and what follows for those that wait. Unknown is an answer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from leaseq.dataclass import dataclass, field
from leaseq.heartbeat import Running
from leaseq.models import Event, Need, State
from leaseq.reading.views import NodeView, TaskView
from leaseq.room import Booking, Room, booking_of, room_left
from leaseq.words import about, count

SAMPLES_MIN = 3
"""Of fewer tasks nothing is concluded."""
APART = 5.0
"""If the longest took so many times what they took on average, that says nothing of the next one."""
EVENTS = 50
"""By so many of the tasks that ended last on each node it is said how long the others of a lease take."""
SHORT_SECONDS = 0.1
"""Of tasks that take less many are claimed that do not run yet: how many have ended in a second tells more."""
LOOKED_AT = 200
"""So many of the tasks that ended last are looked at."""


@dataclass(frozen=True)
class Seen:
    """How long tasks like one took."""

    seconds: float
    """The median."""
    mean: float
    most: float
    """The longest."""
    samples: int
    least: float
    """The shortest."""
    like: str
    """What they have in common, in words: `named vit`."""

    @property
    def spread(self) -> str:
        """Of tasks that are not like each other how little and how much they took, in words; else empty."""
        apart = self.most > APART * self.mean
        return f"{about(self.least)} to {about(self.most)}" if apart else ""

    def left_after(self, elapsed: float) -> float:
        """How long one may take yet that has run for so long; infinite if it has run longer than any of them."""
        return next((length - elapsed for length in (self.seconds, self.most) if length >= elapsed), math.inf)


@dataclass
class Durations:
    """How long ended tasks ran, by what they have in common, the closest first: name, group, program, lease."""

    known: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def learn(self, events: Iterable[Event]) -> Durations:
        """With what these have taken, those that ended by themselves."""
        for event in events:
            if _by_itself(event) and event.elapsed_seconds is not None:
                for key in _keys(event.name, event.group, event.command):
                    self.known.setdefault(key, []).append(event.elapsed_seconds)
        return self

    def of(self, name: str, group: str, command: str) -> Seen | None:
        """How long such a task takes by the closest that are known; None if too few are."""
        for kind, value in _keys(name, group, command):
            found = sorted(self.known.get((kind, value), ()))
            if len(found) >= SAMPLES_MIN:
                like = {"name": f"named {value}", "group": f"of group {value}", "program": f"that run {value}"}
                mean = math.fsum(found) / len(found)
                like_words = like.get(kind, "of this lease")
                return Seen(found[len(found) // 2], mean, found[-1], len(found), found[0], like_words)
        return None


def _by_itself(event: Event) -> bool:
    """True if how long it took is how long such tasks take."""
    return event.state in (State.DONE, State.FAILED) and event.elapsed_seconds is not None


def _keys(name: str, group: str, command: str) -> list[tuple[str, str]]:
    program = " ".join(command.split()[:2])
    keys = [("name", name), ("group", group), ("program", program)]
    return [key for key in keys if key[1]] + [("lease", "")]


@dataclass(frozen=True)
class Opening:
    """When there is room for a task on a node, if nobody else takes it."""

    node: str
    ends: tuple[str, ...]
    """The tasks that would have to end."""
    seconds: float | None
    """Until the last of them ends, by what is known; None if that is not known."""


def opening(need: Need, view: NodeView, durations: Durations) -> Opening | None:
    """What would have to end on the node for the need to fit, soonest first; None if it never fits, or nobody knows."""
    beat = view.heartbeat
    if beat is None:
        return None
    capacity = Room(beat.cpus, beat.mem_mb, beat.gpus, gpus_known=beat.gpus_known)
    held: list[tuple[float, Running]] = []
    for run in beat.running:
        held.append((remaining(run, durations, age=view.age_seconds or 0.0), run))
    held.sort(key=lambda each: each[0])
    gone: list[str] = []
    seconds: float | None = 0.0
    while True:
        bookings = [Booking(run.cpus, run.mem_mb, run.gpus) for _, run in held]
        if (not need.alone or not held) and booking_of(need, room_left(capacity, bookings), capacity):
            return Opening(view.node, tuple(gone), seconds)
        if not held:
            return None
        left, run = held.pop(0)
        gone.append(run.id)
        seconds = None if math.isinf(left) or seconds is None else max(seconds, left)


def remaining(run: Running, durations: Durations, *, age: float) -> float:
    """How long the running task may take yet, by those like it; infinite if that is not known."""
    seen = durations.of(run.name, "", run.command)
    return math.inf if seen is None else seen.left_after(run.elapsed_seconds + age)


def first_opening(need: Need, views: Sequence[NodeView], durations: Durations) -> Opening | None:
    """Of the nodes' openings the soonest; one of which nothing is known comes last."""
    found = [each for view in views if (each := opening(need, view, durations))]
    return min(found, key=lambda each: (each.seconds is None, each.seconds or 0.0, len(each.ends)), default=None)


@dataclass(frozen=True)
class Forecast:
    """How long what is pending in a lease takes, at the pace of now."""

    pending: int
    seconds: float | None = None
    """Until it has run, with what runs; None: not known."""
    missed: int = 0
    """How many tasks will not fit before the lease's end."""
    words: str = ""


@dataclass(frozen=True)
class Indexed:
    """What is left of arrays, which count as one task each in totals."""

    arrays: Mapping[State, int] = field(default_factory=dict)
    waiting: int = 0
    running: int = 0
    seconds: float | None = 0.0
    """How long the rest of them takes, one index after another; None: not known."""


def indexed(rows: Iterable[TaskView]) -> Indexed:
    """What is left of the arrays among them, by those of their indices that have ended."""
    live = [(row.state, row.array) for row in rows if row.array is not None and not row.state.ended]
    running = sum(array.counts.get(State.RUNNING, 0) for _, array in live)
    seconds: float | None = 0.0
    for _, array in live:
        left = array.waiting + array.counts.get(State.RUNNING, 0) / 2
        seconds = None if seconds is None or array.mean_seconds is None else seconds + left * array.mean_seconds
    return Indexed(Counter(state for state, _ in live), sum(array.waiting for _, array in live), running, seconds)


def forecast(
    totals: Mapping[State, int],
    events: Sequence[Event],
    *,
    left: float | None,
    nodes: Sequence[NodeView],
    arrays: Indexed = Indexed(),  # noqa: B008
) -> Forecast | None:
    """How long what is pending takes at the pace of now, and whether the lease lasts for it; None if nothing waits."""
    pending = totals.get(State.PENDING, 0) - arrays.arrays.get(State.PENDING, 0)
    running = totals.get(State.RUNNING, 0) - arrays.arrays.get(State.RUNNING, 0)
    if arrays.arrays:
        return _with_arrays(pending, running, events, arrays, left=left)
    if not pending:
        return None
    told = f"{pending:,} pending"
    seen = Durations().learn(events).of("", "", "")
    if seen is None:
        return Forecast(pending, words=f"{told}; how long they take is not known: too few tasks have ended here")
    if seen.spread:
        return Forecast(pending, words=f"{told}; how long they take is not known: the last took {seen.spread}")
    if not running:
        words = f"{told}, about {about(seen.mean)} each by the last {seen.samples}; none runs now"
        return Forecast(pending, words=words)
    held = [run for view in nodes if view.heartbeat for run in view.heartbeat.running]
    if seen.mean < SHORT_SECONDS:
        return _of_short(pending, running, events, left=left)
    longer = sum(run.elapsed_seconds > seen.most for run in held)
    if longer:
        words = f"{told}; how long they take is not known: {longer} of those that run take longer than the last did"
        return Forecast(pending, words=words)
    already = math.fsum(min(run.elapsed_seconds, seen.mean) for run in held)
    seconds = max(0.0, (pending + running) * seen.mean - already) / running
    told += f", about {about(seconds)} at {running} at a time, by the last {seen.samples}"
    if left is None:
        return Forecast(pending, seconds, words=told)
    missed = min(pending, math.ceil(max(0.0, seconds - left) * running / seen.mean)) if seen.mean else 0
    return Forecast(pending, seconds, missed, told + _beside(left, missed))


def _of_short(pending: int, running: int, events: Sequence[Event], *, left: float | None) -> Forecast:
    """The same of tasks that take a moment, by how many of the last have ended in a second on each node."""
    told = f"{pending:,} pending"
    ends: dict[str, list[float]] = {}
    counted = [event for event in events if _by_itself(event)]
    for event in counted:
        ends.setdefault(event.node, []).append(event.ended)
    spans = [(len(found) - 1, max(found) - min(found)) for found in ends.values()]
    pace = sum(many / span for many, span in spans if many and span > 0)
    if not pace:
        return Forecast(pending, words=f"{told}; how many end in a second is not known")
    seconds = (pending + running) / pace
    told += f", about {about(seconds)} at {max(1, round(pace)):,} a second, by the last {len(counted)}"
    if left is None:
        return Forecast(pending, seconds, words=told)
    missed = min(pending, math.ceil(max(0.0, seconds - left) * pace))
    return Forecast(pending, seconds, missed, told + _beside(left, missed))


def _beside(left: float, missed: int) -> str:
    """When the lease ends, and how many tasks will not fit before."""
    return f"; the lease ends in {about(left)}" + (f": about {count(missed, 'task')} will not fit" if missed else "")


def _with_arrays(
    pending: int, running: int, events: Sequence[Event], arrays: Indexed, *, left: float | None
) -> Forecast | None:
    """The same if there are arrays: each of their indices is a task that takes as long as others of its array."""
    waiting, at_once = pending + arrays.waiting, running + arrays.running
    if not waiting:
        return None
    told = f"{waiting:,} pending"
    seen = Durations().learn(events).of("", "", "") if pending or running else None
    unlike = (pending or running) and (seen is None or seen.spread)
    rest = arrays.waiting + arrays.running
    if arrays.seconds is not None and rest and arrays.seconds / rest < SHORT_SECONDS:
        # Many have begun that wait for the one before them.
        return Forecast(waiting, words=f"{told}; how many end in a second is not known")
    if arrays.seconds is None or not at_once or unlike:
        return Forecast(waiting, words=f"{told}; how long they take is not known")
    others = (pending + running / 2) * seen.mean if seen else 0.0
    seconds = (arrays.seconds + others) / at_once
    told += f", about {about(seconds)} at {at_once:,} at a time"
    if left is None:
        return Forecast(waiting, seconds, words=told)
    missed = min(waiting, math.ceil(waiting * max(0.0, seconds - left) / seconds)) if seconds else 0
    return Forecast(waiting, seconds, missed, told + _beside(left, missed))
