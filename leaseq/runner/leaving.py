"""Whether a node's allocation gives its nodes back because nothing uses it: looked at each turn, agreed by files.

The runner of the allocation's first node begins a round once its node has stood unused for as long as it may, and the
others say so of theirs. Each stands aside, looks once more at all that could use its node, and says that it would
leave, or decides that all stay. See `leaseq.protocol.leaving`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leaseq.errors import Malformed
from leaseq.names import new_incarnation
from leaseq.protocol import allocs, leaving, requests, succession, terms
from leaseq.protocol.leaving import LEAVE, STAY
from leaseq.reading import beats
from leaseq.runner import housework
from leaseq.runner.idle import Round
from leaseq.runner.node_state import NodeState, poll_seconds
from leaseq.runner.phase import Wanted
from leaseq.runner.ports import Ports
from leaseq.words import about

PATIENCE_SECONDS = 30.0
"""How long the first node of an allocation waits for the others, and the time that they take to hear of it."""
AGAIN_SECONDS = 60.0
"""How soon it is tried again, if that did not come out."""
NOT_SOONER_SECONDS = 5.0


def begin(state: NodeState, ports: Ports) -> None:
    """A runner that begins knows its limit. What its predecessor said in an open round does not count any more."""
    place = allocs.directory(ports.lease, ports.alloc)
    limit, was_limited = leaving.limits(ports.fs, place, ports.alloc)
    state.idle.set_limit(limit, ports.clock.monotonic())
    if not was_limited:
        return
    for round_id, came_out in leaving.rounds(ports.fs, place).items():
        word, why = came_out or leaving.decide(ports.fs, place, round_id, STAY, f"{state.node}: a runner has begun")
        if word == LEAVE and not state.running:  # nobody who has agreed has anything
            _leave(state, ports, why)


def learn(state: NodeState, ports: Ports) -> None:
    """The limit is as it is set now, and the clock starts again."""
    place = allocs.directory(ports.lease, ports.alloc)
    state.idle.set_limit(leaving.limit_of(ports.fs, place, ports.alloc), ports.clock.monotonic())


def asked(state: NodeState, ports: Ports, alloc_id: str, round_id: str) -> None:
    """The first node of the allocation has begun that round, and this one takes part in it."""
    if alloc_id != ports.alloc.id or not _takes_part(state):
        return
    place = allocs.directory(ports.lease, ports.alloc)
    if state.idle.round is not None:
        if state.idle.round.id != round_id:
            leaving.decide(ports.fs, place, round_id, STAY, f"{state.node} takes part in another round")
        return
    _take_part(state, ports, round_id, begun=False)


def look(state: NodeState, ports: Ports, look_once_more: Callable[[], None]) -> None:
    """What uses the node is known; if nothing has for long its allocation leaves, or what keeps it is known.

    look_once_more: what is pending, and whether it could start here, is known afresh.
    """
    idle, now = state.idle, ports.clock.monotonic()
    if not _takes_part(state):
        idle.round = None  # another runner's word counts, or the allocation ends anyhow
        return
    if idle.round is not None:
        _go_on(state, ports, idle.round, look_once_more)
        return
    idle.hear(used_by(state, ports, now), now)
    if idle.is_to_be_told(now):
        idle.told = True
        left = (idle.limit or 0.0) - (now - idle.since)
        ports.terminals.tell(f"nothing uses lease {ports.lease.id}: it is given back in {about(max(0.0, left))}")
    if idle.is_due(now) and now >= idle.look_at:
        wait = _wait_for_others(state, ports)
        if wait is None:
            _begin_round(state, ports)
        else:
            idle.look_at = now + max(NOT_SOONER_SECONDS, wait)


def used_by(state: NodeState, ports: Ports, now: float) -> str:
    """What uses the node, or may, in words; empty if nothing does."""
    if state.occupants() or state.won or any(lot.held for lot in state.lots.values()):
        return "a task"
    if ports.ledger.open or ports.ledger.trouble:
        return "outcomes that are not written yet"
    if state.claims_in_doubt or state.strays or state.newer:
        return "tasks of another runner"
    if state.trouble or now < state.retry_at or state.waits_for_the_end(now):
        return "what is not known now"
    serves = state.phase.wanted is Wanted.SERVE or (state.phase.wanted, state.phase.before) == (
        Wanted.ASIDE,
        Wanted.SERVE,
    )
    if serves and (state.stale or state.idle.could_start):
        return "a task that may start here"
    if serves and state.idle.begins_soon(now):
        return "a task whose time comes soon"
    return ports.terminals.in_use()


def _takes_part(state: NodeState) -> bool:
    return state.phase.wanted in (Wanted.SERVE, Wanted.DRAIN, Wanted.ASIDE) and not state.phase.superseded


def _wait_for_others(state: NodeState, ports: Ports) -> float | None:
    """None if this is the allocation's first node, and the others have stood unused for as long; else seconds."""
    members = _members(state, ports)
    if members[:1] != [state.node]:
        return AGAIN_SECONDS
    limit = state.idle.limit or 0.0
    for node in members[1:]:
        try:
            beat = terms.read_heartbeat(ports.fs, ports.lease, node)
        except Malformed:
            return AGAIN_SECONDS
        if beat is None or beat.unused_seconds is None or beats.silent(ports.fs, ports.lease, node):
            return AGAIN_SECONDS
        if beat.unused_seconds < limit - beat.interval_seconds:
            return limit - beat.interval_seconds - beat.unused_seconds
    return None


def _members(state: NodeState, ports: Ports) -> Sequence[str]:
    """The nodes of the allocation, in its order; none if they are not known now."""
    found = list(allocs.nodes_of(ports.fs, ports.lease, ports.alloc))
    return found if state.node in found else []


def _begin_round(state: NodeState, ports: Ports) -> None:
    place, round_id = allocs.directory(ports.lease, ports.alloc), new_incarnation()
    leaving.begin(ports.fs, place)
    _take_part(state, ports, round_id, begun=True)
    for node in _members(state, ports):
        if node != state.node:
            body: dict[str, object] = {"alloc": ports.alloc.id, "round": round_id}
            requests.ask(ports.fs, ports.lease, node, "leave", body)


def _take_part(state: NodeState, ports: Ports, round_id: str, *, begun: bool) -> None:
    patience = PATIENCE_SECONDS + 2 * poll_seconds(len(state.nodes), busy=False)
    state.idle.round = Round(round_id, begun, ports.clock.monotonic() + patience)
    state.phase.stand_aside()
    state.changed = True


def _go_on(state: NodeState, ports: Ports, held: Round, look_once_more: Callable[[], None]) -> None:
    """The round has come out, or this runner has done its part of it."""
    fs, place, now = ports.fs, allocs.directory(ports.lease, ports.alloc), ports.clock.monotonic()
    came_out = leaving.decision(fs, place, held.id)
    if came_out is None:
        why = "waited in vain" if now >= held.until else _why_not(state, ports, held, look_once_more)
        if why:
            came_out = leaving.decide(fs, place, held.id, STAY, f"{state.node}: {why}")
        elif not held.said and state.idle.is_due(now):
            leaving.would_leave(fs, place, held.id, state.node)
            held.said = True
        members = _members(state, ports) if came_out is None and held.begun else []
        if members and leaving.would_all_leave(fs, place, held.id, members):
            came_out = leaving.decide(fs, place, held.id, LEAVE, leaving.reason_of(state.idle.limit or 0.0))
    if came_out is None:
        return
    if came_out[0] == LEAVE:
        _leave(state, ports, came_out[1])
        return
    state.idle.round = None
    state.idle.look_at = now + AGAIN_SECONDS
    state.phase.stand_again()
    state.look_for_tasks()
    state.changed = True


def _why_not(state: NodeState, ports: Ports, held: Round, look_once_more: Callable[[], None]) -> str:
    """Why this node does not leave, looked at afresh; empty if nothing keeps it."""
    idle, place = state.idle, allocs.directory(ports.lease, ports.alloc)
    limit = leaving.limit_of(ports.fs, place, ports.alloc)
    if limit is None or limit != idle.limit:
        idle.set_limit(limit, ports.clock.monotonic())
        return "its limit has changed"
    if not held.said:
        housework.look_again(state, ports)
    look_once_more()
    now = ports.clock.monotonic()
    idle.hear(used_by(state, ports, now), now)
    return idle.used_by or ("" if idle.since + limit < held.until else "it was in use lately")


def _leave(state: NodeState, ports: Ports, reason: str) -> None:
    """No other allocation follows this one: it would stand unused as well, and may start as this one ends."""
    if succession.stop_after(ports.fs, ports.lease, ports.alloc.token, reason) and ports.ask_slurm is not None:
        ports.ask_slurm()
    leaving.mark_left(ports.fs, allocs.directory(ports.lease, ports.alloc), reason)
    state.idle.round = None
    state.phase.release()
    state.changed = True
