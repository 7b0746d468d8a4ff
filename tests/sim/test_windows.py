"""Histories with arrays of quick indices, which keepers run by themselves, and every kind of trouble."""

from __future__ import annotations

import pytest

from leaseq.models import Need
from tests.faults import Kind
from tests.sim.history import run
from tests.sim.plan import ArrayPlan, Plan, Trouble, draw_quick
from tests.sim.seen import no_promise_breaks_and_windows_are_seen

SEEDS = 12
PART = 6


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_history_with_windows_breaks_a_promise(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    no_promise_breaks_and_windows_are_seen(draw_quick, range(first, first + PART), monkeypatch)


def told_before_a_restart() -> Plan:
    """A runner books an array's outcome; then the server restarts, another node tells it, and both come to its end."""
    array = ArrayPlan(
        3.1, "desk", Need(cpus=2), 60, 0.12, 0, "obeys", on_lost="fail", node="n2", group="gc", max_fails=3
    )
    restart = Trouble(
        "server restart", "server", 1.0, "runner n2a 1", ("create", "/arrays/"), Kind.MEANWHILE, seconds=30.0
    )
    return Plan(
        "q 223",
        (),
        (),
        (restart, Trouble("Slurm's TERM comes to", "n1a", 10.2, seconds=69.0)),
        (array,),
        unlimited=True,
    )


def test_an_array_that_two_runners_end_is_counted_once() -> None:
    result = run(told_before_a_restart())
    assert not result.violation, result.violation
    assert result.struck["server restart"]


def too_many_fail_as_a_turn_hangs() -> Plan:
    """A turn hangs while the ledger writes how indices failed, and finds that no more may; then the turn goes on."""
    failing = ArrayPlan(
        11.73243937618717, "login", Need(cpus=2), 60, 0.001, 1, "ignores", 1, "fail", requeue=True, max_fails=1
    )
    beside = ArrayPlan(18.502381014060074, "desk", Need(), 25, 0.001, 75, "obeys", requeue=True, group="gc")
    full = Trouble("no room on the disk of", "n1a", 1.0, "runner n1a 1", ("sync_dir", "/claimed"))
    return Plan("k1 33", (), (), (full,), (failing, beside), unlimited=True)


def test_no_window_follows_once_too_many_of_an_array_have_failed() -> None:
    result = run(too_many_fail_as_a_turn_hangs())
    assert not result.violation, result.violation
    assert result.done["stopped by max_fails"]
