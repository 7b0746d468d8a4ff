"""`leaseq group`: the groups of a lease, and how many of one may run at once."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.limits import limits_told
from leaseq.cli.options import LEASE, LOOK, Look
from leaseq.dataclass import dataclass
from leaseq.errors import NotFound, UsageError
from leaseq.models import State
from leaseq.names import valid_group
from leaseq.values import integer
from leaseq.verbs.group import ENDED_LOOKED_AT, Group, Groups, look, set_parallel
from leaseq.words import about, filled, per_time

UNLIMITED = -1


@dataclass(frozen=True, kw_only=True)
class GroupRequest(Look):
    """The groups of a lease, or one that is to have a limit first."""

    name: str
    lease: str
    parallel: int | None
    """`UNLIMITED`: the limit is to go; None: it stays as it is."""

    def __post_init__(self) -> None:
        if self.name:
            valid_group(self.name, what="group")
        elif self.parallel is not None:
            raise UsageError("which group?", hint="leaseq group GROUP --parallel N")

    def perform(self, app: App) -> int:
        out = self.output(app)
        lease = app.access.lease(self.lease)
        if self.parallel is not None:
            set_parallel(app.access, lease, self.name, None if self.parallel == UNLIMITED else self.parallel)
        found = look(app.access.reader_of(lease), self.name)
        if self.json:
            out.document({"lease": found.lease, "groups": [group_json(each) for each in found.groups]})
            return 0
        if self.name and self.parallel is None and not found.groups[0].tasks and not found.snapshot.limits.groups:
            raise NotFound(f"no task of group {self.name} in lease {found.lease}", hint="`leaseq group` lists them all")
        if not found.groups:
            out.talk(f"leaseq: no task of lease {found.lease} is in a group: `leaseq submit -g NAME` puts one there")
            return 0
        out.table(COLUMNS, [_row(each, ascii=out.ascii) for each in found.groups])
        self._remark(app, found)
        return 0

    def _remark(self, app: App, found: Groups) -> None:
        for line in limits_told(found.snapshot.limits):
            app.out.talk(f"leaseq: {line}")
        for each in found.groups:
            running = each.tasks.get(State.RUNNING, 0)
            if each.parallel is not None and running > each.parallel:
                first = running - each.parallel + 1
                have = f"{first} of them {'has' if first == 1 else 'have'} to end before the next one starts"
                app.out.talk(f"leaseq: {running} of {each.name} run, which go on: {have}")
        if not found.whole:
            app.out.talk(f"leaseq: of the ended tasks the newest {ENDED_LOOKED_AT:,} were counted")


COLUMNS = (
    Column("GROUP", least=8),
    Column("PENDING", right=True),
    Column("RUNNING", right=True),
    Column("DONE", right=True),
    Column("FAILED", right=True),
    Column("OTHERS", right=True, rank=2),
    Column("PARALLEL", right=True, rank=3),
    Column("PAUSED"),
    Column("ENDED", least=5, rank=1, code=lambda text: text.rpartition("  ")[2]),
    Column("RATE", rank=2),
    Column("LEFT"),
)


def _row(group: Group, *, ascii: bool) -> list[str]:
    shown = (State.PENDING, State.RUNNING, State.DONE, State.FAILED)
    counts = [group.tasks.get(state, 0) for state in shown]
    others = sum(group.tasks.values()) - sum(counts)
    left = "" if group.seconds is None else f"about {about(group.seconds)}"
    limit = "" if group.parallel is None else str(group.parallel)
    paused = "paused" if group.paused else ""
    done = "" if group.fraction is None else f"{filled(group.fraction, 10, ascii=ascii)}  {int(group.fraction * 100)} %"
    rate = per_time(group.per_second) if group.per_second else ""
    return [group.name, *map(str, counts), str(others), limit, paused, done, rate, left]


def group_json(group: Group) -> dict[str, object]:
    counts = {state.name: group.tasks.get(state, 0) for state in State}
    return {
        "group": group.name,
        "paused": group.paused,
        "parallel": group.parallel,
        "seconds": group.seconds,
        "fraction": None if group.fraction is None else round(group.fraction, 4),
        "per_second": group.per_second,
        "tasks": counts,
    }


def parallel(text: str, *, what: str) -> int:
    """How many may run at once; `off` is any number."""
    return UNLIMITED if text.lower() == "off" else integer(text, what=what, low=1, high=999_999, word="off")


PARALLEL = Option(
    "parallel", "at most N of the group run at once; `off`: any number", short="p", metavar="N", read=parallel
)
COMMAND = Command(
    usage="[GROUP] [--parallel N]",
    about="Shows the groups of a lease. `leaseq submit -g` puts a task into one. --parallel limits how many tasks of a "
    "group run at once, over all nodes; what runs goes on.",
    make=GroupRequest,
    words=Words("name", "group", most=1, ask="which group?", hint="leaseq group [GROUP] [--parallel N]"),
    options=(
        LEASE,
        Option(
            "parallel", "at most N of the group run at once; `off`: any number", short="p", metavar="N", read=parallel
        ),
        *LOOK,
    ),
    examples=("leaseq group", "leaseq group eval --parallel 2", "leaseq group eval --parallel off"),
)
