"""`leaseq info`: the details of tasks."""

from __future__ import annotations

from dataclasses import dataclass

from leaseq.cli import rows
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.options import LEASE, LOOK, Look, look
from leaseq.cli.values import yes
from leaseq.errors import UsageError


@dataclass(frozen=True)
class Info:
    """The details of tasks."""

    tasks: tuple[str, ...]
    lease: str
    env: bool
    look: Look

    def perform(self, app: App) -> int:
        out = self.look.output(app)
        found = app.access.find(self.tasks, lease=self.lease)
        known = [(each.reader.lease, each.detail) for each in found.tasks]
        if self.look.json:
            tasks = [rows.detail_json(lease, each, env=self.env) for lease, each in known]
            out.document({"lease": found.lease, "tasks": tasks, "unknown": list(found.unknown)})
            return app.tell(found.problems)
        for number, (lease, each) in enumerate(known):
            if number:
                out.line()
            out.pairs(rows.detail_lines(lease, each, env=self.env))
        return app.tell(found.problems)


class Line:
    """Fire's component of `info`."""

    def info(
        self, *words: str, lease: str = "", env: str = "", json: str = "", color: str = "", no_header: str = ""
    ) -> Info:
        if not words:
            raise UsageError("which task?", hint="leaseq info ID, or `leaseq info last`")
        return Info(words, lease, yes(env, what="--env"), look(json, color, no_header))


COMMANDS = {
    "info": Command(
        Line,
        "info",
        "ID...",
        "Details of tasks: what was submitted, their attempts, where their output is, why they wait.",
        (LEASE, Option("env", "with the values of its environment, secrets and all", kind="flag"), *LOOK),
        ("leaseq info last", "leaseq info T0c4 --json"),
    ),
}
