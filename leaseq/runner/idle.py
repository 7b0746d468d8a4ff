"""How long nothing has used a node whose allocation is to be given back then, and what uses it: values, no I/O.

What is not known uses it: the clock goes on only while all is known.
"""

from __future__ import annotations

from leaseq.dataclass import dataclass

TOLD_SECONDS = 300.0
"""How long before the limit the terminals of a node are told, or half of a short one."""


@dataclass
class Round:
    """An agreement that is being sought: whether all runners of the allocation leave."""

    id: str
    begun: bool
    """True if this runner has begun it, and so decides that all leave."""
    until: float
    """This runner waits no longer for the others."""
    said: bool = False
    """True once it has said that it would leave."""


@dataclass
class Idle:
    """The clock of one node."""

    since: float
    """When something used the node last, or might have."""
    limit: float | None = None
    """None: it stands unused for as long as it likes."""
    used_by: str = ""
    """What uses it, in words."""
    could_start: bool = True
    """True if something pending might start here, by the last look at the queue."""
    begins_at: float | None = None
    """When the next task of the lease comes whose time was named; None: there is none."""
    look_at: float = float("-inf")
    """When the other nodes of the allocation are asked next."""
    told: bool = False
    """True once its terminals know how soon it is given back."""
    round: Round | None = None

    @property
    def counts(self) -> bool:
        return self.limit is not None or self.round is not None

    def set_limit(self, limit: float | None, now: float) -> None:
        """That is the limit from now on, and the clock starts again."""
        self.limit = limit
        self.restart(now)

    def restart(self, now: float) -> None:
        self.since, self.told, self.look_at = now, False, float("-inf")

    def hear(self, used_by: str, now: float) -> None:
        """That uses the node now, or nothing does."""
        self.used_by = used_by
        if used_by:
            self.restart(now)

    def unused_seconds(self, now: float) -> float | None:
        """How long nothing has used it; None if nobody counts."""
        return None if self.limit is None else max(0.0, now - self.since)

    def is_due(self, now: float) -> bool:
        """True once it has stood unused for as long as it may."""
        return self.limit is not None and now - self.since >= self.limit

    def begins_soon(self, now: float) -> bool:
        """True if a task's time comes before the node could have stood unused for so long from now on."""
        return self.begins_at is not None and self.limit is not None and self.begins_at - now <= self.limit

    def is_to_be_told(self, now: float) -> bool:
        """True if the terminals of the node are to know now that it is given back soon."""
        return not self.told and self.limit is not None and now - self.since >= self.limit - self._told_before

    @property
    def _told_before(self) -> float:
        return min(TOLD_SECONDS, (self.limit or 0.0) / 2)

    def wait(self, now: float, *, look_seconds: float) -> float | None:
        """Seconds until it is to be looked at; None: whenever. look_seconds: how often while a round is open."""
        if self.round is not None:
            return look_seconds
        if self.limit is None:
            return None
        due = self.since + self.limit
        return max(due, self.look_at) - now if self.told else due - self._told_before - now
