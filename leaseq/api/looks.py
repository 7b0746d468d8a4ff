"""What can be seen of leases and tasks, as values: nothing is changed, and nothing is printed."""

from __future__ import annotations

import logging
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from functools import partial

from leaseq.api import home
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.indices import Indices
from leaseq.lease.leases import holding
from leaseq.lease.lookup import EVERY_ENDED, How, Located
from leaseq.lease.view import LeaseView, look_at_all
from leaseq.lease.view import look as look_at
from leaseq.models import Outcome, State
from leaseq.reading.find import Detail, remembered_outcome
from leaseq.reading.last_error import error_of
from leaseq.reading.logtail import chunks
from leaseq.reading.output import log_of
from leaseq.reading.usage import Held, of_lease
from leaseq.reading.views import Snapshot, TaskView
from leaseq.reading.waiting import Advice, Awaited, pauses
from leaseq.values import nearest_hint
from leaseq.verbs.group import Groups, look
from leaseq.verbs.wait import Waited, look_after
from leaseq.verbs.why import Why


@dataclass(frozen=True)
class LeaseInfo:
    """A lease as it is now."""

    view: LeaseView
    """Its record, its state, its nodes and its jobs."""
    snapshot: Snapshot
    """The health of its nodes, and how many tasks it has."""
    held: tuple[Held, ...]
    """What each of its jobs has held, oldest first."""


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
    wanted = _states(states)
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


def index_rows(
    array_id: str, *, states: Iterable[State | str] = (), limit: int | None = None, lease: str = ""
) -> list[TaskView]:
    """The indices of that array, or those named of it (`T3k9_0-9`), a row each, in order: so many at most.

    Raises NotFound, and UsageError if it is no array.
    """
    each = _only(home.access().find([array_id], lease=lease, indices=How.TOGETHER).tasks, array_id)
    array = each.indexed
    found, wanted = array.by_state(each.indices or array.every), _states(states)
    chosen = Indices()
    for state, some in found.items():
        chosen |= some if not wanted or state in wanted else Indices()
    return list(array.rows(chosen if limit is None else chosen.slice(0, limit))) if chosen else []


def _states(words: Iterable[State | str]) -> set[State]:
    return {each if isinstance(each, State) else _state(each) for each in words}


def _state(word: str) -> State:
    try:
        return State.parse(word)
    except KeyError:
        known = [state.name.lower() for state in State]
        raise UsageError(f"{word!r} is not a state", hint=nearest_hint(word, known) or ", ".join(known)) from None


def _found(ids: Iterable[str], lease: str, *, acts: bool = False) -> tuple[Located, ...]:
    """What the ids name, all of them; raises NotFound if one names nothing."""
    found = home.access().find(list(ids), lease=lease, acts=acts, indices=How.EACH)
    if found.problems:
        raise found.problems[0]
    return found.tasks


def _one(task_id: str, lease: str, *, acts: bool = False) -> Located:
    return _only(_found([task_id], lease, acts=acts), task_id)


def _only(found: tuple[Located, ...], word: str) -> Located:
    if len(found) != 1:
        raise UsageError(f"{word} are {len(found)} tasks, and one is meant")
    return found[0]


def task(task_id: str, *, lease: str = "") -> TaskView:
    """That task, or index, as it is now; raises NotFound."""
    return _one(task_id, lease).row


def details(task_id: str, *, lease: str = "") -> Detail:
    """Everything that is known of that task, or index: what was submitted, its attempts; raises NotFound."""
    return _one(task_id, lease).detail


def outcome(task_id: str, *, lease: str = "") -> Outcome | None:
    """How that task, or index, has ended; None if it has not. Raises NotFound."""
    each = _one(task_id, lease)
    if each.row.cleaned:
        return remembered_outcome(each.row)
    return Awaited(each.reader, each.row.id, each.row.attempt).look(home.access().clock.monotonic())[1]


def _with_output(task_id: str, stream: str, lease: str, *, acts: bool = False) -> Located:
    """The task, which has an output of its own; raises NotFound, and UsageError."""
    if stream not in ("out", "err"):
        raise UsageError(f"{stream!r} is no stream", hint="out, or err")
    each = _one(task_id, lease, acts=acts)
    if each.row.array is not None:
        raise UsageError(f"{each.row.id} is an array: each index has its own output", hint=f"{each.row.id}_0")
    return each


def log(
    task_id: str, stream: str = "out", *, attempt: int | None = None, last_bytes: int | None = None, lease: str = ""
) -> str:
    """What that task, or index, has written to its standard output, or error (`err`): its newest attempt, or that one.

    last_bytes: no more than so much of its end. Empty if it has written nothing. Raises NotFound.
    """
    each = _with_output(task_id, stream, lease)
    output = log_of(each.reader, each.row.id, attempt or _newest_begun(each), stream)
    try:
        data = b"".join(chunks(output, 0)) if last_bytes is None else output.read(-last_bytes, last_bytes)[0]
    except FileNotFoundError:
        return ""
    return data.decode("utf-8", "replace")


def last_error(task_id: str, *, lease: str = "") -> str:
    """The last line of its output that says what went wrong; empty if none does. Raises NotFound."""
    each = _with_output(task_id, "err", lease)
    return error_of(each.reader, each.row.id, _newest_begun(each))


def _newest_begun(each: Located) -> int:
    """Its newest attempt, but for one that waits while another has been."""
    return each.row.attempt - (each.row.state is State.PENDING and each.row.attempt > 1)


def follow(task_id: str, stream: str = "out", *, lease: str = "") -> Iterator[str]:
    """What that task, or index, writes there, from its beginning, as it comes; all attempts, until it has ended.

    Raises NotFound, and UsageError. If nobody will run it the logger `leaseq` warns.
    """
    each = _with_output(task_id, stream, lease, acts=True)
    access, attempt = home.access(), each.row.attempt
    awaited = Awaited(each.reader, each.row.id, attempt)
    advice = Advice(each.reader, upkeep=partial(look_after, access), last_look=access.clock.monotonic())
    decoder, offset, pause = getincrementaldecoder("utf-8")("replace"), 0, pauses(access.fs)
    while not each.row.cleaned:
        # The outcome first: what was written before it is all there when it is read afterwards.
        newest, outcome = awaited.look(access.clock.monotonic())
        before = offset
        try:
            for data in chunks(log_of(each.reader, each.row.id, attempt, stream), offset):
                offset += len(data)
                yield decoder.decode(data)
        except FileNotFoundError:
            pass  # it has not started, or its output was removed
        if newest != attempt:
            attempt, offset = attempt + 1, 0
            continue
        if outcome is not None:
            break
        if offset > before:
            pause = pauses(access.fs)
        elif text := advice.look(each.row.id, access.clock.monotonic()):
            logging.getLogger("leaseq").warning("%s", text)
        access.pause(next(pause))
    yield decoder.decode(b"", final=True)


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


def lease_info(lease: str = "") -> LeaseInfo:
    """That lease with its state, its nodes and counts, and what it has held; raises NotFound."""
    access = home.access()
    directory = access.lease(lease)
    held = holding(access.fs, access.home, access.record(directory))
    (view,) = look_at(access.fs, access.home, [held], clock=access.clock).views
    counts = access.reader_of(directory).read(recent=0, pending=0)
    story = of_lease(access.fs, directory, held.allocs, now=access.clock.now())
    return LeaseInfo(view, counts, tuple(story))


def groups(lease: str = "") -> Groups:
    """The groups of the lease, with what is paused and how many of each may run."""
    return look(home.access().reader(lease))
