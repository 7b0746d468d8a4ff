"""The life of a runner, as the table in the docstring of its module says."""

from __future__ import annotations

import pytest

from leaseq.runner import phase
from leaseq.runner.phase import TABLE, Hand, Leave, Phase, Wanted

YES = {"yes": True, "no": False}


def told() -> list[list[str]]:
    """The rows of the table for people: name, claims, goes on, told as, and how it leaves with each hand."""
    lines = [line.split() for line in (phase.__doc__ or "").splitlines()]
    return [words for words in lines if words and words[0] in Wanted.__members__ and words[1:2] and words[1] in YES]


def test_the_table_for_people_is_the_table() -> None:
    assert [row[0] for row in told()] == [each.name for each in Wanted]
    for name, claims, goes_on, state, *leaves in told():
        row = TABLE[Wanted[name]]
        assert (row.may_claim, row.goes_on, row.told_as or "(nothing)") == (YES[claims], YES[goes_on], state)
        assert [row.leaves_with.get(hand, Leave.NO).name.lower() for hand in Hand] == leaves


@pytest.mark.parametrize("wanted", Wanted)
def test_what_may_claim_goes_on_and_does_not_leave(wanted: Wanted) -> None:
    row = TABLE[wanted]
    assert not row.may_claim or (row.goes_on and not row.leaves_with)


@pytest.mark.parametrize("wanted", Wanted)
def test_tasks_that_are_being_ended_are_waited_for(wanted: Wanted) -> None:
    assert Phase(wanted).may_leave(Hand.ENDING) is Leave.NO


def test_drain_and_resume() -> None:
    life = Phase()
    life.drain()
    assert (life.wanted, life.told_as) == (Wanted.DRAIN, "draining")
    life.resume()
    assert (life.wanted, life.told_as) == (Wanted.SERVE, "up")


@pytest.mark.parametrize("wanted", [Wanted.GIVE_WAY, Wanted.STAY, Wanted.LEAVE])
def test_what_is_beyond_draining_does_not_resume(wanted: Wanted) -> None:
    life = Phase(wanted)
    life.drain()
    life.resume()
    assert life.wanted is wanted


def test_a_runner_that_another_has_followed_says_nothing_whatever_comes_then() -> None:
    life = Phase()
    life.give_way()
    assert (life.wanted, life.told_as) == (Wanted.GIVE_WAY, "")
    life.leave()
    assert (life.wanted, life.told_as) == (Wanted.LEAVE, "")


def test_one_that_is_leaving_does_not_come_back_to_give_way() -> None:
    life = Phase()
    life.leave()
    life.give_way()
    assert (life.wanted, life.superseded) == (Wanted.LEAVE, True)


def test_the_lease_ends_and_terminals_go_on_until_the_signal() -> None:
    life = Phase()
    life.lease_ends(stays=True)
    life.leave()
    before = life.wanted
    life.leave_by_signal()
    assert (before, life.wanted) == (Wanted.STAY, Wanted.LEAVE)


def test_the_lease_ends_and_no_terminal_hangs_on_the_runner() -> None:
    life = Phase()
    life.lease_ends(stays=False)
    assert life.wanted is Wanted.LEAVE


def test_who_stands_aside_goes_on_as_before_unless_something_else_is_asked_meanwhile() -> None:
    for before in (Wanted.SERVE, Wanted.DRAIN):
        life = Phase(before)
        life.stand_aside()
        assert (life.wanted, life.may_claim, life.goes_on) == (Wanted.ASIDE, False, True)
        life.stand_again()
        assert life.wanted is before
    for ask, then in ((Phase.drain, Wanted.DRAIN), (Phase.resume, Wanted.SERVE)):
        life = Phase(Wanted.DRAIN if then is Wanted.SERVE else Wanted.SERVE)
        life.stand_aside()
        ask(life)
        assert life.wanted is Wanted.ASIDE
        life.stand_again()
        assert life.wanted is then


@pytest.mark.parametrize("wanted", [Wanted.GIVE_WAY, Wanted.STAY, Wanted.LEAVE, Wanted.RELEASE])
def test_what_leaves_does_not_stand_aside(wanted: Wanted) -> None:
    life = Phase(wanted)
    life.stand_aside()
    life.stand_again()
    assert life.wanted is wanted
