"""What a new runner does before its first turn: it takes over what the last one of its node left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from leaseq.errors import Malformed, Newer
from leaseq.layout import Entry, LeaseDir, parse_key
from leaseq.models import Event, Why
from leaseq.protocol import files, tasks
from leaseq.protocol.fate import lost
from leaseq.protocol.tasks import Claim
from leaseq.reading.history import Tail
from leaseq.room import Booking, booking_of
from leaseq.runner.ledger import Finished
from leaseq.runner.starting import read_claimed
from leaseq.runner.state import Held
from leaseq.world import Fs

if TYPE_CHECKING:
    from leaseq.runner.loop import Runner

HISTORY_LOOKED_AT = 2000
"""How many of the newest lines of history are searched for an attempt that was finished when its runner died."""
NO_ORDER = "0" * 25


def history(fs: Fs, lease: LeaseDir, node: str) -> tuple[dict[str, int], set[str]]:
    """(the node's totals, the keys of its newest events) as the last runner wrote them; raises Newer."""
    tail = Tail(fs, lease.events(node))
    events: list[Event] = tail.read(HISTORY_LOOKED_AT)
    if tail.newer:
        raise Newer("its history has lines of a newer schema", {})
    return tail.totals(), {f"{event.id}.{event.attempt}" for event in events}


def take_over(runner: Runner, recorded: set[str]) -> None:
    """Every claim of the node is settled, held by this runner, or pending again; nothing of an earlier boot runs on.

    recorded: keys of attempts that stand in the history already.
    """
    fs, lease = runner.fs, runner.lease
    runner.recorded = frozenset(recorded)
    known = take_claims(runner, fs.names(lease.claimed(runner.node)))
    for key in runner.procs.attempts():
        if key not in known:
            _end_stray(runner, key)


def take_claims(runner: Runner, names: Iterable[str]) -> set[str]:
    """These files of the node's claims are settled, held by this runner, or pending again; the keys of the attempts."""
    fs, lease = runner.fs, runner.lease
    directory = lease.claimed(runner.node)
    noted = runner.recorded | set(fs.names(lease.booking))
    keys = set()
    # Who made them may have died before they were durable, and nothing is decided before they are.
    fs.sync_dir(directory)
    for name in sorted(names):
        try:
            entry = Entry.parse(name)
            if not entry.owner:
                raise Malformed("a claim without an owner")
            keys.add(entry.key)
            _take_claim(runner, Claim(entry, runner.node), noted)
        except Newer as error:
            # Its name, its task or its outcome is a newer leaseq's, and so is what becomes of it.
            runner.leave(name, error)
        except Malformed as error:
            files.set_aside(fs, lease, f"{directory}/{name}", str(error))
    return keys


def _end_stray(runner: Runner, key: str) -> None:
    """An attempt whose claim was taken from this node (it was recovered elsewhere) does not run on.

    It keeps its booking until it has ended, and how it ended stays in evidence/.
    """
    rec = runner.procs.record(key)
    if rec is None or rec.over or not runner.procs.same_boot(rec):
        runner.procs.forget(key)
        return
    try:
        task_id, attempt = parse_key(key)
        decided = tasks.read_outcome(runner.fs, runner.lease, task_id, attempt)
    except Malformed:
        decided = None
    if decided is None:
        runner.procs.stop(key, why=Why.CANCEL, grace=runner.options.grace_seconds)
        return
    entry = Entry(NO_ORDER, task_id, decided.task.need, attempt, runner.incarnation)
    since = runner.clock.monotonic()
    held = Held(Claim(entry, runner.node), decided.task, _booking(runner, entry), since, rec, slot=rec.slot)
    runner.held[key] = held
    runner.stop(held, Why.CANCEL)


def _take_claim(runner: Runner, claim: Claim, noted: frozenset[str]) -> None:
    fs, lease, procs, entry = runner.fs, runner.lease, runner.procs, claim.entry
    decided = tasks.read_outcome(fs, lease, entry.id, entry.attempt)
    if decided is not None:
        runner.ledger.add(Finished(claim, decided, decided, noted=entry.key in noted))
        return
    rec = procs.record(entry.key)
    if rec is None and procs.knows(entry.owner):
        # Nothing began here in this boot, and now nothing can: whoever creates the record decides.
        procs.void(entry.key)
        rec = procs.record(entry.key)
    try:
        task = read_claimed(fs, lease, claim)
    except Newer as error:
        if rec is not None and rec.void:
            runner.give_back(claim, error)
            return
        raise
    except Malformed as error:
        runner.refuse(claim, Booking(), str(error))
        return
    if rec is not None and (rec.void or rec.again):
        tasks.unclaim(fs, lease, claim, lease.inbox(task.node))
        procs.forget(entry.key)
        return
    since = runner.clock.monotonic()
    if rec is not None and rec.started_monotonic is not None and procs.same_boot(rec):
        since = min(since, rec.started_monotonic)
    held = Held(claim, task, _booking(runner, entry), since, rec, slot=rec.slot if rec else None)
    if rec is not None and rec.over:
        runner.end(held, rec)
    elif rec is not None and procs.same_boot(rec):
        runner.held[held.key] = held
    else:
        procs.end_now(entry.key)
        reason = "the node was rebooted, or lost its local records" if rec is None else "the node was rebooted"
        outcome = lost(
            task, entry, node=runner.node, incarnation=runner.incarnation, reason=reason, now=runner.clock.now()
        )
        runner.ledger.add(Finished(claim, replace(outcome, started=rec.started if rec else None)))


def _booking(runner: Runner, entry: Entry) -> Booking:
    """What an adopted attempt holds: the GPUs it was given, as its record of the last runner says."""
    capacity = runner.options.capacity
    booking = booking_of(entry.need, capacity, capacity) or Booking()
    given = runner.procs.given(entry.key)
    return booking if given is None else replace(booking, gpus=given)
