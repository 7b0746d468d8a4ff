"""`leaseq daemon status`: whether this host's runner is alive."""

from __future__ import annotations

from leaseq.cli import exits
from leaseq.cli.app import App
from leaseq.cli.command import Command
from leaseq.cli.here import HERE, running
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.lease.leases import read_record
from leaseq.verbs.here import meant
from leaseq.words import count


@dataclass(frozen=True)
class Status:
    lease: str
    json: bool

    def perform(self, app: App) -> int:
        """0 if this host's runner is alive, 3 if it is not."""
        local = meant(app.access, self.lease)
        alive, keeper = local.runner(), local.keeper()
        known = read_record(app.fs, local.lease) is not None
        held = running(app, local) if known else []
        # A runner that lives and a host that is in the lease are two things: each may be without the other.
        joined = known and not local.is_own and local.stay() is not None
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
            return 0 if alive else exits.NO_RUNNER
        of = f" of lease {local.lease.id}" if not local.is_own else ""
        if alive:
            app.out.wrap(f"runner{of} alive, process {alive.pid}; {count(len(held), 'task')} running")
        else:
            left = f"; {count(len(held), 'task')} running" if held else ""
            app.out.wrap(f"no runner{of} is alive here{left}")
            way = "`leaseq daemon start` starts it; so does the next `leaseq submit`"
            app.out.talk(f"  `leaseq daemon start --lease {local.lease.id}` starts it" if of else f"  {way}")
            if joined:
                app.out.talk(f"  {local.node} is still in that lease: `leaseq daemon stop` takes it out")
        return 0 if alive else exits.NO_RUNNER


COMMAND = Command(
    usage="[--lease LEASE]",
    about=f"Says whether this host's runner is alive; the exit code is {exits.NO_RUNNER} if it is not.",
    make=Status,
    options=(HERE, JSON),
    examples=("leaseq daemon status", "leaseq daemon status --json"),
)
