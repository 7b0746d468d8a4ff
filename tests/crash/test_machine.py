"""The state machine of `machine`; LEASEQ_HYPOTHESIS=long makes it search for minutes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from leaseq.dataclass import replace
from tests.crash.actors import REAL
from tests.crash.check import Violated
from tests.crash.machine import LeaseMachine
from tests.mutants.mutants import MUTANTS
from tests.patience import LONG

SEARCH = settings(
    max_examples=3000 if LONG else 120,
    stateful_step_count=60 if LONG else 30,
    derandomize=not LONG,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(3600 if LONG else 900)  # seconds; a failure takes minutes to shrink
def test_no_order_of_users_and_crashes_breaks_a_rule() -> None:
    run_state_machine_as_test(LeaseMachine, settings=SEARCH)


@pytest.mark.parametrize(
    "name",
    [
        "claim by link and unlink",
        "requeue on unknown",
        "retry as the same attempt",
        "acknowledge without syncing the directory",
        "cancel without a claim",
        "drop the file of a LOST task",
    ],
)
def test_the_search_finds_a_mutant(name: str) -> None:
    class Mutated(LeaseMachine):
        protocol = replace(REAL, **MUTANTS[name])

    with pytest.raises((Violated, OSError)):
        run_state_machine_as_test(Mutated, settings=settings(SEARCH, phases=[Phase.generate], max_examples=400))
