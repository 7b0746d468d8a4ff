"""What can be asked: what went wrong, what differed, what was held and used, whether all is right."""

from __future__ import annotations

from datetime import timedelta

from leaseq import config
from leaseq.api import home
from leaseq.config import Config
from leaseq.errors import UsageError
from leaseq.lease.lookup import How
from leaseq.reading.report import Report
from leaseq.values import seconds
from leaseq.verbs import code
from leaseq.verbs import doctor as looking
from leaseq.verbs import report as reporting
from leaseq.verbs import triage as triaging
from leaseq.verbs.allowed import allow
from leaseq.verbs.findings import Finding
from leaseq.verbs.report import Pending
from leaseq.verbs.triage import Triage


def triage(task_id: str, *, lease: str = "") -> Triage | None:
    """What went wrong with that task, its last lines, the likely `cause`, and the `way` on.

    Of an array, an index that went wrong; None if none did. Raises NotFound.
    """
    found = home.access().find([task_id], lease=lease, indices=How.TOGETHER).tasks
    if len(found) != 1:
        raise UsageError(f"{task_id} are {len(found)} tasks, and one is meant")
    one = triaging.worst(found[0]) if found[0].row.array is not None else found[0]
    return None if one is None else triaging.triage(one)


def diff(task_id: str, other: str = "", *, lease: str = "") -> str:
    """What that task's code differed in from its commit, or from the code of the other task; empty if in nothing.

    Raises NotFound if that is not known.
    """
    access = home.access()
    found = access.find([task_id, other] if other else [task_id], lease=lease, indices=How.EACH)
    if found.problems:
        raise found.problems[0]
    known = [(each.row.id, code.origin_of(each.detail.task, each.row.id)) for each in found.tasks]
    text = code.between(access, known[0], known[-1]) if other else code.changes_of(access, *known[0])
    return text.decode("utf-8", "replace")


def report(since: str | timedelta = "7d", *, lease: str = "") -> tuple[Report, Pending]:
    """(what that lease, or all of the home, has held and run for so long; what what waits will cost)"""
    access = home.access()
    back = since.total_seconds() if isinstance(since, timedelta) else seconds(since, what="since")
    return reporting.gathered(access, lease, since=access.clock.now() - back)


def doctor(lease: str = "") -> list[Finding]:
    """What is right and wrong on this host, and on the nodes of the lease if it is Slurm's."""
    allow("doctor")
    return list(looking.findings(home.access(), lease))


def settings() -> Config:
    """The settings of the home, each with where it comes from in `origin`."""
    return config.load(home.access().home)
