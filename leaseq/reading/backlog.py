"""Whether anything of a lease is left to run, by names alone.

What is held, or waits for what is held or LOST, does not start by itself and is not left to run. What waits for another
lease's task may start, for all that is known here.
"""

from __future__ import annotations

from collections import defaultdict

from leaseq.layout import LeaseDir
from leaseq.models import State
from leaseq.names import parse_key
from leaseq.protocol import edges
from leaseq.protocol.edges import BEGIN, EACH
from leaseq.upstream import Upstream
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
    ups: dict[str, list[Upstream]] = defaultdict(list)
    for edge in edges.edges_of(fs, lease) if waiting else ():
        ups[edge.down] += [edge.up] if edge.up.kind != EACH else []
    ends = edges.standings(fs, lease, [up for some in ups.values() for up in some if up.kind != BEGIN])

    def may_come(up: Upstream, ids: set[str]) -> bool:
        end = ends.get((up.lease, up.id, up.attempt))
        if end is not None:
            return end.state is not State.LOST or edges.verdict(up.kind, State.LOST) is True
        return up.kind == BEGIN or up.lease != lease.id or up.task in ids

    # What waits in vain is left out again and again, until all that is left may come.
    left = waiting
    while left:
        ids = {parse_key(key)[0] for key in left}
        vain = {key for key in left if not all(may_come(up, ids) for up in ups[key])}
        if not vain:
            return True
        left = left - vain
    return False


def _names(fs: Fs, parent: str) -> bool:
    """True if there is a file in a directory of that one."""
    return any(fs.names(f"{parent}/{name}") for name in fs.names(parent))
