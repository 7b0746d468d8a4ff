"""An array that waits index by index for another one, under every fault at every operation, and with two at work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leaseq.protocol import plan
from tests.crash import array_rules, each_rules
from tests.crash.each_rules import REAL


@pytest.fixture(autouse=True)
def _few_chunks() -> Iterator[None]:
    with plan.divided_into(array_rules.CHUNKS):
        yield


CASES = dict(each_rules.cases(REAL))


@pytest.mark.parametrize("name", CASES)
def test_no_fault_begins_an_index_too_early_or_leaves_one_cancelled_whose_own_was_retried(name: str) -> None:
    assert sum(1 for _ in CASES[name]())
