"""What a runner is told at its start, and what it knows of an attempt that it holds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from leaseq.models import Task, Why
from leaseq.node.grant import CUDA
from leaseq.node.record import Rec
from leaseq.protocol.tasks import Claim
from leaseq.room import Booking, Room


def poll_seconds(nodes: int, *, busy: bool) -> float:
    """How often a node of so many looks for what is new: the whole lease costs the server the same, however many.

    A task that any node may take is seen by the first of them, so after a fraction of this.
    """
    return max(0.5, nodes / 40) if busy else max(2.0, nodes / 3)


END_LEAD_SECONDS = 60.0
"""How long before the lease's end its tasks get TERM, where nothing else is said."""


@dataclass(frozen=True)
class Options:
    """What a runner is told at its start; only its GPUs may become known later."""

    capacity: Room
    gpu_variable: str = CUDA
    """What tells a task which of the node's GPUs are its own."""
    nodes: tuple[str, ...] = ()
    """All nodes of the lease."""
    term: int = 0
    """The number of its term; 0 where it has begun none, and looks for no later one."""
    ask_slurm: Callable[[], None] | None = None
    """Has Slurm asked of the lease, and what it says of lost nodes carried out, soon; None where Slurm is not there."""
    environment: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    """Slurm's variables that a task may inherit from the runner."""
    prologue_failed: str = ""
    """How the node's prologue failed, where it did."""
    remote_paths: bool = False
    """True where a task's paths may hang."""
    notified: bool = False
    """True where hints tell of every change, so that polling is only a safety net."""
    grace_seconds: float = 10.0
    poll_seconds: float = 0.5
    poll_seconds_idle: float = 2.0
    poll_seconds_notified: float = 15.0
    names_per_second: float = 20_000.0
    """A long inbox is not listed at every poll: a file server sends all names of a directory that has changed."""
    end_lead_seconds: float = END_LEAD_SECONDS
    """How long before the lease's end running tasks get TERM."""


@dataclass
class Held:
    """An attempt that this node holds."""

    claim: Claim
    task: Task
    booking: Booking
    since: float
    rec: Rec | None = None
    asked_to_stop: Why | None = None
    slot: int | None = None
    """A small number that no other attempt has that this node holds; None where an older leaseq gave it none."""

    @property
    def key(self) -> str:
        return self.claim.entry.key

    @property
    def unknown(self) -> bool:
        """True while its process is not known."""
        return self.rec is None or self.rec.pid is None


def free_slot(held: Iterable[Held]) -> int:
    """The smallest slot that none of them has."""
    taken = {each.slot for each in held}
    return next(slot for slot in itertools.count() if slot not in taken)
