"""Whether anything of a lease is left to run, by names alone.

What is held, or waits for what is held or LOST, does not start by itself and is not left to run. What waits for another
lease's task may start, for all that is known here.
"""

from __future__ import annotations

from leaseq.layout import LeaseDir
from leaseq.models import State
from leaseq.protocol import edges
from leaseq.protocol.edges import BEGIN
from leaseq.upstream import Edge
from leaseq.world import Fs


def is_empty(fs: Fs, lease: LeaseDir) -> bool:
    """True if nothing pends, runs, or waits for what will come."""
    # Twice, for a task may be on its way back from a node; who begins to run one has it among its claims first.
    return not any(_names(fs, parent) for parent in (lease.inboxes, lease.claims, lease.inboxes)) and not _comes(
        fs, lease
    )


def _comes(fs: Fs, lease: LeaseDir) -> bool:
    """True if a task that waits may start without anybody's doing. Nothing else of the lease pends or runs."""
    waiting = set(edges.pending_in(fs, lease.waitings))
    by_down: dict[str, list[Edge]] = {}
    for edge in edges.edges_of(fs, lease) if waiting else ():
        by_down.setdefault(edge.down, []).append(edge)
    # What waits in vain is left out again and again, until all that is left may come.
    left = waiting
    while left:
        vain = {key for key in left if not all(_may_come(fs, lease, edge, left) for edge in by_down.get(key, ()))}
        if not vain:
            return True
        left = left - vain
    return False


def _may_come(fs: Fs, lease: LeaseDir, edge: Edge, waiting: set[str]) -> bool:
    up = edge.up
    if up.kind == BEGIN:
        return True
    outcome = edges.standing(fs, lease.beside(up.lease), up.id, up.attempt)
    if outcome is not None:
        return outcome.state is not State.LOST or edges.verdict(up.kind, State.LOST) is True
    return up.lease != lease.id or any(key.rpartition(".")[0] == up.id for key in waiting)


def _names(fs: Fs, parent: str) -> bool:
    """True if there is a file in a directory of that one."""
    return any(fs.names(f"{parent}/{name}") for name in fs.names(parent))
