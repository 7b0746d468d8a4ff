"""What a runner does once a minute: it finishes what commands left half done, and looks whether it was overruled,
or another runner has begun to serve its node.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from leaseq.errors import Malformed, Newer
from leaseq.models import ANY, Why
from leaseq.names import ARRAYS, CLI, Entry, is_node
from leaseq.protocol import (
    allocs,
    arrays,
    concluding,
    dependents,
    edits,
    files,
    groups,
    lanes,
    succession,
    tasks,
    terms,
)
from leaseq.protocol.tasks import Claim
from leaseq.reading import beats
from leaseq.reading.history import added
from leaseq.runner import ends, lot_ends, lots, telling
from leaseq.runner.holding import ArrayEnds
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Ports
from leaseq.runner.recover import take_claims

ABANDONED_SECONDS = 60.0
"""A command that has not finished a cancel after this long has died of it."""
TURN_SECONDS = 60.0
LOOKING_NODES = 8
"""So many nodes of a lease look each minute at what tasks wait for."""
DUE_SECONDS = 0.5
"""How long after the look that saw it a task starts at the earliest whose time comes."""
STRAY_SECONDS = 120.0
"""How long another runner of this node has to end what it claimed before it knew of this one."""


def keep_house(state: NodeState, ports: Ports) -> None:
    """What commands left half done is done, what they decided is in the history, what they took away is ended."""
    _look_for_a_later_term(state, ports)
    _finish_cancels(ports)
    if not state.phase.superseded:
        _take_in_late_lines(ports)
        if is_first(state, ports):
            edits.finish_all(ports.fs, ports.lease)
            arrays.go_on_from(ports.fs, ports.lease, ANY)
            _finish_arrays(ports)
            telling.tell_all(ports, state.nodes)
            for group in groups.groups_with_lanes(ports.fs, ports.lease):
                groups.free_gone(ports.fs, ports.lease, group)
    for lot in list(state.lots.values()):
        lots.look_for_stops(state, ports, lot)
        if lot.throttle:
            lanes.free_gone(ports.fs, ports.lease.lanes(lot.entry.id), stands=groups.standing(ports.fs, ports.lease))
    # In the first term nobody has served the node before this runner.
    if state.occupants() or state.lots or state.options.term > 1:
        claims = ports.fs.names(ports.lease.claimed(ports.node))
        lot_ends.overrule(state, ports, claims)
        _end_recovered(state, ports, claims)
        _take_strays(state, ports, claims)
    read_end(state, ports)
    read_nodes(state, ports)
    look_at_dependents(state, ports)
    _ask_slurm(state, ports)


def is_first(state: NodeState, ports: Ports) -> bool:
    """True for the node that does what one of a lease does: the first by name, of hosts the first that is heard.

    Nobody takes a silent host from its lease, as Slurm does.
    """
    before = [node for node in state.nodes if node < state.node]
    return not before or (ports.alloc.is_host and all(beats.silent(ports.fs, ports.lease, each) for each in before))


def _ask_slurm(state: NodeState, ports: Ports) -> None:
    """Slurm is asked if another node holds tasks and is silent, for the lease may have lost it, or if it is kept.

    Nobody else may be there to ask. The nodes take turns of a minute, so a lease costs the server the same however
    many nodes it has, and a node that is lost itself is passed over.
    """
    nodes = state.nodes
    if ports.ask_slurm is None or state.node not in nodes:
        return
    if int(ports.clock.now() // TURN_SECONDS) % len(nodes) != nodes.index(state.node):
        return
    if succession.is_kept(succession.names(ports.fs, ports.lease)) or _another_is_lost(state, ports):
        ports.ask_slurm()


def _another_is_lost(state: NodeState, ports: Ports) -> bool:
    fs, lease = ports.fs, ports.lease
    return any(
        is_node(node) and node != state.node and fs.names(lease.claimed(node)) and beats.silent(fs, lease, node)
        for node in fs.names(lease.claims)
    )


def look_at_dependents(state: NodeState, ports: Ports) -> None:
    """Tasks that wait for what has come, whoever saw to that, may start; those that wait in vain have ended.

    In a large lease some nodes look each minute, so that it costs the server the same; the others the next one.
    """
    now, nodes = ports.clock.now(), state.nodes
    turns = -(-len(nodes) // LOOKING_NODES)
    number = nodes.index(state.node) if state.node in nodes else 0
    if turns < 2 or (int(now // TURN_SECONDS) + number) % turns == 0:
        look_again(state, ports)


def look_again(state: NodeState, ports: Ports) -> None:
    """All edges of the lease have been looked at, also for tasks that wait for the beginning of one that runs here."""
    now = ports.clock.now()
    looked = dependents.look(ports.fs, ports.lease, now=now, begun=state.begun())
    state.awaited = set(looked.awaited)
    state.idle.begins_at = None if looked.due is None else ports.clock.monotonic() + looked.due - now
    if looked.freed:
        state.look_for_tasks()
    if looked.due is not None:
        state.house_at = min(state.house_at, ports.clock.monotonic() + max(looked.due - now, DUE_SECONDS))


def _finish_arrays(ports: Ports) -> None:
    """The ledger ends arrays all of whose chunks have ended, whoever died before."""
    fs, lease = ports.fs, ports.lease
    known = {str(item.closed.entry) for item in list(ports.ledger.open) if isinstance(item, ArrayEnds)}
    for name in fs.names(lease.claimed(ARRAYS)):
        try:
            if name not in known:
                ports.ledger.add(ArrayEnds(Claim(Entry.parse(name), ARRAYS)))
        except Newer:
            continue
        except Malformed as error:
            files.set_aside(fs, lease, f"{lease.claimed(ARRAYS)}/{name}", str(error))


def _finish_cancels(ports: Ports) -> None:
    fs, lease = ports.fs, ports.lease
    for name in fs.names(lease.claimed(CLI)):
        path = f"{lease.claimed(CLI)}/{name}"
        try:
            if fs.age(path, lease.heartbeats) > ABANDONED_SECONDS:
                claim = Claim(Entry.parse(name), CLI)
                concluding.finish_cancelled(fs, lease, claim, ended=ports.clock.now(), reason="cancelled")
        except (FileNotFoundError, Newer):
            continue  # gone, or a newer leaseq's to finish
        except Malformed as error:
            files.set_aside(fs, lease, path, str(error))


def _take_in_late_lines(ports: Ports) -> None:
    """What a runner that serves no more has added to its history since this one read it stands in this one's too."""
    for name, counted in list(ports.ledger.earlier.items()):
        with suppress(Malformed):
            if lines := added(ports.fs, f"{ports.lease.events_dir}/{name}", counted):
                ports.ledger.take_in(name, lines)


def _end_recovered(state: NodeState, ports: Ports, claims: Sequence[str]) -> None:
    """An attempt whose claim was taken away and decided (`recover`, while this node seemed dead) does not run on."""
    for each in list(state.running.values()):
        entry = each.entry
        if each.work.claim.entry.chunk is not None or str(entry) in claims or each.asked_to_stop:
            continue
        try:
            decided = tasks.read_outcome(ports.fs, ports.lease, entry.id, entry.attempt) is not None
        except Malformed:
            decided = True  # whatever it says, it is there, and the claim is not
        if decided:
            ends.stop(state, ports, each, Why.CANCEL)


def _take_strays(state: NodeState, ports: Ports, claims: Sequence[str]) -> None:
    """Claims of a runner that served the node beside this one are taken over, once it has had its time.

    It gives way within a minute, so the short ones of its tasks have ended by then.
    """
    if state.phase.superseded:
        return
    known = {*state.running, *state.won, *ports.ledger.unwritten()}
    now = ports.clock.monotonic()
    own = f".{ports.incarnation}"
    others = [name for name in claims if not name.endswith(own) and name not in state.newer]
    strays = [name for name in others if _key(name) not in known and not _holds(state, ports, name)]
    state.strays = {name: state.strays.get(name, now) for name in strays}
    due = [name for name, since in state.strays.items() if now - since >= STRAY_SECONDS]
    if due:
        take_claims(state, ports, due)


def _holds(state: NodeState, ports: Ports, name: str) -> bool:
    """True of a chunk that this runner has, under whichever name."""
    try:
        entry = Entry.parse(name)
    except Malformed:
        return False
    return entry.chunk is not None and lots.holds(state, ports, entry)


def _key(name: str) -> str:
    try:
        return Entry.parse(name).key
    except Malformed:
        return ""


def _look_for_a_later_term(state: NodeState, ports: Ports) -> None:
    """If another host has begun to serve the node, because this one was silent for long, this runner gives way."""
    fs, lease, node, term = ports.fs, ports.lease, ports.node, state.options.term
    if not term:
        return
    try:
        terms.read_term(fs, lease, node, term)
    except FileNotFoundError:
        # Who begins a later one removes it. A listing of all nodes at every look would cost a large lease too much.
        if terms.newest_term(fs, lease, node) > term:
            state.phase.give_way()
    except Malformed:
        return


def read_end(state: NodeState, ports: Ports) -> None:
    """`ends_at` is what the allocation's file says: seconds left when it was written, aged by the server's clock."""
    left = allocs.seconds_left(ports.fs, allocs.directory(ports.lease, ports.alloc))
    if left is not None and state.ends_at is None:
        # A lease of minutes is not all lead.
        state.end_lead_seconds = min(state.options.end_lead_seconds, max(1.0, left / 4))
    state.ends_at = None if left is None else ports.clock.monotonic() + left


def read_nodes(state: NodeState, ports: Ports) -> None:
    """The nodes of the lease are those that its directory names now, if it names any.

    A host that was taken out while it was silent, for it held nothing, is none of them, and leaves.
    """
    nodes = allocs.members(ports.fs, ports.lease)
    state.learn_nodes(nodes)
    if ports.alloc.is_host and state.node not in nodes and allocs.has_ended(ports.fs, ports.lease, ports.alloc):
        state.phase.release()
