"""What ran where, in time: a lane for each GPU of each node, or for each slot of a node; marks and times. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import isinf

from leaseq.dataclass import dataclass
from leaseq.models import State
from leaseq.reading.report import NODE, SECOND, Held, Span, clipped, ms, part_of
from leaseq.reading.usage import Run, Stay

STEPS = (60, 300, 900, 1800, 3600, 2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400, 30 * 86400)
"""Seconds between two times of an axis."""
ENDED_BADLY = (State.FAILED, State.TIMEOUT, State.LOST)
SLOTS_MAX = 64
"""More lanes a node without GPUs does not get: what runs beside so many others is in the last."""


@dataclass(frozen=True, eq=False)
class Lane:
    """One GPU of a node, or one slot of what runs on it without any."""

    node: str
    gpu: str
    """Its token; empty: a slot."""
    slot: int
    stays: tuple[Stay, ...]
    """While the lease has had the node."""
    bars: tuple[Run, ...]
    """What ran there, by its begin; what runs has no end yet."""

    @property
    def key(self) -> str:
        """What it is called among others."""
        return f"{self.node}:{self.gpu}:{self.slot}"

    @property
    def title(self) -> str:
        """In words for people."""
        return f"{self.node}:{self.gpu}" if self.gpu else f"{self.node} {self.slot + 1 if self.slot else ''}".rstrip()

    def between(self, since: int, until: int) -> tuple[Run, ...]:
        """What ran there in that time, by its begin."""
        first, last = since / SECOND, bisect_left(self.bars, until / SECOND, key=_began)
        return tuple(each for each in self.bars[:last] if each.began + each.seconds > first)

    def parts(self, since: int, until: int, now: int) -> tuple[Held, ...]:
        """What of that time it was held, and booked by these. now: nothing is known of what comes after."""
        bars = [ended(each, now) for each in self.between(since, until)]
        found = []
        for stay in self.stays:
            until_ms = min(until, now, now if isinf(stay.until) else ms(stay.until))
            if held := clipped((ms(stay.since), until_ms), (since, until)):
                told = stay._replace(heard=held[1] / SECOND) if isinf(stay.heard) else stay
                found.append(part_of("", told, NODE, held, bars))
        return tuple(found)


def ended(run: Run, now: int) -> Run:
    """The same; what runs has come as far as now."""
    return run._replace(seconds=max(0.0, now / SECOND - run.began)) if isinf(run.seconds) else run


@dataclass(frozen=True, eq=False)
class Story:
    """What ran where, as it was read last."""

    lanes: tuple[Lane, ...]
    since: float
    """From when on it is all of it; 0: all that was asked for."""


class Board:
    """The lanes of a lease, built up run by run. A lane of which nothing changes stays the same value."""

    def __init__(self) -> None:
        self._by_gpu: dict[tuple[str, str], list[Run]] = defaultdict(list)
        """What has ended, by (node, GPU); NODE: without any."""
        self._told: set[tuple[str, int]] = set()
        self._lanes: dict[str, Lane] = {}
        self._changed: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return len(self._told)

    def add(self, runs: Iterable[Run]) -> None:
        """Those have ended."""
        for run in runs:
            if (run.id, run.attempt) not in self._told:
                self._told.add((run.id, run.attempt))
                for gpu in run.gpus or (NODE,):
                    self._by_gpu[run.node, gpu].append(run)
                    self._changed.add((run.node, gpu))

    def lanes(self, stays: Sequence[Stay], going: Iterable[Run]) -> tuple[Lane, ...]:
        """Every GPU that was held, node by node, then what ran without one; of a node without any its slots."""
        for key in self._changed:
            self._by_gpu[key].sort(key=_began)
        self._changed.clear()
        now: dict[tuple[str, str], list[Run]] = defaultdict(list)
        for run in going:
            if (run.id, run.attempt) not in self._told:
                for gpu in run.gpus or (NODE,):
                    now[run.node, gpu].append(run)
        of_node: dict[str, list[Stay]] = defaultdict(list)
        gpus: dict[str, set[str]] = defaultdict(set)
        for stay in stays:
            of_node[stay.node].append(stay)
            gpus[stay.node].update(stay.gpus or ())
        for node, gpu in (*self._by_gpu, *now):
            gpus[node].add(gpu)
        before, self._lanes = self._lanes, {}
        for node in sorted(gpus):
            tokens = sorted(gpus[node] - {NODE}, key=lambda gpu: (len(gpu), gpu))
            for gpu in tokens:
                self._put(before, Lane(node, gpu, 0, tuple(of_node[node]), self._bars((node, gpu), now)))
            beside = _slots(self._bars((node, NODE), now))
            for slot, bars in enumerate(beside or ([] if tokens else [()])):
                self._put(before, Lane(node, NODE, slot, tuple(of_node[node]), bars))
        return tuple(self._lanes.values())

    def _bars(self, key: tuple[str, str], now: Mapping[tuple[str, str], list[Run]]) -> tuple[Run, ...]:
        ended = self._by_gpu.get(key, [])
        return tuple(sorted([*ended, *now[key]], key=_began)) if now.get(key) else tuple(ended)

    def _put(self, before: Mapping[str, Lane], lane: Lane) -> None:
        known = before.get(lane.key)
        same = known is not None and (known.stays, known.bars) == (lane.stays, lane.bars)
        self._lanes[lane.key] = known if known is not None and same else lane


def _began(run: Run) -> float:
    return run.began


def _slots(runs: Sequence[Run]) -> list[tuple[Run, ...]]:
    """As few as hold them all, none beside another in one; in the order of their begin."""
    slots: list[list[Run]] = []
    for each in runs:
        free = next((slot for slot in slots if slot[-1].began + slot[-1].seconds <= each.began), None)
        if free is None and len(slots) < SLOTS_MAX:
            slots.append(free := [])
        (slots[-1] if free is None else free).append(each)
    return [tuple(slot) for slot in slots]


def marks(parts: Sequence[Held], bad: Sequence[Span], bounds: Sequence[int]) -> list[str]:
    """What was between each two of those times: `busy`, `part`, `bad`, `idle`, `down`, `none` of it was held.

    bad: what ended badly.
    """
    held = _sums((part.held for part in parts), bounds)
    busy = _sums((span for part in parts for span in part.busy), bounds)
    down = _sums((span for part in parts for span in part.down), bounds)
    failed = _sums(bad, bounds)
    return [_mark(*sums) for sums in zip(held, busy, down, failed, strict=True)]


def _mark(held: int, busy: int, down: int, failed: int) -> str:
    if not held:
        return "none"
    if busy and failed * 2 >= busy:
        return "bad"
    if busy:
        return "busy" if busy * 10 >= held * 9 else "part"
    return "down" if down * 2 >= held else "idle"


def _sums(spans: Iterable[Span], bounds: Sequence[int]) -> list[int]:
    """How much of the spans is between each two bounds."""
    sums = [0] * (len(bounds) - 1)
    for begin, end in spans:
        for cell in range(max(0, bisect_right(bounds, begin) - 1), len(sums)):
            if bounds[cell] >= end:
                break
            sums[cell] += max(0, min(end, bounds[cell + 1]) - max(begin, bounds[cell]))
    return sums


def ticks(since: int, until: int, *, most: int) -> Iterator[tuple[int, str]]:
    """Round local times of an axis, in milliseconds, at most so many, with their words."""
    whole = (until - since) / SECOND
    step = next((each for each in STEPS if whole / each <= most), STEPS[-1])
    form = "%H:%M" if step < 12 * 3600 else "%m-%d"
    at = datetime.fromtimestamp(since / SECOND).replace(hour=0, minute=0, second=0, microsecond=0)
    while (now := round(at.timestamp() * SECOND)) <= until:
        if now >= since:
            yield now, at.strftime("%m-%d" if (at.hour, at.minute) == (0, 0) else form)
        at += timedelta(seconds=step)


def axis(since: int, until: int, columns: int) -> str:
    """The same as a line of text, each time where it begins."""
    row = ""
    for at, word in ticks(since, until, most=max(1, columns // 9)):
        column = (at - since) * columns // max(1, until - since)
        if len(row) < column or not row:
            row = f"{row:<{column}}{word} "
    return row[:columns].rstrip()
