"""Histories of a kept lease: whoever asks and dies, and whatever Slurm does, one job serves for each."""

from __future__ import annotations

import pytest

from leaseq.dataclass import replace
from leaseq.lease.slurm.successor import Chain
from tests.sim.succession import CALM, GENERATIONS, STORM, run

RELEASED = replace(STORM, release=1.0)
ASKED_SECONDS_MAX = 75.0
"""A minute, and what Slurm and the file server take."""


def test_with_nothing_going_wrong_each_is_followed_by_one_that_is_asked_for_within_a_minute() -> None:
    for number in range(6):
        result = run(f"test {number}", CALM)
        assert not result.violation
        assert result.jobs == result.generations + 1 > GENERATIONS, "one that waits, and no more"
        assert max(result.asked_after) < ASKED_SECONDS_MAX


@pytest.mark.slow
@pytest.mark.parametrize("chances", [STORM, RELEASED], ids=["kept", "released"])
def test_no_history_of_a_kept_lease_breaks_a_promise(chances: object) -> None:
    for number in range(24):
        result = run(f"test {number}", chances)  # type: ignore[arg-type]
        assert not result.violation, f"{number}: {result.violation}"


# -- mutants ---------------------------------------------------------------------------------------


class AsksThoughAnotherDoes(Chain):
    def _claim(self, ask: tuple[int, int], token: str) -> bool:
        super()._claim(ask, token)
        return True


class LeavesScripts(Chain):
    def _forget(self, tokens: object) -> None: ...


class WithdrawsWhatIsNotKnown(Chain):
    """A lost answer is taken for a refusal."""

    def _is_certainly_not_queued(self, prepared: object) -> bool:
        return True


@pytest.mark.parametrize("chain", [AsksThoughAnotherDoes, LeavesScripts, WithdrawsWhatIsNotKnown])
def test_a_mutant_is_caught(chain: type[Chain]) -> None:
    assert any(run(f"test {number}", STORM, chain=chain).violation for number in range(200)), "nothing is caught"


def test_a_job_that_does_not_look_at_its_start_whether_it_is_late_is_caught() -> None:
    assert any(run(f"test {number}", STORM, looks=False).violation for number in range(200)), "nothing is caught"
