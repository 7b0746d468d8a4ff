"""Whether a lease may and can ever run a task: asked alike of a new task and of one that runs again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from leaseq.dataclass import dataclass, field
from leaseq.errors import Malformed, Refused, UsageError
from leaseq.layout import LeaseDir
from leaseq.lease.leases import is_own
from leaseq.models import ANY, Need
from leaseq.protocol import terms
from leaseq.verbs.access import Access
from leaseq.world import hostname

if TYPE_CHECKING:
    from leaseq.room import Room

DRIVER_SECONDS = 10.0
"""How long a command waits for a GPU driver if no runner has asked it yet."""
ANOTHER = "ask for less, or name another lease with --lease"
SUBMIT = "ask for less, or submit it to another lease: `leaseq submit --lease LEASE`"


def refuse_again(access: Access, lease: LeaseDir, *, start: bool) -> None:
    """A task of that lease may run again there; raises Refused if that is this host and the settings forbid it.

    With `--no-start` it may be queued there all the same: so it can move to another lease.
    """
    if start and is_own(lease.id):
        from leaseq.lease.host import refuse_if_forbidden

        way = "`--no-start` queues it all the same, and `leaseq move --to LEASE ID` carries it to another lease"
        refuse_if_forbidden(access.home, hint=way)


def refuse_strange_node(lease: LeaseDir, nodes: tuple[str, ...], node: str) -> None:
    """Raises UsageError if a node was named and the lease, whose nodes are known, has none of that name."""
    if node and nodes and node not in nodes:
        raise UsageError(f"lease {lease.id} has no node {node}", hint=f"it has {', '.join(nodes[:20])}")


def refuse_impossible(
    access: Access, lease: LeaseDir, nodes: tuple[str, ...], need: Need, *, hint: str = ANOTHER
) -> None:
    """Raises Refused if every one of these nodes of the lease is known and none can ever run the need."""
    if not need.alone:
        _refuse(access, lease, {node: _room(access, lease, node) for node in nodes}, need, hint=hint)


@dataclass
class Fits:
    """Whether tasks can run again in their leases with another need or on another node; a lease is looked at once."""

    access: Access
    nodes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rooms: dict[tuple[str, str], Room | None] = field(default_factory=dict)

    def refuse(self, lease: LeaseDir, need: Need, node: str, *, named: str) -> None:
        """Raises as the two above do. node: that to which the task is pinned, or ANY; named: the one that was said now.

        Of a lease that has ended nothing is asked: who waits there is to move to one that is not known yet.
        """
        if lease.id not in self.nodes:
            self.nodes[lease.id] = _nodes_now(self.access, lease)
        nodes = self.nodes[lease.id]
        refuse_strange_node(lease, nodes, named)
        if need.alone or not nodes:
            return
        pinned = nodes if node == ANY else (node,)
        for each in pinned:
            if (lease.id, each) not in self.rooms:
                self.rooms[lease.id, each] = _room(self.access, lease, each)
        _refuse(self.access, lease, {each: self.rooms[lease.id, each] for each in pinned}, need, hint=SUBMIT)


def _nodes_now(access: Access, lease: LeaseDir) -> tuple[str, ...]:
    record = access.record(lease)
    return () if record.ended is not None else record.nodes


def _refuse(access: Access, lease: LeaseDir, rooms: dict[str, Room | None], need: Need, *, hint: str) -> None:
    from leaseq.room import never_fits

    reasons: dict[str, str] = {}
    for node, room in rooms.items():
        why = never_fits(need, room) if room else ""
        if not why:
            return
        reasons.setdefault(why, node)
    if reasons:
        told = [why if len(reasons) == 1 else f"{node}: {why}" for why, node in reasons.items()]
        elsewhere = _nodes_around(access) if is_own(lease.id) else ""
        hint = f"{hint}; {elsewhere}" if elsewhere else hint
        raise Refused(f"no node of lease {lease.id} can ever run this: {'; '.join(told[:3])}", hint=hint)


def _nodes_around(access: Access) -> str:
    from leaseq.verbs.around import nodes_around

    return nodes_around(access)


def _room(access: Access, lease: LeaseDir, node: str) -> Room | None:
    """What the node has by its last heartbeat, or what this host has before its first; None if that is not known."""
    from leaseq.node.grant import from_environment, installed
    from leaseq.node.granted import granted
    from leaseq.room import Room

    try:
        beat = terms.read_heartbeat(access.fs, lease, node)
    except Malformed:
        return None
    if beat is not None:
        return Room(beat.cpus, beat.mem_mb, beat.gpus, gpus_known=beat.gpus_known)
    if not is_own(lease.id) or node != hostname():
        return None
    return granted(os.environ, from_environment(os.environ) or installed(seconds_max=DRIVER_SECONDS))
