"""What a runner has of an array: the chunks that it holds, and what of them waits, has begun, runs. Values.

One thread changes them, the one that turns; the ledger's gives back what has durably begun (`fresh`), and what it has
learned (`overruled`). What is to be written into the array's journal goes to the ledger as items, in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from leaseq.arrays import Expansion
from leaseq.dataclass import dataclass, field
from leaseq.layout import ArrayDir
from leaseq.limit_names import Lane
from leaseq.models import Outcome, State, Task, Why
from leaseq.names import Entry
from leaseq.protocol.cover import Cover
from leaseq.protocol.facts import Ended
from leaseq.protocol.plan import Plan
from leaseq.protocol.stops import Stop
from leaseq.protocol.tasks import Claim
from leaseq.room import Booking
from leaseq.runner.gate import Gate
from leaseq.runner.pace import Pace

SEVERAL, SEVERAL_MAX = 16, 64
"""So many chunks may always be taken together, and so many while there are enough for all nodes."""
SHARE = 2
"""Enough: that many times as many are free for each node. Where there is one, there always are."""
MOMENTS = 10
"""Groups are taken as a whole that will run in so many moments, by how many indices have ended in the last one."""
Attempted = tuple[int, int]
"""(index, attempt)"""


@dataclass(eq=False)
class Lot:
    """One array, as the runner of one node knows it."""

    entry: Entry
    """The array's own."""
    task: Task
    expansion: Expansion
    cover: Cover
    """Its chunks, and which of them were taken at the last look."""
    slots: int
    """How many of its indices have room on this node at once."""
    inbox: str
    """The directory in which it lay, and to which chunks go back."""
    own: bool
    """True if that is the inbox of this node alone."""
    stops: list[Stop] = field(default_factory=list)
    stops_seen: int = 0
    """How many files of that kind there were at the last look."""
    held: list[Holding] = field(default_factory=list)
    closed: Claim | None = None
    """Set once nothing is left to take."""
    over: bool = False
    """True once it is known to have ended, or to be no array that could run."""
    throttle: int = 0
    """How many may run at once over all nodes; 0: any number."""
    limits: dict[str, int] = field(default_factory=dict)
    """By its directory of lanes how many there are, if it is throttled. A chunk with one runs one index at a time."""
    no_lane_before: float = 0.0
    """Until when no lane is looked for, for there was none."""
    first_ends: list[tuple[int | None, float]] = field(default_factory=list)
    """(exit code, seconds) of the first attempts that ended here; code None: not as FAILED."""
    tripped: str = ""
    """Why nothing more of it starts here: the array is to be held."""
    put_aside: bool = False
    """True once it is held for that."""
    late: bool = False
    """True since its tasks were told that the lease ends: no attempt that follows another begins."""
    pace: Pace = field(default_factory=Pace)
    """How fast its indices end here."""
    handed_on: bool = False
    """True if a window of it followed another, so that as many more are to begin."""
    log_directories: set[str] = field(default_factory=set)
    """Those that are known to be there."""
    gate: Gate | None = None
    """What of it may begin, if its indices wait for those of another array."""
    written_down: bool = False
    """True once it is written down because of which arrays some of it is cancelled."""
    _cursor: int = 0
    """All chunks before it are taken."""

    @property
    def key(self) -> str:
        return self.entry.key

    @property
    def array(self) -> ArrayDir:
        return self.cover.array

    @property
    def plan(self) -> Plan:
        return self.cover.plan

    @property
    def taken(self) -> set[int]:
        """The chunks that were taken at the last look."""
        return self.cover.taken

    @property
    def kept_logs(self) -> str:
        """Which logs are kept: see `protocol.index_logs`."""
        return self.task.array.logs if self.task.array else ""

    @property
    def waits_for_ledger(self) -> bool:
        """True while indices are about to begin."""
        return any(each.beginning for each in self.held)

    def open(self) -> list[Holding]:
        """The chunks of which something may start."""
        if self.tripped or self.stop_of_all:
            return []  # the ledger may have found a moment ago that too many failed
        return [each for each in self.held if not each.overruled]

    @property
    def startable(self) -> int:
        """How many indices of held chunks may start, if there is room."""
        return sum(
            min(each.startable, 1 - len(each.running)) if self.limits else each.startable for each in self.open()
        )

    @property
    def room_ahead(self) -> int:
        """How many more may begin."""
        begun = sum(len(each.begun) + each.beginning + len(each.running) + len(each.in_windows) for each in self.held)
        return self.pace.ahead(self.slots) - begun

    def stop_of(self, index: int) -> Stop | None:
        """Why that index is to end before its time; None if it is not."""
        return next((stop for stop in self.stops if stop.indices is None or index in stop.indices), None)

    @property
    def stop_of_all(self) -> Stop | None:
        return next((stop for stop in self.stops if stop.indices is None), None)

    @property
    def waits_for_others(self) -> bool:
        """True while something is left to take of it, and not all of that may begin."""
        return self.gate is not None and self.stop_of_all is None and len(self.taken) < self.plan.chunks

    def several(self, nodes: int) -> int:
        """How many chunks a node takes together at most, if there are so many nodes."""
        free = self.plan.chunks - len(self.taken)
        return SEVERAL_MAX if nodes <= 1 else max(SEVERAL, min(SEVERAL_MAX, free // (SHARE * nodes)))

    def next_free(self, rank: int, several: int) -> list[int]:
        """The chunk of that rank among those that nobody had taken at the last look, or the last of them.

        With it so many after it as would be run in a moment, by how many have ended in the last one, and several at
        most: of short indices each chunk costs more than it runs. Of shorter ones whole groups, for some moments.
        Nothing if none is free.
        """
        plan = self.plan
        while self._cursor < plan.chunks and self._cursor in self.taken:
            self._cursor += 1
        free = self._free_from(self._cursor, several)
        found = list(islice(free, rank + 1))[-1:]
        chunks, places = sum(len(plan.chunks_of(each)) for each in found), sum(len(plan.span(each)) for each in found)
        for number in () if self.limits else free:
            chunks, before, places = chunks + len(plan.chunks_of(number)), places, places + len(plan.span(number))
            if chunks > several or not (self._soon(places) if number in plan.groups else before < len(self.pace.ends)):
                break
            found.append(number)
        return found

    def _free_from(self, chunk: int, several: int) -> Iterator[int]:
        """What nobody had taken at the last look, from that chunk on: chunks, and groups that may be taken whole."""
        while chunk < self.plan.chunks:
            group = self.plan.group_of(chunk)
            if group is not None and self.plan.chunks_of(group)[0] == chunk and self._may_be_whole(group, several):
                yield group
                chunk += len(self.plan.chunks_of(group))
                continue
            if chunk not in self.taken:
                yield chunk
            chunk += 1

    def _may_be_whole(self, group: int, several: int) -> bool:
        """True if no chunk of the group is taken, and all of it will run in some moments, for all that is known.

        Were they wrong, those moments, the node has no more than its share: several chunks.
        """
        return (
            self.entry.grouped
            and group not in self.cover.settled
            and self.pace.is_short
            and not self.limits
            and len(self.plan.chunks_of(group)) <= several
            and self._soon(len(self.plan.span(group)))
        )

    def _soon(self, places: int) -> bool:
        """True if so many will run in some moments, by how many have ended in the last one."""
        return places <= MOMENTS * len(self.pace.ends)

    def indices(self, number: int) -> list[int]:
        """The indices of that chunk, or group."""
        return [self.expansion.indices[place] for place in self.plan.span(number)]


@dataclass(eq=False)
class Holding:
    """One chunk that this runner holds, or a group of them that it holds as one."""

    lot: Lot
    claim: Claim
    left: int = 0
    """How many of its indices have not ended for good."""
    waiting: deque[Attempted] = field(default_factory=deque)
    shut: deque[Attempted] = field(default_factory=deque)
    """What may not begin yet: the same index of another array is to end first."""
    again: deque[Attempted] = field(default_factory=deque)
    """Attempts that follow others, once nothing else waits."""
    beginning: int = 0
    """How many are on their way through the ledger."""
    fresh: deque[Attempted] = field(default_factory=deque)
    """What has durably begun and has come from the ledger; the ledger's thread adds to it."""
    begun: deque[Attempted] = field(default_factory=deque)
    """What may start at once."""
    running: set[str] = field(default_factory=set)
    """The keys of its attempts that run."""
    in_windows: set[str] = field(default_factory=set)
    """The keys of its attempts that the keeper runs, or is to run, by itself."""
    lanes: dict[str, Lane] = field(default_factory=dict)
    """The lanes that it has, by their directories."""
    overruled: bool = False
    """True once the chunk was taken away: nothing of it starts any more, and nothing that ends counts."""

    @property
    def chunk(self) -> int:
        assert self.claim.entry.chunk is not None
        return self.claim.entry.chunk

    @property
    def startable(self) -> int:
        """How many of its indices may start, if there is room."""
        again = 0 if self.lot.late else len(self.again)
        return again + len(self.begun) + len(self.waiting) + self.beginning

    @property
    def has_lanes(self) -> bool:
        """True if it has each lane that it needs."""
        return self.lot.limits.keys() <= self.lanes.keys()

    def next_to_begin(self, most: int) -> list[Attempted]:
        """Up to so many that have not begun, taken out."""
        found: list[Attempted] = []
        while len(found) < most and (self.waiting or (self.again and not self.lot.late)):
            found.append((self.waiting or self.again).popleft())
        return found

    def ended(self, attempt: int, index: int, outcome: Outcome) -> Ended:
        """The line of the journal that tells that outcome of an attempt of the index."""
        return Ended(
            index,
            attempt,
            self.chunk,
            outcome.state,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            reason=outcome.reason,
            requeued=outcome.requeued,
            started=outcome.started,
            ended=outcome.ended,
            elapsed_seconds=outcome.elapsed_seconds,
            gpus=outcome.gpus,
            max_rss_mb=outcome.max_rss_mb,
            cpu_seconds=outcome.cpu_seconds,
        )

    def cancelled(self, attempt: int, index: int, *, reason: str, now: float, because: str) -> Ended:
        return Ended(index, attempt, self.chunk, State.CANCELLED, reason=reason, ended=now, because=because)


class Member(NamedTuple):
    """An attempt of an index in a window, and the chunk that it is of."""

    holding: Holding
    attempted: Attempted
    entry: Entry


@dataclass(eq=False)
class Handed:
    """A window that the keeper has, or is about to have."""

    lot: Lot
    booking: Booking
    slot: int
    since: float
    members: Sequence[Member]
    asked_to_stop: tuple[Why, float] | None = None
    """Why, and with how much grace, what goes on of it alone is to be ended."""
    warned: tuple[int, str] | None = None
    """The signal that what goes on of it alone is to be sent, and to whom."""

    def has(self, key: str) -> bool:
        """True if the attempt is in the window."""
        return any(key in each.holding.in_windows for each in self.members)


# -- what the ledger writes ------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Begins:
    """These are to begin."""

    holding: Holding
    attempts: list[Attempted]
    key: str = ""
    written: bool = False
    """True once its line stands in the journal, durably: what follows from that may have to be tried again."""


@dataclass(eq=False)
class NeverBegan:
    """What that incarnation began of these never ran, and never will by that line."""

    holding: Holding
    attempts: list[Attempted]
    owner: str
    key: str = ""
    written: bool = False


@dataclass(eq=False)
class IndexEnds:
    """An attempt of an index has ended so."""

    holding: Holding
    ended: Ended
    key: str
    """The attempt's, whose local record goes once this is durable."""
    written: bool = False


@dataclass(eq=False)
class LogsLeft:
    """Whoever had the chunk before may have left logs of ended indices that are to go."""

    holding: Holding
    key: str = ""


@dataclass(eq=False)
class ChunkEnds:
    """All indices of the chunk have ended, or are not to begin."""

    holding: Holding
    key: str = ""


@dataclass(eq=False)
class ArrayEnds:
    """Nothing is left to take of the array with that claim: perhaps it is over."""

    closed: Claim
    key: str = ""


Line = Begins | NeverBegan | IndexEnds
"""What is a line of a journal."""
Note = Line | LogsLeft | ChunkEnds | ArrayEnds
