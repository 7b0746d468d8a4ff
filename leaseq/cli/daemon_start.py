"""`leaseq daemon start`: this host's runner is alive."""

from __future__ import annotations

from functools import partial

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.here import running, tell_of_job
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.lease.kinds import start_words
from leaseq.verbs.here import Entered, start
from leaseq.words import count


@dataclass(frozen=True)
class Start:
    lease: str
    restart: bool
    json: bool

    def perform(self, app: App) -> int:
        """This host's runner is alive."""
        entered = start(app.access, self.lease, again=self.restart)
        local, started = entered.host, entered.started
        if self.json:
            app.out.document({"lease": local.lease.id, "pid": started.pid, "already": started.already})
            return 0
        adopted = running(app, local)
        verb = "was running already" if started.already else "runs"
        kept = f"; it holds {count(len(adopted), 'task')}" if adopted else ""
        app.out.talk(f"leaseq: this host's runner {verb} (process {started.pid}){kept}")
        if not local.is_own:
            _tell_of_lease(app, entered)
        tell_of_job(app, started)
        return 0


def _tell_of_lease(app: App, entered: Entered) -> None:
    lease = entered.host.lease.id
    made = "which is new, and the default lease now" if entered.is_default else "which is new" if entered.is_new else ""
    record = app.access.record(entered.host.lease)
    others = [node for node in record.nodes if node != entered.host.node]
    beside = f", beside {', '.join(others[:20])}" if others else ""
    app.out.talk(f"leaseq: {entered.host.node} is in lease {lease}{f', {made}' if made else ''}{beside}")
    if entered.is_new:
        app.out.talk(f"leaseq: `{start_words(record)}` on other hosts that share this home puts them in, too")


COMMAND = Command(
    usage="[--lease NAME]",
    about="Starts this host's runner, if none is alive. It takes up the tasks that still run. `leaseq submit` does the "
    "same by itself. With --lease this host and all others that are told so are one lease of that name: whichever has "
    "room first takes its tasks.",
    make=partial(Start, restart=False),
    options=(
        Option(
            "lease",
            "a lease of several hosts, which is made if there is none of that name (default: this host's own)",
            short="l",
            metavar="NAME",
            absent="",
            completes="lease",
        ),
        JSON,
    ),
    examples=("leaseq daemon start", "leaseq daemon start --lease lab"),
)
