"""`leaseq pause`: a lease, or a group of it, starts nothing more."""

from __future__ import annotations

from leaseq.cli.acting import see_to_jobs
from leaseq.cli.app import App
from leaseq.cli.command import Command
from leaseq.cli.limits import pause_told
from leaseq.cli.options import GROUP, JSON, LEASE
from leaseq.dataclass import dataclass, replace
from leaseq.verbs.pause import pause
from leaseq.words import count

SHOWN_MAX = 5


@dataclass(frozen=True)
class Pause:
    """A lease, or a group of it, that is to start nothing more."""

    lease: str
    group: str
    json: bool

    def perform(self, app: App) -> int:
        done = pause(app.access, app.access.lease(self.lease), self.group)
        ids = [row.id for row in done.going_on]
        see_to_jobs(app, [done.lease])
        if self.json:
            app.out.document({"lease": done.lease.id, "group": self.group, "paused": True, "running": ids})
            return 0
        way = f"`leaseq resume{f' -g {self.group}' if self.group else ''}`"
        word = "was paused before" if done.before else f"starts nothing until {way}"
        app.out.talk(f"leaseq: {pause_told(done.lease.id, self.group)} {word}")
        if ids:
            more = f" and {len(ids) - SHOWN_MAX} more" if len(ids) > SHOWN_MAX else ""
            goes = "goes" if len(ids) == 1 else "go"
            app.out.talk(f"leaseq: {count(len(ids), 'task')} {goes} on: {', '.join(ids[:SHOWN_MAX])}{more}")
        return 0


COMMAND = Command(
    usage="[-g GROUP] [--lease LEASE]",
    about="The lease, or with -g that group, starts no task until `leaseq resume`, whatever runner serves it, not even "
    "one that is submitted later. What runs goes on. Single tasks are kept back by `leaseq hold`.",
    make=Pause,
    options=(replace(GROUP, help="only this group"), LEASE, JSON),
    examples=("leaseq pause", "leaseq pause -g eval"),
)
