"""What is to be seen in histories, so that a test of them is not empty."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from tests.sim.history import run
from tests.sim.host import Host, Keeper
from tests.sim.plan import Plan


def no_promise_breaks_and_windows_are_seen(
    draw: Callable[[str], Plan], numbers: Iterable[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No history of those plans breaks a promise, and keepers have had windows of several places in them."""
    begun: list[int] = []
    begin = Host._begin_window

    def noted(host: Host, keeper: Keeper, name: str, body: Mapping[str, Any]) -> None:
        begun.append(len(body["places"]))
        begin(host, keeper, name, body)

    monkeypatch.setattr(Host, "_begin_window", noted)
    for number in numbers:
        plan = draw(f"test {number}")
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"
    assert max(begun) > 2, "no window is to be seen in these histories"
