"""Histories with arrays, and every kind of trouble."""

from __future__ import annotations

import pytest

from tests.sim.history import run
from tests.sim.plan import draw_after_arrays, draw_arrays, draw_each

SEEDS = 24
AFTER_SEEDS = 12
EACH_SEEDS = 24
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
    result = run(draw_arrays(seed, limits=False))
    assert not result.violation, result.violation


def test_an_end_that_another_look_writes_meanwhile_is_not_this_ones() -> None:
    """The check was wrong: two looks hung together, one had heard of an end, and both were asked for it."""
    result = run(draw_arrays("mutant 35", only=("Slurm's TERM", "hang", "server restart")))
    assert not result.violation, result.violation


def test_arrays_are_limited_paused_and_stopped_for_their_failures_in_these_histories() -> None:
    """Drawn is not enough: it has to come to that."""
    wanted = {"throttle", "throttled", "stopped by max_fails", "pause gc", "pause "}
    for number in (1, 5, 11, *range(SEEDS)):  # where it was seen comes first
        result = run(draw_arrays(f"test {number}"))
        wanted -= result.done.keys()
        if not wanted:
            return
    pytest.fail(f"never: {wanted}")


@pytest.mark.parametrize("first", range(0, AFTER_SEEDS, PART))
def test_no_history_with_tasks_after_arrays_and_their_indices_breaks_a_promise(first: int) -> None:
    for number in range(first, first + PART):
        plan = draw_after_arrays(f"after {number}", only=() if number % PART == 0 else None)
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"


def test_arrays_without_trouble_keep_every_promise() -> None:
    for number in range(4):
        result = run(draw_arrays(f"calm {number}", only=()))
        assert not result.violation, result.violation
        assert not result.struck


def test_a_history_with_arrays_is_the_same_again() -> None:
    assert run(draw_arrays("test 1")).digest == run(draw_arrays("test 1")).digest


@pytest.mark.parametrize("first", range(0, EACH_SEEDS, PART))
def test_no_history_with_arrays_that_wait_index_by_index_breaks_a_promise(first: int) -> None:
    for number in range(first, first + PART):
        plan = draw_each(f"each {number}", only=() if number % PART == 0 else None)
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"


@pytest.mark.parametrize("seed", ["g1 328", "g1 514"])
def test_a_history_with_arrays_that_wait_index_by_index_that_broke_a_promise_once_keeps_it(seed: str) -> None:
    """Indices that waited for such as had failed, and were to be kept, were cancelled, and their array never ended."""
    result = run(draw_each(seed))
    assert not result.violation, result.violation
