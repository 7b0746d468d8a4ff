"""Histories with batches of short tasks, which keepers run by themselves, and every kind of trouble."""

from __future__ import annotations

import pytest

from tests.sim.history import run
from tests.sim.plan import draw_short
from tests.sim.seen import no_promise_breaks_and_windows_are_seen

SEEDS = 18
PART = 6


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_history_with_short_tasks_breaks_a_promise(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    no_promise_breaks_and_windows_are_seen(draw_short, range(first, first + PART), monkeypatch)


def test_short_tasks_without_trouble_lose_no_attempt() -> None:
    for number in range(3):
        result = run(draw_short(f"calm {number}", only=()))
        assert not result.violation, result.violation
        assert not result.struck
