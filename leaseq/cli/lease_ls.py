"""`leaseq lease ls`: which leases there are."""

from __future__ import annotations

import contextlib
import os

from leaseq import config
from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Option
from leaseq.cli.options import LOOK, Look
from leaseq.cli.overview import Overview, default_of, lease_json, overview
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.lease import homes, leases, wording
from leaseq.lease.view import look_at_all
from leaseq.models import State
from leaseq.programs import slurm_is_here
from leaseq.reading.views import duration


@dataclass(frozen=True, kw_only=True)
class ListLeases(Look):
    """The leases of this home; ended ones only with `all`."""

    all: bool

    def perform(self, app: App) -> int:
        out = self.output(app)
        homes.check_home(app.home)
        chosen = default_of(app)
        known = look_at_all(app.fs, app.home, clock=app.clock).views
        unreadable = leases.unreadable(app.fs, app.home, [each.lease for each in known])
        rows = [overview(app, each) for each in known if each.word != "ENDED" or self.all]
        if self.json:
            found = [lease_json(row, chosen=row.lease.id == chosen) for row in rows]
            out.document({"default": chosen, "leases": found, "unreadable": unreadable})
            return 0
        out.table(COLUMNS, [cells(row, now=app.clock.now(), chosen=row.lease.id == chosen) for row in rows])
        for lease_id, reason in unreadable.items():
            out.talk(f"leaseq: lease {lease_id} cannot be read: {reason}")
        if not rows and not unreadable:
            ended = "1 lease has ended" if len(known) == 1 else f"all {len(known)} leases have ended"
            listed = f"{ended}: `leaseq lease ls --all` lists what is there"
            out.talk(f"leaseq: {listed if known else f'no lease yet: {_ways(app)}'}")
        return 0


def _ways(app: App) -> str:
    """How a person who has no lease comes to one."""
    here, slurm = True, slurm_is_here()
    with contextlib.suppress(UsageError):  # settings that are none keep nobody from looking
        here = not config.local_is_forbidden(app.home)
    ways = ["`leaseq submit -- COMMAND` uses this host"] if here else []
    ways += ["`leaseq add` asks Slurm for nodes"] if slurm or not here else []
    ways += ["`leaseq init` writes a profile for that"] if slurm and not os.path.exists(app.home.config) else []
    return ", ".join(ways)


COLUMNS = (
    Column(""),
    Column("ID", least=8, ending=True),
    Column("NAME", least=8, rank=6),
    Column("STATE"),
    Column("LEFT", right=True, rank=9),
    Column("ALIVE", right=True, rank=5),
    Column("GPUS", right=True, rank=2),
    Column("RUN", right=True, rank=8),
    Column("PEND", right=True, rank=7),
    Column("FAIL", right=True, rank=3),
    Column("TIMEOUT", right=True, rank=2),
    Column("LOST", right=True, rank=4),
    Column("IDLE", right=True, rank=1),
    Column("NODES / REASON", least=20),
)


def cells(row: Overview, *, now: float, chosen: bool) -> list[str]:
    """The lease as a row of the table."""
    left = duration(row.state.ends - now) if row.state.ends is not None else ""
    return [
        "*" if chosen else "",
        row.lease.id,
        row.lease.name,
        row.state.word,
        left,
        f"{row.alive}/{len(row.nodes)}" if row.nodes and row.state.word != "ENDED" else "",
        str(row.gpus or "") if row.state.word != "ENDED" else "",
        str(row.totals.get(State.RUNNING, 0)),
        str(row.totals.get(State.PENDING, 0)),
        str(row.totals.get(State.FAILED, 0)),
        str(row.totals.get(State.TIMEOUT) or ""),
        str(row.totals.get(State.LOST) or ""),
        _idle(row) if row.state.word == "RUNNING" else "",
        wording.of_lease(
            row.state, row.nodes, row.notes, following=row.next_words if row.state.word == "RUNNING" else ""
        ),
    ]


def _idle(row: Overview) -> str:
    """How long it has run no task, and how long it may stand unused."""
    limit = row.idle_limit_seconds
    if row.idle_seconds is None:
        return ""
    return duration(row.idle_seconds) + (f"/{duration(limit)}" if limit is not None else "")


COMMAND = Command(
    usage="[--all]",
    about="Lists leases; * marks the default: the one of commands that name none.",
    make=ListLeases,
    options=(Option("all", "ended ones too", kind="flag", short="a"), *LOOK),
)
