"""`leaseq hold`: pending tasks do not start; with `release` they may again."""

from __future__ import annotations

from functools import partial

from leaseq.cli.acting import Said, on_each
from leaseq.cli.app import App
from leaseq.cli.command import Command, Words
from leaseq.cli.options import JSON, LEASE, OF_GROUP, by_group
from leaseq.dataclass import dataclass
from leaseq.lease.lookup import FREE, HELD, PENDING, Located
from leaseq.verbs.hold import hold, release


@dataclass(frozen=True)
class Hold:
    """Pending tasks that must not start, or with `hold` false may start again."""

    tasks: tuple[str, ...]
    lease: str
    hold: bool
    json: bool
    anyway: bool = False
    """True if they may start whatever they wait for."""

    def perform(self, app: App) -> int:
        of = FREE if self.hold else PENDING if self.anyway else HELD
        found = app.access.find(self.tasks, lease=self.lease, acts=True, of=of)
        act, doing = (_hold, "holding") if self.hold else (partial(_release, anyway=self.anyway), "releasing")
        return on_each(app, found, act, doing=doing, json=self.json)


def _hold(app: App, each: Located) -> Said:
    word = "held" if hold(app.access, each) else "held already"
    return word, f"{each.row.id} is {word}"


def _release(app: App, each: Located, *, anyway: bool) -> Said:
    if release(app.access, each, anyway=anyway):
        return "released", f"{each.row.id} is released"
    waits = f": it waits for {each.row.waits[0].text}; --anyway starts it all the same" if each.row.waits else ""
    return "not held", f"{each.row.id} is not held{waits}"


def which(verb: str) -> Words:
    """The tasks whose fate the verb decides: one at least."""
    return Words("tasks", "task", least=1, ask="which task?", hint=f"leaseq {verb} ID..., or `leaseq {verb} last`")


COMMAND = Command(
    usage="ID... | -g GROUP",
    about="Keeps pending tasks from starting until `leaseq release`.",
    make=by_group(partial(Hold, hold=True), hint="leaseq hold ID..., `leaseq hold last`, or -g GROUP"),
    words=Words("tasks", "task"),
    options=(LEASE, OF_GROUP, JSON),
    examples=("leaseq hold last",),
)
