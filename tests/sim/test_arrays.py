"""Histories with arrays, and every kind of trouble."""

from __future__ import annotations

import pytest

from tests.sim.history import run
from tests.sim.plan import draw_arrays

SEEDS = 24
PART = 6


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_history_with_arrays_breaks_a_promise(first: int) -> None:
    for number in range(first, first + PART):
        plan = draw_arrays(f"test {number}")
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"


@pytest.mark.parametrize("seed", ["fa 93", "wide 59"])
def test_a_history_with_arrays_that_broke_a_promise_once_keeps_it(seed: str) -> None:
    """fa 93: an array that had FAILED was retried, was LOST, and counted as FAILED for ever.

    wide 59: what submitted an array lost power before it knew that it had, and the array ran: the check was wrong.
    """
    result = run(draw_arrays(seed))
    assert not result.violation, result.violation


def test_arrays_without_trouble_keep_every_promise() -> None:
    for number in range(4):
        result = run(draw_arrays(f"calm {number}", only=()))
        assert not result.violation, result.violation
        assert not result.struck


def test_a_history_with_arrays_is_the_same_again() -> None:
    assert run(draw_arrays("test 1")).digest == run(draw_arrays("test 1")).digest
