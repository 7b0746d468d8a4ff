"""What may start now by what commands have paused and limited: see `protocol.groups` and `protocol.lanes`.

What is paused is known from one listing at each poll, and from one more between claims and starts, once anything of the
kind was ever said in the lease: what was claimed and must not start is pending again. Of a limited group a claim is
started with a lane only; the lane is free as soon as the process has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from leaseq.dataclass import replace
from leaseq.errors import Malformed
from leaseq.limit_names import Lane, holder_parts
from leaseq.names import Entry, parse_id
from leaseq.protocol import groups, lanes
from leaseq.protocol.tasks import Claim
from leaseq.runner.node_state import AT_ONCE, NodeState
from leaseq.runner.ports import Ports
from leaseq.runner.work import Attempt, Won, read_claimed


def learn(state: NodeState, ports: Ports) -> None:
    """What is paused and limited is known as of now; how many lanes are free is looked at again if it is asked for."""
    state.limits, state.look_at_limits = groups.limits(ports.fs, ports.lease), False
    state.lanes_left = {}


def shut(state: NodeState, ports: Ports) -> Callable[[str], bool] | None:
    """Whether nothing of a group may start now; None if nothing is paused or limited."""
    if not state.limits:
        return None
    return lambda group: state.limits.stop(group) or _left(state, ports, group) == 0


def _left(state: NodeState, ports: Ports, group: str) -> int | None:
    """How many more of the group may start, for all that is known; None if it is not limited."""
    most = state.limits.parallel.get(group)
    if most is None or group in state.lanes_left:
        return state.lanes_left.get(group)
    directory = ports.lease.group_lanes(group)
    held = lanes.held_by(lanes.look(ports.fs, directory))
    for holder in [each for each in held if _waits(state, each)]:
        lanes.free(ports.fs, directory, held.pop(holder))
    without = 0
    for each in state.running.values():
        if each.entry.group != group:
            continue
        holder = _holder(each)
        each.lane = held.get(holder)
        if each.lane is None:
            # It began before there was a limit, or the server has lost what it had not synced.
            each.lane = lanes.take(ports.fs, directory, holder, limit=None)
            without += 1
    state.lanes_left[group] = max(0, most - len(held) - without)
    return state.lanes_left[group]


def _waits(state: NodeState, holder: str) -> bool:
    """True of an index of an array that this runner has, and that does not run here.

    It had begun when a limit was made, and was given a lane; or an earlier runner of the node had it.
    """
    try:
        key, _, node = holder_parts(holder)
    except Malformed:
        return False
    array, index = parse_id(key.partition(".")[0])
    if index is None or node != state.node or key in state.running or state.phase.superseded:
        return False
    return any(lot.entry.id == array for lot in state.lots.values())


def _holder(attempt: Attempt) -> str:
    return attempt.entry.holder(attempt.work.claim.node)


def index_admitted(state: NodeState, ports: Ports, entry: Entry, claim: Claim) -> tuple[bool, Lane | None]:
    """(whether that attempt of an index of the claimed chunk may start, its lane if its group is limited)"""
    most = state.limits.parallel.get(entry.group)
    if state.limits.stop(entry.group):
        return False, None
    if most is None:
        return True, None
    lane = lanes.take(ports.fs, ports.lease.group_lanes(entry.group), entry.holder(claim.node), limit=most)
    if lane is None:
        state.lanes_left[entry.group] = 0
    return lane is not None, lane


def admitted(state: NodeState, ports: Ports, won: Won) -> Won | None:
    """The claim, with its lane if it needs one; None if it must not start now: it is pending again."""
    entry = won.claim.entry
    most = state.limits.parallel.get(entry.group)
    if not state.limits.stop(entry.group):
        if most is None:
            return won
        lane = groups.take_lane(ports.fs, ports.lease, won.claim, limit=most)
        if lane is not None:
            return replace(won, lane=lane)
        state.lanes_left[entry.group] = 0
    return won if put_back(state, ports, [won]) else None


def put_back_won(state: NodeState, ports: Ports) -> None:
    """What was claimed and is not to start any more is pending again."""
    put_back(state, ports, list(state.won.values()))
    state.won.clear()


def put_back(state: NodeState, ports: Ports, all_won: Sequence[Won]) -> list[Won]:
    """These claims are pending again, durably; but for those whose files are for somebody else to judge."""
    left: list[Won] = []
    targets: set[str] = set()
    for won in all_won:
        try:
            inbox = won.inbox or read_claimed(ports.fs, ports.lease, won.claim).node
        except (Malformed, FileNotFoundError):
            left.append(won)
            continue
        target = ports.lease.inbox(inbox)
        groups.unclaim(ports.fs, ports.lease, won.claim, target, durable=False)
        targets.add(target)
        state.list_at = AT_ONCE
    for target in sorted(targets):
        ports.fs.sync_dir(target)
    return left


def leave_lane(state: NodeState, ports: Ports, attempt: Attempt) -> None:
    """The attempt, whose process has ended or never was, holds no lane; if that fails, housekeeping frees it."""
    group = attempt.entry.group
    if attempt.lane is None and group not in state.limits.parallel:
        return
    directory = ports.lease.group_lanes(group)
    with suppress(OSError):
        lane = attempt.lane or lanes.held_by(lanes.look(ports.fs, directory)).get(_holder(attempt))
        if lane is not None:
            lanes.free(ports.fs, directory, lane)
    state.lanes_left.pop(group, None)
