"""What every kind of allocation can do. A lease on this host has one, too; only lease/ asks which kind one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass


@dataclass(frozen=True)
class LeaseState:
    """What is known of an allocation, and how old that knowledge is."""

    word: str
    """`PENDING`, `RUNNING`, `ENDING` (leaseq has told Slurm to end it), `COMPLETING`, `ENDED`, or `UNKNOWN` (cannot
    tell now; never a reason to act)."""
    reason: str = ""
    """Slurm's reason while pending, its final state once ended."""
    nodes: tuple[str, ...] = ()
    """The nodes the allocation has now; empty while it has none."""
    starts: str = ""
    """While pending: when it will start by Slurm's present plan, in the cluster's local time; empty if unknown."""
    ends: float | None = None
    """When the allocation ends, seconds since the epoch; None if it has no end."""
    age_seconds: float = 0.0


class Backend(Protocol):
    """An allocation's keeper: this host, or Slurm."""

    def state(self, alloc: Allocation) -> LeaseState:
        """The allocation's state; never raises because the answer is late or missing, that is UNKNOWN."""
        ...

    def release(self, alloc: Allocation) -> bool:
        """True if the allocation has been released, or is being; False if it had ended before."""
        ...

    def let_go(self, alloc: Allocation, host: str) -> str:
        """The allocation goes on without that host; why not, if it has it until it ends. Raises LeaseqError."""
        ...

    def attach(self, alloc: Allocation, node: str, argv: Sequence[str], *, tty: bool) -> list[str]:
        """The command line that runs argv on that node of the allocation, in a terminal if `tty`."""
        ...
