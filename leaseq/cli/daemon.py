"""`leaseq daemon`: the runner of this host, started, stopped and looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.here import tell_of_job
from leaseq.cli.options import JSON
from leaseq.cli.output import visible
from leaseq.cli.values import yes
from leaseq.lease.host import LocalBackend, refuse_if_forbidden
from leaseq.lease.leases import read_record
from leaseq.models import State
from leaseq.reading.snapshot import Reader, TaskView
from leaseq.words import count

EXIT_NO_RUNNER = 3
TOLD_MAX = 20


def backend(app: App) -> LocalBackend:
    return LocalBackend(app.fs, app.home, clock=app.clock)


def running(app: App, local: LocalBackend) -> list[TaskView]:
    """Tasks that this host's lease holds now."""
    snapshot = Reader(local.lease, app.fs, app.clock).read(recent=0, pending=0)
    return [row for row in snapshot.tasks if row.state in (State.RUNNING, State.STUCK, State.UNKNOWN)]


@dataclass(frozen=True)
class Start:
    restart: bool
    json: bool

    def perform(self, app: App) -> int:
        """This host's runner is alive."""
        app.make_home()
        local = backend(app)
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


@dataclass(frozen=True)
class Stop:
    kill: bool
    json: bool

    def perform(self, app: App) -> int:
        """No runner serves this host; with --kill its tasks have ended too."""
        local = backend(app)
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


@dataclass(frozen=True)
class Status:
    json: bool

    def perform(self, app: App) -> int:
        """0 where this host's runner is alive, 3 where it is not."""
        local = backend(app)
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
        return 0 if alive else EXIT_NO_RUNNER


class Daemon:
    """What Fire calls; each method only makes a request."""

    def start(self, *, json: str = "") -> Start:
        return Start(restart=False, json=yes(json, what="--json"))

    def restart(self, *, json: str = "") -> Start:
        return Start(restart=True, json=yes(json, what="--json"))

    def stop(self, *, kill: str = "", json: str = "") -> Stop:
        return Stop(kill=yes(kill, what="--kill"), json=yes(json, what="--json"))

    def status(self, *, json: str = "") -> Status:
        return Status(json=yes(json, what="--json"))


COMMANDS = {
    "daemon start": Command(
        Daemon,
        "start",
        "",
        "Starts this host's runner, if none is alive. It takes up the tasks that still run. `leaseq submit` does the "
        "same by itself.",
        (JSON,),
        ("leaseq daemon start",),
    ),
    "daemon stop": Command(
        Daemon,
        "stop",
        "[--kill]",
        "Stops this host's runner. Running tasks go on, and the next runner takes them up with their exit codes; "
        "--kill ends them first. Pending tasks stay queued.",
        (Option("kill", "end the running tasks too", kind="flag"), JSON),
        ("leaseq daemon stop", "leaseq daemon stop --kill"),
    ),
    "daemon status": Command(
        Daemon,
        "status",
        "",
        "Tells whether this host's runner is alive; the exit code is 3 if it is not.",
        (JSON,),
        ("leaseq daemon status", "leaseq daemon status --json"),
    ),
    "daemon restart": Command(
        Daemon,
        "restart",
        "",
        "Stops this host's runner and starts it again. Tasks go on.",
        (JSON,),
        ("leaseq daemon restart",),
    ),
}
