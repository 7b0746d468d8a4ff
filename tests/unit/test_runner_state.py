"""How often a runner looks."""

from __future__ import annotations

import pytest

from leaseq.runner.node_state import poll_seconds
from leaseq.runner.pulse import interval_seconds


@pytest.mark.parametrize("busy", [True, False])
def test_a_lease_of_a_thousand_nodes_looks_no_more_often_than_one_of_a_hundred(busy: bool) -> None:
    assert 1000 / poll_seconds(1000, busy=busy) == pytest.approx(100 / poll_seconds(100, busy=busy))
    assert 1000 / interval_seconds(1000) == pytest.approx(100 / interval_seconds(100))


def test_a_small_lease_looks_often_while_it_has_work() -> None:
    assert poll_seconds(2, busy=True) == 0.5
    assert poll_seconds(2, busy=False) == 2.0
