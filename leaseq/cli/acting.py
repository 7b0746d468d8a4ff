"""Tasks acted on one after another, and what came of it told."""

from __future__ import annotations

import time
from collections.abc import Callable

from leaseq.cli.app import App
from leaseq.cli.progress import Progress
from leaseq.errors import Malformed, NotFound, UsageError
from leaseq.lease.lookup import Found
from leaseq.reading.find import find
from leaseq.reading.snapshot import Reader, TaskView

MOVING_SECONDS_MAX = 3.0
"""How long a task that is on the move between two places is looked for again."""
Said = tuple[str, str]
"""What a task is now, in a sum of many, and as a sentence of its own."""
Act = Callable[[App, Reader, TaskView], Said | None]
"""None: the task was not where it had been seen."""


def on_each(app: App, found: Found, act: Act, *, doing: str, json: bool) -> int:
    """Each task was acted on, and what came of it is told; 1 where one could not be."""
    progress = Progress(app.out, doing, len(found.tasks), quiet=json)
    for each in progress.over(found.tasks):
        row = each.row
        try:
            progress.did(row.id, *_acted(app, each.reader, row, act))
        except (UsageError, NotFound) as error:
            progress.problem(error.message)
        except Malformed as error:
            progress.problem(f"{row.id}: its file cannot be used ({error})")
    code = progress.end()
    if not json:
        return app.tell(found.problems) or code
    problems = [*progress.problems, *(each.message for each in found.problems)]
    app.out.document({"lease": found.lease, "ids": progress.ids, "problems": problems})
    return max([code, *(each.exit_code for each in found.problems)])


def _acted(app: App, reader: Reader, row: TaskView, act: Act) -> Said:
    """What came of it. A task that moves meanwhile is looked for again."""
    deadline = time.monotonic() + MOVING_SECONDS_MAX
    while (said := act(app, reader, row)) is None:
        if time.monotonic() > deadline:
            raise UsageError(f"{row.id} is on the move between two states; try again")
        time.sleep(0.05)
        (row,) = find(reader, row.id)
    return said
