"""`leaseq daemon start`: this host's runner is alive."""

from __future__ import annotations

from functools import partial

from leaseq.cli.app import App
from leaseq.cli.command import Command
from leaseq.cli.here import running, tell_of_job
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.lease.host import refuse_if_forbidden
from leaseq.words import count


@dataclass(frozen=True)
class Start:
    restart: bool
    json: bool

    def perform(self, app: App) -> int:
        """This host's runner is alive."""
        app.access.make_home()
        local = app.access.host()
        refuse_if_forbidden(app.home)
        if self.restart:
            local.stop()
        started = local.start()
        if self.json:
            app.out.document({"lease": local.lease.id, "pid": started.pid, "already": started.already})
            return 0
        adopted = running(app, local)
        verb = "was running already" if started.already else "runs"
        kept = f"; it holds {count(len(adopted), 'task')}" if adopted else ""
        app.out.talk(f"leaseq: this host's runner {verb} (process {started.pid}){kept}")
        tell_of_job(app, started)
        return 0


COMMAND = Command(
    usage="",
    about="Starts this host's runner, if none is alive. It takes up the tasks that still run. `leaseq submit` does the "
    "same by itself.",
    make=partial(Start, restart=False),
    options=(JSON,),
    examples=("leaseq daemon start",),
)
