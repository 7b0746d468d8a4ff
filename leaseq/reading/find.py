"""From what a person types to tasks: exact ids, unique prefixes, `last`, `last-N`, comma lists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed, NotFound, UsageError
from leaseq.forms import Form
from leaseq.models import Array, Event, Outcome, State, Task
from leaseq.names import TASK_ID, Entry, of_submission, parse_id, parse_key, submission_of
from leaseq.protocol.groups import Limits, limits_seen
from leaseq.protocol.history import event_of
from leaseq.protocol.keys import redone, was_retried
from leaseq.protocol.tasks import read_outcome, read_task
from leaseq.reading import history
from leaseq.reading.merge import Merge, view_event
from leaseq.reading.selectors import Selector, selectors_of
from leaseq.reading.sightings import Rank, names_in
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import Place, TaskView
from leaseq.words import count

if TYPE_CHECKING:
    from leaseq.protocol.index_logs import Part
    from leaseq.reading.indexed import Indexed

CANDIDATES_SHOWN = 6
_LAST = Form(r"last(?:-(\d{1,6}))?")
LAST_LOOKS_BACK = 1000
"""How many of the newest ended tasks `last` considers, all nodes of the lease together."""
LOOKS_AGAIN = 2
"""How often a task is looked at once more whose files went on meanwhile: from pending to ended are two moves."""


@dataclass(frozen=True)
class Detail:
    """Everything the lease directory knows of one task."""

    view: TaskView
    task: Task | None
    """What was submitted, whole; None if no file of it can be read."""
    outcomes: tuple[Outcome, ...]
    """One for each attempt that has ended, oldest first."""
    redone_as: tuple[str, ...] = ()
    """The tasks that repeat it, oldest first."""
    kept_logs: str = ""
    """Of an index of an array, which logs that keeps: see `protocol.index_logs`."""
    packed: Mapping[tuple[int, str], Part] = field(default_factory=dict)
    """Where those of its logs are that are in a pack, by attempt and stream."""

    @property
    def went_on(self) -> bool:
        """True if the attempt that the row calls not over has an outcome, which came after its look."""
        return not self.view.state.ended and self.view.attempt in [each.attempt for each in self.outcomes]


def find(reader: Reader, selector: str) -> tuple[TaskView, ...]:
    """The tasks that the selector names, in its order, each once; raises NotFound and UsageError."""
    return find_all(reader, [selector])


def find_all(reader: Reader, selectors: Sequence[str]) -> tuple[TaskView, ...]:
    """The tasks that the selectors name, with one listing for all of them."""
    search = Search(reader)
    found: dict[str, TaskView] = {}
    for selector in selectors_of(selectors):
        word = selector.task
        ids = search.ids(word)
        if not ids:
            raise NotFound(f"no task {word!r} in lease {reader.lease.id}", hint=way_to(word))
        task_id = only(word, ids)
        found.setdefault(task_id, search.view(task_id))
        refuse_indices(selector, found[task_id])
    return tuple(found.values())


def refuse_indices(selector: Selector, row: TaskView) -> None:
    """Raises UsageError if the word names indices: the task has none, or they do not go alone."""
    if selector.indices is None:
        return
    if row.array is None:
        raise UsageError(f"{selector}: {row.id} is one task, without indices", hint=f"it is named by {row.id} alone")
    raise UsageError(f"{selector}: this goes for the whole array only", hint=f"it is named by {row.id} alone")


def way_to(word: str) -> str:
    """How the task may be found that no id stands for."""
    if TASK_ID.fullmatch(word):
        return "`leaseq tasks --all` lists the tasks of a lease, `leaseq lease ls --all` the leases"
    return f"tasks are named by their ids: `leaseq tasks --search {shlex.quote(word)}` finds them by name or command"


def only(word: str, ids: Collection[str]) -> str:
    """The one id that the word stands for; raises UsageError that names the candidates."""
    if len(ids) > 1:
        shown = sorted(ids)[:CANDIDATES_SHOWN]
        more = f" and {len(ids) - len(shown)} more" if len(ids) > len(shown) else ""
        raise UsageError(
            f"{word!r} is ambiguous: {len(ids)} tasks start with it: {', '.join(shown)}{more}",
            hint="type more letters of the id",
        )
    return next(iter(ids))


def detail(reader: Reader, task_id: str) -> Detail:
    """Everything of that task; raises NotFound."""
    found = _detail(reader, task_id)
    for _ in range(LOOKS_AGAIN):
        if found.task is not None and not found.went_on:
            break
        found = _detail(reader, task_id)
    return found


def _detail(reader: Reader, task_id: str) -> Detail:
    """The same, of one look."""
    search = Search(reader)
    whole, index = parse_id(task_id)
    if index is not None:
        array = search.indexed(whole)
        outcomes, packed = tuple(array.outcomes(index)), array.packed(index)
        return Detail(array.row(index), array.task(index), outcomes, kept_logs=array.kept_logs, packed=packed)
    view = search.view(task_id)
    outcomes = tuple(search.outcomes(task_id))
    task: Task | None = outcomes[-1].task if outcomes else None
    if view.place:
        with suppress(FileNotFoundError, Malformed, PermissionError):
            task = search.task_at(view.place) or task
    if task is not None and task.array is not None:
        task = throttled(reader, task, view.attempt)
        view = _limited(view, task.array)
    return Detail(view, task, outcomes, tuple(redone(reader.fs, reader.lease, task_id)))


def _limited(view: TaskView, array: Array | None) -> TaskView:
    """The array's row with its limits, which an outcome's line of history does not tell."""
    if view.array is None or array is None:
        return view
    return replace(view, array=replace(view.array, throttle=array.throttle, max_fails=array.max_fails))


def throttled(reader: Reader, task: Task, attempt: int) -> Task:
    """The array with as many at once as a command has said last."""
    from leaseq.protocol import array_places

    most = array_places.throttle(reader.fs, reader.lease.array(task.id, attempt))
    return task if most is None or task.array is None else replace(task, array=replace(task.array, throttle=most))


def submitted_as(reader: Reader, row: TaskView) -> Task | None:
    """The task of the row as it was submitted; None where nothing of it can be read."""
    with suppress(FileNotFoundError, Malformed, PermissionError):
        found = reader.spec(row.id, f"{row.place.directory}/{row.place.name}") if row.place else ""
        if found:
            return None if isinstance(found, str) else found
        # It has ended, or went on since it was listed, perhaps to its end.
        outcome = read_outcome(reader.fs, reader.lease, row.id, row.attempt)
        return outcome.task if outcome else None
    return None


def remembered(reader: Reader, word: str) -> tuple[TaskView, ...]:
    """What the histories tell of the tasks that the word stands for, whatever else is left of them.

    The histories are read whole, or as far back as a whole id's line: for what is found in no other way.
    """
    for wanted in prefixes(word):
        newest: dict[str, Event] = {}
        for tail in reader.histories.tails():
            for task_id, event in history.search(reader.fs, tail.path, wanted).items():
                if task_id not in newest or newest[task_id].attempt < event.attempt:
                    newest[task_id] = event
        if newest:
            return tuple(replace(view_event(event), cleaned=True) for event in newest.values())
    return ()


def remembered_outcome(row: TaskView) -> Outcome:
    """How that task ended, as far as its line of history tells. Of the task it holds the name and the command alone."""
    task = Task(row.id, (row.command,), "", row.submitted or 0.0, shell=True, name=row.name)
    return Outcome(
        task=task,
        attempt=row.attempt,
        state=row.state,
        node=row.node,
        exit_code=row.exit_code,
        reason=row.reason,
        started=row.started,
        ended=row.ended or 0.0,
        elapsed_seconds=row.elapsed_seconds,
        gpus=row.gpus,
    )


def is_last(word: str) -> bool:
    """True for `last` and `last-N`: one lease's tasks in their order."""
    return _LAST.fullmatch(word.lower()) is not None


class Search:
    """The tasks of one lease by what a person types. Its names are listed once."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.lease = reader.lease
        self.listing = reader.listing()
        self._order: list[str] | None = None
        self._known_limits: Limits | None = None

    def ids(self, word: str) -> set[str]:
        """The ids of the lease's tasks that the word stands for; raises NotFound if it can be no task's."""
        if match := _LAST.fullmatch(word.lower()):
            return {self._last(int(match[1] or 0))}
        for wanted in prefixes(word):
            found = self._whole(wanted) if TASK_ID.fullmatch(wanted) else self._beginning_with(wanted)
            if found:
                return found
        return set()

    def _whole(self, task_id: str) -> set[str]:
        known = task_id in self._live() or any(True for _ in self.outcomes(task_id))
        return {task_id} if known else set()

    def _beginning_with(self, prefix: str) -> set[str]:
        found = {task_id for task_id in self._live() if task_id.startswith(prefix)}
        if len(prefix) > 1:
            found.update(task_id for task_id, _ in self._ended(prefix) if task_id.startswith(prefix))
        return found

    def _live(self) -> Iterable[str]:
        return (each.id for each in (*self.listing.live(), *self.listing.booked))

    def _first(self, task_id: str) -> bool:
        """True if the task waits for its first attempt, or is in it."""
        seen = self.listing.of(task_id)
        attempts = [each.attempt for each in (*seen.edited, *seen.pending.values(), *seen.claims)]
        return attempts == [1]

    def _ended(self, prefix: str) -> Iterable[tuple[str, int]]:
        """(id, attempt) of every outcome in the directory of ids that begin so."""
        for name in names_in(self.reader.fs, self.lease.done(prefix)):
            try:
                yield parse_key(name)
            except Malformed:
                continue

    def _last(self, back: int) -> str:
        if self._order is None:
            times = {each.id: submission_of(each.name) for each in self.listing.live()}
            share = LAST_LOOKS_BACK // max(1, len(self.listing.nodes))
            snapshot = self.reader.read(recent=max(share, 2 * back), pending=0)
            for row in snapshot.tasks:
                times.setdefault(row.id, of_submission(row.submitted or 0.0))
            self._order = sorted(times, key=lambda task_id: times[task_id], reverse=True)
        if back >= len(self._order):
            known = len(self._order)
            if not known:
                raise NotFound(f"no task yet in lease {self.lease.id}", hint="`leaseq submit -- COMMAND` queues one")
            raise NotFound(
                f"the order of only the last {count(known, 'task')} of lease {self.lease.id} is known",
                hint="`leaseq tasks --all` lists their ids",
            )
        return self._order[back]

    def outcomes(self, task_id: str) -> Iterable[Outcome]:
        """Every attempt of the task that was decided in this lease, oldest first."""
        last: Outcome | None = None
        attempt = 1
        while attempt:
            try:
                outcome = read_outcome(self.reader.fs, self.lease, task_id, attempt)
            except Malformed:
                attempt += 1
                continue
            if outcome is not None:
                yield outcome
                last, attempt = outcome, attempt + 1
            elif self._first(task_id) or (last is not None and not self._followed(last)):
                return
            else:
                # A task that was moved has its other attempts in the leases where they were made.
                later = (known for each, known in self._ended(task_id) if each == task_id and known > attempt)
                attempt = min(later, default=0)

    def _followed(self, outcome: Outcome) -> bool:
        """True if another attempt follows, by itself or by `retry`."""
        if outcome.requeued or outcome.state is State.DONE:
            return bool(outcome.requeued)
        return was_retried(self.reader.fs, self.lease, outcome.task.id, outcome.last)

    def _limits(self) -> Limits:
        if self._known_limits is None:
            self._known_limits = limits_seen(self.reader.fs, self.lease)
        return self._known_limits

    def view(self, task_id: str) -> TaskView:
        """The task's newest attempt; raises NotFound."""
        outcome, event = None, None
        for outcome in self.outcomes(task_id):  # noqa: B007
            pass
        if outcome:
            event = event_of(outcome)
            if not event.requeued and self._followed(outcome):
                event = replace(event, requeued="retry")
        seen = self.listing.of(task_id)
        ended = {task_id: event} if event else {}
        merge = Merge(
            self.reader.spec,
            seen,
            self.reader.runners.nodes(seen),
            ended,
            queue=self.listing.pending,
            limits=self._limits(),
            arrays=self.reader.arrays,
        )
        rows = merge.claimed() + merge.pending(None) + merge.ended(1)
        if not rows:
            raise NotFound(f"no task {task_id} in lease {self.lease.id}", hint=way_to(task_id))
        if outcome and merge.newest[task_id].rank is Rank.ENDED:
            return replace(rows[0], need=outcome.task.need, pid=outcome.pid)
        return rows[0]

    def indexed(self, task_id: str) -> Indexed:
        """The array index by index; raises NotFound, and UsageError where the task has none."""
        from leaseq.reading.indexed import Indexed, Try

        whole = self.view(task_id)
        tries = [Try(each.attempt, each.task, each) for each in self.outcomes(task_id)]
        if whole.place and not whole.state.ended:
            task = self.task_at(whole.place)
            tries += [Try(whole.attempt, task)] if task else []
        if whole.array is None or not tries:
            raise UsageError(f"{task_id} is one task, without indices", hint=f"it is named by {task_id} alone")
        nodes = self.reader.runners.nodes(self.listing.of(task_id))
        return Indexed(self.reader.fs, self.lease, whole, tuple(tries), nodes)

    def task_at(self, place: Place) -> Task | None:
        """The task in that file; of an array wherever that has moved, None if it is over. Raises FileNotFoundError."""
        entry = Entry.parse(place.name)
        try:
            return read_task(self.reader.fs, f"{place.directory}/{place.name}", entry)
        except FileNotFoundError:
            if not entry.count:
                raise
            from leaseq.protocol.array_places import read_array

            return read_array(self.reader.fs, self.lease, entry)


def prefixes(word: str) -> list[str]:
    """What an id may begin with that was typed so: in any case, and perhaps without its T. Raises NotFound."""
    lowered = word.lower()
    if not re.fullmatch(r"[0-9a-z]{1,12}", lowered):
        raise NotFound(f"{word!r} is not a task id", hint=way_to(word))
    with_t = ["T" + lowered[1:]] if lowered[0] == "t" else []
    return with_t + (["T" + lowered] if len(lowered) < 12 else [])
