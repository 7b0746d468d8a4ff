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


CASES = dict(index_rules.cases(REAL))


@pytest.mark.parametrize("name", CASES)
def test_no_fault_starts_or_cancels_what_waits_for_an_index_too_early_or_never(name: str) -> None:
    assert sum(1 for _ in CASES[name]())
