"""How a record becomes an outcome, and whether another attempt follows."""

from __future__ import annotations

from typing import Any

import pytest

from leaseq.dataclass import replace
from leaseq.models import Outcome, State, Task, Why
from leaseq.names import new_task_id
from leaseq.node.record import Rec
from leaseq.protocol.fate import LOST_ATTEMPTS_MAX, lost
from leaseq.runner.ending import outcome_of
from tests.build import make_entry, make_task

RAN = Rec(boot="b", pid=7, pid_start=9, started=100.0, ended=103.0, elapsed=2.5, rss_kb=2048, cpu_seconds=0.5)


def ended(rec: Rec, *, attempt: int = 1, **task: Any) -> Outcome:
    id = new_task_id()
    entry = make_entry(id, attempt=attempt, owner="0123456789")
    body = Task(id=id, argv=("x",), cwd="/", submitted=1.0, **task)
    return outcome_of(body, entry, rec, node="n", incarnation="i", gpus=("0",), now=200.0)


def exited(code: int) -> Rec:
    return replace(RAN, status=code << 8)


def signalled(number: int) -> Rec:
    return replace(RAN, status=number)


@pytest.mark.parametrize(
    ("rec", "state", "code", "number", "reason"),
    [
        (exited(0), State.DONE, 0, None, ""),
        (exited(3), State.FAILED, 3, None, ""),
        (signalled(11), State.FAILED, 139, 11, "signal 11"),
        (signalled(11 | 128), State.FAILED, 139, 11, "signal 11"),
        (replace(signalled(15), stopping=Why.CANCEL), State.CANCELLED, 143, 15, "cancelled while running"),
        (replace(exited(0), stopping=Why.CANCEL), State.CANCELLED, 0, None, "cancelled while running"),
        (replace(signalled(9), stopping=Why.KILL), State.CANCELLED, 137, 9, "the runner was told to end its tasks"),
        (replace(signalled(15), stopping=Why.TIMEOUT), State.TIMEOUT, 143, 15, "time limit"),
        (replace(exited(0), stopping=Why.LEASE), State.DONE, 0, None, ""),
        (replace(signalled(15), stopping=Why.LEASE), State.LOST, 143, 15, "LeaseEnd"),
        (replace(RAN, failure="no", failure_code=127), State.FAILED, 127, None, "no"),
        (replace(RAN, gone=True), State.LOST, None, None, "its process ended and nobody saw its exit code"),
        (replace(exited(4), gone=True), State.FAILED, 4, None, ""),
    ],
)
def test_a_record_tells_its_outcome(rec: Rec, state: State, code: int, number: int | None, reason: str) -> None:
    outcome = ended(rec)
    assert (outcome.state, outcome.exit_code, outcome.signal, outcome.reason) == (state, code, number, reason)


def test_an_outcome_carries_what_was_measured() -> None:
    outcome = ended(exited(0))
    assert (outcome.started, outcome.ended, outcome.elapsed_seconds) == (100.0, 103.0, 2.5)
    assert (outcome.max_rss_mb, outcome.cpu_seconds, outcome.pid, outcome.gpus) == (2.0, 0.5, 7, ("0",))
    assert ended(replace(RAN, ended=None, gone=True)).ended == 200.0


@pytest.mark.parametrize(
    ("rec", "attempt", "task", "why"),
    [
        (exited(1), 1, {"retries": 1}, "retry"),
        (exited(1), 2, {"retries": 1}, ""),
        (exited(0), 1, {"retries": 1}, ""),
        (replace(signalled(9), stopping=Why.TIMEOUT), 1, {"retries": 1}, "retry"),
        (replace(signalled(9), stopping=Why.CANCEL), 1, {"retries": 1}, ""),
        (replace(RAN, gone=True), 1, {}, ""),
        (replace(RAN, gone=True), 1, {"retries": 1}, "lost"),
        (replace(RAN, gone=True), 1, {"retries": 1, "on_lost": "fail"}, ""),
        (replace(RAN, gone=True), LOST_ATTEMPTS_MAX, {"on_lost": "requeue"}, "lost"),
        (replace(RAN, gone=True), LOST_ATTEMPTS_MAX + 1, {"on_lost": "requeue"}, ""),
        (replace(signalled(15), stopping=Why.LEASE), 1, {}, ""),
        (replace(signalled(15), stopping=Why.LEASE), 9, {"requeue": True}, "requeue"),
        (replace(exited(75), stopping=Why.LEASE), 1, {}, "requeue"),
        (exited(75), 1, {}, ""),
        (replace(signalled(15), stopping=Why.LEASE), 1, {"on_lost": "requeue"}, "requeue"),
    ],
)
def test_another_attempt_follows_only_where_it_was_asked_for(
    rec: Rec, attempt: int, task: dict[str, Any], why: str
) -> None:
    assert ended(rec, attempt=attempt, **task).requeued == why


def test_an_attempt_whose_fate_is_unknown_is_lost() -> None:
    id = new_task_id()
    entry = make_entry(id, owner="0123456789")
    task = make_task(id)
    outcome = lost(task, entry, node="n", incarnation="i", reason="rebooted", now=5.0)
    assert (outcome.state, outcome.exit_code, outcome.reason, outcome.requeued) == (State.LOST, None, "rebooted", "")
    again = lost(replace(task, on_lost="requeue"), entry, node="n", incarnation="i", reason="rebooted", now=5.0)
    assert again.requeued == "lost"
