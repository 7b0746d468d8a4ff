"""What an ended lease leaves behind: claims whose runner was killed become LOST, with the lease's end as the reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from leaseq.errors import Malformed, Newer
from leaseq.layout import Home, LeaseDir
from leaseq.lease.private import owner_of
from leaseq.names import Entry, is_node, new_incarnation
from leaseq.protocol import allocs, arrays, concluding, files, tasks
from leaseq.protocol.fate import lost_with_lease
from leaseq.protocol.tasks import Claim
from leaseq.reading import beats
from leaseq.world import Clock, Fs, SystemClock, SystemFs, is_remote

LEASE_END = "LeaseEnd"
LOOK_SECONDS = 15.0
"""How often a node is looked at that is heard yet."""


def main(arguments: Sequence[str]) -> int:
    """`settle HOME LEASE@ID REASON NODE...`: what the allocation's nodes other than these held is decided.

    So it is when Slurm has requeued its job. A node that is heard yet is waited for. Without an ID: the oldest's nodes.
    """
    home, of, reason, *spared = arguments
    lease, _, alloc_id = of.partition("@")
    remote = is_remote(home)
    fs, directory = SystemFs(remote=remote, owner=owner_of(Home(home), remote=remote)), Home(home).lease(lease)
    while True:
        known = allocs.all_of(fs, directory)
        meant = [each for each in known if alloc_id in ("", each.id)][:1]
        its = [node for each in meant for node in beats.nodes_of(fs, directory, each, known).own]
        words = f"{LEASE_END}: {reason}"
        if not settle_claims(fs, directory, clock=SystemClock(), reason=words, spared=spared, nodes=its):
            return 0
        time.sleep(LOOK_SECONDS)


def settle_claims(
    fs: Fs,
    lease: LeaseDir,
    *,
    clock: Clock,
    reason: str,
    spared: Collection[str] = (),
    nodes: Collection[str] | None = None,
    is_silent: Callable[[LeaseDir, str], bool] | None = None,
) -> list[str]:
    """The nodes that hold claims yet, for their runner may be alive; what all others held is decided as LOST.

    Only for nodes that Slurm has taken from the lease, all of them if it has ended. A runner that lives on all the
    same (its node lost its slurmd) may still decide an attempt first; then that stands. Nothing is started again here:
    a task that wants to be is pending.
    reason: of the outcomes. spared: nodes that have a runner again, which knows more of what ran there. nodes: only
    these; None: all others.
    """
    try:
        owners = fs.names(lease.claims)
    except FileNotFoundError:
        return []
    heard = []
    for node in owners:
        if not is_node(node) or node in spared or (nodes is not None and node not in nodes):
            continue
        claims = fs.names(lease.claimed(node))
        if claims and not (is_silent(lease, node) if is_silent else beats.silent(fs, lease, node)):
            heard.append(node)
            continue
        for name in claims:
            _settle(fs, lease, node, name, clock=clock, reason=reason)
    return heard


def _settle(fs: Fs, lease: LeaseDir, node: str, name: str, *, clock: Clock, reason: str) -> None:
    path = f"{lease.claimed(node)}/{name}"
    try:
        entry = Entry.parse(name)
        if entry.chunk is not None:
            arrays.give_up(fs, lease, Claim(entry, node), reason=reason, lease_ends=True)
            return
        task = tasks.pinned_as_claimed(tasks.read_task(fs, path, entry), node)
    except (FileNotFoundError, Newer):
        return  # gone, or a later leaseq's to settle
    except Malformed as error:
        files.set_aside(fs, lease, path, str(error))
        return
    outcome = lost_with_lease(task, entry, node=node, incarnation=new_incarnation(), reason=reason, now=clock.now())
    concluding.lose(fs, lease, Claim(entry, node), outcome)
