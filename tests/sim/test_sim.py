"""Histories of whole leases with every kind of trouble; `make sim` runs on with new ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from leaseq.dataclass import replace
from leaseq.models import Need
from tests.build import make_task
from tests.sim.history import run
from tests.sim.plan import TROUBLES, Command, Plan, TaskPlan, draw, draw_changed_order, shrink
from tests.sim.truth import SimTruth

SEEDS = 40
PART = 10


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_history_breaks_a_promise(first: int) -> None:
    for number in range(first, first + PART):
        plan = draw(f"test {number}")
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"


def test_no_history_in_which_tasks_come_after_others_than_before_breaks_a_promise() -> None:
    for number in range(8):
        plan = draw_changed_order(f"order {number}", only=() if number < 2 else None)
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"


def test_a_history_without_trouble_keeps_every_promise_and_loses_no_attempt() -> None:
    for number in range(3):
        result = run(draw(f"calm {number}", only=()))
        assert not result.violation, result.violation
        assert not result.struck


KEPT_AGAIN = {
    "rc 42": ("link cut", "rival"),  # cut off, it told after its successor had read the totals what it had ended before
    "groups 433": None,  # two wanted one term, and both began its history; one of them wrote
    "alloc 1045": ("lease end", "wrong answers", "death"),  # cancelled, retried, and held for what never comes
}
"""Histories that broke a promise once, or were said to: with which troubles."""


@pytest.mark.parametrize("seed", KEPT_AGAIN)
def test_a_history_that_broke_a_promise_once_keeps_it(seed: str) -> None:
    result = run(draw(seed, only=KEPT_AGAIN[seed]))
    assert not result.violation, result.violation


def beside_one_of_no_group() -> Plan:
    """One node runs a task of a limited group and one of none, and another of the group waits on the other node."""

    def task(at: float, node: str, seconds: float, group: str = "") -> TaskPlan:
        return TaskPlan(at, "login", Need(cpus=1), seconds, 0, "obeys", node=node, group=group)

    tasks = task(2.0, "n2", 90.0, "ga"), task(3.0, "n2", 90.0), task(4.0, "n1", 8.0, "ga")
    return Plan("house", tasks, (Command(1.0, "desk", "limit", 1, "ga"),), ())


def test_a_lane_is_held_while_its_node_runs_what_is_of_no_group() -> None:
    """Whoever kept house took every claim of a node for gone if the one listed last was of no group."""
    result = run(beside_one_of_no_group())
    assert not result.violation, result.violation


@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_kind_of_trouble_strikes(trouble: str) -> None:
    for number in range(20):
        result = run(draw(f"{trouble} {number}", only=(trouble,)))
        assert not result.violation, result.violation
        if result.struck:
            return
    pytest.fail(f"{trouble} never struck")


def test_tasks_are_changed_paused_and_limited_in_these_histories() -> None:
    wanted = {"content changed", "pause ", "pause ga", "limit ga"}
    for number in (8, 11, *range(SEEDS)):  # where it was seen comes first
        wanted -= run(draw(f"test {number}")).done.keys()
        if not wanted:
            return
    pytest.fail(f"never: {wanted}")


def test_the_same_seed_gives_the_same_history_in_every_process() -> None:
    code = "from tests.sim.history import run; from tests.sim.plan import draw; print(run(draw('test 1')).digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {run(draw("test 1")).digest}


def test_another_seed_gives_another_history() -> None:
    assert run(draw("test 1")).digest != run(draw("test 2")).digest


def test_a_failing_plan_is_shrunk_to_what_it_needs() -> None:
    plan = draw("shrink", only=("clock jump", "hang"))
    needed = plan.troubles[0], plan.tasks[1]

    def fails(less: Plan) -> bool:
        return needed[0] in less.troubles and needed[1] in less.tasks

    small = shrink(plan, fails)
    assert (small.troubles, small.tasks, small.commands) == ((needed[0],), (needed[1],), ())


def test_of_two_changes_of_a_task_that_meet_nobody_knows_which_of_both_stands() -> None:
    truth, task = SimTruth(), make_task("T0123456789a", name="old")
    with truth.changing(task.id) as first:
        with truth.changing(task.id) as second:
            second(task)  # it found nothing to change, and the other one changed it after that
        first(replace(task, name="new"))
    assert task.id not in truth.last_told
    with truth.changing(task.id) as third:
        third(task)
    assert truth.last_told[task.id] == (task.argv, "old")
