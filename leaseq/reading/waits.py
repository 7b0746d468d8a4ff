"""What a pending task waits for, as a reader sees it and says it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from leaseq.layout import LeaseDir
from leaseq.models import State
from leaseq.protocol.edges import BEGIN, OK
from leaseq.upstream import Upstream
from leaseq.world import Fs

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
    def is_open(self) -> bool:
        """False if it has ended, and that is known."""
        return self.elsewhere or bool(self.state)

    @property
    def text(self) -> str:
        """In words, after `Dependency: `; of a time, the whole reason."""
        if self.up.kind == BEGIN:
            return f"Begin: {time.strftime('%Y-%m-%d %H:%M', time.localtime(int(self.up.id)))}"
        what = self.up.id if self.up.kind == OK else self.up.word
        return " ".join(
            part for part in (what, self.state or (f"in {self.up.lease}" if self.elsewhere else "")) if part
        )


def index_states(fs: Fs, lease: LeaseDir, ups: Iterable[Upstream]) -> dict[str, str]:
    """What those of the upstreams do that are indices of arrays of the lease, by their ids, as far as it is known."""
    indices: dict[str, set[int]] = defaultdict(set)
    for up in ups:
        if up.number is not None:
            indices[up.task].add(up.number)
    if not indices:
        return {}
    from leaseq.protocol.index_ends import of_indices

    found = {}
    for task_id, wanted in indices.items():
        known = of_indices(fs, lease, task_id, wanted, durably=False)
        for index in wanted:
            ended = known.ended.get(index)
            waits = State.RUNNING if index in known.begun else State.PENDING
            found[f"{task_id}_{index}"] = (ended.state if ended else waits).name
    return found


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
