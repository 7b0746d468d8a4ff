"""From what a person types to tasks: exact ids, unique prefixes, `last`, `last-N`, comma lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from leaseq.errors import Malformed, NotFound, UsageError
from leaseq.layout import TASK_ID, Entry, parse_outcome
from leaseq.merge import Merge, view_event
from leaseq.models import Outcome, State, Task
from leaseq.protocol import event_of, read_outcome
from leaseq.snapshot import Reader
from leaseq.views import Listing, Place, TaskView

CANDIDATES_SHOWN = 6
LAST_LOOKS_BACK = 1000
"""How many of the newest ended tasks `last` considers, all nodes of the lease together."""


@dataclass(frozen=True)
class Detail:
    """Everything the lease directory knows of one task."""

    view: TaskView
    task: Task | None
    """What was submitted, without its environment; None where no file of it can be read."""
    outcomes: tuple[Outcome, ...]
    """One for each attempt that has ended, oldest first."""


def find(reader: Reader, selector: str) -> tuple[TaskView, ...]:
    """The tasks that the selector names, in its order, each once; raises NotFound and UsageError."""
    return find_all(reader, [selector])


def find_all(reader: Reader, selectors: Sequence[str]) -> tuple[TaskView, ...]:
    """The tasks that the selectors name, with one listing for all of them."""
    search = _Search(reader)
    words = [word for selector in selectors for word in selector.split(",") if word]
    if not words:
        raise UsageError("which task?", hint="give an id (or its first letters), or `last`")
    found: dict[str, TaskView] = {}
    for word in words:
        task_id = search.resolve(word)
        if task_id not in found:
            found[task_id] = search.view(task_id)
    return tuple(found.values())


def detail(reader: Reader, task_id: str) -> Detail:
    """Everything of that task; raises NotFound."""
    search = _Search(reader)
    view = search.view(task_id)
    outcomes = tuple(search.outcomes(task_id))
    task: Task | None = outcomes[-1].task if outcomes else None
    if view.place:
        spec = reader.spec(task_id, f"{view.place.directory}/{view.place.name}")
        task = spec if isinstance(spec, Task) else task
    return Detail(view, task, outcomes)


class _Search:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.lease = reader.lease
        self.listing = reader.listing()
        self._order: list[str] | None = None

    def resolve(self, word: str) -> str:
        """The id of the one task that the word names."""
        if match := re.fullmatch(r"last(?:-(\d{1,6}))?", word.lower()):
            return self._last(int(match[1] or 0))
        found: set[str] = set()
        for wanted in _prefixes(word):
            if TASK_ID.fullmatch(wanted):
                return wanted
            found = found or self._beginning_with(wanted)
        if not found:
            raise NotFound(
                f"no task {word!r} in lease {self.lease.id}",
                hint="`leaseq tasks --all` lists them; another lease is named with --lease",
            )
        if len(found) > 1:
            shown = sorted(found)[:CANDIDATES_SHOWN]
            more = f" and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
            raise UsageError(
                f"{word!r} stands for {len(found)} tasks: {', '.join(shown)}{more}", hint="type more letters of the id"
            )
        return found.pop()

    def _beginning_with(self, prefix: str) -> set[str]:
        found = {task_id for task_id in self._live() if task_id.startswith(prefix)}
        if len(prefix) > 1:
            found.update(task_id for task_id in self._ended_ids(prefix) if task_id.startswith(prefix))
        return found

    def _live(self) -> Iterable[str]:
        for name in self.listing.pending:
            yield name[26:38]
        for _, entry in self.listing.claims:
            yield entry.id
        for entry in self.listing.lost:
            yield entry.id
        for task_id, _ in self.listing.booked:
            yield task_id

    def _ended_ids(self, prefix: str) -> Iterable[str]:
        for name in self.reader.names(self.lease.done(prefix)):
            try:
                yield parse_outcome(name)[0]
            except Malformed:
                continue

    def _last(self, back: int) -> str:
        if self._order is None:
            times = {name[26:38]: int(name[3:25]) for name in self.listing.pending}
            times.update((entry.id, int(entry.order[3:])) for _, entry in self.listing.claims)
            times.update((entry.id, int(entry.order[3:])) for entry in self.listing.lost)
            share = LAST_LOOKS_BACK // max(1, len(self.listing.nodes))
            snapshot = self.reader.read(recent=max(share, 2 * back), pending=0)
            for row in snapshot.tasks:
                times.setdefault(row.id, int((row.submitted or 0.0) * 1e6) * 10**6)
            self._order = sorted(times, key=lambda task_id: times[task_id], reverse=True)
        if back >= len(self._order):
            count = len(self._order)
            raise NotFound(
                f"no task yet in lease {self.lease.id}" if not count else f"only the last {count} tasks are remembered",
                hint="`leaseq submit -- COMMAND` makes one",
            )
        return self._order[back]

    def outcomes(self, task_id: str) -> Iterable[Outcome]:
        """Every decided attempt of the task, oldest first."""
        for attempt in range(1, 1_000_000):
            try:
                outcome = read_outcome(self.reader.fs, self.lease, task_id, attempt)
            except Malformed:
                continue
            if outcome is None:
                return
            yield outcome

    def view(self, task_id: str) -> TaskView:
        """The task's newest attempt; raises NotFound."""
        outcome = None
        for outcome in self.outcomes(task_id):  # noqa: B007
            pass
        decided = outcome.attempt if outcome else 0
        listing = Listing(
            pending={name: at for name, at in self.listing.pending.items() if name[26:38] == task_id},
            claims=[(owner, entry) for owner, entry in self.listing.claims if entry.id == task_id],
            lost=[entry for entry in self.listing.lost if entry.id == task_id],
        )
        listing.nodes = self.listing.nodes if listing.pending else {owner for owner, _ in listing.claims} - {"_cli"}
        merge = Merge(self.lease, self.reader.spec, listing, self.reader.nodes(listing), {})
        live = [(entry.attempt, merge.view_claim(owner, entry)) for owner, entry in merge.claims.values()]
        live += [(row.attempt, row) for row in merge.pending(None)]
        attempt, row = max(live, key=lambda pair: pair[0], default=(0, None))
        if row is not None and attempt > decided:
            return row
        if outcome is None:
            if listing.lost:
                return merge.view_lost(listing.lost[0])
            raise NotFound(f"no task {task_id} in lease {self.lease.id}", hint="`leaseq tasks --all` lists them")
        lost = next((entry for entry in listing.lost if entry.attempt == decided), None)
        return _of_outcome(outcome, lost, row, reader=self.reader)


def _prefixes(word: str) -> list[str]:
    """What an id may begin with that was typed so: in any case, and perhaps without its T. Raises NotFound."""
    lowered = word.lower()
    if not re.fullmatch(r"[0-9a-z]{1,12}", lowered):
        raise NotFound(f"{word!r} is not a task id", hint="`leaseq tasks` lists the ids; `last` is the newest task")
    with_t = ["T" + lowered[1:]] if lowered[0] == "t" else []
    return with_t + (["T" + lowered] if len(lowered) < 12 else [])


def _of_outcome(outcome: Outcome, lost: Entry | None, row: TaskView | None, *, reader: Reader) -> TaskView:
    ended = view_event(event_of(outcome), lost, reader.lease)
    ended = replace(ended, command=ended.command, need=outcome.task.need, pid=outcome.pid)
    if not outcome.requeued:
        return ended
    place: Place | None = row.place if row else None
    return replace(ended, state=State.PENDING, reason="Requeue", attempt=outcome.attempt + 1, place=place)
