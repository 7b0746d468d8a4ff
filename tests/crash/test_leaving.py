"""An allocation that nothing uses leaves: every fault, and a submission, at every operation of that."""

from __future__ import annotations

import pytest

from leaseq.protocol import files
from tests.crash.leaving_world import (
    DEATHS,
    MEANWHILE,
    NODES,
    TROUBLES,
    about_to_leave,
    every_leave,
    every_limit_taken_away,
)


@pytest.mark.slow
@pytest.mark.parametrize("faulty", NODES)
def test_what_is_submitted_while_an_allocation_leaves_runs_once_or_stays_pending(faulty: str) -> None:
    assert every_leave(faulty, kinds=MEANWHILE) > 40


@pytest.mark.slow
@pytest.mark.parametrize("faulty", NODES)
def test_what_is_submitted_when_a_runner_died_while_its_allocation_left_is_not_lost(faulty: str) -> None:
    assert every_leave(faulty, kinds=DEATHS, submits=True) > 40


@pytest.mark.parametrize("faulty", NODES)
def test_no_trouble_leaves_half_of_an_allocation(faulty: str) -> None:
    assert every_leave(faulty, kinds=TROUBLES) > 40


@pytest.mark.slow
@pytest.mark.parametrize("faulty", NODES)
def test_a_limit_that_is_taken_away_meanwhile_leaves_all_of_an_allocation_or_none(faulty: str) -> None:
    assert every_limit_taken_away(faulty) > 60


def test_nobody_leaves_while_the_nodes_of_the_allocation_are_not_known() -> None:
    world = about_to_leave("n1")
    known = world.fs.read(world.place.node_names)
    files.discard(world.fs, world.place.node_names)
    end = world.clock.at + 200.0
    world.run(until=lambda: world.clock.at >= end)
    assert not any(each.has_left for each in world.nodes)
    files.replace_file(world.fs, world.place.node_names, known)
    world.run()
    world.check("they are known again")
