"""Until tasks have ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from leaseq.dataclass import dataclass
from leaseq.layout import LeaseDir
from leaseq.lease.lookup import Found
from leaseq.models import Outcome
from leaseq.protocol import dependents
from leaseq.reading.find import remembered_outcome
from leaseq.reading.waiting import Advice, Awaited, pauses
from leaseq.verbs.access import Access


@dataclass(frozen=True)
class Waited:
    """What a wait has seen."""

    ended: dict[str, Outcome]
    """How tasks ended, by id."""
    left: tuple[str, ...] = ()
    """The ids of those that had not ended, or had not been looked at, as the wait was over."""
    late: bool = False
    """True if the time was over first."""


def wait(
    access: Access,
    found: Found,
    *,
    any: bool = False,
    seconds: float | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> Waited:
    """All tasks have ended, or with `any` one of them, or the time is over.

    told: hears, now and then, why a task may be waited for in vain.
    """
    clock = access.clock
    tasks = {each.row.id: each for each in found.tasks}
    ended = {each.row.id: remembered_outcome(each.row) for each in found.tasks if each.row.cleaned}
    waited = {
        each.row.id: Awaited(each.reader, each.row.id, each.row.attempt) for each in found.tasks if not each.row.cleaned
    }
    deadline = None if seconds is None else clock.monotonic() + seconds
    readers = {each.reader for each in found.tasks}
    advices = {each: Advice(each, upkeep=partial(look_after, access), last_look=clock.monotonic()) for each in readers}
    pause = pauses(access.fs)
    while waited and not (any and ended):
        # If all are waited for, only the first needs to be looked at.
        looked_at = list(waited) if any else list(waited)[:1]
        for task_id in looked_at:
            _, outcome = waited[task_id].look(clock.monotonic())
            if outcome is not None:
                ended[task_id] = outcome
                del waited[task_id]
        if not waited or looked_at[0] in ended or (any and ended):
            pause = pauses(access.fs)
            continue
        now = clock.monotonic()
        if deadline is not None and now >= deadline:
            return Waited(ended, tuple(waited), late=True)
        if text := advices[tasks[looked_at[0]].reader].look(looked_at[0], now):
            told(text)
        left = next(pause)
        access.pause(left if deadline is None else max(0.0, min(left, deadline - now)))
    return Waited(ended, tuple(waited))


def look_after(access: Access, lease: LeaseDir) -> None:
    """What is known of the lease is done, and what its tasks wait for is looked at, if anything may be changed."""
    if access.readonly:
        return
    access.keep_up(lease)
    dependents.look(access.fs, lease, now=access.clock.now())
