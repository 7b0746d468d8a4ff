"""What is said of a lease that stands unused, and how the limit is typed."""

from __future__ import annotations

import pytest

from leaseq.errors import UsageError
from leaseq.heartbeat import Heartbeat
from leaseq.models import State
from leaseq.reading.unused import Unused, unused
from leaseq.reading.views import Health, NodeView
from leaseq.verbs.lease_request import idle_limit
from leaseq.verbs.lease_words import unused_limit


def node(name: str, *, health: Health = Health.OK, **said: object) -> NodeView:
    fields = {"gpus": ("0", "1"), "idle_seconds": 2040.0, **said}
    return NodeView(name, health, Heartbeat("1", name, "a123456789", 1, 1.0, 5.0, **fields))  # type: ignore[arg-type]


def test_a_lease_that_nobody_takes_back_is_spoken_of_after_ten_minutes() -> None:
    both = [node("n1"), node("n2")]
    assert unused(both, {}) == [Unused("no task for 34 min, 2 nodes with 4 GPUs held", True)]
    assert unused(both, {State.RUNNING: 1}) == []
    assert (
        unused([node("n1", gpus=(), idle_seconds=700.0)], {}, later=140.0)[0].words == "no task for 14 min, 1 node held"
    )
    assert unused([node("n1", idle_seconds=500.0)], {}) == []
    assert unused([node("n1", health=Health.DOWN)], {}) == []


def test_with_a_limit_it_is_said_how_near_that_is_and_what_uses_the_nodes() -> None:
    both = [node(name, idle_limit_seconds=1800.0, unused_seconds=1500.0 + n) for n, name in enumerate(("n1", "n2"))]
    words = "unused for 25 min of 30 min: 2 nodes with 4 GPUs given back then"
    assert unused(both, {}) == [Unused(words, True)]
    assert not unused(both[:1], {}, later=-600.0)[0].pressing
    used = node("n2", idle_limit_seconds=1800.0, unused_seconds=0.0, used_by="a shell")
    assert unused([both[0], used], {}) == [Unused("2 nodes with 4 GPUs kept: n2 is used by a shell", False)]


def test_each_job_of_a_lease_counts_by_itself() -> None:
    one = node("n1", idle_limit_seconds=1800.0, unused_seconds=1700.0, alloc="1")
    two = node("n2", idle_limit_seconds=600.0, unused_seconds=100.0, alloc="2")
    assert [each.words[:22] for each in unused([one, two, node("n3")], {})] == [
        "unused for 28 min of 3",
        "unused for 100 s of 10",
        "no task for 34 min, 1 ",
    ]


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800.0), ("60s", 60.0), ("1h30m", 5400.0), ("off", None)])
def test_a_limit_is_a_time_or_off(text: str, seconds: float | None) -> None:
    assert unused_limit(text, what="--idle") == seconds


@pytest.mark.parametrize(
    ("text", "said"), [("59s", "--idle 59s is below a minute"), ("0", "below a minute"), ("soon", "is not a duration")]
)
def test_a_limit_below_a_minute_and_what_is_no_time_are_refused_with_what_can_be_said(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        unused_limit(text, what="--idle")
    assert refused.value.hint == "like 10m, 30m, 2h, or off"


def test_the_command_line_goes_before_the_profile_and_that_before_the_setting() -> None:
    assert idle_limit("10m", "20m", "a100", "30m") == 600.0
    assert idle_limit("", "20m", "a100", "30m") == 1200.0
    assert idle_limit("", "", "", "30m") == 1800.0
    assert idle_limit("off", "20m", "a100", "30m") is None
    assert idle_limit("", "", "", "") is None
    with pytest.raises(UsageError, match="idle of profile a100 5s is below a minute"):
        idle_limit("", "5s", "a100", "")
