"""How indices of arrays have ended for good, as far as anybody can tell now.

The journals of the array say it, long before the array has ended. What of them counts is settled as in `chunks`:
whoever takes a chunk away marks it before he reads how long its journal is, so a line that was read before a look
without that mark counts, and of a marked chunk without a cut nothing is known yet. No line tells of an index that never
began, of a chunk that nobody has taken, once somebody has said that it is to end.

An array may have run several times, each time some of its indices: of an index its newest try counts. What is told
here is durable, whoever has written it.
"""

from __future__ import annotations

from collections.abc import Collection

from leaseq.array_names import ArrayNames
from leaseq.dataclass import dataclass, field
from leaseq.errors import Malformed
from leaseq.indices import Indices
from leaseq.layout import ArrayDir, LeaseDir
from leaseq.models import Outcome, State, Task
from leaseq.protocol import array_places, journal, keys, tasks
from leaseq.protocol.cover import cover_of
from leaseq.protocol.facts import Told
from leaseq.protocol.plan import Plan
from leaseq.protocol.stops import read_stops
from leaseq.upstream import Standing
from leaseq.world import Fs

FEW = 4
LOOKS_MAX = 5
"""So often in a row an array may end, or a chunk of it be taken away, while one looks."""


@dataclass(frozen=True)
class Try:
    """One attempt of an array, and how that ended."""

    attempt: int
    task: Task
    outcome: Outcome | None = None
    """None while it goes on."""

    @property
    def indices(self) -> Indices:
        """Which it runs; none if that cannot be understood."""
        try:
            return Indices.parse(self.task.array.indices) if self.task.array else Indices()
        except Malformed:
            return Indices()


@dataclass(frozen=True)
class Known:
    """What is known of some indices; of one in neither: that it waits, or nothing."""

    ended: dict[int, Standing] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    """Those that run, or may."""


def of_indices(fs: Fs, lease: LeaseDir, task_id: str, wanted: Collection[int], *, durably: bool = True) -> Known:
    """What is known of those indices of the array, durably if it is to be acted upon. Costs a read of its journals."""
    found, left = Known(), Indices.of(wanted)
    for each in reversed(tries_of(fs, lease, task_id) or ()):
        if own := each.indices & left:
            known = of_try(fs, lease, each, own, durably=durably)
            found.ended.update(known.ended)
            found.begun.update(known.begun)
            left -= own
    return found


def tries_of(fs: Fs, lease: LeaseDir, task_id: str) -> list[Try] | None:
    """The attempts of the array, oldest first; None if the newest is not seen, for it is on its way."""
    found: list[Try] = []
    attempt = 1
    while True:
        outcome = tasks.readable_outcome(fs, lease, task_id, attempt)
        if outcome is None:
            task = array_places.task_of_try(fs, lease, task_id, attempt)
            outcome = tasks.readable_outcome(fs, lease, task_id, attempt) if task is None else None
            if outcome is None:
                return [*found, Try(attempt, task)] if task else None
        found.append(Try(attempt, outcome.task, outcome))
        attempt = outcome.last + 1
        if not was_retried_as(fs, lease, task_id, attempt):
            return found


def was_retried_as(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> bool:
    """True if the task has that attempt, which follows one that ended."""
    return (
        keys.was_retried(fs, lease, task_id, attempt - 1)
        or tasks.readable_outcome(fs, lease, task_id, attempt) is not None
    )


def was_retried(fs: Fs, lease: LeaseDir, task_id: str, index: int, attempt: int) -> bool:
    """True if the index, which had ended in that attempt of its array, was queued once more, for all that is seen."""
    tries = tries_of(fs, lease, task_id)
    return tries is None or any(each.attempt > attempt and index in each.indices for each in tries)


def first_index(fs: Fs, lease: LeaseDir, task_id: str, state: State) -> tuple[int, State] | None:
    """The lowest index because of which an array that has ended is in that state, and how it ended itself.

    None if no line tells of it. However many there are, it takes no more memory than one.
    """
    wanted = (State.FAILED, State.TIMEOUT) if state is State.FAILED else (state,)
    found: list[tuple[int, State]] = []
    later = Indices()
    for each in reversed(tries_of(fs, lease, task_id) or ()):
        array = lease.array(task_id, each.attempt)
        names = array_places.names_in(fs, array)
        try:
            bad = journal.first_ended(fs, array, names, wanted, within=each.indices - later)
        except Malformed:
            bad = None
        found += [bad] if bad else []
        later |= each.indices
    return min(found, default=None, key=lambda each: each[0])


def of_try(fs: Fs, lease: LeaseDir, each: Try, wanted: Indices, *, durably: bool = True) -> Known:
    """What is known of those indices in that attempt of the array; nothing if chunks change hands just now."""
    task_id, outcome = each.task.id, each.outcome
    array = lease.array(task_id, each.attempt)
    looked = _look(fs, array, each.indices, wanted)
    if looked is None or (looked[0].over and outcome is None):
        return Known()  # it ends just now, or chunks change hands: whoever does that looks afterwards
    names, told = looked
    unsettled = set() if outcome else {chunk for chunk, _ in names.handed - names.cut}
    ends = {index: end for index, end in told.ended.items() if not end.requeued and end.chunk not in unsettled}
    found = {index: Standing(end.state, each.attempt, end.ended) for index, end in ends.items()}
    silent = [index for index in wanted if index not in ends and index not in told.begun]
    if outcome is not None:
        state = state_of_silent(outcome, journal.totals(fs, array, names).counts) if silent else State.CANCELLED
        found |= dict.fromkeys(silent, Standing(state, each.attempt, outcome.ended))
        if durably:  # what its journals say was so before it
            fs.sync_dir(lease.done(task_id))
        return Known(found)
    if durably and (ends or names.stops):
        _make_durable(fs, array, names, told, ends)
    if names.stops:
        found |= _stopped(fs, array, names, each, [index for index in silent if index not in told.ended])
    return Known(found, set(told.begun))


def _look(fs: Fs, array: ArrayDir, every: Indices, wanted: Indices) -> tuple[ArrayNames, Told] | None:
    """(what is in the array's directory, what its journals say); None if that changes again and again."""
    names = array_places.names_in(fs, array)
    for _ in range(LOOKS_MAX):
        try:
            told = _told_of(fs, array, names, every, wanted)
        except (Malformed, FileNotFoundError):
            return None
        before, names = names, array_places.names_in(fs, array)
        if (names.handed, names.cut, names.over) == (before.handed, before.cut, before.over):
            return names, told
    return None


def _told_of(fs: Fs, array: ArrayDir, names: ArrayNames, every: Indices, wanted: Indices) -> Told:
    """What the journals say of those; of few what their directories point at is read alone. Raises Malformed."""
    if len(wanted) > FEW:
        return journal.read(fs, array, names, wanted=wanted)
    told, plan = Told(), Plan(len(every))
    for index in wanted:
        ends, begun = journal.of_index(fs, array, names, index, plan.numbers_of(every.place(index)))
        if ends:
            told.ended[index], told.nodes[index] = ends[-1]
        if begun is not None:
            told.begun[index] = begun
    return told


def _make_durable(fs: Fs, array: ArrayDir, names: ArrayNames, told: Told, ends: Collection[int]) -> None:
    """Who has written it may have died before his sync; what is to begin after it must not be there without it."""
    nodes = {told.nodes[index] for index in ends}
    for node, owner in names.journals:
        if node in nodes:
            fs.sync(array.journal(node, owner))
    fs.sync_dir(array.root)


def _stopped(fs: Fs, array: ArrayDir, names: ArrayNames, each: Try, silent: Collection[int]) -> dict[int, Standing]:
    """Those that somebody has ended before anybody has taken their chunk: whoever takes it looks for that."""
    stops = read_stops(fs, array, names)
    indices = each.indices
    now = array_places.names_in(fs, array)
    plan, found = Plan(len(indices)), {}
    taken = cover_of(fs, array, plan, now).taken
    for index in () if now.over else silent:
        stop = next((stop for stop in stops if stop.indices is None or index in stop.indices), None)
        if stop is not None and plan.chunk_of(indices.place(index)) not in taken:
            found[index] = Standing(stop.state if stop.indices is None else State.CANCELLED, each.attempt, 0.0)
    return found


def state_of_silent(outcome: Outcome, told: dict[State, int]) -> State:
    """How those indices ended of which no line tells: what the array's outcome counts, and its journals do not."""
    before = outcome.task.array.before if outcome.task.array else {}
    silent = {
        State[name]: number - told.get(State[name], 0) - before.get(name, 0)
        for name, number in outcome.counts.items()
        if name in State.__members__
    }
    return max(silent, key=silent.__getitem__, default=State.CANCELLED)
