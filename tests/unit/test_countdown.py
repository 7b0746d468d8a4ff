"""The end of a lease is said once at each mark before it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from leaseq.node.countdown import LOOK_SECONDS, Countdown


def said(lefts: Iterable[float | None]) -> list[str]:
    """What is said if so many seconds are left at one look after the other."""
    values = iter(lefts)
    countdown = Countdown(lambda: next(values))
    return [countdown.look()[0] for _ in lefts]


@pytest.mark.parametrize(
    ("lefts", "words"),
    [
        ([700, 600, 599, 400], ["", "ends in 10 min", "", ""]),
        ([301, 300, 200, 61, 59, 20], ["ends in 5 min", "ends in 5 min", "", "", "ends in 59 s", ""]),
        ([None, 45, None, 44], ["", "ends in 45 s", "", ""]),
        ([0, -5], ["", ""]),
        ([590, 4000, 595], ["ends in 10 min", "", "ends in 10 min"]),
    ],
)
def test_it_is_said_once_at_each_mark_and_again_where_the_end_was_put_off(
    lefts: list[float | None], words: list[str]
) -> None:
    assert said(lefts) == words


@pytest.mark.parametrize(
    ("left", "wait"),
    [
        (None, LOOK_SECONDS),
        (5000, LOOK_SECONDS),
        (610, 10),
        (630, LOOK_SECONDS),
        (301, 1),
        (60.2, 1.0),
        (30, LOOK_SECONDS),
    ],
)
def test_the_next_look_is_at_the_next_mark_and_never_far(left: float | None, wait: float) -> None:
    assert Countdown(lambda: left).look()[1] == pytest.approx(wait)
