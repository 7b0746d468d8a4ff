"""The chunks of an array: every place is in one, and the last of them are small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseq.protocol.plan import SIZE_MAX, Plan, divided_into


@given(st.integers(1, 20_000))
def test_every_place_is_in_one_chunk(count: int) -> None:
    plan = Plan(count)
    spans = [plan.span(chunk) for chunk in range(plan.chunks)]
    assert [place for span in spans for place in span] == list(range(count))
    assert all(plan.chunk_of(place) == chunk for chunk, span in enumerate(spans) for place in (span[0], span[-1]))


@pytest.mark.parametrize(("count", "chunks"), [(1, 1), (499, 499), (50_000, 1143), (1_000_000, 4298)])
def test_there_are_so_many(count: int, chunks: int) -> None:
    assert Plan(count).chunks == chunks


def test_chunks_get_smaller_toward_the_end_and_never_too_large() -> None:
    plan = Plan(50_000)
    assert [len(plan.span(chunk)) for chunk in (0, 500, plan.chunks - 2)] == [97, 24, 6]
    assert len(Plan(10**9).span(0)) == SIZE_MAX


def test_there_is_no_chunk_beyond_the_last() -> None:
    plan = Plan(10)
    for beyond in (-1, 10):
        with pytest.raises(IndexError):
            plan.span(beyond)
        with pytest.raises(IndexError):
            plan.chunk_of(beyond)


def test_a_simulation_divides_small_arrays() -> None:
    with divided_into(2):
        assert [len(Plan(12).span(chunk)) for chunk in range(Plan(12).chunks)] == [6, 3, 1, 1, 1]
    assert Plan(12).chunks == 12
