"""Results and logs of old tasks go; nothing that is pending, running or to be recovered."""

from __future__ import annotations

import errno
from collections.abc import Callable

from leaseq.dataclass import dataclass
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.protocol import code, files, trees
from leaseq.protocol.retention import LEFTOVER_SECONDS, Old, leftovers, old_tasks, origins, remove
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


@dataclass(frozen=True)
class Code:
    """What is kept of the code of tasks, and no task of any lease names any more."""

    diffs: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    """Copies in which no task has left anything."""
    used: tuple[str, ...] = ()
    """The paths of copies in which tasks have left files of their own: they stay."""


def unnamed_code(access: Access, *, older_seconds: float) -> Code:
    """What of it is older than that, and than a day: a submission may be about to name what is new."""
    fs, home = access.fs, access.home
    seconds = max(older_seconds, LEFTOVER_SECONDS)
    diffs, copies = set(code.stale(fs, home, seconds=seconds)), set(trees.stale(fs, home, seconds=seconds))
    if not diffs and not copies:
        return Code()
    for record in leases.list_leases(fs, home):
        for origin in origins(fs, home.lease(record.id)):
            diffs.discard(origin.diff)
            copies.discard(origin.tree)
    used = [tree for tree in sorted(copies) if any(True for _ in trees.own_files(fs, home, tree))]
    return Code(tuple(sorted(diffs)), tuple(sorted(copies - set(used))), tuple(f"{home.trees}/{tree}" for tree in used))


def clean_code(access: Access, found: Code) -> None:
    """It is gone, but for copies in which there are files of tasks."""
    for name in found.diffs:
        code.remove(access.fs, access.home, name)
    for tree in found.trees:
        trees.remove(access.fs, access.home, tree)
