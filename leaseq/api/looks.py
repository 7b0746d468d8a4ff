"""What can be seen of leases and tasks, as values: nothing is changed, and nothing is printed."""

from __future__ import annotations

from collections.abc import Iterable

from leaseq.api import home
from leaseq.errors import UsageError
from leaseq.lease.lookup import EVERY_ENDED, How, Located
from leaseq.lease.view import LeaseView, look_at_all
from leaseq.models import Outcome, State
from leaseq.reading.find import remembered_outcome
from leaseq.reading.logtail import chunks
from leaseq.reading.output import log_of
from leaseq.reading.views import Snapshot, TaskView
from leaseq.reading.waiting import Awaited
from leaseq.values import nearest_hint
from leaseq.verbs.group import Groups, look
from leaseq.verbs.wait import Waited
from leaseq.verbs.why import Why


def tasks(
    *ids: str,
    lease: str = "",
    states: Iterable[State | str] = (),
    group: str = "",
    name: str = "",
    limit: int | None = None,
) -> list[TaskView]:
    """Those tasks, or all of the lease: what runs, then what is pending in its order, then what ended, newest first.

    ids: as on the command line; `T3k9_0-9` are indices of an array, a row each. limit: so many of the newest that have
    ended are read, and of the first that are pending. Raises NotFound, and UsageError.
    """
    wanted = {each if isinstance(each, State) else _state(each) for each in states}
    if ids:
        rows = [each.row for each in _found(ids, lease)]
    else:
        recent = EVERY_ENDED if limit is None else limit
        rows = list(home.access().reader(lease).read(recent=recent, pending=limit).tasks)
    return [
        row
        for row in rows
        if (not wanted or row.state in wanted) and group in ("", row.group) and name in ("", row.name)
    ]


def _state(word: str) -> State:
    try:
        return State.parse(word)
    except KeyError:
        known = [state.name.lower() for state in State]
        raise UsageError(f"{word!r} is not a state", hint=nearest_hint(word, known) or ", ".join(known)) from None


def _found(ids: Iterable[str], lease: str) -> tuple[Located, ...]:
    """What the ids name, all of them; raises NotFound if one names nothing."""
    found = home.access().find(list(ids), lease=lease, indices=How.EACH)
    if found.problems:
        raise found.problems[0]
    return found.tasks


def _one(task_id: str, lease: str) -> Located:
    found = _found([task_id], lease)
    if len(found) != 1:
        raise UsageError(f"{task_id} are {len(found)} tasks, and one is meant")
    return found[0]


def task(task_id: str, *, lease: str = "") -> TaskView:
    """That task, or index, as it is now; raises NotFound."""
    return _one(task_id, lease).row


def outcome(task_id: str, *, lease: str = "") -> Outcome | None:
    """How that task, or index, has ended; None if it has not. Raises NotFound."""
    each = _one(task_id, lease)
    if each.row.cleaned:
        return remembered_outcome(each.row)
    return Awaited(each.reader, each.row.id, each.row.attempt).look(home.access().clock.monotonic())[1]


def log(task_id: str, stream: str = "out", *, attempt: int | None = None, lease: str = "") -> str:
    """What that task, or index, has written to its standard output, or error (`err`): its newest attempt, or that one.

    Empty if it has written nothing. Raises NotFound.
    """
    if stream not in ("out", "err"):
        raise UsageError(f"{stream!r} is no stream", hint="out, or err")
    each = _one(task_id, lease)
    if each.row.array is not None:
        raise UsageError(f"{each.row.id} is an array: each index has its own output", hint=f"{each.row.id}_0")
    newest = each.row.attempt - (each.row.state is State.PENDING and each.row.attempt > 1)
    try:
        data = b"".join(chunks(log_of(each.reader, each.row.id, attempt or newest, stream), 0))
    except FileNotFoundError:
        return ""
    return data.decode("utf-8", "replace")


def wait(*ids: str, any: bool = False, timeout: float | None = None, lease: str = "") -> Waited:
    """All of the tasks have ended, or with `any` one of them, or so many seconds are over; see `late`, and `ended`."""
    from leaseq.verbs.wait import wait as until

    found = home.access().find(list(ids), lease=lease, acts=True, indices=How.EACH)
    if found.problems:
        raise found.problems[0]
    return until(home.access(), found, any=any, seconds=timeout)


def why(task_id: str, *, lease: str = "") -> Why:
    """What that task waits for, what would have to end, and when, as far as that is known; raises NotFound."""
    from leaseq.verbs.why import why as reason

    return reason(_one(task_id, lease))


def snapshot(lease: str = "", *, recent: int = 100, pending: int | None = 100) -> Snapshot:
    """The lease at this moment: its nodes, counts, and so many of its newest ended and first pending tasks."""
    return home.access().reader(lease).read(recent=recent, pending=pending)


def leases() -> tuple[LeaseView, ...]:
    """Every lease of the home, newest first, with its state; Slurm is asked at most as often as the settings say."""
    access = home.access()
    return look_at_all(access.fs, access.home, clock=access.clock).views


def groups(lease: str = "") -> Groups:
    """The groups of the lease, with what is paused and how many of each may run."""
    return look(home.access().reader(lease))
