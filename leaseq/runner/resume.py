"""What became of a chunk in other hands: a runner goes on with it where they stopped."""

from __future__ import annotations

from leaseq.array_names import ArrayNames
from leaseq.dataclass import replace
from leaseq.protocol import chunks, journal
from leaseq.protocol.facts import Begun
from leaseq.protocol.fate import lost, lost_with_lease
from leaseq.protocol.tasks import Claim
from leaseq.runner import ends, gates
from leaseq.runner.holding import Attempted, Holding, LogsLeft, Lot
from leaseq.runner.index import Index, end_if_done, end_index, never_began
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Ports
from leaseq.runner.work import Attempt


def resume(state: NodeState, ports: Ports, lot: Lot, held: Claim, names: ArrayNames) -> set[str]:
    """The chunk is held: what has ended of it has, what runs here goes on, what ran elsewhere is LOST, the rest waits.

    Gives the keys of the attempts that are this runner's. names: what is in the array's directory.
    """
    told = journal.read(ports.fs, lot.array, names, chunk=held.entry.chunk)
    holding = Holding(lot, held)
    begun: list[tuple[int, Begun]] = []
    silent: list[Attempted] = []
    for index in lot.indices(holding.chunk):
        end, run = told.ended.get(index), told.begun.get(index)
        if run is not None:
            begun.append((index, run))
        elif end is None:
            silent.append((index, lot.entry.attempt))
        elif end.requeued:
            holding.again.append((index, end.attempt + 1))
        else:
            continue
        holding.left += 1
    lot.held.append(holding)
    gates.admit(ports, holding, silent)
    if lot.kept_logs:
        ports.ledger.add(LogsLeft(holding))
    keys = {_judge(state, ports, holding, index, run, names) for index, run in begun}
    end_if_done(ports, holding)
    return keys


def _judge(state: NodeState, ports: Ports, holding: Holding, index: int, begun: Begun, names: ArrayNames) -> str:
    """What has become of an attempt that somebody else has begun; its key."""
    attempted = index, begun.attempt
    entry = replace(holding.lot.entry.of_index(index, begun.attempt), owner=begun.owner)
    key, procs = entry.key, ports.procs
    why = chunks.why_handed(ports.fs, ports.lease, holding.claim.entry, begun.owner)
    rec = procs.record(key) if begun.node == ports.node else None
    if begun.node == ports.node and rec is None and why.heir:
        why = _overruled_since(ports, holding, names) or why
    if begun.node != ports.node or (rec is None and not why.heir):
        # Who was overruled and lived on has ended what it had begun, and its records are gone by now.
        _lose(ports, holding, index, begun, reason=why.reason, lease_ends=why.lease_ends)
        return key
    if rec is None and procs.knows(begun.owner):
        # Nothing began here in this boot, and now nothing can: the process that creates the record decides.
        procs.void(key)
        rec = procs.record(key)
    if rec is not None and (rec.void or rec.again):
        procs.forget(key)
        never_began(ports, holding, attempted, begun.owner)
        return key
    since = ports.clock.monotonic()
    if rec is not None and rec.started_monotonic is not None and procs.same_boot(rec):
        since = min(since, rec.started_monotonic)
    work = Index(holding, entry, index)
    booking = ends.adopted_booking(state, ports, entry)
    attempt = Attempt(work, holding.lot.task, booking, since, rec, slot=rec.slot if rec else None)
    if rec is not None and rec.over:
        ends.end(state, ports, attempt, rec)
    elif rec is not None and procs.same_boot(rec):
        holding.running.add(key)
        state.begins(attempt)
    else:
        procs.end_now(key)
        reason = "the node was rebooted, or lost its local records" if rec is None else "the node was rebooted"
        _lose(ports, holding, index, begun, reason=reason, started=rec.started if rec else None)
    return key


def _overruled_since(ports: Ports, holding: Holding, names: ArrayNames) -> chunks.Handed | None:
    """Why the chunk was taken away from another runner of this node, which may have had what its predecessor began."""
    entry = holding.claim.entry
    owners = sorted(owner for chunk, owner in names.handed if chunk == entry.chunk)
    found = (chunks.why_handed(ports.fs, ports.lease, entry, owner) for owner in owners)
    return next((each for each in found if not each.heir and each.node in ("", ports.node)), None)


def _lose(
    ports: Ports,
    holding: Holding,
    index: int,
    begun: Begun,
    *,
    reason: str,
    lease_ends: bool = False,
    started: float | None = None,
) -> None:
    entry = holding.lot.entry.of_index(index, begun.attempt)
    judge = lost_with_lease if lease_ends else lost
    now = ports.clock.now()
    outcome = judge(holding.lot.task, entry, node=begun.node, incarnation=ports.incarnation, reason=reason, now=now)
    end_index(ports, holding, (index, begun.attempt), replace(outcome, started=started))
