"""How indices of arrays have ended, read apart from the code that is tested: for those that wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaseq.indices import Indices
from leaseq.models import Outcome, State, Task
from leaseq.names import ARRAYS, Entry, parse_key
from leaseq.protocol import reports
from leaseq.world import Fs

if TYPE_CHECKING:
    from tests.crash.watched import Watched


def ends_of_index(world: Watched, fs: Fs, task_id: str, index: int) -> list[tuple[int, State | None]]:
    """(attempt of the array, how the index ended in it) of each that has the index, oldest first; None: it goes on."""
    tries: dict[int, tuple[Task, bool]] = {}
    for kind in ("waiting", "held", "inbox"):
        for node in fs.names(f"{world.lease.root}/{kind}"):
            _note(tries, fs, f"{world.lease.root}/{kind}/{node}", task_id)
    _note(tries, fs, world.lease.claimed(ARRAYS), task_id)
    for name in fs.names(world.lease.done(task_id)):
        if parse_key(name)[0] == task_id:
            outcome = Outcome.from_json(fs.read(f"{world.lease.done(task_id)}/{name}"))
            tries[outcome.attempt] = outcome.task, True
    return [
        (attempt, _state(world, fs, task_id, attempt, index, over=over))
        for attempt, (task, over) in sorted(tries.items())
        if task.array is not None and index in Indices.parse(task.array.indices)
    ]


def _note(tries: dict[int, tuple[Task, bool]], fs: Fs, directory: str, task_id: str) -> None:
    try:
        names = fs.names(directory)
    except FileNotFoundError:
        return
    for name in names:
        entry = Entry.parse(name)
        if entry.id == task_id and entry.chunk is None:
            tries[entry.attempt] = Task.from_json(fs.read(f"{directory}/{name}")), False


def _state(world: Watched, fs: Fs, task_id: str, attempt: int, index: int, *, over: bool) -> State | None:
    """By its last line; an index without one that was to end, or whose array has, is cancelled."""
    told = reports.indices(fs, world.lease, task_id, attempt, Indices.of([index]))
    end = told.ended.get(index)
    if end is not None and not end.requeued:
        return end.state
    stops = reports.stops_of(fs, world.lease, task_id, attempt)
    stopped = any(stop.indices is None or index in stop.indices for stop in stops) and index not in told.begun
    return State.CANCELLED if over or stopped else None
