"""Tasks that run in a copy of their code: what is said of it."""

from __future__ import annotations

from collections.abc import Collection

from leaseq.cli.app import App
from leaseq.cli.command import Option
from leaseq.dataclass import replace
from leaseq.models import Task

SAME_CODE = Option("same-code", "run in a copy of the tracked files as they were when it was queued last", kind="flag")


def frozen(app: App, task: Task, *, called: Collection[str]) -> Task:
    """The task, in a copy of its repository as that is now; raises LeaseqError. called: the programs that it runs."""
    from leaseq.verbs.frozen import freeze

    app.access.make_home()
    made = freeze(app.access, task, called=called)
    _tell(app, made.remarks)
    return replace(task, cwd=made.cwd, origin=made.origin)


def thawed(app: App, task: Task) -> Task:
    """The task, in a copy of its repository as that was when it was queued; raises LeaseqError."""
    from leaseq.verbs.frozen import thaw

    made = thaw(app.access, task)
    _tell(app, made.remarks)
    return replace(task, cwd=made.cwd, origin=made.origin)


def _tell(app: App, remarks: tuple[str, ...]) -> None:
    for remark in remarks:
        app.out.talk(f"leaseq: {remark}")
