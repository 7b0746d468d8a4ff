"""`leaseq lease idle`: how long a lease may stand unused before it gives its nodes back."""

from __future__ import annotations

from leaseq.cli import idling
from leaseq.cli.app import App
from leaseq.cli.command import Command, Words
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.lease import leases
from leaseq.verbs.lease_idle import set_idle
from leaseq.verbs.lease_words import unused_limit


@dataclass(frozen=True)
class Idle:
    """A lease, and how long it may stand unused; None: as long as it lasts."""

    lease: str
    limit: float | None
    json: bool

    def perform(self, app: App) -> int:
        record = leases.living(app.access.record(app.access.lease(self.lease, acts=True)))
        done = set_idle(app.access, record, self.limit)
        if self.json:
            jobs = list(done.allocs)
            app.out.document({"lease": record.id, "idle_limit_seconds": self.limit, "allocations": jobs})
            return 0
        whose = f"each job of lease {leases.called(record)}" if record.kept else f"lease {leases.called(record)}"
        app.out.talk(f"leaseq: {whose} {idling.said(self.limit)}")
        return 0


def _made(*, words: tuple[str, ...], json: bool) -> Idle:
    *lease, time = words
    return Idle("".join(lease), unused_limit(time, what="the time"), json)


COMMAND = Command(
    usage="[LEASE] TIME|off",
    about="The lease's jobs give their nodes back once nothing has used them for so long from now: no task, no shell "
    "that somebody looks at or in which something runs, nothing pending that could start there. `off`: they keep them.",
    make=_made,
    words=Words(
        "words",
        "lease",
        least=1,
        most=2,
        ask="how long may which lease stand unused?",
        hint="leaseq lease idle [LEASE] 30m; or off",
    ),
    options=(JSON,),
    examples=("leaseq lease idle sweep 10m", "leaseq lease idle off"),
)
