"""How far running tasks are, by their own output, for commands that show tasks."""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.cli.app import App
from leaseq.layout import LeaseDir
from leaseq.reading import views
from leaseq.reading.views import TaskView

LOOKED_AT = 200
"""The outputs of so many running tasks are looked at."""


def with_progress(app: App, lease: LeaseDir, found: Sequence[TaskView], *, most: int = LOOKED_AT) -> list[TaskView]:
    """The rows; the first of those that run with how far they are, if their output says so."""
    asked = views.running(found)[:most]
    if not asked:
        return list(found)
    from leaseq import config
    from leaseq.reading.tails import Tails

    known = Tails(app.fs, lease, config.progress_pattern(app.home)).look(asked)
    return views.with_progress(found, known)
