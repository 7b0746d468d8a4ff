"""Histories of a lease that scales: never more jobs than the limit, one ask a minute, no task that waits in vain."""

from __future__ import annotations

import pytest

from leaseq.dataclass import replace
from leaseq.lease.slurm.asking import Asks
from tests.sim.scaling import RecordingPool, run
from tests.sim.succession import CALM, STORM

RELEASED = replace(STORM, release=1.0)
CAUGHT_IN = 400


@pytest.mark.slow
def test_without_troubles_those_who_make_backlog_and_the_nodes_are_enough_to_run_all_of_it() -> None:
    for number in range(24):
        result = run(f"test {number}", CALM, commands=False)
        assert not result.violation, f"{number}: {result.violation}"
        assert not result.paused


@pytest.mark.slow
@pytest.mark.parametrize("chances", [STORM, RELEASED], ids=["scales", "released"])
def test_no_history_of_a_lease_that_scales_breaks_a_promise(chances: object) -> None:
    for number in range(32):
        result = run(f"test {number}", chances)  # type: ignore[arg-type]
        assert not result.violation, f"{number}: {result.violation}"


# -- mutants ---------------------------------------------------------------------------------------


class ForgetsWhatIsOnItsWay(RecordingPool):
    """The scripts of other asks are removed, though sbatch may have them: then they look as if they were refused."""

    def _over_with(self, asks: Asks, ask: tuple[int, int]) -> list[str]:
        return list(asks.tokens.values())


class CancelsWhatHasStarted(RecordingPool):
    takes_started = True


class AsksThoughAnotherDoes(RecordingPool):
    def _claim(self, ask: tuple[int, int], token: str) -> bool:
        super()._claim(ask, token)
        return True


class TakesALostAnswerForNone(RecordingPool):
    def _is_lost(self, token: str, ask: tuple[int, int]) -> bool:
        return True


class WithdrawsWhatIsNotKnown(RecordingPool):
    def _is_certainly_not_queued(self, prepared: object) -> bool:
        return True


MUTANTS = {
    ForgetsWhatIsOnItsWay: 27,
    CancelsWhatHasStarted: 60,
    AsksThoughAnotherDoes: 0,
    TakesALostAnswerForNone: 8,
    WithdrawsWhatIsNotKnown: 0,
}
"""Each with the history that was seen to catch it: it is tried first, then all others."""


@pytest.mark.slow
@pytest.mark.parametrize("pool", MUTANTS)
def test_a_mutant_is_caught(pool: type[RecordingPool]) -> None:
    for number in (MUTANTS[pool], *range(CAUGHT_IN)):
        if run(f"test {number}", STORM, pool=pool).violation:
            return
        if run(f"test {number}", CALM, pool=pool, commands=False).violation:
            return
    pytest.fail("nothing is caught")
