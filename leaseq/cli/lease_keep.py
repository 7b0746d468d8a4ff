"""`leaseq lease keep`: one job of a lease follows the other, or none does any more."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.lease import leases
from leaseq.lease.wording import how_long
from leaseq.verbs.lease_keep import end, keep, lease_to_keep
from leaseq.verbs.lease_words import OFF, kept


@dataclass(frozen=True)
class Keep:
    """A lease that is to be kept for so long, or no longer."""

    lease: str
    keep: str
    overlap: str
    json: bool

    def perform(self, app: App) -> int:
        record, alloc = lease_to_keep(app.access, self.lease)
        how = kept(self.keep, self.overlap, alloc.options)
        called = leases.called(record)
        if how is None:
            end(app.access, record)
            words = f"lease {called} ends with the job that it has: none follows"
        else:
            keep(app.access, record, alloc, how, umask=app.umask)
            words = f"lease {called} is kept {how_long(how)}: one job follows the other"
        if self.json:
            app.out.document({"lease": record.id, "keep": self.keep})
        else:
            app.out.talk(f"leaseq: {words}")
        return 0


def _made(*, words: tuple[str, ...], overlap: str, json: bool) -> Keep:
    *lease, how = words
    if how == OFF and overlap:
        raise UsageError("--overlap says when the next job may start, and with `off` there is none")
    return Keep("".join(lease), how, overlap, json)


COMMAND = Command(
    usage="[LEASE] TIME|until-empty|forever|off [--overlap TIME]",
    about="As one job of a lease starts, Slurm is asked for the next, so that the lease goes on for so long from now. "
    "`off`: none follows, and one that is queued is taken back.",
    make=_made,
    words=Words(
        "words",
        "lease",
        least=1,
        most=2,
        ask="which lease is to be kept, and for how long?",
        hint="leaseq lease keep [LEASE] 3d; or until-empty, forever, off",
    ),
    options=(
        Option(
            "overlap",
            "the next job may start so long before the end of the one before it (default: once that has ended)",
            metavar="TIME",
        ),
        JSON,
    ),
    examples=("leaseq lease keep sweep 2d", "leaseq lease keep sweep off"),
)
