"""The arrays of a runner whose indices wait for those of other arrays: what may begin of them by now, does.

An index that never can is CANCELLED, by whoever has its chunk. Before that it is written down because of which array
that is (`broken`), and then looked once more whether that one was retried: so whoever retries it finds what was
cancelled, or is seen before it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from leaseq.errors import Malformed
from leaseq.indices import Indices
from leaseq.names import Entry
from leaseq.protocol import broken
from leaseq.protocol.edges import each_of
from leaseq.runner.gate import AT_ONCE, FREE, VAIN, Gate
from leaseq.runner.holding import SEVERAL, Attempted, Holding, Lot
from leaseq.runner.index import cancel_waiting
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Ports


def learn(state: NodeState, ports: Ports, lot: Lot) -> None:
    """What the array's indices wait for is known, as its edges say now; of an array that waits for nothing, nothing."""
    if not lot.entry.each:
        return
    ups = each_of(ports.fs, ports.lease, lot.key)
    if (lot.gate.ups if lot.gate is not None else ()) != ups:
        keeps = lot.task.on_dep == "hold"
        lot.gate = Gate(ports.fs, ports.lease, ups, lot.plan, lot.expansion.indices, keeps=keeps) if ups else None
        lot.written_down = False
    if lot.gate is not None:
        lot.gate.end(Indices(part for stop in lot.stops if stop.indices for part in stop.indices.parts))
        # The ledger says if it writes how an index ended of one of those.
        ports.ledger.journals.watched |= lot.gate.tasks
        lot.gate.look(ports.clock.monotonic(), askers=_askers(state))


def _askers(state: NodeState) -> int:
    """How many look at arrays so, for all that is known: each node at as many as this one."""
    return max(1, len(state.nodes)) * max(1, sum(lot.gate is not None for lot in state.lots.values()))


def look_soon(state: NodeState) -> None:
    """Something may have ended that is waited for."""
    for lot in state.lots.values():
        if lot.gate is not None:
            lot.gate.look_at = AT_ONCE


def look(state: NodeState, ports: Ports) -> None:
    """What has come by now of what indices wait for is known, if it is time to look, and they may begin."""
    now = ports.clock.monotonic()
    for lot in state.lots.values():
        if lot.gate is not None and lot.gate.look_at <= now and not (lot.over or lot.gate.is_settled):
            lot.gate.look(now, askers=_askers(state))
        for holding in [each for each in lot.held if each.shut]:
            _open(ports, holding)


def nothing_to_take(state: NodeState) -> set[str]:
    """The names of pending arrays, and of parts of them, of which nothing may begin yet: they stand in nobody's way."""
    found = set()
    for name in state.queue.each:
        try:
            entry = Entry.parse(name)
        except Malformed:
            continue
        lot = state.lots.get(entry.of_array().key)
        if lot is None or lot.gate is None or lot.stop_of_all:
            continue
        chunks = [entry.chunk] if entry.chunk is not None else lot.gate.decided(lot.taken)
        if not lot.gate.many_in(chunks) and (entry.chunk is not None or lot.waits_for_others):
            found.add(name)
    return found


def admit(ports: Ports, holding: Holding, attempts: Iterable[Attempted]) -> None:
    """Those of the chunk's indices, which have not begun, may begin, or wait for what is to come before."""
    lot = holding.lot
    if lot.gate is None:
        holding.waiting.extend(attempts)
        return
    holding.shut.extend(attempts)
    _open(ports, holding)


def _open(ports: Ports, holding: Holding) -> None:
    """What need not wait any more does not: it may begin, or never will, and has ended."""
    lot = holding.lot
    if not holding.shut or holding.overruled:
        return
    fates = {index: lot.gate.fate(index) if lot.gate else FREE for index, _ in holding.shut}
    holding.waiting.extend(each for each in holding.shut if fates[each[0]] == FREE)
    vain = [each for each in holding.shut if fates[each[0]] == VAIN]
    if vain:
        write_down(ports, lot)
        vain = [each for each in vain if lot.gate is not None and lot.gate.fate(each[0]) == VAIN]
    left = [each for each in holding.shut if fates[each[0]] != FREE and each not in set(vain)]
    holding.shut.clear()
    holding.shut.extend(left)
    for attempted in vain:
        assert lot.gate is not None
        up, end = lot.gate.because(attempted[0])
        cause = up._replace(attempt=end.attempt)
        reason = f"Dependency: {up.id}_{attempted[0]} {end.state.name}"
        cancel_waiting(ports, holding, attempted, reason, because=str(cause))


def write_down(ports: Ports, lot: Lot) -> None:
    """It is written down that indices of the array are cancelled because of others, and none of these is retried."""
    assert lot.gate is not None
    if not lot.written_down:
        for up in lot.gate.ups:
            home = ports.lease.beside(up.lease)
            broken.write(ports.fs, home, up.task, [(lot.key, ports.lease.id)])
            ports.fs.sync_dir(home.broken)
        lot.written_down = True
    lot.gate.look(ports.clock.monotonic(), askers=1)


def in_vain(lot: Lot) -> list[int]:
    """Some of the chunks that nobody had taken of which no index ever will begin."""
    if lot.gate is None or not lot.waits_for_others or lot.over:
        return []
    return lot.gate.in_vain(lot.taken)[:SEVERAL]


def next_chunks(lot: Lot, rank: int, several: int) -> list[int]:
    """The chunk of that rank among those that nobody had taken of which something may begin, or is to end.

    With it so many after it as would be run in a moment, and several at most, or of which nothing is left to run.
    """
    assert lot.gate is not None
    some = lot.gate.decided(lot.taken)
    # Nodes that take at the same moment take different ones.
    at = min(rank, len(some) - 1)
    found = some[at : at + 1] if some else []
    wanted = 1 if lot.limits else max(1, len(lot.pace.ends))
    for chunk in some[at + 1 :]:
        if len(found) >= several or lot.gate.free_in(found) >= wanted:
            break
        found.append(chunk)
    return found
