"""What a new runner does before its first turn: it takes over what the last one of its node left."""

from __future__ import annotations

from collections.abc import Iterable

from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed, Newer
from leaseq.layout import LeaseDir
from leaseq.models import Why
from leaseq.names import Entry, histories_in, parse_key
from leaseq.protocol import arrays, files, groups, tasks
from leaseq.protocol.concluding import Ending
from leaseq.protocol.fate import lost
from leaseq.protocol.tasks import Claim
from leaseq.reading.history import Tail
from leaseq.room import Booking
from leaseq.runner import ends, lots
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Ports
from leaseq.runner.work import Attempt, Single, read_claimed
from leaseq.world import Fs

HISTORY_LOOKED_AT = 2000
"""How many of the newest lines of history are searched for an attempt that was finished when its runner died."""
NO_ORDER = "0" * 25


@dataclass
class Past:
    """What the histories of a node say."""

    term: int = 0
    """Whose history the newest is, as `LeaseDir.events` names it."""
    totals: dict[str, int] = field(default_factory=dict)
    earlier: dict[str, int] = field(default_factory=dict)
    """The earlier ones by name, and how many of their bytes `totals` counts."""
    recorded: set[str] = field(default_factory=set)
    """The newest attempts that are counted."""


def history(fs: Fs, lease: LeaseDir, node: str, *, term: int) -> Past:
    """What the node's histories say to the runner of that term, which goes on in the newest. Raises Malformed."""
    past = Past()
    tails: dict[int, Tail] = {}
    for number in [0, *(number for each, number in histories_in(fs.names(lease.events_dir)) if each == node)]:
        if number > term:
            continue  # begun by a runner that begins a later term
        tail = tails[number] = Tail(fs, lease.events(node, number))
        try:
            tail.read(HISTORY_LOOKED_AT)
        except Malformed as error:
            raise Malformed(f"{tail.path}: {error}") from None
        if tail.newer:
            raise Newer("its history has lines of a newer schema", {})
    for number, tail in sorted(tails.items()):
        last = tail.last()
        if last is not None:
            # It counts what is in its own history, and what its writer had taken in of the earlier ones.
            past.totals, past.earlier = dict(last.totals), {**dict.fromkeys(past.earlier, 0), **last.earlier}
        past.term, past.earlier[tail.name] = number, tail.end
    del past.earlier[tails[past.term].name]
    for tail in tails.values():
        until = past.earlier.get(tail.name, tail.end)
        past.recorded |= {f"{each.id}.{each.attempt}" for at, each in tail.placed(HISTORY_LOOKED_AT) if at < until}
    return past


def take_over(state: NodeState, ports: Ports) -> None:
    """Every claim of the node is settled, running, or pending again; nothing of an earlier boot runs on."""
    fs, lease = ports.fs, ports.lease
    arrays.go_on_from(fs, lease, ports.node)
    ports.procs.find_windows()
    known = take_claims(state, ports, fs.names(lease.claimed(ports.node)))
    for key in ports.procs.attempts():
        if key not in known:
            _end_stray(state, ports, key)


def take_claims(state: NodeState, ports: Ports, names: Iterable[str]) -> set[str]:
    """These files of the node's claims are settled, running, or pending again; the keys of the attempts."""
    fs, lease = ports.fs, ports.lease
    directory = lease.claimed(ports.node)
    noted = ports.ledger.recorded | set(fs.names(lease.booking))
    keys: set[str] = set()
    # Who made them may have died before they were durable, and nothing is decided before they are.
    fs.sync_dir(directory)
    for name in sorted(names):
        try:
            entry = Entry.parse(name)
            if not entry.owner:
                raise Malformed("a claim without an owner")
            if entry.chunk is not None:
                keys |= lots.inherit(state, ports, Claim(entry, ports.node))
                continue
            keys.add(entry.key)
            _take_claim(state, ports, Claim(entry, ports.node), noted)
        except Newer as error:
            # Its name, its task or its outcome is a newer leaseq's, and so is what becomes of it.
            state.newer[name] = str(error)
        except Malformed as error:
            files.set_aside(fs, lease, f"{directory}/{name}", str(error))
    return keys


def _end_stray(state: NodeState, ports: Ports, key: str) -> None:
    """An attempt whose claim was taken from this node (it was recovered elsewhere) does not run on.

    It keeps its booking until it has ended, and how it ended stays in evidence/.
    """
    rec = ports.procs.record(key)
    if rec is None or rec.over or not ports.procs.same_boot(rec):
        ports.procs.forget(key)
        return
    try:
        task_id, attempt = parse_key(key)
        decided = tasks.read_outcome(ports.fs, ports.lease, task_id, attempt)
    except Malformed:
        decided = None
    if decided is None:
        ports.procs.stop(key, why=Why.CANCEL, grace=state.options.grace_seconds)
        return
    entry = Entry(NO_ORDER, task_id, decided.task.need, attempt, ports.incarnation)
    since = ports.clock.monotonic()
    work = Single(Claim(entry, ports.node))
    stray = Attempt(work, decided.task, ends.adopted_booking(state, ports, entry), since, rec, slot=rec.slot)
    state.begins(stray)
    ends.stop(state, ports, stray, Why.CANCEL)


def _take_claim(state: NodeState, ports: Ports, claim: Claim, noted: set[str]) -> None:
    fs, lease, procs, entry = ports.fs, ports.lease, ports.procs, claim.entry
    decided = tasks.read_outcome(fs, lease, entry.id, entry.attempt)
    if decided is not None:
        ports.ledger.add(Ending(claim, decided, decided, told=entry.key in noted))
        return
    rec = procs.record(entry.key)
    if rec is None and procs.knows(entry.owner):
        # Nothing began here in this boot, and now nothing can: the process that creates the record decides.
        procs.void(entry.key)
        rec = procs.record(entry.key)
    try:
        task = read_claimed(fs, lease, claim)
    except Newer as error:
        if rec is not None and rec.void:
            ends.give_back(state, ports, claim, error)
            return
        raise
    except Malformed as error:
        ends.refuse(state, ports, claim, Booking(), str(error))
        return
    if rec is not None and (rec.void or rec.again):
        groups.unclaim(fs, lease, claim, lease.inbox(task.node))
        procs.forget(entry.key)
        return
    since = ports.clock.monotonic()
    if rec is not None and rec.started_monotonic is not None and procs.same_boot(rec):
        since = min(since, rec.started_monotonic)
    slot = rec.slot if rec else None
    attempt = Attempt(Single(claim), task, ends.adopted_booking(state, ports, entry), since, rec, slot=slot)
    if rec is not None and rec.over:
        ends.end(state, ports, attempt, rec)
    elif rec is not None and procs.same_boot(rec):
        state.begins(attempt)
    else:
        procs.end_now(entry.key)
        reason = "the node was rebooted, or lost its local records" if rec is None else "the node was rebooted"
        outcome = lost(
            task, entry, node=ports.node, incarnation=ports.incarnation, reason=reason, now=ports.clock.now()
        )
        ports.ledger.add(Ending(claim, replace(outcome, started=rec.started if rec else None)))
