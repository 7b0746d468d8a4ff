"""What is typed for tasks and for indices of them."""

from __future__ import annotations

import pytest

from leaseq.errors import UsageError
from leaseq.indices import Indices
from leaseq.reading.selectors import Selector, selectors_of, united


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["T3k9"], [("T3k9", None)]),
        (["T3k9,T4", "last-1"], [("T3k9", None), ("T4", None), ("last-1", None)]),
        (["T3k9_17"], [("T3k9", "17")]),
        (["T3k9_100-199,last_3"], [("T3k9", "100-199"), ("last", "3")]),
        (["last-1_0-9:2"], [("last-1", "0-8:2")]),
        (["T3k9_1,5,7-9,T4,12"], [("T3k9", "1,5,7-9"), ("T4", None), ("12", None)]),
        (["T3k9_1", "5"], [("T3k9", "1"), ("5", None)]),
        (["my_job", "vit_", "_3"], [("my_job", None), ("vit_", None), ("_3", None)]),
    ],
)
def test_a_word_is_a_task_or_indices_of_one(words: list[str], wanted: list[tuple[str, str | None]]) -> None:
    assert selectors_of(words) == [
        Selector(task, None if numbers is None else Indices.parse(numbers)) for task, numbers in wanted
    ]


@pytest.mark.parametrize("words", [[], [""], [","], ["T3k9_9-1"], ["T3k9_1-"], ["T3k9_1:2"], ["T3k9_1,4-2"]])
def test_a_word_that_can_mean_nothing_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        selectors_of(words)


def test_two_words_for_one_array_mean_both() -> None:
    one, other = Indices.parse("1-3"), Indices.parse("7")
    assert united(one, other) == Indices.parse("1-3,7")
    assert united(one, None) is None and united(None, other) is None
