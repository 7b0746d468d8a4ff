"""Results and logs of old tasks go; nothing that is pending, running or to be recovered."""

from __future__ import annotations

import errno
from collections.abc import Callable

from leaseq.dataclass import dataclass
from leaseq.layout import LeaseDir
from leaseq.protocol import files
from leaseq.protocol.retention import Old, leftovers, old_tasks, remove
from leaseq.verbs.access import Access

NOT_OURS = (errno.EACCES, errno.EPERM, errno.ENOTEMPTY)
"""What the removal says of a directory in which somebody else's files are, or where somebody still writes."""


@dataclass(frozen=True)
class Due:
    """What is old enough to go."""

    lease: LeaseDir
    tasks: tuple[Old, ...]
    leftovers: tuple[str, ...]
    """Hidden files of operations that died, and evidence."""


def due(access: Access, lease: LeaseDir, *, older_seconds: float, keep_failed: bool = False) -> Due:
    """The tasks that ended longer ago than that, with keep_failed those alone that are DONE; raises NotFound."""
    access.record(lease)
    before = access.clock.now() - older_seconds
    old = tuple(old_tasks(access.fs, lease, before=before, keep_failed=keep_failed))
    return Due(lease, old, tuple(leftovers(access.fs, lease)))


def clean(access: Access, old: Due, *, told: Callable[[int], None] = lambda number: None) -> dict[str, OSError]:
    """It is gone, but for tasks whose own directory cannot be removed: why, by their ids.

    told: hears before each task how many are gone.
    """
    left: dict[str, OSError] = {}
    for number, each in enumerate(old.tasks):
        told(number)
        try:
            remove(access.fs, old.lease, each)
        except OSError as error:
            if error.errno not in NOT_OURS:
                raise
            left[each.outcome.task.id] = error
    for path in old.leftovers:
        files.discard(access.fs, path)
    return left
