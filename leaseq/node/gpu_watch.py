"""What GPUs do that they should not: one that a task has is idle, one that is free is used by somebody else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from leaseq.dataclass import replace
from leaseq.heartbeat import GpuUse

STRANGER_MB = 1024.0
"""A driver alone holds some hundred megabytes of a GPU."""
SETTLED_SECONDS = 10.0
"""So long after its task has ended what is used on a GPU is somebody else's."""


class GpuMarks:
    """What of each GPU is known from the driver's answers so far."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, float]] = {}
        """By token: whose it is, and since when."""
        self._zero: dict[str, float] = {}
        """Since when it is at 0 % in one task's hands."""

    def marked(
        self,
        answer: tuple[float, Sequence[GpuUse]],
        owners: Mapping[str, str],
        free: Collection[str],
        *,
        now: float,
    ) -> tuple[GpuUse, ...]:
        """The answer, with what it says of the GPUs by whose they are now.

        answer: (when the driver was asked, by the clock of `now`; what it said). owners: the tasks that have one alone.
        """
        asked, uses = answer
        return tuple(
            self._marked(use, asked, "" if use.token in free else owners.get(use.token, "?"), now) for use in uses
        )

    def _marked(self, use: GpuUse, asked: float, owner: str, now: float) -> GpuUse:
        token = use.token
        if token not in self._held or self._held[token][0] != owner:
            self._held[token] = owner, now
            self._zero.pop(token, None)
        since = self._held[token][1]
        if owner in ("", "?") or use.utilisation != 0:
            self._zero.pop(token, None)
        elif asked >= since:
            idle = asked - self._zero.setdefault(token, asked)
            return replace(use, idle_seconds=round(idle))
        if not owner and (use.mem_used_mb or 0.0) > STRANGER_MB and asked >= since + SETTLED_SECONDS:
            return replace(use, stranger_mb=use.mem_used_mb)
        return use
