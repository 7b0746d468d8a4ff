"""`leaseq lease use`: which lease is the default."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command, Words
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.lease import leases
from leaseq.verbs.lease_use import use


@dataclass(frozen=True)
class Use:
    """The lease that is to be the default from now on."""

    lease: str
    json: bool

    def perform(self, app: App) -> int:
        directory = app.access.lease(self.lease)
        record = use(app.access, directory)
        if self.json:
            app.out.document({"default": directory.id})
        else:
            app.out.talk(f"leaseq: default lease is now {directory.id if record is None else leases.called(record)}")
        return 0


COMMAND = Command(
    usage="LEASE",
    about="Makes it the default lease, for commands that name none. LEASEQ_LEASE and --lease still go first.",
    make=Use,
    words=Words(
        "lease", "lease", least=1, most=1, ask="which lease?", hint="leaseq lease use LEASE; `local` is this host"
    ),
    options=(JSON,),
    examples=("leaseq lease use 12345", "leaseq lease use local"),
)
