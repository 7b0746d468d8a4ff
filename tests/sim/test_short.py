"""Histories with batches of short tasks, which keepers run by themselves, and every kind of trouble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.sim.history import run
from tests.sim.host import Host, Keeper
from tests.sim.plan import draw_short

SEEDS = 18
PART = 6


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_history_with_short_tasks_breaks_a_promise(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    begin = Host._begin_window

    def noted(host: Host, keeper: Keeper, name: str, body: Mapping[str, Any]) -> None:
        begun.append(len(body["places"]))
        begin(host, keeper, name, body)

    monkeypatch.setattr(Host, "_begin_window", noted)
    for number in range(first, first + PART):
        plan = draw_short(f"test {number}")
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"
    assert max(begun) > 2, "no window is to be seen in these histories"


def test_short_tasks_without_trouble_lose_no_attempt() -> None:
    for number in range(3):
        result = run(draw_short(f"calm {number}", only=()))
        assert not result.violation, result.violation
        assert not result.struck
