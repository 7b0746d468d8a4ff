"""How an attempt's record becomes its outcome: pure."""

from __future__ import annotations

import os
import signal

from leaseq.errors import EX_TEMPFAIL
from leaseq.models import Outcome, State, Task, Why
from leaseq.names import Entry
from leaseq.node.record import Rec
from leaseq.protocol.fate import with_requeue


def outcome_of(
    task: Task, entry: Entry, rec: Rec, *, node: str, incarnation: str, gpus: tuple[str, ...], now: float
) -> Outcome:
    """The outcome that the record tells. A record without a status is a LOST attempt."""
    state, code, number, reason = _verdict(rec)
    if rec.resists:
        reason = f"{reason}; no KILL reached it: {rec.resists}".removeprefix("; ")
    outcome = Outcome(
        task=task,
        attempt=entry.attempt,
        order=entry.order,
        state=state,
        node=node,
        incarnation=incarnation,
        exit_code=code,
        signal=number,
        reason=reason,
        started=rec.started,
        ended=rec.ended or now,
        elapsed_seconds=rec.elapsed,
        gpus=gpus,
        pid=rec.pid,
        max_rss_mb=None if rec.rss_kb is None else round(rec.rss_kb / 1024, 1),
        cpu_seconds=rec.cpu_seconds,
    )
    return with_requeue(outcome, stopping=rec.stopping or (Why.LEASE if _of_the_warning(rec) else None))


def _of_the_warning(rec: Rec) -> bool:
    """True if it ended by the warning of its lease's end: killed by that signal, or with 75, as one that saved."""
    if rec.warned is None or rec.status is None or rec.stopping:
        return False
    return os.waitstatus_to_exitcode(rec.status) in (-rec.warned, 128 + rec.warned, EX_TEMPFAIL)


def _verdict(rec: Rec) -> tuple[State, int | None, int | None, str]:
    """(state, exit code, signal, reason)"""
    if rec.failure:
        return State.FAILED, rec.failure_code, None, rec.failure
    if rec.status is None:
        return State.LOST, None, None, "its process ended and nobody saw its exit code"
    code = os.waitstatus_to_exitcode(rec.status)
    number = -code if code < 0 else None
    code = 128 - code if code < 0 else code
    if rec.stopping is Why.CANCEL:
        return State.CANCELLED, code, number, "cancelled while running"
    if rec.stopping is Why.KILL:
        return State.CANCELLED, code, number, "the runner was told to end its tasks"
    if rec.stopping is Why.TIMEOUT:
        return State.TIMEOUT, code, number, "time limit"
    if (rec.stopping is Why.LEASE and code != 0) or _of_the_warning(rec):
        return State.LOST, code, number, "LeaseEnd"
    if code == 0:
        return State.DONE, 0, None, ""
    return State.FAILED, code, number, _why(rec, number)


def _why(rec: Rec, number: int | None) -> str:
    """Why an attempt failed by itself, as far as that is known; its exit code stands elsewhere."""
    said = f"signal {number}" if number else ""
    if not rec.memory_kills:
        return said
    peak = [] if rec.rss_kb is None else [f"peak {rec.rss_kb / 1024:.0f}M"]
    limit = [] if rec.memory_limit_mb is None else [f"limit {rec.memory_limit_mb:.0f}M"]
    figures = f" ({', '.join(peak + limit)})" if peak or limit else ""
    if number == signal.SIGKILL:
        return f"out of memory: killed by the kernel{figures}"
    # A worker of it, perhaps, or a task beside it: the kernel tells how many it has killed, and not which.
    return f"{said + '; ' if said else ''}out of memory on its node while it ran: the kernel killed a process{figures}"
