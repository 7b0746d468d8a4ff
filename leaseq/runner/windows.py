"""Windows: indices of an array that take milliseconds are the keeper's to run one after the other.

See `leaseq.node.window`. A window holds the room of one attempt. What it says once it is over is as if each of its
attempts had been asked for alone; what has not begun by then is this runner's to start again.
"""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.dataclass import replace
from leaseq.node.record import Rec
from leaseq.node.window import Place, WindowRequest
from leaseq.protocol import files
from leaseq.room import Booking
from leaseq.runner import ends, lot_ends
from leaseq.runner.holding import Handed, Lot, Member
from leaseq.runner.index import Index
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Ports
from leaseq.runner.starting import ends_of_day, marks_of, start_request, words_of
from leaseq.runner.work import Attempt, Several, free_slot

LIMIT_SECONDS = 1.0
"""A time limit below this is kept by a record of its own from the start."""


def may_hand(state: NodeState, ports: Ports, lot: Lot) -> bool:
    """True if the array's indices may start in windows now."""
    limit = lot.entry.need.time_seconds
    return (
        lot.pace.is_short
        and ports.procs.knows_windows
        and not (lot.limits or state.limits.made or lot.late or lot.task.task_dir)
        and (limit is None or limit >= LIMIT_SECONDS)
    )


def of(state: NodeState, lot: Lot) -> int:
    """How many windows of the array the keeper has."""
    return sum(isinstance(each, Handed) and each.lot is lot for each in state.windows.values())


def hand(state: NodeState, ports: Ports, lot: Lot, booking: Booking) -> bool:
    """A window of what has begun is the keeper's; False if nothing has, or it has enough of them."""
    if of(state, lot) >= lot.pace.abreast(lot.slots):
        return False
    members = _take_out(lot, lot.pace.together(lot.slots))
    if not members:
        return False
    first = members[0]
    slot = free_slot(state.occupants())
    model = Attempt(_work(first), lot.task, booking, ports.clock.monotonic(), slot=slot)
    try:
        places = [_place(ports, each) for each in members]
        common = start_request(model, lease=ports.lease, options=state.options, ends=ends_of_day(state, ports.clock))
        name = ports.procs.start_window(WindowRequest(common, places))
    except OSError:
        _put_back(members)
        raise
    for each in members:
        each.holding.in_windows.add(each.entry.key)
    state.hands_window(name, Handed(lot, booking, slot, model.since, members))
    return True


def _take_out(lot: Lot, most: int) -> list[Member]:
    """Up to so many that have begun, taken out of what may start."""
    found: list[Member] = []
    for holding in lot.open():
        own = replace(lot.entry, owner=holding.claim.entry.owner)
        while holding.begun and len(found) < most:
            index, number = attempted = holding.begun.popleft()
            found.append(Member(holding, attempted, own.of_index(index, number)))
    return found


def _put_back(members: Sequence[Member]) -> None:
    """They may start again, before all others, unless their chunk was taken away."""
    for each in reversed(members):
        if not each.holding.overruled:
            each.holding.begun.appendleft(each.attempted)


def _place(ports: Ports, member: Member) -> Place:
    lot, entry, lease = member.holding.lot, member.entry, ports.lease
    make_log_directory(ports, lot, entry.id)
    instance = lot.expansion.at(member.attempted[0])
    out, err = (lease.log(entry.id, entry.attempt, stream) for stream in ("out", "err"))
    env = {**marks_of(entry, lease), **instance.env}
    return Place(entry.key, words_of(lot.task, instance.argv), env, out, err)


def make_log_directory(ports: Ports, lot: Lot, task_id: str) -> None:
    """The directory of the index's logs exists."""
    directory = ports.lease.log_dir(task_id)
    if directory not in lot.log_directories:
        ports.fs.mkdir(files.directory_of(directory))
        ports.fs.mkdir(directory)
        lot.log_directories.add(directory)


def _work(member: Member) -> Index:
    return Index(member.holding, member.entry, member.attempted[0])


# -- what has become of them -----------------------------------------------------------------------------------------


def free(state: NodeState, ports: Ports, now: float) -> dict[str, Handed | Several]:
    """The windows of which nothing runs any more, nor will: their room is free, they are to be told of.

    To tell of one takes as long as some of its attempts ran. The next one need not wait for that.
    """
    done = [name for name in state.windows_to_look_at(now) if ports.procs.is_done(name)]
    return {name: state.let_go_of_window(name, now) for name in done}


def over(state: NodeState, ports: Ports, now: float) -> dict[str, Handed | Several]:
    """The other windows that are over: one of their attempts goes on alone. They are to be told of."""
    looked_at = {name: ports.procs.window(name) for name in state.windows_to_look_at(now)}
    return {name: state.let_go_of_window(name, now) for name, found in looked_at.items() if found and found.over}


def tell(state: NodeState, ports: Ports, name: str, handed: Handed) -> list[str]:
    """The window is over: each of its attempts has ended, goes on alone, or may start again.

    Gives the keys of those that go on.
    """
    found, now = ports.procs.window(name), ports.clock.monotonic()
    assert found is not None, f"the record of {name} is gone before it was told of"
    back: list[Member] = []
    ended: list[tuple[Member, Rec]] = []
    alone: list[Member] = []
    for place, member in enumerate(handed.members):
        member.holding.in_windows.discard(member.entry.key)
        rec = found.rec(place)
        if place in found.own:
            alone.append(member)
        elif place in found.begun and not rec.again:
            ended.append((member, rec))
        else:
            back.append(member)
            if rec.again:
                state.failed(rec.failure, now)
    ports.procs.leave_window(name, [member.entry.key for member, _ in ended])
    _put_back(back)
    for member, rec in ended:
        attempt = Attempt(_work(member), handed.lot.task, handed.booking, handed.since, rec, slot=handed.slot)
        ends.end(state, ports, attempt, rec)
    for member in alone:
        _go_on(state, ports, handed, member)
    if len(back) == len(handed.members):
        handed.lot.pace.refused()
    lot_ends.apply_stops(state, ports, handed.lot)
    return [member.entry.key for member in alone]


def _go_on(state: NodeState, ports: Ports, handed: Handed, member: Member) -> None:
    """The attempt, which has a record of its own by now, is as one that was asked for alone."""
    lot, (index, _) = handed.lot, member.attempted
    task = replace(lot.task, argv=lot.expansion.at(index).argv)
    attempt = Attempt(_work(member), task, handed.booking, handed.since, slot=handed.slot)
    member.holding.running.add(attempt.key)
    ends.begins_alone(state, ports, handed, attempt)
