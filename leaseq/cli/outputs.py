"""What the outputs of tasks say of them, for commands that show tasks: how far they are, or why they failed."""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.cli.app import App
from leaseq.cli.howfar import with_progress
from leaseq.layout import LeaseDir
from leaseq.reading.views import TaskView

LOOKED_AT = 200
"""The outputs of so many failed tasks are looked at."""


def with_output(app: App, lease: LeaseDir, found: Sequence[TaskView]) -> list[TaskView]:
    """The rows, with how far they are and the last errors of those that failed, as far as their outputs say it."""
    rows = with_progress(app, lease, found)
    if not any(row.unexplained for row in rows):
        return rows
    from leaseq.reading import last_error

    return last_error.with_errors(app.access.reader_of(lease), rows, most=LOOKED_AT)
