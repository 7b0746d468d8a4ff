"""What follows the end of an attempt: another attempt, or none. Pure."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.errors import EX_TEMPFAIL
from leaseq.models import Outcome, State, Task, Why
from leaseq.names import Entry

LOST_ATTEMPTS_MAX = 5
"""How often `--on-lost requeue` starts a task again: a task that takes its node down must not take all of them."""


def lost(task: Task, entry: Entry, *, node: str, incarnation: str, reason: str, now: float) -> Outcome:
    """The outcome of an attempt whose fate cannot be known."""
    outcome = Outcome(
        task=task,
        attempt=entry.attempt,
        order=entry.order,
        state=State.LOST,
        node=node,
        incarnation=incarnation,
        reason=reason,
        ended=now,
    )
    return with_requeue(outcome)


def lost_with_lease(task: Task, entry: Entry, *, node: str, incarnation: str, reason: str, now: float) -> Outcome:
    """The same for an attempt whose node the lease has no longer: that is an end of the lease, too."""
    outcome = lost(task, entry, node=node, incarnation=incarnation, reason=reason, now=now)
    return outcome if outcome.requeued else with_requeue(outcome, stopping=Why.LEASE)


def with_requeue(outcome: Outcome, *, stopping: Why | None = None) -> Outcome:
    """The outcome with why another attempt follows, if one does. stopping: why the attempt was being ended."""
    task, attempt = outcome.task, outcome.attempt
    why = ""
    if stopping is Why.LEASE and outcome.state is State.LOST:
        if task.requeue or outcome.exit_code == EX_TEMPFAIL or task.on_lost == "requeue":
            why = "requeue"
    elif outcome.state in (State.FAILED, State.TIMEOUT):
        why = "retry" if attempt <= task.retries else ""
    elif outcome.state is State.LOST:
        if task.on_lost == "requeue":
            why = "lost" if attempt <= max(task.retries, LOST_ATTEMPTS_MAX) else ""
        elif not task.on_lost:
            why = "lost" if attempt <= task.retries else ""

    return replace(outcome, requeued=why) if why else outcome
