"""`leaseq why`: what a task waits for, what would have to end, and when."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command, Words
from leaseq.cli.options import LEASE, LOOK, Look
from leaseq.dataclass import dataclass
from leaseq.lease.leases import is_own
from leaseq.lease.lookup import How
from leaseq.models import State
from leaseq.verbs.lease_scale import words
from leaseq.verbs.why import Why, told, why
from leaseq.words import visible


@dataclass(frozen=True, kw_only=True)
class WhyRequest(Look):
    """Tasks of which it is to be said why they are where they are."""

    tasks: tuple[str, ...]
    lease: str

    def perform(self, app: App) -> int:
        out = self.output(app)
        found = app.access.find(self.tasks, lease=self.lease, indices=How.EACH)
        reasons = [why(each) for each in found.tasks]
        if self.json:
            tasks = [why_json(each) for each in reasons]
            out.document({"lease": found.lease, "tasks": tasks, "unknown": list(found.unknown)})
            return app.tell(found.problems)
        for number, each in enumerate(reasons):
            if number:
                out.line()
            out.wrap(visible(told(each)))
        for lease in dict.fromkeys(each.reader.lease for each in found.tasks if each.row.state is State.PENDING):
            if not is_own(lease.id) and (said := words(app.access, lease)):
                out.wrap(visible(f"\n{said}."))
        return app.tell(found.problems)


def why_json(found: Why) -> dict[str, object]:
    return {
        "id": found.row.id,
        "state": found.row.state.name,
        "reason": found.row.reason,
        "why": told(found),
        "never": found.never,
        "ahead": found.ahead,
        "ends": list(found.ends),
        "seconds": found.seconds,
    }


COMMAND = Command(
    usage="ID...",
    about="Says in a paragraph what a task waits for, what is ahead of it, what would have to end, and when by what "
    "tasks like that took so far; or that it can never run here, and what would change that.",
    make=WhyRequest,
    words=Words("tasks", "task", least=1, ask="which task?", hint="leaseq why ID, or `leaseq why last`"),
    options=(LEASE, *LOOK),
    examples=("leaseq why last", "leaseq why T0c4 --json"),
)
