"""Histories of a lease of hosts, which are taken out and come again while others claim, run, and die."""

from __future__ import annotations

from collections import Counter
from typing import Any
from unittest import mock

import pytest

from leaseq.lease import joined
from leaseq.protocol import allocs
from leaseq.reading.views import NodeView
from tests.sim.history import run
from tests.sim.plan import STOPPED, draw_hosts

SEEDS, PART = 24, 6


@pytest.mark.parametrize("of_arrays", [False, True])
@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_history_of_hosts_that_come_and_go_breaks_a_promise(first: int, of_arrays: bool) -> None:
    happened: Counter[str] = Counter()
    for number in range(first, first + PART):
        plan = draw_hosts(f"test {number}", of_arrays=of_arrays)
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"
        happened += result.struck + result.done
    assert happened[STOPPED] and happened["take out"]


def leave_whatever_it_holds(fs: Any, lease: Any, alloc: Any, *, now: float, reason: str) -> bool:
    allocs.mark_ended(fs, lease, alloc, ended=now, reason=reason)
    return True


MUTANTS: dict[str, tuple[object, str, object]] = {
    "what a stopped runner left is taken for ended": (NodeView, "left_running", property(lambda view: False)),
    "a host is taken out whatever it holds": (joined, "leave", leave_whatever_it_holds),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_hosts_is_caught(name: str) -> None:
    with mock.patch.object(*MUTANTS[name]):
        for number in range(200):
            if violation := run(draw_hosts(f"mutant {number}")).violation:
                print(f"{name}: history {number}: {violation}")
                return
    pytest.fail("nothing is caught")


def test_an_index_that_one_runner_began_and_another_one_lost_is_not_begun_again() -> None:
    """The other one, which went on with it, was overruled: it ended the index, and its records of that are gone."""
    assert not run(draw_hosts("night a 137", of_arrays=True)).violation


def test_the_last_word_of_a_runner_is_read_afresh_before_it_is_believed() -> None:
    """Its successor had begun, and the host that looked had the old heartbeat in its cache."""
    assert not run(draw_hosts("night c 286")).violation
