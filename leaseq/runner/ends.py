"""How attempts leave a runner: ended, put back, refused; and how they are told to end.

In every phase an attempt may end, and is told to end if that is asked; a claim that has not been started leaves only
in phases that go on.
"""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.dataclass import replace
from leaseq.errors import Newer
from leaseq.models import ANY, Task, Why
from leaseq.names import Entry, is_node
from leaseq.node.record import Rec
from leaseq.protocol import files, groups
from leaseq.protocol.tasks import Claim
from leaseq.room import Booking, booking_of
from leaseq.runner import limits
from leaseq.runner.ending import outcome_of
from leaseq.runner.holding import Handed
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Ports
from leaseq.runner.work import Attempt, Several, Single
from leaseq.upstream import POINTER


def end(state: NodeState, ports: Ports, attempt: Attempt, rec: Rec) -> None:
    """The attempt has ended as its record says; its outcome is the ledger's to write."""
    state.let_go(attempt, ports.clock.monotonic())
    limits.leave_lane(state, ports, attempt)
    outcome = outcome_of(
        attempt.task,
        attempt.entry,
        rec,
        node=ports.node,
        incarnation=ports.incarnation,
        gpus=attempt.booking.gpus,
        now=ports.clock.now(),
    )
    if isinstance(attempt.work, Single):
        state.pace.ended(ports.clock.monotonic(), outcome.elapsed_seconds)
    if attempt.unwanted:
        # It failed just before it was told to end: nobody wants another attempt.
        outcome = replace(outcome, requeued="")
    attempt.work.ended(ports, outcome)


def see_who_waits(state: NodeState, ports: Ports, ended: Sequence[str]) -> None:
    """Those that have ended and for whose end tasks wait are the ledger's first, and not only when others end, too."""
    names = ports.fs.names(ports.lease.edges)
    state.heard_of_edges = bool(names)
    state.upstreams = {name.partition(".")[0] for name in names}
    of_others = any(name.startswith(POINTER) for name in names)
    ports.ledger.waited_for |= set(ended) if of_others else state.upstreams.intersection(ended)


def put_back(state: NodeState, ports: Ports, attempt: Attempt, rec: Rec) -> None:
    """An attempt that never ran, for no reason of its own, is pending again; or cancelled, if that was asked."""
    now = ports.clock.monotonic()
    try:
        if attempt.unwanted:
            attempt.work.cancelled(ports)
        else:
            attempt.work.put_back(ports, attempt.task)
    except OSError as error:
        state.touch(attempt.key)
        state.failed(trouble_of(error), now)
        return
    state.let_go(attempt, now)
    limits.leave_lane(state, ports, attempt)
    ports.procs.forget(attempt.key)
    if rec.again:
        state.failed(rec.failure, now)


def refuse(state: NodeState, ports: Ports, claim: Claim, booking: Booking, reason: str) -> None:
    """The claimed file is no task: it FAILED for that reason, and its content stays in evidence/."""
    path = claim.path(ports.lease)
    try:
        ports.fs.link(path, f"{ports.lease.evidence}/{claim.entry}")
    except FileExistsError:
        pass
    except PermissionError:
        files.set_aside(ports.fs, ports.lease, path, reason)  # a directory cannot be linked, nor unlinked later
    task = Task(id=claim.entry.id, argv=(), cwd="/", submitted=0.0)
    rec = Rec(failure=f"the task's file is malformed: {reason}", failure_code=1)
    end(state, ports, Attempt(Single(claim), task, booking, ports.clock.monotonic()), rec)


def give_back(state: NodeState, ports: Ports, claim: Claim, error: Newer) -> None:
    """The claimed task is pending again, for a runner that can read it; this one takes it no more."""
    node = error.body.get("node", ANY)
    node = node if isinstance(node, str) and is_node(node) else ANY
    ports.fs.mkdir(ports.lease.inbox(node))
    state.queue.leave(str(claim.entry.pending()), str(error), own=node == ports.node)
    groups.unclaim(ports.fs, ports.lease, claim, ports.lease.inbox(node))
    ports.procs.forget(claim.entry.key)
    state.changed = True


def cancel_won(state: NodeState, ports: Ports, key: str) -> None:
    """The claim, which has not been started, is a cancelled task."""
    Single(state.won[key].claim).cancelled(ports)
    del state.won[key]


def stop(state: NodeState, ports: Ports, attempt: Attempt, why: Why, *, grace: float | None = None) -> None:
    """The attempt is being ended for that reason."""
    attempt.asked_to_stop = attempt.asked_to_stop or why
    ports.procs.stop(attempt.key, why=why, grace=state.options.grace_seconds if grace is None else grace)
    state.changed = True


def stop_all(state: NodeState, ports: Ports, why: Why, grace: float) -> None:
    """Every running attempt is being ended."""
    for attempt in list(state.running.values()):
        stop(state, ports, attempt, why, grace=grace)
    for handed in state.windows.values():
        handed.asked_to_stop = handed.asked_to_stop or (why, grace)


def begins_alone(state: NodeState, ports: Ports, handed: Handed | Several, attempt: Attempt) -> None:
    """The attempt of a window, which has a record of its own by now, is as one that was asked for alone."""
    state.begins(attempt)
    if handed.asked_to_stop is not None:
        why, grace = handed.asked_to_stop
        stop(state, ports, attempt, why, grace=grace)
    if handed.warned is not None:
        number, to = handed.warned
        ports.procs.signal(attempt.key, number, to=to, warning=True)


def warn_all(state: NodeState, ports: Ports, number: int, *, to: str) -> None:
    """Every running attempt was told that the lease ends soon."""
    for key in list(state.running):
        ports.procs.signal(key, number, to=to, warning=True)
    state.warn_windows(number, to)
    state.warned_at_left = state.seconds_left(ports.clock.monotonic())


def tells_of_the_end(attempt: Attempt, rec: Rec) -> bool:
    """True if the record says, for the first time, that the attempt is being ended because its lease ends.

    Somebody else knows of that then: this runner has not asked for it, nor found it so.
    """
    told = rec.stopping is Why.LEASE and attempt.asked_to_stop is None
    return told and (attempt.rec is None or attempt.rec.stopping is None)


def adopted_booking(state: NodeState, ports: Ports, entry: Entry) -> Booking:
    """What an adopted attempt holds: the GPUs it was given, as its record of the last runner says."""
    capacity = state.options.capacity
    booking = booking_of(entry.need, capacity, capacity) or Booking()
    given = ports.procs.given(entry.key)
    return booking if given is None else replace(booking, gpus=given)


def trouble_of(error: OSError) -> str:
    """What the file system said, in words."""
    return f"file system: {error.strerror or error} ({error.filename or ''})"
