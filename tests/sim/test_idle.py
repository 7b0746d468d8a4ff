"""Histories in which jobs give their nodes back when nothing uses them, and others follow."""

from __future__ import annotations

import pytest

from tests.sim.history import run
from tests.sim.plan import draw_idle

SEEDS, PART = 24, 6


@pytest.mark.parametrize("of_arrays", [False, True])
@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_history_in_which_jobs_leave_by_themselves_breaks_a_promise(first: int, of_arrays: bool) -> None:
    left = 0
    for number in range(first, first + PART):
        plan = draw_idle(f"test {number}", of_arrays=of_arrays)
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"
        left += result.struck["left"]
    assert left, "some job has left"
