"""`leaseq lease scale`: how many jobs a lease may have as its tasks need them, and why it has as many as it has."""

from __future__ import annotations

import shlex
import sys

from leaseq.cli import scaling
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.lease import leases
from leaseq.lease.slurm.want import Wanted
from leaseq.reading.backlog import Backlog
from leaseq.verbs.lease_scale import lease_that_scales, reckoning, scale
from leaseq.verbs.lease_words import HINT, bounds
from leaseq.words import count

CRON_MINUTES = 5


@dataclass(frozen=True)
class Scale:
    """A lease, and how many jobs it may have from now on; None: as before, and only something is said of it."""

    lease: str
    bounds: tuple[int, int] | None
    why: bool
    cron: bool
    json: bool

    def perform(self, app: App) -> int:
        record, how = lease_that_scales(app.access, self.lease, acts=self.bounds is not None)
        called = leases.called(record)
        if self.cron:
            print(f"#SCRON --time=00:05:00\n{cron_line(app.home.root, record.id)}")
            return 0
        if self.bounds is not None:
            scale(app.access, record, how, self.bounds)
            if not self.json:
                app.out.talk(f"leaseq: lease {called} {scaling.said(self.bounds)}")
        if not self.why:
            if self.json:
                app.out.document({"lease": record.id, "scale": list(self.bounds or how.scale)})
            return 0
        told, backlog = reckoning(app.access, record)
        if self.json:
            app.out.document({"lease": record.id, "scale": list(self.bounds or how.scale), "why": _json(told, backlog)})
        else:
            app.out.pairs(_lines(self.bounds or how.scale, told, backlog))
        return 0


def cron_line(home: str, lease: str) -> str:
    """A line for scrontab, or a login host's crontab, by which somebody looks every few minutes."""
    words = [
        f"LEASEQ_HOME={shlex.quote(home)}",
        shlex.quote(sys.executable),
        "-m",
        "leaseq",
        "recover",
        "--lease",
        lease,
    ]
    return f"*/{CRON_MINUTES} * * * * {' '.join(words)} >/dev/null 2>&1"


def _lines(bounds: tuple[int, ...], told: Wanted | None, backlog: Backlog) -> list[tuple[str, str]]:
    """The reckoning, in the order in which it is made."""
    if told is None:
        return [("scales", f"{bounds[0]}..{bounds[1]}: no job is asked for any more")]
    never = [f"{count(number, 'task')}: {why}" for why, number in told.never.items()]
    others = [f"{number:,} {why}" for why, number in backlog.others.items()]
    rows = [
        ("scales", f"{bounds[0]}..{bounds[1]}, {count(told.jobs, 'job')} now"),
        ("ready", f"{count(told.ready, 'task')} could start now"),
        ("on nodes", f"{told.on_nodes:,} of them have room on nodes that run" if told.on_nodes else ""),
        ("in queue", f"{told.in_queue:,} of them in jobs that are queued or about to start" if told.in_queue else ""),
        ("never", "; ".join(never)),
        ("others", ", ".join(others)),
        ("wanted", f"{count(told.more, 'more job')}" if told.more else "no more jobs"),
        ("cancelled", ", ".join(each.job for each in told.cancel) + " once nothing needs it" if told.cancel else ""),
        ("next", "one is asked for now" if told.ask else told.why_not),
    ]
    return [(key, value) for key, value in rows if value]


def _json(told: Wanted | None, backlog: Backlog) -> dict[str, object] | None:
    if told is None:
        return None
    return {
        "jobs": told.jobs,
        "ready": told.ready,
        "on_nodes": told.on_nodes,
        "in_queue": told.in_queue,
        "never": dict(told.never),
        "others": dict(backlog.others),
        "more": told.more,
        "ask": told.ask,
        "why_not": told.why_not,
        "paused": told.paused,
        "not_needed": [each.job for each in told.cancel],
    }


def _made(*, words: tuple[str, ...], why: bool, cron: bool, json: bool) -> Scale:
    *lease, last = words or ("",)
    typed = ".." in last
    if not typed:
        lease = [*lease, last]
    if len(lease) > 1:
        raise UsageError(f"{last!r} is no range", hint=HINT)
    if not typed and not why and not cron:
        raise UsageError("how many jobs may which lease have?", hint="leaseq lease scale [LEASE] 0..8; or --why")
    if typed and cron:
        raise UsageError("--cron prints a line, and sets no bounds")
    return Scale("".join(lease), bounds(last, what="the range") if typed else None, why, cron, json)


COMMAND = Command(
    usage="[LEASE] MIN..MAX | [LEASE] --why | [LEASE] --cron",
    about="A lease of `leaseq add --scale` asks Slurm for as many jobs as its tasks need, within these bounds from now "
    "on, and asks again if it had paused. What runs goes on, and leaves by itself when nothing uses it.",
    make=_made,
    words=Words("words", "lease", most=2),
    options=(
        Option("why", "say how many jobs are wanted, and why none is asked for", kind="flag"),
        Option(
            "cron", "print a line for scrontab by which somebody looks every 5 minutes", kind="flag", against=("why",)
        ),
        JSON,
    ),
    examples=("leaseq lease scale pool 0..8", "leaseq lease scale pool --why"),
)
