"""`leaseq daemon stop`: no runner serves this host."""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.here import running
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.lease.host import LocalBackend
from leaseq.lease.leases import read_record
from leaseq.reading.views import TaskView
from leaseq.words import count, visible

TOLD_MAX = 20


@dataclass(frozen=True)
class Stop:
    kill: bool
    json: bool

    def perform(self, app: App) -> int:
        """No runner serves this host; with --kill its tasks have ended too."""
        local = app.access.host()
        if read_record(app.fs, local.lease) is None:
            return self._tell(app, local, stopped=False, left=[])
        stopped = local.stop(kill=self.kill)
        return self._tell(app, local, stopped=stopped, left=running(app, local))

    def _tell(self, app: App, local: LocalBackend, *, stopped: bool, left: Sequence[TaskView]) -> int:
        if self.json:
            app.out.document({"lease": local.lease.id, "stopped": stopped, "tasks": [row.id for row in left]})
            return 0
        app.out.talk("leaseq: this host's runner has stopped" if stopped else "leaseq: no runner was alive here")
        if left:
            app.out.talk(f"  {count(len(left), 'task')} still running:")
            for row in left[:TOLD_MAX]:
                app.out.talk(f"    {row.id}  {visible(row.command)[:100]}")
            app.out.talk("  `leaseq daemon start` takes them up again, `leaseq daemon stop --kill` ends them")
        return 0


COMMAND = Command(
    usage="[--kill]",
    about="Stops this host's runner. Running tasks go on, and the next runner takes them up with their exit codes; "
    "--kill ends them first. Pending tasks stay queued.",
    make=Stop,
    options=(Option("kill", "end the running tasks too", kind="flag"), JSON),
    examples=("leaseq daemon stop", "leaseq daemon stop --kill"),
)
