"""`leaseq wait`: until tasks have ended, with their exit code."""

from __future__ import annotations

from leaseq.cli import exits
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.details import attempt_json
from leaseq.cli.options import JSON, LEASE, OF_GROUP, by_group
from leaseq.dataclass import dataclass
from leaseq.lease.lookup import Found, How, Located
from leaseq.models import Outcome, State
from leaseq.protocol.history import command_text
from leaseq.protocol.keys import redone
from leaseq.reading.snapshot import Reader
from leaseq.reading.waiting import wait_code
from leaseq.values import seconds
from leaseq.verbs.wait import wait
from leaseq.words import visible


@dataclass(frozen=True)
class Wait:
    """Tasks to be waited for: all of them, or with `any` the first that ends."""

    tasks: tuple[str, ...]
    lease: str
    any: bool
    timeout: float | None
    json: bool

    def perform(self, app: App) -> int:
        """The first exit code that is not 0, in the order given; 124 if the time is over."""
        found = app.access.find(self.tasks, lease=self.lease, acts=True, indices=How.EACH)
        unknown = app.tell(found.problems)
        waited = wait(
            app.access, found, any=self.any, seconds=self.timeout, told=lambda text: app.out.talk(f"leaseq: {text}")
        )
        code = self._tell(app, found, waited.ended)
        if waited.late:
            app.out.talk(f"leaseq: still waiting for {', '.join(waited.left[:5])} after {self.timeout:.0f} s")
            return exits.OVER
        return unknown or code

    def _tell(self, app: App, found: Found, ended: dict[str, Outcome]) -> int:
        """What is worth saying of the ended tasks is said; the exit code for them."""
        known = [(each, ended[each.row.id]) for each in found.tasks if each.row.id in ended]
        if self.json:
            tasks = [_json(app, each, outcome) for each, outcome in known]
            app.out.document({"lease": found.lease, "tasks": tasks, "unknown": list(found.unknown)})
        else:
            for each, outcome in known:
                if outcome.state is not State.DONE:
                    newer = redone(app.fs, each.reader.lease, each.row.id)
                    again = f" (submitted again as {newer[-1]})" if newer else ""
                    app.out.talk(f"leaseq: {verdict(outcome)}{again}")
                    tell_error(app, each.reader, outcome)
        codes = [wait_code(outcome) for _, outcome in known]
        return next((code for code in codes if code != 0), 0)


def _json(app: App, each: Located, outcome: Outcome) -> dict[str, object]:
    lease = each.reader.lease
    body = {"id": each.row.id, "lease": lease.id, "cleaned": each.row.cleaned, **attempt_json(lease, outcome)}
    return {**body, "redone_as": redone(app.fs, lease, each.row.id), "wait_code": wait_code(outcome)}


def verdict(outcome: Outcome) -> str:
    """How the task ended, in one line."""
    code = "" if outcome.exit_code is None else f" with exit code {outcome.exit_code}"
    reason = f" ({outcome.reason})" if outcome.reason else ""
    return visible(f"{outcome.task.id} {outcome.state.name}{code}{reason}: {command_text(outcome.task)[:120]}")


def tell_error(app: App, reader: Reader, outcome: Outcome) -> None:
    """The last error that the task wrote is said, if there is one, and no other reason for its end."""
    if outcome.state is State.FAILED and not outcome.reason and not outcome.counts:
        from leaseq.reading.last_error import error_of

        if found := error_of(reader, outcome.task.id, outcome.attempt):
            app.out.talk(f"leaseq: its last error: {visible(found)}")


COMMAND = Command(
    usage="ID... | -g GROUP [--any] [--timeout TIME]",
    about="Waits until the tasks have ended and gives their exit code; of several the first that is not 0.\n"
    f"{State.CANCELLED.exit_code} cancelled, {State.TIMEOUT.exit_code} ran into its time limit, "
    f"{State.LOST.exit_code} lost, {exits.OVER} the time-out of this wait.",
    make=by_group(Wait, hint="leaseq wait ID..., `leaseq wait last`, or -g GROUP"),
    words=Words("tasks", "task"),
    options=(
        LEASE,
        OF_GROUP,
        Option("any", "until one of them has ended", kind="flag"),
        Option(
            "timeout",
            "give up after so long (30, 5m, 1h); the tasks go on",
            short="t",
            metavar="TIME",
            read=seconds,
        ),
        JSON,
    ),
    examples=('leaseq wait "$(leaseq submit -- make)" && echo fine', "leaseq wait last --timeout 10m"),
)
