"""`leaseq report`: what leases held, what tasks booked of it, and what lay idle."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Option
from leaseq.cli.options import LEASE, LOOK, Look
from leaseq.cli.output import Output, iso, stamp
from leaseq.dataclass import dataclass
from leaseq.models import State
from leaseq.reading.report import (
    NODE,
    SECOND,
    Gap,
    Held,
    Ran,
    Report,
    Span,
    booked_by,
    clipped,
    gaps,
    length,
    quantile,
    waits_of,
)
from leaseq.values import seconds
from leaseq.verbs.arrays import FAILED
from leaseq.verbs.report import Pending, gathered
from leaseq.words import about, count, figure

HOUR = 3600 * SECOND
GAPS_SHOWN = 5
SHARE = "booked_part"
OF_TASKS = ("name", "group", "state")
OF_NODES = ("lease", "day", "node", "gpu")
"""By what a report can be split: by what ran, or by what was held."""


@dataclass(frozen=True, kw_only=True)
class ReportRequest(Look):
    """What is to be told of leases."""

    lease: str
    since: float
    by: str
    csv: bool
    gantt: bool
    html: str

    def perform(self, app: App) -> int:
        out = self.output(app)
        found, pending = gathered(app.access, self.lease, since=app.clock.now() - self.since)
        if self.html:
            from leaseq.cli.report_html import write

            write(self.html, found, summary(found, pending), umask=app.umask)
            print(self.html)
            return 0
        if self.json:
            out.document(document(found, pending, self.by))
            return 0
        titles, rows = split(found, self.by)
        if self.csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerows([titles, *rows] if not self.no_header else rows)
            return 0
        for line in summary(found, pending):
            out.wrap(line, indent=2)
        if self.gantt:
            from leaseq.cli.timeline import lines

            out.line()
            for line in lines(found, columns=out.columns or 100, ascii=out.ascii):
                out.line(line)
        if rows:
            out.line()
            _table(out, titles, rows)
        return 0


def _table(out: Output, titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    columns = [Column(titles[0].upper(), least=12)]
    columns += [Column(title.upper().replace("_", " "), right=True, rank=20 - n) for n, title in enumerate(titles[1:])]
    out.table(columns, [[_cell(title, cell) for title, cell in zip(titles, row, strict=True)] for row in rows])


def _cell(title: str, cell: object) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, float):
        return str(cell)
    return f"{100 * cell:.0f} %" if title == SHARE else figure(cell)


# -- in words --------------------------------------------------------------------------------------------


def summary(found: Report, pending: Pending) -> list[str]:
    """What matters most, a sentence a line."""
    if not found.parts and not found.ran:
        return [f"nothing was held, and nothing ran, since {stamp(found.since / SECOND)}"]
    gpus = any(each.gpu != NODE for each in found.parts)
    unit = "GPU-hours" if gpus else "node-hours"
    held, busy, idle, down = (found.total(what, gpus=gpus) for what in ("held", "busy", "idle", "down"))
    leases = len({each.lease for each in found.parts} | {each.lease for each in found.ran})
    said = [f"since {stamp(found.since / SECOND)[:16]}, {count(leases, 'lease')}: {hours(held)} {unit} held"]
    said[0] += f", {hours(busy)} booked ({share(busy, held)}), {hours(idle)} idle" if held else ""
    said[0] += f", {hours(down)} down" if down else ""
    states = ", ".join(f"{number:,} {state.name.lower()}" for state, number in _states(found.ran).items())
    said.append(f"{count(len(found.ran), 'attempt')} ran: {states}" if found.ran else "nothing ran")
    failed, lost = booked_by(found, FAILED), booked_by(found, (State.LOST,))
    if failed or lost:
        said.append(f"of the GPU-hours booked {hours(failed)} were of failed tasks, {hours(lost)} of lost ones")
    waits = waits_of(found.ran)
    if waits:
        half, most = quantile(waits, 0.5), quantile(waits, 0.95)
        assert half is not None and most is not None
        said.append(f"half of {count(len(waits), 'task')} started within {about(half)}, 95 % within {about(most)}")
    said += [_gap(gap) for gap in gaps(found)[:GAPS_SHOWN] if gap.cost >= HOUR / 6]
    if pending.tasks:
        said.append(_pending(pending))
    if found.unknown:
        nodes = ", ".join(f"{node} of lease {lease}" for lease, node in found.unknown[:GAPS_SHOWN])
        said.append(f"how many GPUs {nodes} had is not known, and not counted")
    return said


def _gap(gap: Gap) -> str:
    what = f"{count(len(gap.gpus), 'GPU')} of {gap.node}" if gap.gpus else gap.node
    why = f"while {count(gap.waited, 'task')} waited" if gap.waited else "nothing that has started since was waiting"
    long = about((gap.span[1] - gap.span[0]) / SECOND)
    return f"idle: {what} for {long} from {stamp(gap.span[0] / SECOND)[5:16]}; {why}"


def _pending(pending: Pending) -> str:
    told = f"{count(pending.tasks, 'task')} pending"
    if not pending.known:
        return f"{told}; what they will cost is not known: too few like them have ended, or what they book is not said"
    of = f"{pending.known:,} of them" if pending.known < pending.tasks else "they"
    if pending.gpu_seconds:
        return f"{told}; {of} may book about {pending.gpu_seconds / 3600:.1f} GPU-hours, by what such tasks took"
    return f"{told}; {of} may take about {pending.seconds / 3600:.1f} hours in all, by what such tasks took"


def hours(whole: int) -> str:
    """Milliseconds as hours."""
    return figure(whole / HOUR)


def _hours(whole: int) -> float:
    return round(whole / HOUR, 4)


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


def _states(ran: Iterable[Ran]) -> dict[State, int]:
    numbers: dict[State, int] = defaultdict(int)
    for each in ran:
        numbers[each.run.state] += 1
    return {state: numbers[state] for state in State if numbers[state]}


# -- in rows ---------------------------------------------------------------------------------------------


def split(found: Report, by: str) -> tuple[list[str], list[list[object]]]:
    """(titles, rows): what ran by its name, group or state; what was held by lease, day, node or GPU."""
    if by in OF_TASKS:
        titles = [by, "attempts", "failed", "lost", "hours", "gpu_hours", "gpu_hours_failed", "gpu_hours_lost"]
        return [*titles, "wait_seconds"], list(_task_rows(found, KEYS[by]))
    titles = [by, "held_hours", "booked_hours", "idle_hours", "down_hours", SHARE, "gpu_hours", "attempts"]
    return titles, list(_node_rows(found, by))


def _name(each: Ran) -> str:
    return each.run.name or " ".join(each.run.command.split()[:2]) or each.run.id


KEYS: Mapping[str, Callable[[Ran], str]] = {
    "name": _name,
    "group": lambda each: each.run.group,
    "state": lambda each: each.run.state.name,
}


def _task_rows(found: Report, key: Callable[[Ran], str]) -> Iterator[list[object]]:
    groups: dict[str, list[Ran]] = defaultdict(list)
    for each in found.ran:
        groups[key(each)].append(each)
    for name, several in sorted(groups.items(), key=lambda item: (-sum(each.gpu_time for each in item[1]), item[0])):
        failed = [each for each in several if each.run.state in FAILED]
        lost = [each for each in several if each.run.state is State.LOST]
        wait = quantile(waits_of(several), 0.5)
        gpu = [_hours(sum(each.gpu_time for each in some)) for some in (several, failed, lost)]
        spent = _hours(sum(each.time for each in several))
        yield [name, len(several), len(failed), len(lost), spent, *gpu, None if wait is None else round(wait)]


def _node_rows(found: Report, by: str) -> Iterator[list[object]]:
    """Held time of GPUs; of nodes, if there is no GPU among them."""
    windows = _days(found) if by == "day" else {"": (found.since, found.until)}
    has_gpus = any(each.gpu != NODE for each in found.parts)
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    booked: dict[str, int] = defaultdict(int)
    attempts: dict[str, int] = defaultdict(int)
    for window, within in windows.items():
        for part in found.parts:
            if (part.gpu != NODE) != has_gpus:
                continue
            name = window or _part_name(part, by)
            for place, spans in enumerate(((part.held,), part.busy, part.idle, part.down)):
                rows[name][place] += length(some for span in spans if (some := clipped(span, within)))
        for each in found.ran:
            if (span := clipped(each.span, within)) is None:
                continue
            for name in _run_names(each, by, window):
                attempts[name] += 1
                booked[name] += (span[1] - span[0]) * (1 if by == "gpu" and each.run.gpus else len(each.run.gpus))
    for name in sorted({*rows, *attempts}):
        held, busy, idle, down = rows[name]
        told = [_hours(each) for each in (held, busy, idle, down)]
        yield [name, *told, round(busy / held, 4) if held else None, _hours(booked[name]), attempts[name]]


def _part_name(part: Held, by: str) -> str:
    return {"lease": part.lease, "node": part.node, "gpu": f"{part.node}:{part.gpu}".rstrip(":")}[by]


def _run_names(each: Ran, by: str, window: str) -> list[str]:
    if by == "day":
        return [window]
    if by == "gpu":
        return [f"{each.run.node}:{gpu}" for gpu in each.run.gpus] or [each.run.node]
    return [each.lease if by == "lease" else each.run.node]


def _days(found: Report) -> dict[str, Span]:
    """The days of the report by local time, the first and the last perhaps in part."""
    from datetime import datetime, timedelta

    begin = datetime.fromtimestamp(found.since / SECOND).replace(hour=0, minute=0, second=0, microsecond=0)
    days: dict[str, Span] = {}
    while begin.timestamp() * SECOND < found.until:
        end = begin + timedelta(days=1)
        days[begin.strftime("%Y-%m-%d")] = int(begin.timestamp()) * SECOND, int(end.timestamp()) * SECOND
        begin = end
    return days


def document(found: Report, pending: Pending, by: str) -> dict[str, object]:
    """The report as JSON; times in seconds."""
    kinds = {"node": False, "gpu": True}
    titles, rows = split(found, by)
    waits = waits_of(found.ran)
    return {
        "since": found.since / SECOND,
        "since_at": iso(found.since / SECOND),
        "until": found.until / SECOND,
        "until_at": iso(found.until / SECOND),
        "seconds": {
            kind: {what: found.total(what, gpus=gpus) / SECOND for what in ("held", "busy", "idle", "down")}
            for kind, gpus in kinds.items()
        },
        "attempts": {state.name: number for state, number in _states(found.ran).items()},
        "gpu_seconds_failed": booked_by(found, FAILED) / SECOND,
        "gpu_seconds_lost": booked_by(found, (State.LOST,)) / SECOND,
        "waits": {"tasks": len(waits), "median": quantile(waits, 0.5), "p95": quantile(waits, 0.95)},
        "gaps": [
            {
                "lease": gap.lease,
                "node": gap.node,
                "gpus": list(gap.gpus),
                "since": gap.span[0] / SECOND,
                "until": gap.span[1] / SECOND,
                "waited": gap.waited,
            }
            for gap in gaps(found)[:GAPS_SHOWN]
        ],
        "pending": {
            "tasks": pending.tasks,
            "known": pending.known,
            "seconds": pending.seconds,
            "gpu_seconds": pending.gpu_seconds,
        },
        "unknown": [{"lease": lease, "node": node} for lease, node in found.unknown],
        "by": by,
        "rows": [dict(zip(titles, row, strict=True)) for row in rows],
    }


COMMAND = Command(
    usage="[--since 7d] [--by WHAT] [--gantt] [--html FILE]",
    about="Says what leases held in the last days, what tasks booked of it, what lay idle and why, how long tasks "
    "waited, and what those that wait will cost. Busy, idle and down are together what was held.",
    make=ReportRequest,
    options=(
        LEASE,
        Option("since", "how far back: 12h, 7d", metavar="AGE", read=partial(seconds), default="7d"),
        Option(
            "by",
            "a row for each name, group or state of what ran, or for each lease, day, node or gpu that was held",
            metavar="WHAT",
            choices=(*OF_TASKS, *OF_NODES),
            default="lease",
        ),
        Option("csv", "the rows alone, as CSV", kind="flag", against=("json", "html", "gantt")),
        Option("gantt", "a line for each node and GPU in time", kind="flag", against=("json", "html")),
        Option("html", "write it, with the timeline, to FILE: one page that needs nothing else", completes="file"),
        *LOOK,
    ),
    examples=("leaseq report", "leaseq report --since 24h --by name", "leaseq report --html report.html"),
)
