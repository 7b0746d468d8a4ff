"""Tasks of other processes, and of other days, as futures."""

from __future__ import annotations

from typing import Any

from leaseq.api import home
from leaseq.api.futures import Future
from leaseq.api.mapped import Results
from leaseq.api.watcher import watcher
from leaseq.errors import UsageError
from leaseq.lease.lookup import How
from leaseq.reading.find import remembered_outcome


def future(task_id: str) -> Future[Any]:
    """The task as a future, whoever queued it: of a call its result, of a command its outcome. Raises NotFound.

    What names it is what names it on the command line. It follows the task's newest attempt.
    """
    (found,) = home.access().find([task_id], lease="", acts=True, indices=How.EACH).tasks
    made: Future[Any] = Future(found.row.id, found.reader.lease.id)
    made.attempt = found.row.attempt
    if found.row.cleaned:
        made.settle(found.reader, remembered_outcome(found.row))
        return made
    watcher().watch(made)
    watcher().look_at(made)
    return made


def results(array_id: str) -> Results[Any]:
    """What the calls of a `map` give, whichever process made it; raises NotFound and UsageError."""
    (found,) = home.access().find([array_id], lease="", acts=True).tasks
    if found.row.array is None or found.row.cleaned:
        raise UsageError(f"{found.row.id} is no map", hint="`leaseq.future` is of any task")
    made: Results[Any] = Results(found.row.id, found.reader.lease.id, found.indexed.every)
    made.watch()
    return made
