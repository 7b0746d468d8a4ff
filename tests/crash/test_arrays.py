"""Arrays under every fault at every operation, with two at work at once, and after a loss of power."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leaseq.protocol import plan
from tests.crash import array_rules
from tests.crash.array_rules import FAILED, PACKED, REAL


@pytest.fixture(autouse=True)
def _few_chunks() -> Iterator[None]:
    with plan.divided_into(array_rules.CHUNKS):
        yield


CASES = dict(array_rules.cases(REAL))


@pytest.mark.parametrize("name", CASES)
def test_no_fault_starts_an_index_twice_or_loses_one(name: str) -> None:
    assert sum(1 for _ in CASES[name]())


OF_GROUPS = dict(array_rules.cases_of_groups(array_rules.OF_GROUPS))


@pytest.mark.parametrize("name", OF_GROUPS)
def test_no_fault_has_a_group_whole_and_divided(name: str) -> None:
    with array_rules.in_groups():
        assert sum(1 for _ in OF_GROUPS[name]())


OF_LOGS = {f"{p.kept}, {name}": case for p in (PACKED, FAILED) for name, case in array_rules.cases(p)}


@pytest.mark.parametrize("name", OF_LOGS)
def test_no_fault_loses_a_log_that_is_kept_or_doubles_it(name: str) -> None:
    assert sum(1 for _ in OF_LOGS[name]())
