"""`leaseq lease hold-queue`: whether a lease starts tasks."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.errors import Refused
from leaseq.lease import leases
from leaseq.verbs.lease_hold_queue import hold_queue


@dataclass(frozen=True)
class HoldQueue:
    """A lease that is to start no task, or with `off` is to start them again."""

    lease: str
    off: bool
    json: bool

    def perform(self, app: App) -> int:
        record = leases.living(app.access.record(app.access.lease(self.lease)))
        nodes = hold_queue(app.access, record, off=self.off)
        if not nodes:
            raise Refused(f"lease {record.id} has not started yet", hint="`leaseq hold ID...` holds single tasks")
        if self.json:
            app.out.document({"lease": record.id, "nodes": list(nodes), "held": not self.off})
            return 0
        word = "starts tasks again" if self.off else "starts no task until `leaseq lease hold-queue --off`"
        app.out.talk(f"leaseq: lease {record.id} {word}; running ones go on")
        return 0


COMMAND = Command(
    usage="[LEASE] [--off]",
    about="A lease starts no task any more; what runs goes on. --off lets it start tasks again.",
    make=HoldQueue,
    words=Words("lease", "lease", most=1, ask="which lease?", hint="leaseq lease hold-queue [LEASE] [--off]"),
    options=(Option("off", "start tasks again", kind="flag"), JSON),
)
