"""Histories in which nodes are given back while others claim, run, and die."""

from __future__ import annotations

from random import Random

import pytest

from leaseq.dataclass import replace
from leaseq.models import Need
from leaseq.runner.loop import Runner
from leaseq.runner.phase import Hand, Leave, Phase
from leaseq.runner.ports import Options, Ports
from tests.sim.history import run
from tests.sim.plan import ArrayPlan, Command, Plan, draw_given_back
from tests.sim.service import REAL_PARTS, Parts

SEEDS, PART = 24, 6
SYSTEM_IS_WELL = ("death", "keeper dies", "lost reply", "rival")
"""Troubles in which every outcome can be written: so none is left by a runner that has left."""


@pytest.mark.parametrize("of_arrays", [False, True])
@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_history_in_which_nodes_are_given_back_breaks_a_promise(first: int, of_arrays: bool) -> None:
    for number in range(first, first + PART):
        plan = draw_given_back(f"test {number}", only=SYSTEM_IS_WELL, of_arrays=of_arrays)
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"


class LeavesWhatIsEnding(Phase):
    def may_leave(self, hand: Hand) -> Leave:
        return Leave.NOW if self.gives_back else super().may_leave(hand)


class LeavesPartsOfArrays(Phase):
    """What it has of arrays and has not begun is for the next runner, as if one came."""

    @property
    def gives_back(self) -> bool:
        return False


def having(phase: type[Phase]) -> Parts:
    class Altered(Runner):
        def __init__(self, ports: Ports, options: Options) -> None:
            super().__init__(ports, options)
            self.state.phase = phase()

    return replace(REAL_PARTS, runner=Altered)


def given_back_often(seed: str) -> Plan:
    """A history of short indices in which the nodes are given back in turn all the time."""
    plan, chance = draw_given_back(seed, only=(), of_arrays=True, limits=False), Random(seed)
    arrays = tuple(
        ArrayPlan(at, "desk", Need(cpus=1), 60, 0.05, 0, "obeys")
        for at in (chance.uniform(1.0, 90.0) for _ in range(12))
    )
    often = tuple(
        Command(each.at + chance.uniform(0.0, 3.0), "desk", "give back", n) for n in (1, 2) for each in arrays
    )
    return replace(plan, arrays=arrays, commands=often, array_commands=())


@pytest.mark.parametrize("phase", [LeavesWhatIsEnding, LeavesPartsOfArrays])
def test_a_runner_that_leaves_something_behind_is_caught(phase: type[Phase]) -> None:
    for number in range(60):
        if run(given_back_often(f"mutant {number}"), having(phase)).violation:
            return
    pytest.fail("nothing is caught")
