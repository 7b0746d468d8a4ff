"""The chunks of an array: every place is in one, the last of them are small, and small ones make groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseq.protocol.plan import ALONE, GROUP_PLACES, SIZE_MAX, Plan, divided_into


@given(st.integers(1, 20_000))
def test_every_place_is_in_one_chunk(count: int) -> None:
    plan = Plan(count)
    spans = [plan.span(chunk) for chunk in range(plan.chunks)]
    assert [place for span in spans for place in span] == list(range(count))
    assert all(plan.chunk_of(place) == chunk for chunk, span in enumerate(spans) for place in (span[0], span[-1]))


@given(st.integers(1, 20_000), st.randoms())
def test_every_place_is_covered_once_whichever_groups_are_whole(count: int, chance: object) -> None:
    plan = Plan(count)
    whole = {group for group in plan.groups if chance.random() < 0.5}  # type: ignore[attr-defined]
    numbers = [chunk for chunk in range(plan.chunks) if plan.group_of(chunk) not in whole] + sorted(whole)
    assert sorted(place for number in numbers for place in plan.span(number)) == list(range(count))
    for number in numbers:
        span = plan.span(number)
        assert all(number in plan.numbers_of(place) for place in (span[0], span[-1]))
        assert len(plan.chunks_of(number)) == 1 or len(span) <= GROUP_PLACES


@given(st.integers(1, 20_000))
def test_the_chunks_of_a_group_follow_each_other_and_know_it(count: int) -> None:
    plan = Plan(count)
    members = [chunk for group in plan.groups for chunk in plan.chunks_of(group)]
    assert members == sorted(set(members)) and not set(members) & set(range(ALONE))
    assert all(plan.group_of(chunk) == group for group in plan.groups for chunk in plan.chunks_of(group))
    assert all(plan.group_of(chunk) is None for chunk in set(range(plan.chunks)) - set(members))
    assert all(len(plan.chunks_of(group)) > 1 for group in plan.groups)
    assert all(plan.group_of(group) is None for group in plan.groups)


@pytest.mark.parametrize(
    ("count", "groups"), [(4, []), (12, [4, 2]), (500, [4, 8, 16, 32]), (3000, [4, 6, 6, 6]), (1_000_000, [])]
)
def test_groups_grow_and_have_no_more_places_than_run_in_a_moment(count: int, groups: list[int]) -> None:
    plan = Plan(count)
    assert [len(plan.chunks_of(group)) for group in plan.groups][:4] == groups


@pytest.mark.parametrize(("count", "chunks"), [(1, 1), (499, 499), (50_000, 1143), (1_000_000, 4298)])
def test_there_are_so_many(count: int, chunks: int) -> None:
    assert Plan(count).chunks == chunks


def test_chunks_get_smaller_toward_the_end_and_never_too_large() -> None:
    plan = Plan(50_000)
    assert [len(plan.span(chunk)) for chunk in (0, 500, plan.chunks - 2)] == [97, 24, 6]
    assert len(Plan(10**9).span(0)) == SIZE_MAX


def test_there_is_no_chunk_beyond_the_last() -> None:
    plan = Plan(10)
    for beyond in (-1, plan.groups.stop):
        with pytest.raises(IndexError):
            plan.span(beyond)
    for beyond in (-1, 10):
        with pytest.raises(IndexError):
            plan.chunk_of(beyond)


def test_a_simulation_divides_small_arrays() -> None:
    with divided_into(2, alone=0, group_places=4):
        plan = Plan(12)
        assert [len(plan.span(chunk)) for chunk in range(plan.chunks)] == [6, 3, 1, 1, 1]
        assert [list(plan.chunks_of(group)) for group in plan.groups] == [[2, 3]]
    assert Plan(12).chunks == 12
