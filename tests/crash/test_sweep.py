"""Every fault at every operation of every step; see `sweep`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.crash import sweep
from tests.crash.actors import REAL
from tests.crash.meetings import MEETINGS
from tests.crash.suite import MEET, SWEEPS, is_left_out


@pytest.mark.parametrize("tries", SWEEPS, ids=lambda tries: tries.__name__)
@pytest.mark.parametrize("scene", sweep.SCENES)
def test_no_fault_at_any_operation_breaks_a_rule(scene: str, tries: Callable[..., Iterator[str]]) -> None:
    if is_left_out(scene, tries):
        return
    tried = sum(1 for _ in tries(REAL, sweep.SCENES[scene]))
    assert tried or tries is not sweep.deaths, "it does nothing at which it could die"


@pytest.mark.slow
@pytest.mark.parametrize("tries", MEET, ids=lambda tries: tries.__name__)
@pytest.mark.parametrize("name", MEETINGS)
def test_two_actors_may_meet_at_any_operation(name: str, tries: Callable[..., Iterator[str]]) -> None:
    for _ in tries(REAL, name):
        pass


def test_a_new_lease_and_its_first_task_outlive_a_crash_and_a_loss_of_power() -> None:
    assert sum(1 for _ in sweep.new_leases(REAL)) > 90


def test_a_task_and_its_key_move_together() -> None:
    assert sum(1 for _ in sweep.keyed_moves(REAL)) > 10


def test_a_runner_of_another_lease_of_that_number_takes_nothing() -> None:
    assert sum(1 for _ in sweep.strangers(REAL)) > 10
