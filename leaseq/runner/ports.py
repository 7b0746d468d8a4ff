"""What a runner acts by, and what it is told at its start."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, field
from leaseq.layout import LeaseDir
from leaseq.node.grant import CUDA
from leaseq.node.procs import Procs
from leaseq.node.terminals import Terminals
from leaseq.room import Room
from leaseq.runner.ledger import Ledger
from leaseq.world import Clock, Fs

END_LEAD_SECONDS = 60.0
"""How long before the lease's end its tasks get TERM, if nothing else is said."""

NO_TERMINALS = Terminals()


@dataclass(frozen=True)
class Ports:
    """What a runner acts by, and for which node of which lease."""

    fs: Fs
    clock: Clock
    procs: Procs
    lease: LeaseDir
    node: str
    incarnation: str
    ledger: Ledger
    alloc: Allocation
    """What gives the node to the lease."""
    ask_slurm: Callable[[], None] | None = None
    """Has Slurm asked of the lease, and what it says of lost nodes carried out, soon; None if Slurm is not there."""
    terminals: Terminals = NO_TERMINALS
    """Who uses the node by a terminal."""


@dataclass(frozen=True)
class Options:
    """What a runner is told at its start; its GPUs may become known later."""

    capacity: Room
    gpu_variable: str = CUDA
    """What tells a task which of the node's GPUs are its own."""
    nodes: tuple[str, ...] = ()
    """The nodes of the lease, as far as they are known at the start."""
    term: int = 0
    """The number of its term; 0 if it has begun none, and looks for no later one."""
    stays: bool = False
    """True if the terminals of its node end with this runner: then the lease's end alone does not send it away."""
    environment: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    """Slurm's variables that a task may inherit from the runner."""
    prologue_failed: str = ""
    """How the node's prologue failed, if it did."""
    remote_paths: bool = False
    """True if a task's paths may hang."""
    notified: bool = False
    """True if hints tell of every change, so that polling is only a safety net."""
    grace_seconds: float = 10.0
    poll_seconds_notified: float = 15.0
    names_per_second: float = 20_000.0
    """A long inbox is not listed at every poll: a file server sends all names of a directory that has changed."""
    end_lead_seconds: float = END_LEAD_SECONDS
    """How long before the lease's end running tasks get TERM."""
