"""What of a runner's arrays ends before its time: what is to end, was taken away, is given back, or is held."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from leaseq.models import Why
from leaseq.protocol import arrays, tasks
from leaseq.runner import ends
from leaseq.runner.holding import Attempted, Holding, Lot, NeverBegan
from leaseq.runner.index import Index, cancel_waiting, end_if_done, free_lanes
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Ports


def apply_stops(state: NodeState, ports: Ports, lot: Lot) -> None:
    """Of the chunks that are held nothing waits any more that is to end, and what runs of it is told to."""
    if not lot.stops:
        return
    for holding in list(lot.held):
        if holding.overruled:
            continue
        never: list[Attempted] = []
        for queue in (holding.waiting, holding.shut, holding.again, holding.begun):
            for attempted in _stopped(lot, queue):
                if lot.stop_of_all is None:
                    stop = lot.stop_of(attempted[0])
                    cancel_waiting(ports, holding, attempted, stop.reason if stop else "")
                    continue
                # What ends with the whole array needs no line of its own.
                holding.left -= 1
                if queue is holding.begun:
                    never.append(attempted)
        if never:
            ports.ledger.add(NeverBegan(holding, never, holding.claim.entry.owner))
        end_if_done(ports, holding)
    for attempt in list(state.running.values()):
        if isinstance(attempt.work, Index) and attempt.work.holding.lot is lot and attempt.asked_to_stop is None:
            stop = lot.stop_of(attempt.work.index)
            if stop is not None and stop.running:
                ends.stop(state, ports, attempt, Why.CANCEL)


def _stopped(lot: Lot, queue: deque[Attempted]) -> list[Attempted]:
    """What is to end of those, taken out."""
    found = [attempted for attempted in queue if lot.stop_of(attempted[0])]
    for attempted in found:
        queue.remove(attempted)
    return found


def overrule(state: NodeState, ports: Ports, claims: Sequence[str]) -> None:
    """Chunks whose claim is not among those, for they were taken away, are no longer this runner's."""
    for lot in state.lots.values():
        for holding in lot.held:
            holding.overruled = holding.overruled or str(holding.claim.entry) not in claims


def let_go_of(state: NodeState, ports: Ports, holding: Holding) -> None:
    """Nothing starts of a chunk that was taken away, and what runs of it is told to end."""
    holding.beginning = 0
    free_lanes(ports, holding)
    for queue in (holding.waiting, holding.shut, holding.again, holding.begun, holding.fresh):
        queue.clear()
    for key in holding.running:
        attempt = state.running[key]
        if attempt.asked_to_stop is None:
            ends.stop(state, ports, attempt, Why.CANCEL)
    if not holding.running and not holding.in_windows:
        holding.lot.held.remove(holding)
        state.changed = True


def give_back(state: NodeState, ports: Ports) -> None:
    """Chunks of which nothing runs are pending again: this runner begins nothing more."""
    for lot in list(state.lots.values()):
        _give_back(state, ports, lot, lot.inbox)


def _give_back(state: NodeState, ports: Ports, lot: Lot, target: str) -> bool:
    """True if some chunk of it has been given back now."""
    given = False
    for holding in list(lot.held):
        if holding.running or holding.in_windows or holding.overruled or _in_ledger(ports, holding):
            continue
        if holding.begun:
            attempts = list(holding.begun)
            holding.begun.clear()
            holding.waiting.extendleft(reversed(attempts))
            ports.ledger.add(NeverBegan(holding, attempts, holding.claim.entry.owner))
            continue
        free_lanes(ports, holding)
        tasks.unclaim(ports.fs, ports.lease, holding.claim, target)
        lot.held.remove(holding)
        state.changed = given = True
    if not lot.held:
        del state.lots[lot.key]
    return given


def hold_tripped(state: NodeState, ports: Ports) -> None:
    """Arrays whose first indices all failed at once in the same way are held, with the reason."""
    for lot in [lot for lot in state.lots.values() if lot.tripped]:
        node = lot.inbox.rpartition("/")[2]
        held, name = ports.lease.held(node), str(lot.entry)
        if not lot.put_aside:
            if not state.queue.has(name) or _nothing_is_left(lot):
                lot.tripped = ""  # nothing of it is to be held: once all has ended, it has
                continue
            arrays.say_held(ports.fs, lot.array, lot.tripped)
            ports.fs.mkdir(held)
            moved = tasks.move_pending(ports.fs, lot.inbox, name, held)
            state.queue.remove(name, own=lot.own)
            lot.put_aside = moved
            if not moved:
                continue
        if _give_back(state, ports, lot, held):
            # Somebody may have let the array go on before a chunk of it came there.
            arrays.go_on(ports.fs, ports.lease, lot.entry)


def _nothing_is_left(lot: Lot) -> bool:
    """True if all of the array is taken, and nothing that this runner has of it could start."""
    return len(lot.taken) >= lot.plan.chunks and not any(each.startable or each.shut for each in lot.held)


def _in_ledger(ports: Ports, holding: Holding) -> bool:
    return any(getattr(item, "holding", None) is holding for item in list(ports.ledger.open)) or bool(holding.fresh)
