"""Tasks are acted on one after another, and it is said what came of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from leaseq.cli.app import App
from leaseq.cli.progress import Progress
from leaseq.errors import Malformed, NotFound, Refused, UsageError
from leaseq.layout import LeaseDir
from leaseq.lease.leases import is_own
from leaseq.lease.lookup import Found, Located

Said = tuple[str, str]
"""What a task is now, in a sum of many, and as a sentence of its own."""
Act = Callable[[App, Located], Said]


def on_each(app: App, found: Found, act: Act, *, doing: str, json: bool, hints: bool = False) -> int:
    """Each task was acted on, and it is said what came of it; 1 if one could not be. hints: with the next step.

    Leases that ask for jobs as they need them do so, or cancel what is queued.
    """
    progress = Progress(app.out, doing, len(found.tasks), quiet=json)
    for each in progress.over(found.tasks):
        try:
            progress.did(each.row.id, *act(app, each))
        except (UsageError, NotFound, Refused) as error:
            progress.problem(error.message + (f"\n  {error.hint}" if error.hint and hints else ""))
        except Malformed as error:
            progress.problem(f"{each.row.id}: its file cannot be used ({error})")
    see_to_jobs(app, dict.fromkeys(each.reader.lease for each in found.tasks))
    code = progress.end()
    if not json:
        return app.tell(found.problems) or code
    problems = [*progress.problems, *(each.message for each in found.problems)]
    app.out.document({"lease": found.lease, "ids": progress.ids, "problems": problems})
    return max([code, *(each.exit_code for each in found.problems)])


def see_to_jobs(app: App, leases: Iterable[LeaseDir]) -> None:
    """The leases of Slurm among those, of which something changed, have as many jobs as they now need."""
    if others := [lease for lease in leases if not is_own(lease.id)]:
        from leaseq.cli.here import see_to_capacity

        see_to_capacity(app, others)
