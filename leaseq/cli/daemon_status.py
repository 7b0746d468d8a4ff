"""`leaseq daemon status`: whether this host's runner is alive."""

from __future__ import annotations

from leaseq.cli import exits
from leaseq.cli.app import App
from leaseq.cli.command import Command
from leaseq.cli.here import running
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.lease.leases import read_record
from leaseq.words import count


@dataclass(frozen=True)
class Status:
    json: bool

    def perform(self, app: App) -> int:
        """0 if this host's runner is alive, 3 if it is not."""
        local = app.access.host()
        alive, keeper = local.runner(), local.keeper()
        held = running(app, local) if read_record(app.fs, local.lease) is not None else []
        if self.json:
            body = {
                "running": alive is not None,
                "pid": alive.pid if alive else None,
                "keeper_pid": keeper.pid if keeper else None,
                "lease": local.lease.id,
                "node": local.node,
                "tasks": [row.id for row in held],
                "log": local.log,
            }
            app.out.document(body)
        elif alive:
            app.out.wrap(f"runner alive, process {alive.pid}; {count(len(held), 'task')} running")
        else:
            left = f"; {count(len(held), 'task')} running" if held else ""
            app.out.wrap(f"no runner is alive here{left}")
            app.out.talk("  `leaseq daemon start` starts it; so does the next `leaseq submit`")
        return 0 if alive else exits.NO_RUNNER


COMMAND = Command(
    usage="",
    about=f"Says whether this host's runner is alive; the exit code is {exits.NO_RUNNER} if it is not.",
    make=Status,
    options=(JSON,),
    examples=("leaseq daemon status", "leaseq daemon status --json"),
)
