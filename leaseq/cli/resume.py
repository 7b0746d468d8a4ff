"""`leaseq resume`: a lease, or a group of it, starts tasks again."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command
from leaseq.cli.here import see_to_capacity
from leaseq.cli.limits import limits_told, pause_told
from leaseq.cli.options import GROUP, JSON, LEASE, NO_START
from leaseq.dataclass import dataclass, replace
from leaseq.protocol.groups import limits
from leaseq.verbs.pause import resume


@dataclass(frozen=True)
class Resume:
    """A lease, or a group of it, that is to start tasks again."""

    lease: str
    group: str
    start: bool
    json: bool

    def perform(self, app: App) -> int:
        done = resume(app.access, app.access.lease(self.lease), self.group)
        if self.json:
            app.out.document({"lease": done.lease.id, "group": self.group, "paused": False})
        else:
            word = "was not paused" if done.before else "starts tasks again"
            app.out.talk(f"leaseq: {pause_told(done.lease.id, self.group)} {word}")
            for line in limits_told(limits(app.fs, done.lease)):
                app.out.talk(f"leaseq: {line}")
        if self.start and app.access.reader_of(done.lease).listing().pending:
            see_to_capacity(app, [done.lease])
        return 0


COMMAND = Command(
    usage="[-g GROUP] [--lease LEASE]",
    about="The lease, or with -g that group, starts tasks again after `leaseq pause`.",
    make=Resume,
    options=(replace(GROUP, help="only this group"), LEASE, NO_START, JSON),
    examples=("leaseq resume", "leaseq resume -g eval"),
)
