"""How long tasks may take, by those that have ended."""

from __future__ import annotations

from typing import Any

import pytest

from leaseq.dataclass import replace
from leaseq.heartbeat import Heartbeat, Running
from leaseq.models import Event, Need, State
from leaseq.reading.forecast import Durations, first_opening, forecast, indexed, opening, remaining
from leaseq.reading.views import ArrayView, Health, NodeView, TaskView


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


def said(totals: dict[State, int], events: list[Event], *nodes: NodeView) -> str:
    found = forecast(totals, events, left=None, nodes=nodes)
    return found.words if found else ""


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
    found = forecast(totals, [ended(600.0)] * 3, left=left, nodes=())
    assert found.words.endswith(words) if found else words == ""


def test_what_will_not_fit_is_a_number_too() -> None:
    found = forecast(TOTALS, [ended(600.0)] * 3, left=3000.0, nodes=())
    assert found and (found.pending, round(found.seconds or 0), found.missed) == (14, 3400, 2)
    unknown = forecast(TOTALS, [], left=None, nodes=())
    assert unknown and (unknown.seconds, unknown.missed) == (None, 0)


def test_what_runs_longer_than_all_before_it_makes_the_rest_unknown() -> None:
    view = node(runs("T1", 601.0))
    assert "not known: 1 of those" in said(TOTALS, [ended(600.0)] * 3, view)
    known = Durations().learn([ended(600.0, command="python x.py")] * 3)
    assert (found := opening(Need(), view, known)) and found.seconds is None


def test_a_lease_of_which_nothing_has_ended_says_that_it_is_not_known() -> None:
    assert "not known" in said(TOTALS, [])


def test_of_tasks_that_take_a_moment_it_is_told_how_many_end_in_a_second() -> None:
    ends = [replace(ended(0.001), node=name, ended=100.0 + n / 64) for n in range(11) for name in ("n1", "n2")]
    found = forecast({State.PENDING: 900, State.RUNNING: 100}, ends, left=None, nodes=())
    assert found and found.words == "900 pending, about 8 s at 128 a second, by the last 22"
    short = forecast({State.PENDING: 900, State.RUNNING: 100}, ends, left=4.0, nodes=())
    assert (
        short and short.missed == 488 and short.words.endswith("; the lease ends in 4 s: about 488 tasks will not fit")
    )
    at_once = [replace(ended(0.001), node="n1", ended=100.0)] * 3
    assert said({State.PENDING: 9, State.RUNNING: 1}, at_once) == "9 pending; how many end in a second is not known"
    runs = array(State.RUNNING, {State.RUNNING: 60, State.DONE: 20}, 0.001)
    begun = forecast({State.RUNNING: 1}, [], left=None, nodes=(), arrays=indexed([runs]))
    assert begun and begun.seconds is None and begun.words == "20 pending; how many end in a second is not known"


def array(state: State, counts: dict[State, int], mean: float | None) -> TaskView:
    return TaskView("T1", 1, state, array=ArrayView(100, counts, mean_seconds=mean))


def test_what_took_very_different_times_says_nothing_of_the_next() -> None:
    mixed = [ended(n) for n in (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1000.0)]
    found = forecast(TOTALS, mixed, left=None, nodes=())
    assert found and found.seconds is None
    assert found.words == "14 pending; how long they take is not known: the last took 1 s to 16 min"
    alike = forecast(TOTALS, [ended(n) for n in (100.0, 200.0, 300.0)], left=None, nodes=())
    assert alike and alike.seconds is not None


def test_each_index_of_an_array_counts_as_a_task() -> None:
    runs = array(State.RUNNING, {State.RUNNING: 4, State.DONE: 46}, 60.0)
    totals = {State.PENDING: 0, State.RUNNING: 1}
    found = forecast(totals, [], left=600.0, nodes=(), arrays=indexed([runs]))
    assert found and (found.pending, found.seconds, found.missed) == (50, 60.0 * 52 / 4, 12)
    assert (
        found.words == "50 pending, about 13 min at 4 at a time; the lease ends in 10 min: about 12 tasks will not fit"
    )
    beside = forecast(
        {State.PENDING: 2, State.RUNNING: 2}, [ended(30.0)] * 3, left=None, nodes=(), arrays=indexed([runs])
    )
    assert beside and (beside.pending, beside.seconds) == (52, (60.0 * 52 + 2.5 * 30.0) / 5)


def test_of_an_array_that_nobody_has_begun_it_is_not_known_how_long_it_takes() -> None:
    waits = array(State.PENDING, {}, None)
    found = forecast(
        {State.PENDING: 1, State.RUNNING: 3}, [ended(1.0)] * 3, left=None, nodes=(), arrays=indexed([waits])
    )
    assert found and (found.pending, found.seconds) == (100, None)
    over = array(State.RUNNING, {State.RUNNING: 4, State.DONE: 96}, 60.0)
    assert forecast({State.RUNNING: 1}, [], left=None, nodes=(), arrays=indexed([over])) is None
