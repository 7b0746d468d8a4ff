"""Tasks end, or get a signal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from leaseq.dataclass import dataclass, replace
from leaseq.errors import NotFound, UsageError
from leaseq.lease.lookup import Found, Located
from leaseq.models import Outcome, State
from leaseq.names import CLI, Entry, parse_id
from leaseq.protocol import concluding, requests
from leaseq.protocol.tasks import Claim, read_outcome
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.verbs.access import Access
from leaseq.verbs.moving import act_on

if TYPE_CHECKING:
    from leaseq.verbs.arrays import Ending


@dataclass(frozen=True)
class Cancelled:
    """What became of a task that was to be cancelled."""

    row: TaskView
    """The task as it was seen then."""
    outcome: Outcome | None
    """How it stands, durably; None if its node's runner has been asked to end it."""
    indices: Ending | None = None
    """Of an array, how many of its indices are to end."""


def unended(reader: Reader, *, running: bool) -> Found:
    """The lease's pending tasks, and with `running` those that run too; raises NotFound."""
    rows = reader.read(recent=0, pending=None).tasks
    found = [row for row in rows if not row.state.ended and (running or row.state is State.PENDING)]
    if not found:
        raise NotFound(f"no task is pending{' or running' if running else ''} in lease {reader.lease.id}")
    return Found(tuple(Located(reader, row) for row in found))


def cancel(access: Access, each: Located) -> Cancelled:
    """The task is cancelled, or its runner has been asked to end it; raises UsageError, NotFound and Malformed."""
    return act_on(access, each, partial(_cancel, first=each.row))


def _cancel(access: Access, each: Located, *, first: TaskView) -> Cancelled | None:
    row, lease = each.row, each.reader.lease
    in_hand = row.place is not None and row.place.directory == lease.claimed(CLI)
    if row.state is State.CANCELLED and not first.state.ended and not in_hand:
        # It waited for one that was cancelled just now.
        return Cancelled(first, read_outcome(access.fs, lease, row.id, row.attempt))
    if row.state.ended and not in_hand:
        raise UsageError(f"{row.id} has ended already: {row.state.name}")
    if row.place is None:
        return None
    if row.array is not None:
        from leaseq.verbs import arrays

        ending = arrays.cancel(access, each, "cancelled")
        return Cancelled(row, ending.outcome, ending)
    entry = Entry.parse(row.place.name)
    now = access.clock.now()
    if in_hand:
        # Another command has claimed it, and may have died since.
        done = concluding.finish_cancelled(access.fs, lease, Claim(entry, CLI), ended=now, reason="cancelled")
        return Cancelled(row, done)
    if row.state is State.PENDING:
        if entry.owner:
            return None
        reason = "cancelled while pending"
        outcome = concluding.cancel_pending(access.fs, lease, row.place.directory, entry, ended=now, reason=reason)
        return None if outcome is None else Cancelled(row, outcome)
    requests.ask(access.fs, lease, row.node, f"cancel.{entry.key}", {"reason": "leaseq cancel"})
    return Cancelled(row, None)


def cancel_waiting(access: Access, each: Located) -> bool:
    """What of the task has not started never does, durably; False if there was nothing of that kind.

    What runs goes on: a task that starts at this moment is not cancelled.
    """
    return act_on(access, each, _cancel_waiting)


def _cancel_waiting(access: Access, each: Located) -> bool | None:
    row, lease = each.row, each.reader.lease
    if row.state.ended:
        return False
    if row.array is not None:
        from leaseq.verbs import arrays

        waiting = each.indexed.by_state(each.indices).get(State.PENDING)
        if waiting is None:
            return False
        arrays.cancel(access, replace(each, indices=waiting), "cancelled")
        return True
    if row.state is not State.PENDING:
        return False
    if row.place is None or Entry.parse(row.place.name).owner:
        return None
    reason = "cancelled while pending"
    entry, now = Entry.parse(row.place.name), access.clock.now()
    done = concluding.cancel_pending(access.fs, lease, row.place.directory, entry, ended=now, reason=reason)
    return None if done is None else True


def send_signal(access: Access, each: Located, number: int, *, leader: bool) -> TaskView:
    """The task's runner has been asked to send its processes that signal, or with `leader` its own process alone.

    Gives the task as it was seen then; raises UsageError.
    """
    row, lease = each.row, each.reader.lease
    index = parse_id(row.id)[1]
    if row.state.ended or row.state is State.PENDING or (row.place is None and index is None):
        raise UsageError(f"{row.id} is {row.state.name}: only a running task takes a signal")
    key = f"{row.id}.{row.attempt}"
    body: dict[str, object] = {"signal": number, "to": "leader" if leader else "all"}
    requests.ask(access.fs, lease, row.node, f"signal.{key}", body)
    return row
