"""`leaseq info`: the details of tasks."""

from __future__ import annotations

from leaseq.cli import details
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import LEASE, LOOK, OF_GROUP, Look, by_group
from leaseq.cli.outputs import with_output
from leaseq.dataclass import dataclass, replace
from leaseq.lease.lookup import How, Located
from leaseq.reading.find import Detail


@dataclass(frozen=True, kw_only=True)
class Info(Look):
    """The details of tasks."""

    tasks: tuple[str, ...]
    lease: str
    env: bool

    def perform(self, app: App) -> int:
        out = self.output(app)
        found = app.access.find(self.tasks, lease=self.lease, indices=How.EACH)
        known = [(each.reader.lease, _with_output(app, each)) for each in found.tasks]
        if self.json:
            tasks = [details.detail_json(lease, each, env=self.env) for lease, each in known]
            out.document({"lease": found.lease, "tasks": tasks, "unknown": list(found.unknown)})
            return app.tell(found.problems)
        for number, (lease, each) in enumerate(known):
            if number:
                out.line()
            out.pairs(details.detail_lines(lease, each, env=self.env))
        return app.tell(found.problems)


def _with_output(app: App, each: Located) -> Detail:
    detail = each.detail
    return replace(detail, view=with_output(app, each.reader.lease, [detail.view])[0])


COMMAND = Command(
    usage="ID...",
    about="Details of tasks: what was submitted, their attempts, where their output is, why they wait.",
    make=by_group(Info, hint="leaseq info ID, `leaseq info last`, or -g GROUP"),
    words=Words("tasks", "task"),
    options=(LEASE, OF_GROUP, Option("env", "with the values of its environment, secrets and all", kind="flag"), *LOOK),
    examples=("leaseq info last", "leaseq info T0c4 --json"),
)
