"""`leaseq lease adopt`: an allocation made elsewhere becomes a lease."""

from __future__ import annotations

from dataclasses import dataclass

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.options import JSON
from leaseq.cli.values import yes
from leaseq.errors import UsageError
from leaseq.layout import valid_name
from leaseq.lease import leases
from leaseq.models import whole
from leaseq.verbs.lease_adopt import adopt


@dataclass(frozen=True)
class Adopt:
    """An allocation made elsewhere that is to be a lease."""

    job: str
    name: str
    json: bool

    def perform(self, app: App) -> int:
        record, nodes = adopt(app.access, self.job, name=self.name, umask=app.umask)
        app.out.talk(f"leaseq: default lease is now {leases.called(record)}")
        if self.json:
            app.out.document({"lease": record.id, "nodes": list(nodes)})
        else:
            app.out.line(record.id)
        app.out.talk(f"leaseq: runners start on {' '.join(nodes)}; `leaseq shell` gets in")
        app.out.talk("leaseq: they hang on this host: if it shuts down they end (`lease adopt` again puts them back)")
        return 0


class Line:
    """Fire's component of `lease adopt`."""

    def adopt(self, *words: str, name: str = "", json: str = "") -> Adopt:
        if len(words) != 1 or whole(words[0]) is None:
            raise UsageError("which job?", hint="leaseq lease adopt JOBID; `squeue --me` lists your jobs")
        return Adopt(words[0], valid_name(name, what="name") if name else "", yes(json, what="--json"))


COMMANDS = {
    "lease adopt": Command(
        Line,
        "adopt",
        "JOBID [--name NAME]",
        "Puts runners into a running allocation that was made elsewhere (salloc, sbatch), or onto the nodes of a "
        "lease that have none. They hang on this host: the job is left alone when they end.",
        (Option("name", "a name for the lease", metavar="NAME", blank=True), JSON),
        ("leaseq lease adopt 12345",),
    ),
}
