"""What an ended lease leaves behind: claims whose runner was killed become LOST, with the lease's end as the reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from leaseq import protocol
from leaseq.errors import Malformed, Newer
from leaseq.fate import lost, with_requeue
from leaseq.layout import Entry, Home, LeaseDir, is_node, new_incarnation
from leaseq.lease.private import owner_of
from leaseq.protocol import Claim
from leaseq.world import Clock, Fs, SystemClock, SystemFs, is_remote


def main(arguments: Sequence[str]) -> int:
    """`settle HOME LEASE REASON NODE...`: what nodes other than these held when Slurm requeued the lease is decided."""
    home, lease, reason, *nodes = arguments
    remote = is_remote(home)
    fs = SystemFs(remote=remote, owner=owner_of(Home(home), remote=remote))
    settle_claims(fs, Home(home).lease(lease), clock=SystemClock(), reason=reason, spared=nodes)
    return 0


def settle_claims(fs: Fs, lease: LeaseDir, *, clock: Clock, reason: str, spared: Collection[str] = ()) -> int:
    """How many attempts were decided as LOST: all that a runner of the lease held when Slurm ended it.

    Only for a lease that Slurm has ended. A runner that lives on all the same (its node lost its slurmd) may still
    decide an attempt first; then that stands. Nothing is started again here: a task that wants to be is pending.
    spared: nodes that have a runner again, which knows more of what ran there.
    """
    try:
        owners = fs.names(lease.claims)
    except FileNotFoundError:
        return 0
    settled = 0
    for node in owners:
        if not is_node(node) or node in spared:
            continue
        for name in fs.names(lease.claimed(node)):
            settled += _settle(fs, lease, node, name, clock=clock, reason=reason)
    return settled


def _settle(fs: Fs, lease: LeaseDir, node: str, name: str, *, clock: Clock, reason: str) -> bool:
    path = f"{lease.claimed(node)}/{name}"
    try:
        entry = Entry.parse(name)
        task = protocol.read_task(fs, path, entry)
    except (FileNotFoundError, Newer):
        return False  # gone, or a later leaseq's to settle
    except Malformed as error:
        protocol.set_aside(fs, lease, path, str(error))
        return False
    why = f"LeaseEnd: {reason}"
    outcome = lost(task, entry, node=node, incarnation=new_incarnation(), reason=why, now=clock.now())
    if not outcome.requeued:
        outcome = with_requeue(outcome, stopping="lease")
    protocol.lose(fs, lease, Claim(entry, node), outcome)
    return True
