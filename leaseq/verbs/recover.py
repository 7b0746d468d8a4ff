"""Stuck and lost tasks are queued again, if it is certain that they do not run any more."""

from __future__ import annotations

from leaseq.dataclass import dataclass, replace
from leaseq.errors import Refused
from leaseq.lease.kinds import is_borrowed, start_words
from leaseq.lease.lookup import Found, Located
from leaseq.models import Outcome, State
from leaseq.names import Entry
from leaseq.protocol import array_places, arrays, concluding
from leaseq.protocol.tasks import Claim
from leaseq.reading import beats
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import NODE_DOWN, Health
from leaseq.verbs.access import Access
from leaseq.verbs.retry import Queued, queue_lost, task_at
from leaseq.words import about

RECENT = 1000
"""How many of the newest ended tasks are looked at."""


@dataclass(frozen=True)
class Recovered(Queued):
    """A task whose attempt was given up, and is pending as its next; or it had ended after all."""

    decided: Outcome | None = None
    """How the stuck attempt stands: LOST, or as its late owner decided it. None if it was LOST before."""

    @property
    def queued(self) -> bool:
        """False if the attempt had ended after all."""
        return self.decided is None or bool(self.decided.requeued)


def recoverable(reader: Reader) -> Found:
    """The lease's stuck tasks, and its lost ones that can be queued again."""
    rows = reader.read(recent=RECENT, pending=0).tasks
    found = [row for row in rows if row.state is State.STUCK or (row.state is State.LOST and row.place is not None)]
    return Found(tuple(Located(reader, row) for row in found))


def recover(access: Access, each: Located, *, force: bool = False) -> Recovered:
    """What became of the stuck or lost task; raises Refused. force: also if it may still run; then it may run twice."""
    row, lease = each.row, each.reader.lease
    if row.state is State.LOST and row.array is not None:
        raise Refused(
            f"{row.id} is an array that has ended", hint=f"`leaseq retry {row.id}` runs its lost indices again"
        )
    if row.state is State.LOST:
        return Recovered(lease, queue_lost(access, each).task)
    if row.state in (State.FAILED, State.TIMEOUT, State.CANCELLED):
        hint = f"`leaseq retry {row.id}` queues it again as its next attempt"
        raise Refused(f"{row.id} is {row.state.name}, neither stuck nor lost", hint=hint)
    if row.state is not State.STUCK or row.place is None:
        raise Refused(f"{row.id} is {row.state.name}, neither stuck nor lost", hint="nothing was done")
    entry = Entry.parse(row.place.name)
    if entry.count:
        return _recover_array(access, each, entry, force=force)
    if not force and (why := doubt(access, each)):
        raise Refused(f"{row.id}: {why}", hint=next_step(access, each))
    task = task_at(access, row, entry)
    decided = concluding.recover_stuck(access.fs, lease, Claim(entry, row.node), task, ended=access.clock.now())
    return Recovered(lease, task, decided=decided)


def _recover_array(access: Access, each: Located, entry: Entry, *, force: bool) -> Recovered:
    """The chunks of nodes that do not serve are pending again; what ran there is LOST, and perhaps follows again."""
    row, reader = each.row, each.reader
    held = arrays.holders(access.fs, reader.lease, entry)
    stuck = [node for node in held if not reader.runners.of(node).health.serving]
    for node in stuck:
        there = replace(each, row=replace(row, node=node))
        if not force and (why := doubt(access, there)):
            raise Refused(f"{row.id}: {why}", hint=next_step(access, there))
    task = array_places.read_array(access.fs, reader.lease, entry)
    if task is None or not stuck:
        raise Refused(f"{row.id}: no node that does not serve holds any of it", hint="nothing was done")
    for node in stuck:
        for claim in held[node]:
            arrays.give_up(access.fs, reader.lease, claim, reason=NODE_DOWN)
    return Recovered(reader.lease, task)


def doubt(access: Access, each: Located) -> str:
    """Why the stuck task may still run; empty if it certainly does not."""
    row, reader = each.row, each.reader
    record = access.record(reader.lease)
    if access.is_here(record, row.node):
        keeper = access.host(record.id).keeper()
        return f"it may still run under the keeper (process {keeper.pid})" if keeper else ""
    # Its last word may be an old one: who has begun a term since is seen by a listing, and what is read then is fresh.
    is_last = beats.silent(access.fs, reader.lease, row.node)
    node = reader.runners.of(row.node)
    if node.health is Health.STOPPED and is_last and (is_borrowed(record) or not node.left_running):
        return ""
    if access.state(record).word == "ENDED":
        return ""
    if node.health.serving or (node.health is Health.STOPPED and not is_last):
        return f"a runner of {row.node} has just begun"
    if node.health is Health.STOPPED:
        return f"the runner of {row.node} has stopped and left tasks running; {row.node} alone can tell of them"
    silent = about(node.age_seconds or 0.0)
    return f"{row.node} has been silent for {silent}, which is no proof that the task has ended"


def next_step(access: Access, each: Located) -> str:
    """What a person can do about the task."""
    row = each.row
    if row.state is State.LOST:
        return f"leaseq recover {row.id}"
    record = access.record(each.reader.lease)
    start = start_words(record) if record.is_of_hosts else "leaseq daemon start"
    if access.is_here(record, row.node):
        return f"{start}   (takes it up again, or records how it ended)"
    if doubt(access, each):
        wait = "wait for the node" if is_borrowed(record) else f"`{start}` on {row.node} takes it up"
        return f"{wait}, or `leaseq recover {row.id} --force` if it cannot run there any more"
    return f"leaseq recover {row.id}"
