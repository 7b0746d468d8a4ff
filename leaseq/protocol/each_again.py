"""Which indices of an array run once more, because those that they had waited for were retried.

    arrays/ID.ATTEMPT/r.UP     UP was retried while this attempt went on: what was cancelled because of indices of UP
                               that run once more is to do so, too, once this attempt has ended

An array that goes on gets no other indices. So whoever retries UP writes that name, synced, and then looks whether the
array has ended; and who ends it looks for the name once its outcome is durable: one of the two sees both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from leaseq.dataclass import replace
from leaseq.errors import Malformed
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.models import State, Task
from leaseq.names import Entry
from leaseq.protocol import array_places, files, journal, keys, tasks
from leaseq.protocol.edges import EACH, each_of
from leaseq.protocol.index_ends import Try, tries_of
from leaseq.upstream import Upstream
from leaseq.world import Fs

LOOKS_MAX = 5
"""So often in a row the array may be retried, or end, while one looks."""


def waits_each(task: Task) -> tuple[Upstream, ...]:
    """The arrays for whose indices those of the task were submitted to wait one by one."""
    with suppress(Malformed):
        return tuple(up for up in map(Upstream.parse, task.after) if up.kind == EACH)
    return ()


def remember(fs: Fs, lease: LeaseDir, task_id: str, attempt: int, up_id: str) -> None:
    """Whoever ends that attempt of the array knows that the other one was retried, durably."""
    array = lease.array(task_id, attempt)
    files.make(fs, [array.root])
    fs.create(array.again(up_id), b"", durable=False)
    fs.sync_dir(array.root)


def remembered(fs: Fs, lease: LeaseDir, ended: Task) -> list[str]:
    """The arrays of which that was said in any attempt of this one, which waits for them index by index."""
    if not waits_each(ended):
        return []
    roots = [lease.array(ended.id, each.attempt) for each in tries_of(fs, lease, ended.id) or ()]
    return sorted({up for root in roots for up in array_places.names_in(fs, root).again})


def again(fs: Fs, lease: LeaseDir, task_id: str, cause: str, *, publish: Callable[..., Entry]) -> bool | None:
    """Those indices of the array wait once more, as its next attempt, that were cancelled because of indices of the
    other one, and these run once more; True if there were some. None if it does not wait index by index.

    If the array goes on, whoever ends it does that. publish: `dependents.publish_again`.
    """
    if not _waits(fs, lease, task_id):
        return None
    for _ in range(LOOKS_MAX):
        tries = tries_of(fs, lease, task_id)
        last = tries[-1] if tries else None
        if tries is None or last is None or last.outcome is None:
            attempt = last.attempt if last is not None else _newest(fs, lease, task_id)
            remember(fs, lease, task_id, attempt, cause)
            if tasks.readable_outcome(fs, lease, task_id, attempt) is None:
                return False
            continue
        chosen = cut_off(fs, lease, tries, cause)
        if not chosen:
            return False
        task = _after(fs, lease, once_more(fs, lease, last, Indices.of(chosen)), next(iter(chosen.values())))
        entry, task = keys.next_attempt(lease, last.outcome, task, indices=len(chosen), each=True)
        if publish(fs, lease, last.outcome, entry, task, waits_each(task), now=0.0).owner == entry.owner:
            return True
    return False


def _waits(fs: Fs, lease: LeaseDir, task_id: str) -> bool:
    """True if the task is an array that waits, or has waited, index by index."""
    first = tasks.readable_outcome(fs, lease, task_id, 1)
    if first is None:
        if each_of(fs, lease, f"{task_id}.1"):
            return True
        # Its edges go once it has ended.
        first = tasks.readable_outcome(fs, lease, task_id, 1)
    return first is not None and bool(waits_each(first.task))


def _newest(fs: Fs, lease: LeaseDir, task_id: str) -> int:
    """The attempt of the array that goes on, whose file is on its way from one place to another."""
    attempt = 1
    while (outcome := tasks.readable_outcome(fs, lease, task_id, attempt)) is not None:
        attempt = outcome.last + 1
    return attempt


def cut_off(fs: Fs, lease: LeaseDir, down: Sequence[Try], up_id: str) -> dict[int, Upstream]:
    """The indices of the array that were cancelled because of an index of the other one, which was queued once more;
    with what was waited for.
    """
    found: dict[int, Upstream] = {}
    later = Indices()
    ups: dict[str, list[Try]] = {}
    for each in reversed(down):
        array = lease.array(each.task.id, each.attempt)
        because: dict[int, str] = {}
        for _, end in journal.ends(fs, array, array_places.names_in(fs, array)):
            if not end.requeued:
                because[end.index] = end.because if end.state is State.CANCELLED else ""
        for index, word in because.items():
            if not word.startswith(f"{EACH}:{up_id}.") or index in later or index not in each.indices:
                continue
            up = Upstream.parse(word)
            if up.lease not in ups:
                ups[up.lease] = tries_of(fs, lease.beside(up.lease), up_id) or []
            if any(again.attempt > up.attempt and index in again.indices for again in ups[up.lease]):
                found[index] = up
        later |= each.indices
    return found


def _after(fs: Fs, lease: LeaseDir, task: Task, up: Upstream) -> Task:
    """The task, which comes after that array, if not after the one that this one repeats."""
    words = [
        up if each.kind == EACH and up.task in keys.redone(fs, lease.beside(each.lease), each.task) else each
        for each in map(Upstream.parse, task.after)
    ]
    return replace(task, after=tuple(map(str, words)))


def with_indices(task: Task, chosen: Indices) -> Task:
    """The array's task with those of its indices alone; what they are told of how many there are stays."""
    assert task.array is not None
    size = task.array.size or len(Indices.parse(task.array.indices))
    size = 0 if size == len(chosen) else size
    return replace(task, array=replace(task.array, indices=str(chosen), size=size, before={}))


def once_more(fs: Fs, lease: LeaseDir, last: Try, chosen: Indices) -> Task:
    """The array's task with those of its indices, all of them CANCELLED, and how the others have ended."""
    assert last.outcome is not None
    task = with_indices(last.task, chosen)
    assert task.array is not None
    before = dict(last.outcome.counts)
    before[State.CANCELLED.name] = before.get(State.CANCELLED.name, 0) - len(chosen)
    most = array_places.throttle(fs, lease.array(task.id, last.attempt))
    array = replace(task.array, before={name: many for name, many in before.items() if many > 0})
    return replace(task, array=array if most is None else replace(array, throttle=most))
