"""`leaseq lease adopt`: an allocation made elsewhere becomes a lease."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.lease import leases
from leaseq.names import valid_name
from leaseq.schema import whole
from leaseq.verbs.lease_adopt import adopt

_HINT = "leaseq lease adopt JOBID; `squeue --me` lists your jobs"


@dataclass(frozen=True)
class Adopt:
    """An allocation made elsewhere that is to be a lease."""

    job: str
    name: str
    json: bool

    def __post_init__(self) -> None:
        if whole(self.job) is None:
            raise UsageError(f"{self.job!r} is not the number of a job", hint=_HINT)

    def perform(self, app: App) -> int:
        record, nodes = adopt(app.access, self.job, name=self.name, umask=app.umask)
        app.out.talk(f"leaseq: default lease is now {leases.called(record)}")
        if self.json:
            app.out.document({"lease": record.id, "nodes": list(nodes)})
        else:
            app.out.line(record.id)
        app.out.talk(f"leaseq: runners start on {' '.join(nodes)}; `leaseq shell` opens a shell there")
        app.out.talk(
            "leaseq: they depend on this host: if it shuts down, they stop (run `lease adopt` again to restart them)"
        )
        return 0


def _name(text: str, *, what: str) -> str:
    return valid_name(text, what=what) if text else ""


COMMAND = Command(
    usage="JOBID [--name NAME]",
    about="Puts runners into a running allocation that was made elsewhere (salloc, sbatch), or onto the nodes of a "
    "lease that have none. They end if this host goes down, and the job goes on without them;"
    " `lease adopt` starts them again.",
    make=Adopt,
    words=Words("job", least=1, most=1, ask="which job?", hint=_HINT),
    options=(Option("name", "a name for the lease", metavar="NAME", read=_name, absent="", blank=True), JSON),
    examples=("leaseq lease adopt 12345",),
)
