"""The arrays of a runner: chunks are taken, their indices begin and start, end, and are told to end.

An index starts only once the line by which it begins is durable. The turn asks the ledger for that while others run, so
that a place that becomes free is filled at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from leaseq.array_names import ArrayNames
from leaseq.arrays import Expansion
from leaseq.dataclass import replace
from leaseq.errors import Malformed, Newer
from leaseq.models import ANY, Task
from leaseq.names import Entry, new_incarnation
from leaseq.protocol import array_places, arrays, chunks, files, lanes, stops, tasks
from leaseq.protocol.cover import Cover
from leaseq.protocol.plan import Plan
from leaseq.protocol.tasks import Claim
from leaseq.room import Booking, how_many
from leaseq.runner import gates, limits, lot_ends, windows
from leaseq.runner.decide import Choice
from leaseq.runner.holding import ArrayEnds, Attempted, Begins, Holding, Lot
from leaseq.runner.index import Index
from leaseq.runner.node_state import AT_ONCE, NodeState
from leaseq.runner.ports import Ports
from leaseq.runner.resume import resume
from leaseq.runner.starting import ends_of_day, start_request
from leaseq.runner.work import Attempt, check_task, free_slot

LANE_SECONDS = 1.0
"""How soon a lane is looked for again, if there was none."""
CHUNKS_AT_ONCE = 64
"""Of how many chunks of an array a turn begins to take, at most: then others have their turn."""


# -- what may start --------------------------------------------------------------------------------------------------


def offers(state: NodeState, ports: Ports) -> list[Entry]:
    """The arrays of which this runner holds something that may start, in order."""
    for lot in state.lots.values():
        _know_limits(ports, lot)
    return sorted((lot.entry for lot in state.lots.values() if lot.startable), key=str)


def _know_limits(ports: Ports, lot: Lot) -> None:
    lot.limits = {ports.lease.lanes(lot.entry.id): lot.throttle} if lot.throttle else {}


def many_of(state: NodeState, ports: Ports, entry: Entry) -> int:
    """How many attempts the entry stands for now, at most: of an array those of held chunks, and new ones'."""
    if not entry.count or entry.chunk is not None:
        return 1
    lot = state.lots.get(entry.key)
    if lot is None:
        return CHUNKS_AT_ONCE
    more = CHUNKS_AT_ONCE if state.queue.has(str(lot.entry)) and not lot.tripped else 0
    if lot.gate is not None and lot.waits_for_others:
        more = min(more, lot.gate.many_in(lot.gate.decided(lot.taken)))
    if lot.limits and lot.no_lane_before:
        return sum(each.startable > 0 and each.has_lanes and not each.running for each in lot.open())
    if windows.may_hand(state, ports, lot):
        return min(lot.startable + more, max(0, lot.pace.abreast(lot.slots) - windows.of(state, lot)))
    return lot.startable + more


def fill(state: NodeState, ports: Ports, entry: Entry, choices: Sequence[Choice]) -> None:
    """What could start of the array's indices has started, and more is about to begin."""
    lot = state.lots.get(entry.key) or open_lot(state, ports, entry)
    if lot is None:
        return
    _know_limits(ports, lot)
    go_ahead(state, ports, lot, len(choices) - _start(state, ports, lot, choices))


def go_ahead(state: NodeState, ports: Ports, lot: Lot, wanted: int = 0) -> None:
    """More of the array is about to begin, and there are chunks for it: so many indices, or what windows need next."""
    lot.handed_on = False
    wanted = lot.pace.ahead(lot.slots) if windows.may_hand(state, ports, lot) else wanted
    takes = 0
    while wanted > lot.startable + takes and not (lot.closed or lot.over) and state.queue.has(str(lot.entry)):
        if lot.tripped or not _lane_is_free(ports, lot) or not take(state, ports, lot):
            break
        takes += lot.gate is not None  # it may have brought nothing to run
    replenish(ports, lot)


def _lane_is_free(ports: Ports, lot: Lot) -> bool:
    """Whether one more chunk would have the lanes that it needs, for all that is seen."""
    if lot.limits and len(lot.held) >= min(lot.limits.values()):
        return False
    for directory, most in lot.limits.items():
        if len(lanes.held_by(lanes.look(ports.fs, directory))) >= most:
            lot.no_lane_before = ports.clock.monotonic() + LANE_SECONDS
            return False
    return True


def _has_lanes(state: NodeState, ports: Ports, holding: Holding) -> bool:
    """The chunk has the lanes that it needs for one more index to run; False if there is none now."""
    lot = holding.lot
    for directory, most in lot.limits.items():
        if directory not in holding.lanes:
            holder = holding.claim.entry.chunk_lane(state.node)
            # What runs already has its lane, however many are taken: it began before there was a limit.
            lane = lanes.take(ports.fs, directory, holder, limit=None if holding.running else most)
            if lane is None:
                lot.no_lane_before = ports.clock.monotonic() + LANE_SECONDS
                return False
            holding.lanes[directory] = lane
    return not (lot.limits and holding.running)


def give_lanes(state: NodeState, ports: Ports) -> None:
    """What runs of a limited array has its lane, though it began before that was known here."""
    for lot in state.lots.values():
        for holding in lot.held:
            if lot.limits and holding.running and not holding.has_lanes:
                _has_lanes(state, ports, holding)


def _start(state: NodeState, ports: Ports, lot: Lot, choices: Sequence[Choice]) -> int:
    started = 0
    for choice in choices:
        if windows.may_hand(state, ports, lot):
            if not windows.hand(state, ports, lot, choice.booking):
                break
            started += 1
            continue
        holding = next((each for each in lot.open() if each.begun and _has_lanes(state, ports, each)), None)
        if holding is None:
            break
        if not start_index(state, ports, holding, holding.begun[0], choice.booking):
            break
        holding.begun.popleft()
        started += 1
    return started


def start_index(state: NodeState, ports: Ports, holding: Holding, attempted: Attempted, booking: Booking) -> bool:
    """That attempt of the index, which has begun, is in the keeper's hands; False if its group lets none start now."""
    lot, (index, number) = holding.lot, attempted
    entry = replace(lot.entry.of_index(index, number), owner=holding.claim.entry.owner)
    admitted, lane = limits.index_admitted(state, ports, entry, holding.claim)
    if not admitted:
        return False
    instance = lot.expansion.at(index)
    windows.make_log_directory(ports, lot, entry.id)
    if lot.task.task_dir:
        files.make_all(ports.fs, ports.lease.results(entry.id))
    attempt = Attempt(
        Index(holding, entry, index),
        replace(lot.task, argv=instance.argv),
        booking,
        ports.clock.monotonic(),
        slot=free_slot(state.occupants()),
        marks=instance.env,
        lane=lane,
    )
    request = start_request(attempt, lease=ports.lease, options=state.options, ends=ends_of_day(state, ports.clock))
    ports.procs.start(attempt.key, request)
    holding.running.add(attempt.key)
    state.begins(attempt)
    return True


def replenish(ports: Ports, lot: Lot) -> None:
    """As many begin as the window has room for."""
    room = lot.room_ahead
    for holding in lot.open():
        # A chunk that runs one at a time must not have all of the window.
        own = 2 - len(holding.begun) - holding.beginning - len(holding.running) if lot.limits else room
        if room > 0 and own > 0 and (attempts := holding.next_to_begin(min(room, own))):
            holding.beginning += len(attempts)
            room -= len(attempts)
            ports.ledger.add(Begins(holding, attempts))


def absorb(state: NodeState, ports: Ports) -> None:
    """What the ledger has told since the last turn is known."""
    now = ports.clock.monotonic()
    for key, lot in list(state.lots.items()):
        lot.no_lane_before = 0.0 if now >= lot.no_lane_before else lot.no_lane_before
        for holding in list(lot.held):
            while holding.fresh:
                attempted = holding.fresh.popleft()
                holding.beginning -= 1
                holding.begun.append(attempted)
                if lot.stops:
                    lot_ends.apply_stops(state, ports, lot)
            if holding.overruled:
                lot_ends.let_go_of(state, ports, holding)
        if lot.over:
            state.queue.remove(str(lot.entry), own=lot.own)
        if not lot.held and (lot.closed or lot.over or not state.queue.has(str(lot.entry))):
            del state.lots[key]


# -- chunks ----------------------------------------------------------------------------------------------------------


def open_lot(state: NodeState, ports: Ports, entry: Entry) -> Lot | None:
    """The array that the entry, or a chunk's, is of; None if it is over, or none that this runner could run."""
    array = entry.pending().of_array()
    name = str(array)
    own = state.queue.is_own(name)
    first = ports.lease.inbox(state.node if own else ANY) if state.queue.has(name) else ""
    try:
        task = _read_array(ports, array, first)
        if task is None:
            state.queue.remove(name, own=own)
            return None
        expansion = _expansion(task, array)
    except Newer as error:
        state.queue.leave(name, str(error), own=own)
        return None
    except Malformed as error:
        arrays.refuse(
            ports.fs, ports.lease, array, reason=f"the task's file is malformed: {error}", now=ports.clock.now()
        )
        state.queue.remove(name, own=own)
        return None
    lot = Lot(
        entry=array,
        task=task,
        expansion=expansion,
        cover=Cover(ports.fs, arrays.prepare(ports.fs, ports.lease, array), Plan(array.count)),
        slots=how_many(array.need, state.options.capacity),
        inbox=first or tasks.inbox_of(ports.lease, task),
        own=own,
    )
    _learn(ports, lot, array_places.names_of(ports.fs, ports.lease, array))
    gates.learn(state, ports, lot)
    state.lots[lot.key] = lot
    return lot


def _read_array(ports: Ports, entry: Entry, first: str) -> Task | None:
    try:
        return array_places.read_array(ports.fs, ports.lease, entry, first=first)
    except PermissionError:
        # A mount in trouble (no ticket) says so of everything for a while; somebody else's file says so always.
        ports.fs.names(ports.lease.claimed(ports.node))
    try:
        return array_places.read_array(ports.fs, ports.lease, entry, first=first)
    except PermissionError as error:
        raise Malformed(f"cannot be read: {error.strerror}") from None


def _expansion(task: Task, entry: Entry) -> Expansion:
    check_task(task)
    if task.array is None:
        raise Malformed("it is no array")
    expansion = Expansion(task, task.array)
    if len(expansion.indices) != entry.count:
        raise Malformed(f"it has {len(expansion.indices)} indices, and its name says {entry.count}")
    return expansion


def _learn(ports: Ports, lot: Lot, names: ArrayNames) -> None:
    """What is in the array's directory is known."""
    lot.cover.learn(names)
    lot.over = lot.over or names.over
    said = array_places.throttle(ports.fs, lot.array) if names.throttled else None
    lot.throttle = (lot.task.array.throttle if lot.task.array else 0) if said is None else said
    if len(names.stops) != lot.stops_seen and not names.over:
        lot.stops, lot.stops_seen = stops.read_stops(ports.fs, lot.array, names), len(names.stops)


def take(state: NodeState, ports: Ports, lot: Lot, chosen: Sequence[int] = ()) -> bool:
    """One more chunk of the array was looked for, several of short ones, or these; False if nothing is left to take."""
    free = lot.next_free if lot.gate is None else partial(gates.next_chunks, lot)
    wanted = chosen or ([] if lot.stop_of_all else free(_rank(state), lot.several(len(state.nodes))))
    if not wanted and lot.waits_for_others:
        return False
    if not wanted:
        close(state, ports, lot)
        return False
    parts, who = [lot.entry.of_chunk(chunk) for chunk in wanted], ports.incarnation
    state.claims_in_doubt = True
    won, names = chunks.take(ports.fs, ports.lease, parts, node=state.node, incarnation=who, known=lot.cover)
    state.claims_in_doubt = False
    if names is None:
        _learn(ports, lot, array_places.names_of(ports.fs, ports.lease, lot.entry))
        return not lot.over
    _learn(ports, lot, names)
    for claim in won:
        holding = Holding(lot, claim)
        indices = lot.indices(holding.chunk)
        holding.left = len(indices)
        lot.held.append(holding)
        gates.admit(ports, holding, [(index, lot.entry.attempt) for index in indices])
    lot_ends.apply_stops(state, ports, lot)
    return True


def _rank(state: NodeState) -> int:
    """The place of this node among all: nodes that take at the same moment take different chunks."""
    return state.nodes.index(state.node) if state.node in state.nodes else 0


def close(state: NodeState, ports: Ports, lot: Lot) -> None:
    """Nothing is left to take of the array; if all its chunks have ended, it is over."""
    lot.closed = arrays.close(ports.fs, ports.lease, lot.entry, first=lot.inbox)
    lot.over = lot.over or lot.closed is None
    state.queue.remove(str(lot.entry), own=lot.own)
    if lot.closed is not None:
        ports.ledger.add(ArrayEnds(lot.closed))


def take_given(state: NodeState, ports: Ports, entry: Entry) -> None:
    """The chunk, which was given back and is pending, is this runner's, if no other was faster."""
    name = str(entry)
    own = state.queue.is_own(name)
    source = ports.lease.inbox(state.node if own else ANY)
    lot = state.lots.get(entry.of_array().key) or open_lot(state, ports, entry)
    state.queue.remove(name, own=own)
    if lot is None or _is_let_go(state, ports, lot, entry):
        return
    state.claims_in_doubt = True
    held = tasks.claim(ports.fs, ports.lease, source, entry, node=state.node, incarnation=ports.incarnation)
    state.claims_in_doubt = False
    if held is None:
        return
    ports.fs.sync_dir(ports.lease.claimed(state.node))
    hold(state, ports, lot, held)


def _is_let_go(state: NodeState, ports: Ports, lot: Lot, entry: Entry) -> bool:
    """True if the chunk, which is pending, was taken away from this runner, and some of it runs or is written yet."""
    before = [each for each in lot.held if each.chunk == entry.chunk]
    for each in before:
        each.overruled = True
    ending = (getattr(item, "holding", None) for item in list(ports.ledger.open))
    before += [each for each in ending if each is not None and each.claim.entry.pending() == entry]
    if before:
        state.list_at = AT_ONCE
    return bool(before)


def holds(state: NodeState, ports: Ports, entry: Entry) -> bool:
    """True if the chunk of that claim is one that this runner knows that it has, or is about to end."""
    lot = state.lots.get(entry.of_array().pending().key)
    if lot is not None and any(each.claim.entry == entry for each in lot.held):
        return True
    ending = (getattr(item, "holding", None) for item in list(ports.ledger.open))
    return any(each is not None and each.claim.entry == entry for each in ending)


def find(state: NodeState, ports: Ports, held: Claim) -> set[str]:
    """The chunk of that claim, which is this incarnation's, is held, if it is not another's; its attempts' keys."""
    lot = state.lots.get(held.entry.of_array().pending().key) or open_lot(state, ports, held.entry)
    if lot is None:
        # Of an array that is over nothing is left to do.
        chunks.secure(ports.fs, ports.lease, held)
        return set()
    return hold(state, ports, lot, held)


def inherit(state: NodeState, ports: Ports, held: Claim) -> set[str]:
    """The chunk of an earlier runner of the node is this one's, with what has become of it; its attempts' keys."""
    heir = chunks.inherit(
        ports.fs, ports.lease, held, incarnation=ports.incarnation, reason="its node has another runner"
    )
    return set() if heir is None else find(state, ports, heir)


def hold(state: NodeState, ports: Ports, lot: Lot, held: Claim) -> set[str]:
    """The chunk of that claim, which is this incarnation's, is held, with what has become of it; its attempts' keys."""
    names = chunks.secure(ports.fs, ports.lease, held)
    if names is None:
        return set()
    if (held.entry.chunk, held.entry.owner) in names.handed:
        # What is written of the chunk under that name counts no more: it goes on under another one.
        name = new_incarnation()
        ports.procs.born(name)
        heir = chunks.inherit(ports.fs, ports.lease, held, incarnation=name, reason="its node takes it again")
        return set() if heir is None else hold(state, ports, lot, heir)
    _learn(ports, lot, names)
    try:
        return resume(state, ports, lot, held, names)
    except Malformed as error:
        files.set_aside(ports.fs, ports.lease, held.path(ports.lease), f"its journals cannot be read: {error}")
        return set()


# -- before their time -----------------------------------------------------------------------------------------------


def look_for_stops(state: NodeState, ports: Ports, lot: Lot) -> None:
    """What is to end of the array by now is being ended."""
    _learn(ports, lot, array_places.names_of(ports.fs, ports.lease, lot.entry))
    gates.learn(state, ports, lot)
    if lot.stop_of_all and lot.closed is None:
        close(state, ports, lot)
    lot_ends.apply_stops(state, ports, lot)
