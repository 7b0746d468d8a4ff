"""Sets of indices: the same as sets of numbers, and written as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseq.errors import Malformed
from leaseq.indices import Indices

numbers = st.frozensets(st.integers(0, 60), max_size=25)
parts = st.builds(lambda a, n, s: f"{a}-{a + n}:{s}", st.integers(0, 40), st.integers(0, 30), st.integers(1, 5))
texts = st.lists(parts, min_size=1, max_size=5).map(",".join)


def plain(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


@given(texts)
def test_a_text_names_the_indices_that_it_names_whatever_overlaps(text: str) -> None:
    indices, wanted = Indices.parse(text), plain(text)
    assert list(indices) == sorted(wanted)
    assert len(indices) == len(wanted)
    assert plain(str(indices)) == wanted
    assert Indices.parse(str(indices)) == indices == Indices.of(wanted)
    assert (indices.first, indices.last) == (min(wanted), max(wanted))
    assert [each for each in range(110) if each in indices] == sorted(wanted)
    assert [indices[place] for place in range(len(indices))] == sorted(wanted)
    assert [indices.place(each) for each in indices] == list(range(len(wanted)))


@given(texts, numbers)
def test_indices_are_added_and_taken_away_as_sets_are(text: str, others: frozenset[int]) -> None:
    one, other, known = Indices.parse(text), Indices.of(others), plain(text)
    assert set(one | other) == known | others
    assert set(one & other) == known & others
    assert set(one - other) == known - others
    assert set(other - one) == others - known
    assert (one - other) | (one & other) == one


@given(texts, st.integers(0, 40), st.integers(0, 40))
def test_a_slice_holds_the_indices_at_its_places(text: str, start: int, stop: int) -> None:
    indices = Indices.parse(text)
    assert list(indices.slice(start, stop)) == list(indices)[start:stop]


def test_a_set_of_a_billion_is_as_small_as_one_of_two() -> None:
    everything = Indices.parse("0-999999999")
    assert (len(everything), everything[123_456_789], str(everything)) == (10**9, 123_456_789, "0-999999999")
    assert str(everything - Indices.parse("5")) == "0-4,6-999999999"
    assert str(Indices.parse("0-999998:2")) == "0-999998:2"


@pytest.mark.parametrize("text", ["", "a", "5-3", "0-9:0", "-1", "1,,2", "1000000000", "1-2-3", "０", "1.5", "0x1"])
def test_what_names_no_indices_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Indices.parse(text)


def test_an_index_that_is_not_in_the_set_has_no_place() -> None:
    with pytest.raises(KeyError):
        Indices.parse("0-9:2").place(3)
    with pytest.raises(IndexError):
        Indices.parse("0-9:2")[5]
