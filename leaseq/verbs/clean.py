"""Results and logs of old tasks go; nothing that is pending, running or to be recovered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from leaseq.layout import LeaseDir
from leaseq.protocol import files
from leaseq.protocol.retention import Old, leftovers, old_tasks, remove
from leaseq.verbs.access import Access


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


def clean(access: Access, old: Due, *, told: Callable[[int], None] = lambda number: None) -> None:
    """It is gone. told: hears before each task how many are gone."""
    for number, each in enumerate(old.tasks):
        told(number)
        remove(access.fs, old.lease, each)
    for path in old.leftovers:
        files.discard(access.fs, path)
