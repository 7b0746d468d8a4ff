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
        "server restart", "server", 1.0, "runner n2a 1", ("create", "/arrays/"), Kind.MEANWHILE, seconds=38.0
    )
    return Plan(
        "q 223",
        (),
        (),
        (restart, Trouble("Slurm's TERM comes to", "n1a", 13.6, seconds=69.0)),
        (array,),
        unlimited=True,
    )


def test_an_array_that_two_runners_end_is_counted_once() -> None:
    result = run(told_before_a_restart())
    assert not result.violation, result.violation
    assert result.struck["server restart"]
