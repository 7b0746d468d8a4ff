"""Where tasks are seen: one generator for each place, and the one rule of which sighting of a task counts.

Directories are listed in the order in which tasks move (waiting, held and inbox, claimed, lost, booking), so a task
that moves on is seen at least once; the first ones are listed again because a claim may move back, and the claims
because such a task may be claimed again meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple

from leaseq.dataclass import dataclass, field
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Event, State
from leaseq.names import (
    ARRAYS,
    CLI,
    EDIT,
    PENDING,
    Entry,
    attempt_of,
    beating,
    group_of,
    is_chunk,
    is_each,
    is_node,
    parse_key,
    task_of,
)
from leaseq.protocol import files
from leaseq.protocol.edges import BEGIN
from leaseq.protocol.tasks import readable_outcome
from leaseq.reading.waits import Wait, index_states
from leaseq.upstream import edges_in
from leaseq.world import Fs

names_in = files.names_in
"""For those who may read the shared directory, and nothing more."""


class Rank(IntEnum):
    """Of two sightings of one attempt, the later in an attempt's life counts."""

    EDITED = -1
    PENDING = 0
    CLAIMED = 1
    LOST = 2
    ENDED = 3


STATES = {Rank.EDITED: "PENDING", Rank.PENDING: "PENDING", Rank.CLAIMED: "RUNNING", Rank.LOST: "LOST"}
"""What a task that was seen there is called by one that waits for it."""


class Spot(NamedTuple):
    """A directory of task files, and whose it is."""

    directory: str
    node: str = ""
    held: bool = False
    """True if nobody takes them from there to run."""
    waits: bool = False
    """True if they wait for something that is to come."""


class Sighting(NamedTuple):
    """One attempt of a task, seen in one place."""

    id: str
    attempt: int
    rank: Rank
    name: str = ""
    """Of the task file; empty if what was seen is no task file."""
    at: Spot = Spot("")
    event: Event | None = None
    """What the history says of it, once it has ended."""

    @property
    def path(self) -> str:
        return f"{self.at.directory}/{self.name}"

    @property
    def entry(self) -> Entry:
        """What the name says; raises Malformed, Newer."""
        return _parsed_name(self.name)


def newest(sightings: Iterable[Sighting]) -> dict[str, Sighting]:
    """The sighting of each task that counts: highest attempt, then done > lost > claimed > pending, then the last."""
    seen = list(sightings)
    best = {each.id: each for each in seen}
    if len(best) == len(seen):
        return best  # of ten thousand pending tasks, none is seen twice as a rule
    best.clear()
    for each in seen:
        known = best.get(each.id)
        if known is None or (known.attempt, known.rank) <= (each.attempt, each.rank):
            best[each.id] = each
    return best


@dataclass
class Listing:
    """Every task file that is not finished history, by names alone."""

    pending: dict[str, Sighting] = field(default_factory=dict)
    """By file name."""
    edited: list[Sighting] = field(default_factory=list)
    """Tasks that a command is changing: pending, and soon seen as such."""
    claims: list[Sighting] = field(default_factory=list)
    """Of an array of which nothing is left to take, `at.node` is `_array`: its chunks are its nodes'."""
    chunks: list[Sighting] = field(default_factory=list)
    """Parts of arrays, in the hands of nodes, or pending again."""
    lost: list[Sighting] = field(default_factory=list)
    booked: list[Sighting] = field(default_factory=list)
    nodes: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    waits: dict[str, list[Wait]] = field(default_factory=dict)
    """What attempts wait for, by their keys."""

    def of(self, task_id: str) -> Listing:
        """What of it is that task's, and the nodes that say what becomes of it."""
        pending = {name: each for name, each in self.pending.items() if each.id == task_id}
        claims = [each for each in self.claims if each.id == task_id]
        chunks = [each for each in self.chunks if each.id == task_id]
        edited = [each for each in self.edited if each.id == task_id]
        owners = {each.at.node for each in claims} - {CLI, ARRAYS}
        return Listing(
            pending,
            edited=edited,
            claims=claims,
            chunks=chunks,
            lost=[each for each in self.lost if each.id == task_id],
            nodes=self.nodes if pending or chunks or edited else owners,
            waits=self.waits,
        )

    def of_group(self, group: str) -> Listing:
        """What of it is that group's."""

        def own(seen: list[Sighting]) -> list[Sighting]:
            return [each for each in seen if group_of(each.name) == group]

        return Listing(
            {name: each for name, each in self.pending.items() if group_of(name) == group},
            edited=own(self.edited),
            claims=own(self.claims),
            chunks=own(self.chunks),
            lost=own(self.lost),
            booked=self.booked,
            nodes=self.nodes,
        )

    def live(self) -> list[Sighting]:
        """Every task file, in the order of places."""
        return [*self.edited, *self.pending.values(), *self.claims, *self.lost]


@dataclass(frozen=True)
class Pending:
    """The pending tasks of one directory."""

    seen: dict[str, Sighting] = field(default_factory=dict)
    """By name."""
    given_back: frozenset[str] = frozenset()
    """The names of parts of arrays that are pending again."""
    each: bool = False
    """True if indices of an array there may wait for those of another."""

    def later(self, names: list[str], fresh: dict[str, Sighting]) -> Pending:
        """What is there now: of what was there those names, and what is fresh."""
        seen = {name: self.seen[name] for name in names if name in self.seen} | fresh
        each = any(map(is_each, fresh)) or (self.each and any(map(is_each, seen)))
        return Pending(seen, (self.given_back & seen.keys()).union(filter(is_chunk, fresh)), each)


NOTHING = Pending()
Memory = dict[str, Pending]
"""The pending tasks of an earlier look, by directory."""


def list_all(fs: Fs, lease: LeaseDir, memory: Memory | None = None) -> Listing:
    """Every task file that is pending, claimed, lost or waiting to be booked.

    memory: kept from look to look by who looks often, so that a name is parsed once.
    """
    look, found = _Look(fs, lease, memory={} if memory is None else memory), Listing()
    given_back: set[str] = set()
    some_wait = False
    for first in (True, False):
        for place in (waiting, held, inbox):
            for there in place(look):
                found.pending.update(there.seen)
                given_back |= there.given_back
                some_wait = some_wait or there.each or (place is not inbox and bool(there.seen))
        for each in claimed(look):
            if each.rank is Rank.EDITED:
                found.edited.append(each)
            else:
                (found.claims if each.entry.chunk is None else found.chunks).append(each)
        if first:
            found.claims.extend(closed(look))  # what is there leaves by its end alone
    found.lost.extend(lost(look))
    found.booked.extend(booking(look))
    found.nodes = look.nodes | set(beating(names_in(fs, lease.heartbeats)))
    found.nodes.discard(ANY)
    found.chunks += [found.pending.pop(name) for name in given_back]
    found.notes = look.notes
    if some_wait or any(is_each(each.name) for each in found.claims):
        found.waits = _waits(fs, lease, found)
    return found


def _waits(fs: Fs, lease: LeaseDir, listing: Listing) -> dict[str, list[Wait]]:
    """What the tasks that do not start wait for, by the keys of their attempts."""
    edges = edges_in(names_in(fs, lease.edges))
    if not edges:
        return {}
    ups = {edge.up.id for edge in edges}
    words = {each.id: STATES[each.rank] for each in listing.live() if each.id in ups}
    # While nodes have parts of an array, its own file may still stand in the inbox.
    words |= {each.id: STATES[each.rank] for each in listing.chunks if each.id in ups and each.rank is Rank.CLAIMED}
    words |= index_states(fs, lease, [edge.up for edge in edges if edge.up.lease == lease.id])
    for up in {edge.up for edge in edges if edge.up.id not in words and edge.up.lease == lease.id}:
        # Nothing is kept of an array in lost/.
        outcome = None if up.kind == BEGIN else readable_outcome(fs, lease, up.id, up.attempt)
        if outcome is not None and outcome.state is State.LOST:
            words[up.id] = State.LOST.name
    found: dict[str, list[Wait]] = {}
    for edge in edges:
        here = edge.up.lease == lease.id
        state = words.get(edge.up.id, "") if here else ""
        found.setdefault(edge.down, []).append(Wait(edge.up, state, elsewhere=not here))
    return {key: sorted(waits) for key, waits in found.items()}


@dataclass
class _Look:
    """One look at all places: what has been seen so far of each directory, and what was strange."""

    fs: Fs
    lease: LeaseDir
    nodes: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    seen: dict[str, set[str]] = field(default_factory=dict)
    memory: Memory = field(default_factory=dict)

    def new(self, directory: str) -> list[str]:
        """The names there that were not there at the last listing of this look."""
        names = names_in(self.fs, directory)
        known = self.seen.get(directory)
        self.seen[directory] = set(names)
        return [name for name in names if name not in known] if known else names

    def owners(self, parent: str, *, or_name: str) -> list[str]:
        """The nodes that have a directory there, and that one name that stands for none; others are noted, once."""
        names = [name for name in names_in(self.fs, parent) if name != ARRAYS]
        strange = [name for name in names if name not in (or_name, EDIT) and not is_node(name)]
        self.note(*(f"{parent.rpartition('/')[2]}/{name!r:.160} is no node's" for name in strange))
        known = [name for name in names if name not in strange]
        self.nodes.update(name for name in known if name not in (CLI, EDIT))
        return known

    def note(self, *texts: str) -> None:
        self.notes.extend(text for text in texts if text not in self.notes)


def waiting(look: _Look) -> Iterator[Pending]:
    """Pending tasks that wait for something that is to come."""
    return _pending(look, look.lease.waitings, held=True, waits=True)


def held(look: _Look) -> Iterator[Pending]:
    """Pending tasks that are kept from starting."""
    return _pending(look, look.lease.helds, held=True)


def inbox(look: _Look) -> Iterator[Pending]:
    """Pending tasks that may start."""
    return _pending(look, look.lease.inboxes, held=False)


def _pending(look: _Look, parent: str, *, held: bool, waits: bool = False) -> Iterator[Pending]:
    """What is in each node's directory there, at a second look what has come since the first."""
    for node in look.owners(parent, or_name=ANY):
        spot = Spot(f"{parent}/{node}", node, held, waits)
        known, again = look.memory.get(spot.directory, NOTHING), spot.directory in look.seen
        names = look.new(spot.directory)
        unknown = [name for name in names if name not in known.seen]
        well = list(filter(PENDING.fullmatch, unknown))
        made = map(Sighting, map(task_of, well), map(attempt_of, well), repeat(Rank.PENDING), well, repeat(spot))
        fresh = dict(zip(well, made, strict=True))
        if again:
            if fresh:
                look.memory[spot.directory] = known.later([*known.seen], fresh)
            yield NOTHING.later([], fresh)
        else:
            if unknown or len(names) != len(known.seen):
                known = look.memory[spot.directory] = known.later(names, fresh)
            yield known


def claimed(look: _Look) -> Iterator[Sighting]:
    """Tasks in the hands of a node's runner, or of a command that cancels (`_cli`) or changes them (`_edit`)."""
    for owner in look.owners(look.lease.claims, or_name=CLI):
        spot, rank = Spot(look.lease.claimed(owner), owner), Rank.EDITED if owner == EDIT else Rank.CLAIMED
        yield from _entries(look, look.new(spot.directory), f"claimed/{owner}", rank, spot)


def closed(look: _Look) -> Iterator[Sighting]:
    """Arrays of which nothing is left to take, and that have not ended."""
    spot = Spot(look.lease.claimed(ARRAYS), ARRAYS)
    return _entries(look, look.new(spot.directory), f"claimed/{ARRAYS}", Rank.CLAIMED, spot)


def lost(look: _Look) -> Iterator[Sighting]:
    """Tasks whose last attempt was lost, and that `recover` can take from here."""
    names = names_in(look.fs, look.lease.lost)
    return _entries(look, names, "lost", Rank.LOST, Spot(look.lease.lost))


def booking(look: _Look) -> Iterator[Sighting]:
    """Attempts that have ended and are in no history yet."""
    for name in names_in(look.fs, look.lease.booking):
        try:
            yield Sighting(*parse_key(name), Rank.ENDED)
        except Malformed as error:
            look.note(f"booking: {error}")


def told(events: Iterable[Event]) -> Iterator[Sighting]:
    """Attempts that have ended, as a history tells, or an outcome in `done/`."""
    return (Sighting(event.id, event.attempt, Rank.ENDED, event=event) for event in events)


def _entries(look: _Look, names: Iterable[str], where: str, rank: Rank, spot: Spot) -> Iterator[Sighting]:
    for name in names:
        try:
            entry = _parsed_name(name)
        except Malformed as error:
            look.note(f"{where}: {error}")
        else:
            yield Sighting(entry.id, entry.attempt, rank, name, spot)


# A claim keeps its name as long as its task runs.
_parsed_name = lru_cache(maxsize=8192)(Entry.parse)
