"""`leaseq wait`: until tasks have ended, with their exit code."""

from __future__ import annotations

import time
from dataclasses import dataclass

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.options import JSON, LEASE
from leaseq.cli.output import visible
from leaseq.cli.rows import attempt_json
from leaseq.cli.values import seconds, yes
from leaseq.errors import UsageError
from leaseq.find import find_all
from leaseq.layout import LeaseDir
from leaseq.models import Outcome, State
from leaseq.protocol import command_text
from leaseq.waiting import Advice, final_outcome, pauses, wait_code

EXIT_TIMEOUT = 124


@dataclass(frozen=True)
class Wait:
    """Tasks to be waited for: all of them, or with `any` the first that ends."""

    tasks: tuple[str, ...]
    lease: str
    any: bool
    timeout: float | None
    json: bool

    def perform(self, app: App) -> int:
        """The first exit code that is not 0, in the order given; 124 where the time is over."""
        reader = app.reader(self.lease)
        waited = {row.id: row.attempt for row in find_all(reader, self.tasks)}
        order, ended = list(waited), dict[str, Outcome]()
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        advice, pause = Advice(reader, last_look=time.monotonic()), pauses(app.fs)
        while waited and not (self.any and ended):
            # Where all are waited for, only the first needs to be looked at.
            looked_at = list(waited) if self.any else list(waited)[:1]
            for task_id in looked_at:
                waited[task_id], outcome = final_outcome(app.fs, reader.lease, task_id, waited[task_id])
                if outcome is not None:
                    ended[task_id] = outcome
                    del waited[task_id]
            if not waited or looked_at[0] in ended or (self.any and ended):
                pause = pauses(app.fs)
                continue
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                self._tell(app, reader.lease, order, ended)
                app.out.talk(f"leaseq: still waiting for {', '.join(list(waited)[:5])} after {self.timeout:.0f} s")
                return EXIT_TIMEOUT
            if text := advice.look(looked_at[0], now):
                app.out.talk(f"leaseq: {text}")
            left = next(pause)
            time.sleep(left if deadline is None else max(0.0, min(left, deadline - now)))
        return self._tell(app, reader.lease, order, ended)

    def _tell(self, app: App, lease: LeaseDir, order: list[str], ended: dict[str, Outcome]) -> int:
        """What is worth saying of the ended tasks is said; the exit code for them."""
        found = [ended[task_id] for task_id in order if task_id in ended]
        if self.json:
            tasks = [{"id": each.task.id, **attempt_json(lease, each), "wait_code": wait_code(each)} for each in found]
            app.out.document({"lease": lease.id, "tasks": tasks})
        else:
            for each in found:
                if each.state is not State.DONE:
                    app.out.talk(f"leaseq: {verdict(each)}")
        return next((code for code in map(wait_code, found) if code != 0), 0)


def verdict(outcome: Outcome) -> str:
    """How the task ended, in one line."""
    code = "" if outcome.exit_code is None else f" with exit code {outcome.exit_code}"
    reason = f" ({outcome.reason})" if outcome.reason else ""
    return visible(f"{outcome.task.id} {outcome.state.name}{code}{reason}: {command_text(outcome.task)[:120]}")


class Waiting:
    """Fire's component of `wait`."""

    def wait(self, *words: str, lease: str = "", any: str = "", timeout: str = "", json: str = "") -> Wait:
        if not words:
            raise UsageError("which task?", hint="leaseq wait ID..., or `leaseq wait last`")
        limit = seconds(timeout, what="--timeout") if timeout else None
        return Wait(words, lease, yes(any, what="--any"), limit, yes(json, what="--json"))


COMMANDS = {
    "wait": Command(
        Waiting,
        "wait",
        "ID... [--any] [--timeout TIME]",
        "Waits until the tasks have ended and gives their exit code; of several the first that is not 0.\n"
        "120 cancelled, 121 ran into its time limit, 122 lost, 124 the time-out of this wait.",
        (
            LEASE,
            Option("any", "until one of them has ended", kind="flag"),
            Option("timeout", "give up after so long (30, 5m, 1h); the tasks go on", short="t", metavar="TIME"),
            JSON,
        ),
        ('leaseq wait "$(leaseq submit -- make)" && echo fine', "leaseq wait last --timeout 10m"),
    )
}
