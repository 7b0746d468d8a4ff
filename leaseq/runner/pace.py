"""How fast an array's indices end on this node, and what follows from it: how many begin ahead, and how many together.

Values, of the runner's loop alone.
"""

from __future__ import annotations

from collections import deque

from leaseq.dataclass import dataclass, field
from leaseq.node.window import MOMENT_SECONDS, PLACES_MAX

SURE = 3
"""So many indices in a row tell how long the next ones take."""
START_SECONDS = 0.0004
"""What a keeper takes to start one: with so many side by side that it has always one to start, more gain nothing."""


@dataclass(eq=False)
class Pace:
    """Of one array on one node."""

    ends: deque[float] = field(default_factory=deque)
    """When the last ones ended here: those of the last moment."""
    lasts: deque[float] = field(default_factory=deque)
    """How long the last few ran."""

    def ended(self, now: float, seconds: float | None) -> None:
        """One more attempt has ended; how long it had run, if that is known."""
        self.ends.append(now)
        while self.ends[0] < now - MOMENT_SECONDS:
            self.ends.popleft()
        self.lasts.append(MOMENT_SECONDS if seconds is None else seconds)
        if len(self.lasts) > 2 * SURE:
            self.lasts.popleft()

    def refused(self) -> None:
        """A keeper did not end a window: first it is to be seen how those end that are asked for alone."""
        self.lasts.clear()

    @property
    def middle(self) -> float:
        """How long half of the last few ran at most. One that takes long ends a window, and costs little more."""
        return sorted(self.lasts)[len(self.lasts) // 2]

    @property
    def is_short(self) -> bool:
        """True if the next ones will end within a moment, for all that is known."""
        return len(self.lasts) >= SURE and self.middle < MOMENT_SECONDS

    def ahead(self, slots: int) -> int:
        """How many may have begun and not ended: a lost node costs twice as many as run at once, or end in a moment.

        Each write of the journal is a sync: of indices that take milliseconds it must begin more than two.
        """
        return max(2 * slots, len(self.ends))

    def abreast(self, slots: int) -> int:
        """In how many slots the keeper is to have a window."""
        return min(slots, 1 + int(self.middle / START_SECONDS))

    def together(self, slots: int) -> int:
        """How many indices make a window: half of what may begin waits in the runner, to follow."""
        return min(PLACES_MAX, max(1, self.ahead(slots) // (2 * self.abreast(slots))))
