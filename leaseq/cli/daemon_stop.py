"""`leaseq daemon stop`: no runner serves this host."""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.here import HERE, running
from leaseq.cli.options import JSON
from leaseq.cli.releasing import wait_for
from leaseq.dataclass import dataclass
from leaseq.lease.host import LocalBackend
from leaseq.lease.leases import read_record
from leaseq.reading.views import TaskView
from leaseq.verbs.here import Stopped, drain, meant, stop
from leaseq.words import count, visible

TOLD_MAX = 20


@dataclass(frozen=True)
class Stop:
    lease: str
    kill: bool
    drain: bool
    json: bool

    def perform(self, app: App) -> int:
        """No runner serves this host; with --kill its tasks have ended too. It has left a lease that it shared."""
        local = meant(app.access, self.lease)
        record = read_record(app.fs, local.lease)
        if record is None:
            return self._tell(app, local, Stopped(before=False), left=[])
        if self.drain and local.runner() is not None:
            wait_for(app, drain(app.access, local), record, called=f"{local.node} of lease {record.id}")
        return self._tell(app, local, stop(local, kill=self.kill), left=running(app, local))

    def _tell(self, app: App, local: LocalBackend, stopped: Stopped, *, left: Sequence[TaskView]) -> int:
        lease = local.lease.id
        if self.json:
            body = {"lease": lease, "stopped": stopped.before, "out": stopped.out, "tasks": [row.id for row in left]}
            app.out.document(body)
            return 0
        app.out.talk("leaseq: this host's runner has stopped" if stopped.before else "leaseq: no runner was alive here")
        if left:
            app.out.talk(f"  {count(len(left), 'task')} still running:")
            for row in left[:TOLD_MAX]:
                app.out.talk(f"    {row.id}  {visible(row.command)[:100]}")
            start = "leaseq daemon start" if local.is_own else f"leaseq daemon start --lease {lease}"
            app.out.talk(f"  `{start}` takes them up again, `leaseq daemon stop --kill` ends them")
        if stopped.out:
            app.out.talk(f"leaseq: {local.node} is in lease {lease} no more")
        elif not local.is_own and not stopped.was_in:
            app.out.talk(f"leaseq: {local.node} is not in lease {lease}")
        elif stopped.was_in:
            app.out.talk(
                f"leaseq: {local.node} stays in lease {lease} until what it holds has ended and is written down"
            )
        return 0


COMMAND = Command(
    usage="[--lease LEASE] [--drain | --kill]",
    about="Stops this host's runner. Running tasks go on, and the next runner takes them up with their exit codes; "
    "--kill ends them first. Pending tasks stay queued. A host that is one of several of a lease leaves that, once it "
    "holds nothing of it: what had not begun here is pending for the others.",
    make=Stop,
    options=(
        HERE,
        Option("drain", "start no task any more, and wait for the running ones first", kind="flag"),
        Option("kill", "end the running tasks too", kind="flag", against=("drain",)),
        JSON,
    ),
    examples=("leaseq daemon stop", "leaseq daemon stop --kill", "leaseq daemon stop --lease lab --drain"),
)
