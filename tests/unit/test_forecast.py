"""How long tasks may take, by those that have ended."""

from __future__ import annotations

from typing import Any

import pytest

from leaseq.models import Event, Heartbeat, Need, Running, State
from leaseq.reading.forecast import Durations, first_opening, lease_forecast, opening, remaining
from leaseq.reading.views import Health, NodeView


def ended(seconds: float | None, **fields: Any) -> Event:
    return Event("T0123456789a", 1, fields.pop("state", State.DONE), 1.0, elapsed_seconds=seconds, **fields)


def node(*running: Running, name: str = "n1", cpus: int = 4, gpus: tuple[str, ...] = ("0", "1")) -> NodeView:
    beat = Heartbeat("1", name, "0123456789", 1, 1.0, 5.0, cpus=cpus, mem_mb=1000, gpus=gpus, running=running)
    return NodeView(name, Health.OK, beat, 0.0)


def runs(task_id: str, elapsed: float, *, gpus: tuple[str, ...] = (), cpus: int = 1, name: str = "") -> Running:
    return Running(task_id, 1, gpus, cpus, elapsed_seconds=elapsed, name=name, command="python x.py")


def test_the_closest_that_are_known_count_and_too_few_say_nothing() -> None:
    known = Durations().learn(
        [ended(n, name="vit", group="g", command="python x.py") for n in (10.0, 20.0, 90.0)]
        + [ended(500.0, group="g", command="python x.py")]
    )
    named = known.of("vit", "", "")
    assert named and (named.seconds, named.mean, named.samples, named.like) == (20.0, 40.0, 3, "named vit")
    assert (named.left_after(5.0), named.left_after(50.0), named.left_after(91.0)) == (15.0, 40.0, float("inf"))
    grouped = known.of("other", "g", "")
    assert grouped and (grouped.samples, grouped.like) == (4, "of group g")
    program = known.of("other", "", "python x.py --seed 9")
    assert program and program.like == "that run python x.py"
    assert Durations().learn([ended(1.0), ended(2.0)]).of("", "", "") is None


def test_what_was_ended_by_others_says_nothing_of_how_long_it_takes() -> None:
    events = [ended(5.0, state=state) for state in (State.CANCELLED, State.TIMEOUT, State.LOST)]
    assert Durations().learn([*events, ended(None)]).of("", "", "") is None


def test_those_end_first_that_have_least_left() -> None:
    known = Durations().learn([ended(100.0, command="python x.py")] * 3)
    view = node(runs("Told", 90.0, gpus=("0",)), runs("Tnew", 10.0, gpus=("1",)))
    one = opening(Need(gpus=1), view, known)
    both = opening(Need(gpus=2), view, known)
    assert one and (one.ends, one.seconds) == (("Told",), 10.0)
    assert both and (both.ends, both.seconds) == (("Told", "Tnew"), 90.0)
    assert opening(Need(gpus=3), view, known) is None
    alone = opening(Need(), view, known)
    assert alone and len(alone.ends) == 2
    free = opening(Need(cpus=1), view, known)
    assert free and (free.ends, free.seconds) == ((), 0.0)


def test_what_is_not_known_is_not_guessed_and_comes_last() -> None:
    unknown = Durations()
    assert remaining(runs("T1", 5.0), unknown, age=0.0) == float("inf")
    found = opening(Need(gpus=2), node(runs("T1", 5.0, gpus=("0", "1"))), unknown)
    assert found and (found.ends, found.seconds) == (("T1",), None)
    known = Durations().learn([ended(100.0, name="vit")] * 3)
    views = [node(runs("T1", 5.0, gpus=("0", "1"))), node(runs("T2", 40.0, gpus=("0", "1"), name="vit"), name="n2")]
    assert (best := first_opening(Need(gpus=1), views, Durations())) and best.node == "n1"
    assert (best := first_opening(Need(gpus=1), views, known)) and best.node in ("n1", "n2")
    assert first_opening(Need(gpus=9), views, known) is None


TOTALS = {State.PENDING: 14, State.RUNNING: 3}


@pytest.mark.parametrize(
    ("totals", "left", "words"),
    [
        ({State.PENDING: 0, State.RUNNING: 3}, None, ""),
        (TOTALS, None, "14 pending, about 56 min at 3 at a time, by the last 3"),
        (TOTALS, 7200.0, "14 pending, about 56 min at 3 at a time, by the last 3; the lease ends in 2 h"),
        (TOTALS, 3000.0, "the lease ends in 50 min: about 2 tasks will not fit"),
        ({State.PENDING: 14, State.RUNNING: 0}, None, "14 pending, about 10 min each by the last 3; none runs now"),
    ],
)
def test_a_lease_says_how_long_the_rest_takes_and_what_will_not_fit(
    totals: dict[State, int], left: float | None, words: str
) -> None:
    said = lease_forecast(totals, [ended(600.0)] * 3, left=left, nodes=())
    assert said.endswith(words) if words else said == ""


def test_what_runs_longer_than_all_before_it_makes_the_rest_unknown() -> None:
    view = node(runs("T1", 601.0))
    assert "not known: 1 of those" in lease_forecast(TOTALS, [ended(600.0)] * 3, left=None, nodes=(view,))
    known = Durations().learn([ended(600.0, command="python x.py")] * 3)
    assert (found := opening(Need(), view, known)) and found.seconds is None


def test_a_lease_of_which_nothing_has_ended_says_that_it_is_not_known() -> None:
    assert "not known" in lease_forecast(TOTALS, [], left=None, nodes=())
