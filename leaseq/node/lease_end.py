"""Whether the lease of a node ends, as far as the keeper of its tasks can tell: by Slurm's TERM, and by how tasks end.

With proctrack/linuxproc Slurm signals the processes of a step one after the other, children before their parents
(measured: Slurm 22.05 and 24.11): the tasks, then the keeper, then the runner. So a task may be dead of it before
anybody knows that the lease ends: such an end is doubted for a moment, and meanwhile nothing begins. And the keeper
may know before the runner does: then it begins nothing, and how it ends the tasks tells the runner.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from leaseq.errors import EX_TEMPFAIL

DOUBT_SECONDS = 2.0
"""How long Slurm may take from its signal to a task until its TERM to the keeper, or the runner's word."""
NEWS_SECONDS = 30.0
"""The same from the keeper to the runner: one that serves on for longer was told by nobody that its lease ends."""


class LeaseEnd:
    """What a keeper was told of the end of its lease."""

    def __init__(self, serving: Callable[[], object], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """serving: the runner that serves the node, or served it last."""
        self.serving, self.monotonic = serving, monotonic
        self.told_at: float | None = None
        self._runner: object = None

    def tell(self) -> None:
        """The lease of whoever serves the node now ends."""
        self.told_at, self._runner = self.monotonic(), self.serving()

    @property
    def is_near(self) -> bool:
        """True if nothing may begin any more. A runner that has begun since then, or serves on, has a lease."""
        if self.told_at is None or self.monotonic() >= self.told_at + NEWS_SECONDS:
            return False
        return self.serving() == self._runner


def may_be_of_it(fact: dict[str, object]) -> bool:
    """True if that end of a process, as its record says it, may be what the end of a lease makes of one.

    It was killed as Slurm kills, has an exit code that tells of it, or asked to run again; or nobody saw how it ended.
    """
    status = fact.get("status")
    if not isinstance(status, int):
        return True
    killed = (signal.SIGTERM, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status) in (
        *(-each for each in killed),
        *(128 + each for each in killed),
        EX_TEMPFAIL,
    )
