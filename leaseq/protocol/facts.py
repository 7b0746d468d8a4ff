"""What an array's journals tell, as values and as lines: see `journal`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from leaseq.dataclass import dataclass, field
from leaseq.errors import Malformed
from leaseq.models import State
from leaseq.schema import integer, maybe, number, several, text

Attempts = Sequence[tuple[int, int]]
"""(index, attempt) of each."""


@dataclass(frozen=True)
class Ended:
    """How one attempt of an index ended."""

    index: int
    attempt: int
    chunk: int
    state: State
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    requeued: str = ""
    """Why another attempt follows; empty: none does, and this is how the index ended."""
    started: float | None = None
    ended: float = 0.0
    elapsed_seconds: float | None = None
    gpus: tuple[str, ...] = ()
    max_rss_mb: float | None = None
    cpu_seconds: float | None = None
    because: str = ""
    """CANCELLED because of how the same index of another array had ended: a word of `Upstream`."""

    def line(self) -> bytes:
        fields = [self.index, self.attempt, self.chunk, self.state.name, self.exit_code, self.signal, self.reason]
        times = [self.started, self.ended, self.elapsed_seconds, self.gpus, self.max_rss_mb, self.cpu_seconds]
        return line_of(["e", *fields, self.requeued, *times, *([self.because] if self.because else [])])

    @classmethod
    def parse(cls, fact: list[Any]) -> Ended:
        """The end that a line tells; raises Malformed, and what a list of another form raises."""
        index, attempt, chunk = map(integer, fact[1:4])
        if text(fact[4]) not in State.__members__:
            raise Malformed(f"not a state: {fact[4]!r:.40}")
        return cls(
            index,
            attempt,
            chunk,
            State[fact[4]],
            maybe(integer)(fact[5]),
            maybe(integer)(fact[6]),
            text(fact[7]),
            text(fact[8]),
            maybe(number)(fact[9]),
            number(fact[10]),
            maybe(number)(fact[11]),
            several(text)(fact[12]),
            maybe(number)(fact[13]),
            maybe(number)(fact[14]),
            text(fact[15]) if len(fact) > 15 else "",
        )

    @classmethod
    def brief(cls, fact: list[Any]) -> Ended:
        """The index, attempt, chunk and state of such a line, and whether another attempt follows."""
        return cls(integer(fact[1]), fact[2], fact[3], _STATES[fact[4]], requeued=fact[8])


_STATES = State.__members__


@dataclass
class Totals:
    """What a journal, or several, say of all their indices together."""

    counts: dict[State, int] = field(default_factory=dict)
    """Indices that have ended for good, by state."""
    attempt: int = 0
    """The highest of any index; 0: none has begun."""
    started: float | None = None
    ended: float = 0.0
    seconds: float = 0.0
    """How long the attempts ran that have ended, one after the other."""

    def began(self, attempts: Attempts) -> None:
        self.attempt = max([self.attempt, *(attempt for _, attempt in attempts)])

    def add(self, ended: Ended) -> None:
        self.attempt = max(self.attempt, ended.attempt)
        if ended.started is not None:
            self.started = ended.started if self.started is None else min(self.started, ended.started)
        self.ended = max(self.ended, ended.ended)
        self.seconds = round(self.seconds + (ended.elapsed_seconds or 0.0), 3)
        if not ended.requeued:
            self.counts[ended.state] = self.counts.get(ended.state, 0) + 1

    def join(self, other: Totals) -> None:
        for state, many in other.counts.items():
            self.counts[state] = self.counts.get(state, 0) + many
        self.attempt = max(self.attempt, other.attempt)
        starts = [each for each in (self.started, other.started) if each is not None]
        self.started = min(starts, default=None)
        self.ended = max(self.ended, other.ended)
        self.seconds += other.seconds

    @property
    def all_ended(self) -> int:
        """How many indices have ended for good."""
        return sum(self.counts.values())

    def line(self, directory: int | None = None) -> bytes:
        """directory: where in the journal its last directory begins, if it has one."""
        counts = {state.name: many for state, many in self.counts.items()}
        told = ["t", counts, self.attempt, self.started, self.ended, self.seconds]
        return line_of(told if directory is None else [*told, directory])

    @classmethod
    def parse(cls, fact: list[Any]) -> Totals:
        counts = {State[name]: integer(many) for name, many in fact[1].items() if name in State.__members__}
        return cls(counts, integer(fact[2]), maybe(number)(fact[3]), number(fact[4]), number(fact[5]))


class Begun(NamedTuple):
    """An attempt of an index that has begun, and of which no end is told."""

    attempt: int
    chunk: int
    node: str
    owner: str
    """The incarnation that has begun it."""


@dataclass
class Told:
    """What the journals of an array say, index by index."""

    ended: dict[int, Ended] = field(default_factory=dict)
    """The last end of each."""
    nodes: dict[int, str] = field(default_factory=dict)
    """Where that last attempt was."""
    begun: dict[int, Begun] = field(default_factory=dict)
    """What runs, or may: a later attempt than that end."""


@dataclass(frozen=True)
class Packed:
    """Where a log of an attempt of an index is in the pack of whoever wrote the journal: see `index_logs`."""

    index: int
    attempt: int
    stream: str
    offset: int
    """Of the log's first byte."""
    length: int

    @classmethod
    def parse(cls, value: list[Any]) -> Packed:
        index, attempt, stream, offset, length = value
        return cls(integer(index), integer(attempt), text(stream), integer(offset), integer(length))


def packs(chunk: int, logs: Sequence[Packed]) -> bytes:
    return line_of(["p", chunk, [[each.index, each.attempt, each.stream, each.offset, each.length] for each in logs]])


Spans = dict[int, tuple[int, int]]
"""By chunk, between which bytes of a journal all lines are that tell of it, up to some place."""


def directory(spans: Spans) -> bytes:
    return line_of(["d", [[chunk, *spans[chunk]] for chunk in sorted(spans)]])


def begins(chunk: int, attempts: Attempts) -> bytes:
    return line_of(["b", chunk, [list(each) for each in attempts]])


def never_began(chunk: int, attempts: Attempts, owner: str) -> bytes:
    return line_of(["u", chunk, [list(each) for each in attempts], owner])


def line_of(fact: list[Any]) -> bytes:
    return json.dumps(fact, separators=(",", ":")).encode("ascii") + b"\n"
