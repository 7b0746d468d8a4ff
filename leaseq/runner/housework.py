"""What a runner does once a minute: it finishes what commands left half done, and looks whether it was overruled,
or another runner has begun to serve its node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaseq.errors import Malformed, Newer
from leaseq.layout import CLI, Entry, is_node
from leaseq.models import Outcome, Why
from leaseq.protocol import files, tasks, terms
from leaseq.protocol.records import seconds_left
from leaseq.protocol.tasks import Claim
from leaseq.reading import beats
from leaseq.runner.recover import take_claims

if TYPE_CHECKING:
    from leaseq.runner.loop import Runner

ABANDONED_SECONDS = 60.0
"""A command that has not finished a cancel after this long has died of it."""
TURN_SECONDS = 60.0
STRAY_SECONDS = 120.0
"""So long another runner of this node has for what it claimed before it knew of this one."""


def keep_house(runner: Runner) -> None:
    """What commands left half done is done, what they decided is in the history, what they took away is ended."""
    _look_for_a_later_term(runner)
    _finish_cancels(runner)
    if runner.node == min(runner.options.nodes, default=runner.node):
        book(runner)
    if runner.held or runner.options.term > 1:  # in the first term nobody has served the node before this runner
        claims = runner.fs.names(runner.lease.claimed(runner.node))
        _end_recovered(runner, claims)
        _take_strays(runner, claims)
    read_end(runner)
    _look_after_lost_nodes(runner)


def _look_after_lost_nodes(runner: Runner) -> None:
    """Where another node holds tasks and is silent, Slurm is asked whether the lease has lost it.

    Nobody else may be there to ask. The nodes take turns of a minute, so a lease costs the server the same however
    many nodes it has, and whoever is lost itself is passed over.
    """
    options, fs, lease = runner.options, runner.fs, runner.lease
    if options.ask_slurm is None or runner.node not in options.nodes:
        return
    if int(runner.clock.now() // TURN_SECONDS) % len(options.nodes) != options.nodes.index(runner.node):
        return
    for node in fs.names(lease.claims):
        if is_node(node) and node != runner.node and fs.names(lease.claimed(node)) and beats.silent(fs, lease, node):
            options.ask_slurm()
            return


def _finish_cancels(runner: Runner) -> None:
    fs, lease = runner.fs, runner.lease
    for name in fs.names(lease.claimed(CLI)):
        path = f"{lease.claimed(CLI)}/{name}"
        try:
            if fs.age(path, lease.heartbeats) > ABANDONED_SECONDS:
                claim = Claim(Entry.parse(name), CLI)
                tasks.finish_cancelled(fs, lease, claim, ended=runner.clock.now(), reason="cancelled")
        except (FileNotFoundError, Newer):
            continue  # gone, or a newer leaseq's to finish
        except Malformed as error:
            files.set_aside(fs, lease, path, str(error))


def book(runner: Runner) -> None:
    """Outcomes that commands decided stand in this node's history; one node of a lease does this."""
    booked: list[str] = []
    outcomes: list[Outcome] = []
    for name in runner.fs.names(runner.lease.booking):
        path = f"{runner.lease.booking}/{name}"
        try:
            outcome = tasks.outcome_in(runner.fs, path)
        except (FileNotFoundError, Newer):
            continue
        except Malformed as error:
            files.set_aside(runner.fs, runner.lease, path, str(error))
            continue
        booked.append(path)
        if name not in runner.recorded:
            outcomes.append(outcome)
    runner.ledger.write_history(outcomes)
    runner.recorded |= {path.rpartition("/")[2] for path in booked}
    for path in booked:
        files.discard(runner.fs, path)


def _end_recovered(runner: Runner, claims: Sequence[str]) -> None:
    """An attempt whose claim was taken away and decided (`recover`, while this node seemed dead) does not run on."""
    for each in list(runner.held.values()):
        entry = each.claim.entry
        if str(entry) in claims or each.asked_to_stop:
            continue
        try:
            decided = tasks.read_outcome(runner.fs, runner.lease, entry.id, entry.attempt) is not None
        except Malformed:
            decided = True  # whatever it says, it is there, and the claim is not
        if decided:
            runner.stop(each, Why.CANCEL)


def _take_strays(runner: Runner, claims: Sequence[str]) -> None:
    """Claims of a runner that served the node beside this one are taken over, once it has had its time.

    It gives way within a minute, so the short ones of its tasks have ended by then.
    """
    if runner.superseded:
        return
    known = {*runner.held, *runner.won, *(item.claim.entry.key for item in list(runner.ledger.open))}
    now = runner.clock.monotonic()
    own = f".{runner.incarnation}"
    strays = [
        name for name in claims if not name.endswith(own) and name not in runner.newer and _key(name) not in known
    ]
    runner.strays = {name: runner.strays.get(name, now) for name in strays}
    due = [name for name, since in runner.strays.items() if now - since >= STRAY_SECONDS]
    if due:
        take_claims(runner, due)


def _key(name: str) -> str:
    try:
        return Entry.parse(name).key
    except Malformed:
        return ""


def _look_for_a_later_term(runner: Runner) -> None:
    """Where another host has begun to serve the node, because this one was silent for long, this runner gives way."""
    fs, lease, node, term = runner.fs, runner.lease, runner.node, runner.options.term
    if not term:
        return
    try:
        terms.read_term(fs, lease, node, term)
    except FileNotFoundError:
        # Who begins a later one removes it. A listing of all nodes at every look would cost a large lease too much.
        if terms.newest_term(fs, lease, node) > term:
            runner.give_way()
    except Malformed:
        return


def read_end(runner: Runner) -> None:
    """`ends_at` is what the lease's own file says: seconds left when it was written, aged by the server's clock."""
    left = seconds_left(runner.fs, runner.lease)
    if left is not None and runner.ends_at is None:
        # A lease of minutes is not all lead.
        runner.end_lead_seconds = min(runner.options.end_lead_seconds, max(1.0, left / 4))
    runner.ends_at = None if left is None else runner.clock.monotonic() + left
