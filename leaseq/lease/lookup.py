"""Tasks by what a person types, in whichever lease has them: the one that is meant first, then all others.

`last` and letters that several tasks begin with stay within the lease that is meant if it has any. A whole id
is unique, so the first lease that has it ends the search: leases that live are looked at before those that have
ended, newest first. Only what is found nowhere is looked for in the histories, which remember what was cleaned up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from leaseq.dataclass import dataclass, replace
from leaseq.errors import LeaseqError, NotFound, UsageError
from leaseq.indices import Indices
from leaseq.layout import Home, LeaseDir
from leaseq.lease import leases
from leaseq.lease.view import reader_of
from leaseq.models import State
from leaseq.names import TASK_ID
from leaseq.reading.find import (
    Detail,
    Search,
    detail,
    is_last,
    only,
    refuse_indices,
    remembered,
    remembered_outcome,
    way_to,
)
from leaseq.reading.selectors import Query, Selector, query_of, selectors_of, united
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.world import Clock, Fs

if TYPE_CHECKING:
    from leaseq.reading.indexed import Indexed

INDICES_MAX = 10_000


class How(Enum):
    """What a command does with indices that are named to it."""

    REFUSED = "refused"
    """It is of whole tasks."""
    EACH = "each"
    """Each is a task of its own."""
    TOGETHER = "together"
    """Those of an array are one thing."""


@dataclass(frozen=True)
class Of:
    """Which tasks a command is about, of those that a group, a name or a state stands for."""

    words: str
    """What they are, behind `no task`."""
    fits: Callable[[TaskView], bool]
    live: bool = False
    """True if none of them has ended: then no history is read."""


EVERY_ENDED = 10**9
EVERY = Of("is", lambda row: True)
UNENDED = Of("is pending or running", lambda row: not row.state.ended, live=True)
PENDING = Of("is pending", lambda row: row.state is State.PENDING, live=True)
FREE = Of("is pending and not held", lambda row: row.state is State.PENDING and row.reason != "Held", live=True)
HELD = Of("is held", lambda row: row.reason == "Held", live=True)
RUNNING = Of("runs", lambda row: not row.state.ended and row.state is not State.PENDING, live=True)
ENDED = Of("has ended", lambda row: row.state.ended)
FAILED = Of("has failed", lambda row: row.state in (State.FAILED, State.TIMEOUT))
BAD = Of("has ended badly", lambda row: row.state.ended and row.state is not State.DONE)
BEGUN = Of("has begun", lambda row: row.state is not State.PENDING or row.attempt > 1)


@dataclass(frozen=True)
class Located:
    """A task and the lease that has it."""

    reader: Reader
    row: TaskView
    indices: Indices | None = None
    """Those indices of it that are meant; None: all of it."""

    @property
    def indexed(self) -> Indexed:
        """The array index by index; raises UsageError where the task has none."""
        return Search(self.reader).indexed(self.row.id)

    @property
    def detail(self) -> Detail:
        """Everything known of it; raises NotFound."""
        if self.row.cleaned:
            return Detail(self.row, None, (remembered_outcome(self.row),))
        return detail(self.reader, self.row.id)


@dataclass(frozen=True)
class Found:
    """The tasks that some words name, each once and in their order, and the words that name none."""

    tasks: tuple[Located, ...]
    unknown: tuple[str, ...] = ()
    problems: tuple[NotFound, ...] = ()
    """One for each unknown word."""

    @property
    def lease(self) -> str:
        """The lease of the first task."""
        return self.tasks[0].reader.lease.id


class Lookup:
    """A search for tasks: in the first lease, and unless it is restricted to that one in all others."""

    def __init__(self, fs: Fs, home: Home, clock: Clock, *, first: LeaseDir, restricted: bool) -> None:
        self.fs, self.home, self.clock, self.restricted = fs, home, clock, restricted
        self.first = reader_of(fs, first, clock)
        self._searches: dict[str, Search] = {}
        self._others: list[Reader] | None = None

    def find(self, selectors: Sequence[str], *, indices: How = How.REFUSED, of: Of = EVERY) -> Found:
        """What the selectors name; raises UsageError where one is ambiguous, NotFound where none names a task.

        of: which of the tasks that a group, a name or a state stands for are meant.
        """
        found: dict[str, Located] = {}
        unknown: list[str] = []
        problems: list[NotFound] = []
        for selector in selectors_of(selectors):
            word = selector.task
            if query := query_of(word):
                asked = self._asked(query, of)
                if not asked:
                    unknown.append(word)
                    problems.append(_none_asked(query, of, self.first))
                for each in asked:
                    found[each.row.id] = each
                continue
            try:
                located = self._one(word)
                for each in _indexed(located, selector, indices):
                    known = found.setdefault(each.row.id, each)
                    found[each.row.id] = replace(known, indices=united(known.indices, each.indices))
            except NotFound as error:
                unknown.append(word)
                problems.append(error)
        if problems and not found:
            raise problems[0] if len(problems) == 1 else _none_of(problems)
        return Found(tuple(found.values()), tuple(unknown), tuple(problems))

    def _asked(self, query: Query, of: Of) -> list[Located]:
        """The tasks of the meant lease that the query stands for."""
        found = []
        for row in self.first.rows_of(query, recent=0 if of.live else EVERY_ENDED):
            if not of.fits(row):
                continue
            if not row.state.ended or row.place is not None:
                found.append(Located(self.first, row))
            else:
                known = self._in(self.first, row.id)
                found += known or [Located(self.first, replace(row, cleaned=True))]
        return found

    def _one(self, word: str) -> Located:
        """The task that the word names; raises NotFound and UsageError."""
        here = self._in(self.first, word)
        if is_last(word) or self.restricted or any(not _has_left(each) for each in here):
            return _single(word, here) if here else self._remembered(word)
        elsewhere: list[Located] = []
        for reader in self.others:
            elsewhere += self._in(reader, word)
            if TASK_ID.fullmatch(word) and any(not _has_left(each) for each in elsewhere):
                break
        settled = [each for each in elsewhere if not _has_left(each)]
        if settled or here or elsewhere:
            return _single(word, settled or here or elsewhere)
        return self._remembered(word)

    def _in(self, reader: Reader, word: str) -> list[Located]:
        lease = reader.lease.id
        if lease not in self._searches:
            self._searches[lease] = Search(reader)
        found = []
        for task_id in sorted(self._searches[lease].ids(word)):
            try:
                found.append(Located(reader, self._searches[lease].view(task_id)))
            except NotFound:
                continue  # cleaned up, and its cancelling never booked
        return found

    def _remembered(self, word: str) -> Located:
        """The task as its line of history tells it; raises NotFound that says where it was looked for."""
        for reader in self._all():
            if known := [Located(reader, row) for row in remembered(reader, word)]:
                return _single(word, known)
        others = 0 if self.restricted else len(self.others)
        where = f"lease {self.first.lease.id}" + (f" or the {others} other{'s' * (others > 1)}" if others else "")
        raise NotFound(f"no task {word!r} in {where}", hint=way_to(word))

    def _all(self) -> Iterator[Reader]:
        yield self.first
        if not self.restricted:
            yield from self.others

    @property
    def others(self) -> list[Reader]:
        """The home's other leases: those that live first, then the ended, newest first."""
        if self._others is None:
            known = leases.list_leases(self.fs, self.home)
            known.sort(key=lambda lease: lease.ended is not None)
            ids = [lease.id for lease in known if lease.id != self.first.lease.id]
            self._others = [reader_of(self.fs, self.home.lease(lease_id), self.clock) for lease_id in ids]
        return self._others


def _none_asked(query: Query, of: Of, reader: Reader) -> NotFound:
    what = {"group": f"of group {query.value}", "name": f"named {query.value}", "state": f"that is {query.value}"}
    said = "" if of is EVERY else f" {of.words}"
    kind = query.kind
    return NotFound(f"no task {what[kind]}{said} in lease {reader.lease.id}", hint="`leaseq tasks` lists them all")


def _indexed(located: Located, selector: Selector, how: How) -> list[Located]:
    """The task, or its indices that the selector names; raises UsageError and NotFound."""
    wanted = selector.indices
    if wanted is None:
        return [located]
    if located.row.array is None or how is How.REFUSED:
        refuse_indices(selector, located.row)
    if how is How.TOGETHER:
        return [replace(located, indices=wanted)]
    if len(wanted) > INDICES_MAX:
        too_many = f"{selector}: more than {INDICES_MAX:,} indices one by one"
        raise UsageError(too_many, hint=f"`leaseq tasks {selector.task}` counts them")
    array = located.indexed
    array.refuse_strange(wanted)
    rows = [array.row(wanted.first)] if len(wanted) == 1 else array.rows(wanted)
    return [Located(located.reader, row) for row in rows]


def _has_left(each: Located) -> bool:
    """True if an attempt follows that this lease does not have: it may be on its way, or in another lease."""
    return each.row.state is State.PENDING and each.row.place is None


def _single(word: str, found: Sequence[Located]) -> Located:
    wanted = only(word, {each.row.id for each in found})
    return next(each for each in found if each.row.id == wanted)


def _none_of(problems: Sequence[LeaseqError]) -> NotFound:
    return NotFound("; ".join(dict.fromkeys(each.message for each in problems[:6])), hint=problems[0].hint)
