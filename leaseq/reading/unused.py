"""What is said of a lease that stands unused: for how long, what it holds, and when it is given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaseq.dataclass import dataclass
from leaseq.heartbeat import Heartbeat
from leaseq.models import State
from leaseq.reading.views import NodeView
from leaseq.words import about, count

HELD_SECONDS = 600.0
"""How long a lease that nobody takes back must have run no task, to be spoken of."""
SOON_SECONDS = 300.0
WORTH_SECONDS = 60.0


@dataclass(frozen=True)
class Unused:
    """One thing to be said."""

    words: str
    pressing: bool
    """True if a person is to know it now."""


def unused(nodes: Sequence[NodeView], totals: Mapping[State, int], *, later: float = 0.0) -> list[Unused]:
    """Of each allocation that gives its nodes back how near that is, and of the others what they hold for nothing.

    later: how long ago the nodes were looked at.
    """
    beats = [view.heartbeat for view in nodes if view.heartbeat and view.health.serving]
    if not beats or any(totals.get(state) for state in (State.RUNNING, State.STUCK, State.UNKNOWN)):
        return []
    by_alloc: dict[str, list[Heartbeat]] = {}
    for beat in beats:
        if beat.idle_limit_seconds is not None:
            by_alloc.setdefault(beat.alloc, []).append(beat)
    found = [_limited(each, later) for each in by_alloc.values()]
    free = [beat for beat in beats if beat.idle_limit_seconds is None]
    idle = min((beat.idle_seconds for beat in free), default=0.0) + later
    if idle >= HELD_SECONDS:
        found.append(Unused(f"no task for {about(idle)}, {_held(free)} held", True))
    return [each for each in found if each is not None]


def _limited(beats: Sequence[Heartbeat], later: float) -> Unused | None:
    limit = min(beat.idle_limit_seconds or 0.0 for beat in beats)
    for beat in beats:
        if beat.used_by:
            words = f"{_held(beats)} kept: {beat.node} is used by {beat.used_by}"
            return Unused(words, False) if min(each.idle_seconds for each in beats) >= WORTH_SECONDS else None
    seconds = min(beat.unused_seconds or 0.0 for beat in beats) + later
    if seconds < min(WORTH_SECONDS, limit / 2):
        return None
    words = f"unused for {about(seconds)} of {about(limit)}: {_held(beats)} given back then"
    return Unused(words, limit - seconds <= SOON_SECONDS)


def _held(beats: Sequence[Heartbeat]) -> str:
    gpus = sum(len(beat.gpus) for beat in beats)
    return count(len(beats), "node") + (f" with {count(gpus, 'GPU')}" if gpus else "")
