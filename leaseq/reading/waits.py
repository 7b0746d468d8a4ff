"""What a pending task waits for, as a reader sees it and says it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from leaseq.protocol.edges import BEGIN, OK
from leaseq.upstream import Upstream

DEPENDENCY = "Dependency"
_FIRST = ("LOST", "PENDING", "RUNNING")
"""What is told first of several: what somebody must see to, then what is the furthest away."""


class Wait(NamedTuple):
    """One thing that a task waits for, and in which state that is, if it is known."""

    up: Upstream
    state: str = ""
    elsewhere: bool = False
    """True if it is in another lease."""

    @property
    def text(self) -> str:
        """In words, after `Dependency: `; of a time, the whole reason."""
        if self.up.kind == BEGIN:
            return f"Begin: {time.strftime('%Y-%m-%d %H:%M', time.localtime(int(self.up.id)))}"
        what = self.up.id if self.up.kind == OK else self.up.word
        return " ".join(
            part for part in (what, self.state or (f"in {self.up.lease}" if self.elsewhere else "")) if part
        )


def reason(waits: Sequence[Wait]) -> str:
    """Why a task that waits for all of that does not start."""
    if not waits:
        return f"{DEPENDENCY}: none is left"
    first = min(waits, key=_rank)
    more = f" and {len(waits) - 1} more" if len(waits) > 1 else ""
    return (first.text if first.up.kind == BEGIN else f"{DEPENDENCY}: {first.text}") + more


def _rank(wait: Wait) -> tuple[bool, int, str]:
    known = _FIRST.index(wait.state) if wait.state in _FIRST else len(_FIRST)
    return wait.up.kind == BEGIN, known, wait.up.id
