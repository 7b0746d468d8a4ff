"""Tasks that come after indices of an array, under every fault at every operation, and with two at work at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leaseq.protocol import plan
from tests.crash import array_rules, index_rules
from tests.crash.index_rules import REAL


@pytest.fixture(autouse=True)
def _few_chunks() -> Iterator[None]:
    with plan.divided_into(array_rules.CHUNKS):
        yield


OF_GROUPS = dict(index_rules.cases_of_groups(index_rules.OF_GROUPS))


@pytest.mark.parametrize("name", OF_GROUPS)
def test_no_fault_in_an_array_of_groups_starts_what_waits_too_early_or_never(name: str) -> None:
    with array_rules.in_groups():
        assert sum(1 for _ in OF_GROUPS[name]())


CASES = dict(index_rules.cases(REAL))


@pytest.mark.parametrize("name", CASES)
def test_no_fault_starts_or_cancels_what_waits_for_an_index_too_early_or_never(name: str) -> None:
    assert sum(1 for _ in CASES[name]())
