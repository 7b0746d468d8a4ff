"""What leases held, what their tasks booked of it, and what lay idle, in whole milliseconds. Values in, values out.

Of each GPU that a lease held, each millisecond is busy, idle or down: together they are the time that it
was held. What is not known is counted nowhere, and named.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from leaseq.dataclass import dataclass, replace
from leaseq.models import State
from leaseq.reading.usage import Run, Stay

SECOND = 1000
START_MAX = 10 * SECOND
"""A task that starts within this has not waited."""
Span = tuple[int, int]
"""From one millisecond since the epoch to another, which does not belong to it."""
NODE = ""
"""What stands for the node itself among its GPUs."""


class Held(NamedTuple):
    """A GPU, or a whole node, while one allocation had it."""

    lease: str
    alloc: str
    node: str
    gpu: str
    """Its token; empty: the node."""
    held: Span
    busy: tuple[Span, ...]
    """Tasks had booked it; apart from one another."""
    idle: tuple[Span, ...]
    down: tuple[Span, ...]
    """Nothing was heard of its node."""


class Ran(NamedTuple):
    """One attempt, as far as it lies in the time that is looked at."""

    lease: str
    run: Run
    span: Span

    @property
    def time(self) -> int:
        """Milliseconds."""
        return self.span[1] - self.span[0]

    @property
    def gpu_time(self) -> int:
        return self.time * len(self.run.gpus)


class Gap(NamedTuple):
    """A time in which nothing had booked GPUs of a node, or the node."""

    lease: str
    node: str
    gpus: tuple[str, ...]
    span: Span
    waited: int
    """How many tasks waited meanwhile, for longer than a start takes, that have started since."""

    @property
    def cost(self) -> int:
        """Milliseconds of GPUs; of a node without any, of the node."""
        return (self.span[1] - self.span[0]) * max(1, len(self.gpus))


@dataclass(frozen=True)
class Report:
    """The time from `since` to `until`, in milliseconds since the epoch."""

    since: int
    until: int
    parts: tuple[Held, ...]
    ran: tuple[Ran, ...]
    unknown: tuple[tuple[str, str], ...] = ()
    """(lease, node) of which it is not known how many GPUs it had."""

    def total(self, what: str, *, gpus: bool) -> int:
        """Milliseconds of GPUs, or of nodes, that were `held`, `busy`, `idle` or `down`."""
        parts = (each for each in self.parts if (each.gpu != NODE) == gpus)
        return sum(length((each.held,) if what == "held" else getattr(each, what)) for each in parts)


def report(leases: Mapping[str, tuple[Sequence[Stay], Sequence[Run]]], *, since: int, until: int) -> Report:
    """What is known of these leases' stays and of what ran on them, in that time."""
    parts: list[Held] = []
    found: list[Ran] = []
    unknown: set[tuple[str, str]] = set()
    for lease, (stays, runs) in leases.items():
        by_node: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            by_node[run.node].append(run)
            begin, end = span_of(run)
            if begin < until and end >= since:
                found.append(Ran(lease, run, (max(begin, since), max(since, min(end, until)))))
        for stay in stays:
            held = clipped((ms(stay.since), ms(stay.until)), (since, until))
            if held is None:
                continue
            if stay.gpus is None:
                unknown.add((lease, stay.node))
            for gpu in (NODE, *(stay.gpus or ())):
                parts.append(part_of(lease, stay, gpu, held, by_node[stay.node]))
    return Report(since, until, tuple(parts), tuple(found), tuple(sorted(unknown)))


def part_of(lease: str, stay: Stay, gpu: str, held: Span, runs: Iterable[Run]) -> Held:
    """What was of one GPU of the node, or of the node, in that time of its stay."""
    heard = min(max(ms(stay.heard), held[0]), held[1])
    spans = [span_of(run) for run in runs if gpu == NODE or gpu in run.gpus]
    busy = merged(found for span in spans if (found := clipped(span, (held[0], heard))))
    down = ((heard, held[1]),) if heard < held[1] else ()
    idle = between((held[0], heard), busy)
    return Held(lease, stay.alloc, stay.node, gpu, held, busy, idle, down)


def ms(seconds: float) -> int:
    return round(seconds * SECOND)


def span_of(run: Run) -> Span:
    """From its begin to its end."""
    return ms(run.began), ms(run.began) + ms(run.seconds)


# -- spans ---------------------------------------------------------------------------------------------


def length(spans: Iterable[Span]) -> int:
    """Milliseconds of spans that are apart."""
    return sum(end - begin for begin, end in spans)


def clipped(span: Span, within: Span) -> Span | None:
    """Its part within; None if there is none."""
    begin, end = max(span[0], within[0]), min(span[1], within[1])
    return (begin, end) if begin < end else None


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time, in spans that are apart, in order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return tuple(found)


def between(whole: Span, spans: Sequence[Span]) -> tuple[Span, ...]:
    """What of the whole is in none of these, which are apart and in order."""
    found, at = [], whole[0]
    for begin, end in spans:
        if begin > at:
            found.append((at, begin))
        at = max(at, end)
    if at < whole[1]:
        found.append((at, whole[1]))
    return tuple(found)


# -- what it tells ---------------------------------------------------------------------------------------


def as_drawn(found: Report) -> Report:
    """The report from the time on at which something was held first: what is drawn of a week is not six empty days."""
    first = min((part.held[0] for part in found.parts), default=found.since)
    return replace(found, since=max(found.since, first))


def rows_of(found: Report) -> dict[tuple[str, str], list[Held]]:
    """What was held, by (node, GPU): each GPU of a node that has any, or else the node."""
    rows: dict[tuple[str, str], list[Held]] = defaultdict(list)
    with_gpus = {(each.lease, each.node) for each in found.parts if each.gpu != NODE}
    for part in found.parts:
        if (part.gpu != NODE) == ((part.lease, part.node) in with_gpus):
            rows[part.node, part.gpu].append(part)
    return rows


def gaps(found: Report) -> list[Gap]:
    """Idle times of nodes and their GPUs, the most costly first. GPUs of a node that were idle alike are one."""
    waits = sorted((ms(each.run.submitted), ms(each.run.began)) for each in found.ran if each.run.submitted > 0)
    alike: dict[tuple[str, str, Span], list[str]] = defaultdict(list)
    with_gpus = {(each.lease, each.alloc, each.node) for each in found.parts if each.gpu != NODE}
    for each in found.parts:
        if (each.gpu == NODE) == ((each.lease, each.alloc, each.node) in with_gpus):
            continue
        for span in each.idle:
            alike[each.lease, each.node, span].extend([each.gpu] if each.gpu != NODE else [])
    listed = [Gap(lease, node, tuple(gpus), span, _waited(waits, span)) for (lease, node, span), gpus in alike.items()]
    return sorted(listed, key=lambda gap: (-gap.cost, gap.span, gap.node))


def _waited(waits: Sequence[Span], span: Span) -> int:
    """How many waited in the span for longer than a start takes."""
    before = bisect_left(waits, (span[1], 0))
    return sum(1 for submitted, began in waits[:before] if min(began, span[1]) - max(submitted, span[0]) > START_MAX)


def booked_by(found: Report, states: Sequence[State]) -> int:
    """The time that attempts had GPUs which ended so, added up."""
    return sum(each.gpu_time for each in found.ran if each.run.state in states)


def waits_of(ran: Iterable[Ran]) -> list[float]:
    """How long first attempts waited for their start, in order; of indices that is not known."""
    return sorted(
        max(0.0, each.run.began - each.run.submitted)
        for each in ran
        if each.run.submitted > 0 and each.run.attempt == 1
    )


def quantile(values: Sequence[float], part: float) -> float | None:
    """The value below which that part of the values, which are in order, lies; None if there is none."""
    return values[min(len(values) - 1, int(part * len(values)))] if values else None
