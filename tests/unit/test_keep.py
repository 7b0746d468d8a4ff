"""What is to be done that one job of a kept lease follows the other, and what is refused of how it is typed."""

from __future__ import annotations

import pytest

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.errors import UsageError
from leaseq.lease import wording
from leaseq.lease.base import LeaseState
from leaseq.lease.kept import Kept
from leaseq.lease.slurm.args import without
from leaseq.lease.slurm.keep import FAILED_MAX, NOTHING, Known, Link, Step, again_in, next_step
from leaseq.protocol.succession import How, Refusal
from leaseq.verbs.lease_words import kept
from tests.build import make_alloc

FIRST, NEXT = 1, 2


def job(number: int, *, ended: str = "") -> Allocation:
    return make_alloc("7", str(number), ended=2.0 if ended else None, end_reason=ended)


def started(number: int) -> Link:
    return Link(number, 1, job(number), started=True)


def over(number: int, reason: str = "TIMEOUT", *, lived: float | None = 3600.0) -> Link:
    return Link(number, 1, job(number, ended=reason), started=True, lived_seconds=lived)


def queued(number: int) -> Link:
    return Link(number, 1, job(number))


def taken_back(number: int, *, asks: int = 1, times: int = 1, reason: str = "CANCELLED") -> Link:
    return Link(number, asks, job(number, ended=reason), never_started=times)


def step(*links: Link, **facts: object) -> Step:
    return next_step(Known(links, **facts))  # type: ignore[arg-type]


def test_the_next_is_asked_for_as_one_starts_and_not_before() -> None:
    assert step(queued(1)) == NOTHING
    assert step(started(1)) == Step(ask=(2, 1), after=job(1))
    assert step(started(1), queued(2)) == NOTHING
    assert step(started(1), started(2)) == Step(ask=(3, 1), after=job(2))


def test_what_follows_one_that_has_ended_waits_for_nothing() -> None:
    assert step(over(1)) == Step(ask=(2, 1))


def test_one_that_was_cancelled_before_it_started_is_asked_for_again() -> None:
    assert step(started(1), taken_back(2)) == Step(ask=(2, 2), after=job(1))
    assert step(over(1), taken_back(2, asks=2, times=2)) == Step(ask=(2, 3))


def test_who_cancels_it_again_and_again_is_believed() -> None:
    told = step(started(1), taken_back(2, asks=3, times=FAILED_MAX)).stop
    assert told == "the next job ended 3 times before it started, the last by CANCELLED"
    assert step(started(1), taken_back(2, asks=9, times=0, reason="released")).ask == (2, 10)


def test_nothing_follows_a_first_job_that_never_started() -> None:
    assert "before it started: CANCELLED" in step(taken_back(1)).stop


def test_an_ask_of_which_nothing_is_known_is_waited_for_and_then_made_again() -> None:
    assert step(started(1), Link(2, 1)) == NOTHING
    assert step(started(1), Link(2, 1, given_up=True)) == Step(ask=(2, 2), after=job(1))


def test_three_that_fail_soon_are_enough() -> None:
    bad = [over(number, "FAILED (NonZeroExitCode)", lived=20.0) for number in (1, 2, 3)]
    assert step(*bad[:2]).ask == (3, 1)
    assert step(*bad).stop == "the last 3 jobs ended in less than 5 min: FAILED (NonZeroExitCode)"
    assert step(*bad, forgiven=1).ask == (4, 1), "somebody has said since that it is to go on"


@pytest.mark.parametrize("reason", ["PREEMPTED", "TIMEOUT (TimeLimit)", "time limit"])
def test_a_short_life_that_is_slurms_doing_is_no_failure(reason: str) -> None:
    links = [over(1, "FAILED", lived=20.0), over(2, reason, lived=20.0), over(3, "FAILED", lived=20.0)]
    assert step(*links).ask == (4, 1)


@pytest.mark.parametrize("lived", [3600.0, None])
def test_a_long_life_or_one_of_unknown_length_is_no_failure(lived: float | None) -> None:
    assert step(*[over(number, "FAILED", lived=lived) for number in (1, 2, 3)]).ask == (4, 1)


def test_nothing_is_asked_for_that_would_begin_too_late() -> None:
    assert step(started(1), next_is_over=True) == NOTHING
    assert step(over(1), next_is_over=True).ask == (2, 1)


def test_once_the_time_is_over_what_is_queued_is_taken_back() -> None:
    assert step(started(1), over="its time is over") == Step(stop="its time is over")
    assert step(started(1), stopped=True) == NOTHING
    assert step(started(1), queued(2), over="its time is over") == Step(stop="its time is over")
    assert step(started(1), queued(2), stopped=True) == Step(cancel=(job(2),))
    assert step(over(1), over="its time is over") == Step(stop="its time is over")
    assert step(queued(1), over="its time is over") == NOTHING
    assert step(queued(1), stopped=True) == NOTHING


def test_while_one_runs_new_tasks_may_come() -> None:
    empty: dict[str, object] = {"over": "nothing is left to run", "for_good": False}
    assert step(started(1), queued(2), **empty) == Step(cancel=(job(2),))
    assert step(started(1), taken_back(2, times=0, reason="released"), **empty) == NOTHING
    assert step(over(1), queued(2), **empty) == Step(stop="nothing is left to run")
    assert step(over(1), taken_back(2, times=0, reason="released"), **empty) == Step(stop="nothing is left to run")


def test_a_job_in_whose_place_another_was_asked_for_is_taken_back_first() -> None:
    assert step(started(1), queued(3), late=(job(2),), stopped=True) == Step(cancel=(job(2),))


def test_who_was_refused_waits_longer_each_time() -> None:
    assert step(started(1), again_in_seconds=1.0) == NOTHING
    assert [again_in(times, 0.0) for times in (1, 2, 3, 20)] == [60.0, 120.0, 240.0, 1800.0]
    assert again_in(1, 61.0) < 0


# -- as it is said ---------------------------------------------------------------------------------


def test_what_comes_next_is_said_in_a_line() -> None:
    runs, waits = make_alloc("7", "1", token="a"), make_alloc("7", "2", token="b")
    now = LeaseState("RUNNING"), LeaseState("PENDING", "Priority", starts="2026-11-29T02:40:00")
    known, kept = list(zip((runs, waits), now, strict=True)), Kept(How("a"), asked="b")
    assert wording.following(kept, known) == "next 2 pending (Priority, about 02:40)"
    assert wording.following(kept, known[:1]) == wording.following(None, known) == ""
    stopped, refused = replace(kept, stopped="its time is over"), Refusal("sbatch: error: no\nmore", on_node=True)
    assert wording.following(stopped, known[:1]) == "no next job: its time is over"
    said = wording.following(replace(kept, refused=refused), known[:1])
    assert said == "next job refused (on its nodes, a command on a login host asks): sbatch: error: no; more"
    assert "(it is asked for again)" in wording.following(replace(kept, refused=replace(refused, on_node=False)), [])


# -- as it is typed --------------------------------------------------------------------------------


def test_how_long_is_a_time_or_a_word() -> None:
    assert kept("", "", {}) is None and kept("off", "", {}) is None
    assert kept("forever", "", {}) == How("")
    assert kept("until-empty", "", {}) == How("", while_busy=True)
    assert kept("3d", "90s", {"time": "12:00:00"}) == How("", seconds=259200.0, overlap_minutes=2)


def test_the_overlap_of_a_profile_is_that_of_a_lease_which_is_kept() -> None:
    assert kept("off", "", {}, otherwise="5m") is None and kept("", "", {}, otherwise="5m") is None
    for typed, minutes in (("", 5), ("7m", 7)):
        how = kept("3d", typed, {"time": "60"}, otherwise="5m")
        assert how is not None and how.overlap_minutes == minutes


@pytest.mark.parametrize(
    ("keep", "overlap", "limit", "said"),
    [
        ("1h", "", "12:00:00", "--keep 1h is shorter than one job, which has 12 h"),
        ("30s", "", "", "--keep 30s is shorter than a minute"),
        ("3d", "12h", "12:00:00", "--overlap 12h is not shorter than one job"),
        ("", "10m", "60", "--overlap says when the next job may start, and without --keep there is none"),
        ("soon", "", "", "--keep 'soon' is not a duration"),
        ("3d", "soon", "60", "--overlap 'soon' is not a duration"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_reason(keep: str, overlap: str, limit: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        kept(keep, overlap, {"time": limit} if limit else {})
    assert said in caught.value.message
    assert caught.value.hint


def test_what_was_for_the_first_job_alone_is_left_out() -> None:
    names = frozenset({"dependency", "begin", "hold"})
    typed = "-pgpu -N 2 -d afterok:3 --begin=now --gres gpu:2 --site-thing x -QH --".split()
    assert without(typed, names) == ("-pgpu", "-N", "2", "--gres", "gpu:2", "--site-thing", "x", "--quiet")
    assert without(["-t5", "--hold"], names) == ("-t5",)
