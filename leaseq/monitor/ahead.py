"""What is said of a lease's queue: when it is empty, and what will not fit before the lease's end. Pure."""

from __future__ import annotations

import time

from leaseq.monitor.model import Scene
from leaseq.words import count

SOON_SECONDS, STEP_SECONDS, SOON_STEP_SECONDS = 1800.0, 300, 60
"""A time that is farther off is said to five minutes, a nearer one to a minute: it moves with every task that ends."""
DAY_SECONDS, WEEK_SECONDS = 20 * 3600.0, 6 * 86400.0


def ahead(scene: Scene, *, short: bool = False) -> str:
    """`queue empty about 14:20, 12 tasks will not fit`; empty if nothing waits, or it is not known."""
    found = scene.data.lease.ahead
    if found is None or found.seconds is None or not scene.wall:
        return ""
    left = max(0.0, found.seconds - (scene.snapshot_age or 0.0))
    when = moment(scene.wall + left, scene.wall)
    missed = f"{found.missed:,}" if short else count(found.missed, "task")
    said = f"queue empty ~{when}" if short else f"queue empty about {when}"
    return said + (f", {missed} will not fit" if found.missed else "")


def moment(epoch: float, now: float) -> str:
    """The local time of day, rounded up; with the day if it is another one."""
    away = epoch - now
    step = SOON_STEP_SECONDS if away < SOON_SECONDS else STEP_SECONDS
    stamp = time.localtime(-(-epoch // step) * step)
    form = "%H:%M" if away < DAY_SECONDS else "%a %H:%M" if away < WEEK_SECONDS else "%Y-%m-%d"
    return time.strftime(form, stamp)
