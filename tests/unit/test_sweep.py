"""Arrays as they are typed: values, files, names, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseq.arrays import Expansion
from leaseq.errors import UsageError
from leaseq.indices import Indices
from leaseq.models import Array, Task
from leaseq.sweep import Said, array_of, fitted


def held(files: dict[str, str] | None = None) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        return (files or {})[name].encode("utf-8", "surrogateescape")

    return read


def made(*sweeps: str, files: dict[str, str] | None = None, **said: object) -> Array:
    return array_of(Said(sweeps=sweeps, **said), read=held(files))[0]  # type: ignore[arg-type]


def task(*words: str, shell: bool = False) -> Task:
    return Task("T", words, "/", 0.0, shell=shell)


def lines(array: Array, *words: str) -> list[str]:
    expansion = Expansion(task(*words), array)
    return [" ".join(expansion.at(index).argv) for index in expansion.indices]


def test_two_sweeps_are_a_product_and_zipped_ones_are_pairs() -> None:
    assert made("lr=1e-3,3e-4", "seed=1..5") == Array("0-9", ({"lr": ("1e-3", "3e-4")}, {"seed": "1..5"}))
    pairs = made("lr=1e-3,3e-4", "bs=32,64", zip=True)
    assert lines(pairs, "{lr}", "{bs}") == ["1e-3 32", "3e-4 64"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a,b", ("a", "b")),
        (r"a\,b,c", ("a,b", "c")),
        ("1,2,5..8,x", ("1", "2", "5", "6", "7", "8", "x")),
        ("log:1e-5..1e-2..4", ("1e-5", "1e-4", "1e-3", "1e-2")),
        ("log:1..100..3", ("1", "10", "100")),
        ("log:0.1..10..3,5", ("0.1", "1", "10", "5")),
        ("log:1e-4..1e-3..3", ("1e-4", "3.16228e-4", "1e-3")),
        ("@f", ("x,y", "1..5", "#z ")),
        (r"\@f,\d+", ("@f", r"\d+")),
        ("a=b", ("a=b",)),
        ("../data,./x", ("../data", "./x")),
    ],
)
def test_values_are_lists_ranges_scales_and_files(text: str, wanted: tuple[str, ...]) -> None:
    array = made(f"x={text}", files={"f": "x,y\n\n1..5\r\n#z \n"})
    assert array.axes == ({"x": wanted},)


@given(st.lists(st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1), min_size=1, max_size=5))
def test_any_value_can_be_typed(values: list[str]) -> None:
    text = ",".join(("\\" if each.startswith("@") else "") + each.replace(",", "\\,") for each in values)
    odd = any(
        each.startswith(("log:", "\\@")) or "\\," in each or ".." in each or each.endswith("\\") for each in values
    )
    if not odd:
        assert made(f"x={text}").axes == ({"x": tuple(values)},)


@given(st.floats(1e-9, 1e3), st.floats(1.5, 1e6), st.integers(2, 30))
def test_neighbours_on_a_logarithmic_scale_have_one_ratio(first: float, ratio: float, number: int) -> None:
    (axis,) = made(f"x=log:{first:.6e}..{first * ratio:.6e}..{number}").axes
    values = [math.log(float(text)) for text in axis["x"]]
    assert len(values) == number
    gaps = [after - before for before, after in pairwise(values)]
    assert max(gaps) - min(gaps) < 1e-4


@pytest.mark.parametrize(
    ("sweep", "word"),
    [
        ("lr", "NAME=VALUES"),
        ("=1", "NAME=VALUES"),
        ("1x=1", "NAME=VALUES"),
        ("i=1,2", "index"),
        ("x=", "missing"),
        ("x=1,,2", "missing"),
        ("x=1..5..0", "never leads"),
        ("x=log:1..5", "log:A..B..N"),
        ("x=log:-1..5..3", "above 0"),
        ("x=log:1..5..1", "two values"),
        ("x=@empty", "no line"),
        ("x=@nul", "text file"),
        ("x=@", "name of a file"),
    ],
)
def test_a_sweep_that_means_nothing_is_refused_in_words(sweep: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        made(sweep, files={"empty": "\n \n", "nul": "a\0b"})


@pytest.mark.parametrize("sweeps", [("lr=1", "lr=2"), ("lr=1", "LR=2"), ("a-b=1", "a_b=2")])
def test_two_names_that_are_one_variable_are_refused(sweeps: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=r"twice|one name"):
        made(*sweeps)


def test_zipped_values_must_be_as_many() -> None:
    with pytest.raises(UsageError, match="lr 2, bs 3"):
        made("lr=1,2", "bs=1..3", zip=True)
    with pytest.raises(UsageError, match="two parameters"):
        made("lr=1,2", zip=True)


def test_more_combinations_than_there_are_indices_are_refused() -> None:
    with pytest.raises(UsageError, match="100000 x 100000"):
        made("a=1..100000", "b=1..100000")


def test_each_line_of_a_file_is_an_index_and_goes_with_sweeps() -> None:
    files = {"list": "a b.txt\n\nc.txt\r\n"}
    array = made("q=1,2", each="list", files=files)
    assert lines(array, "./convert", "{}", "{.}.png", "{q}") == [
        f"./convert {name}.txt {name}.png {q}" for name in ("a b", "c") for q in "12"
    ]


def test_the_columns_of_a_table_go_together() -> None:
    files = {"x.csv": '\ufeffname, learning rate\n"a,b",1\n\nc,2\n', "x.tsv": "a\tb\n1\t2\n"}
    assert lines(made(each="x.csv", files=files), "{name}:{learning rate}", "{}") == ["a,b:1 {}", "c:2 {}"]
    assert lines(made(each="x.tsv", files=files), "{a}{b}") == ["12"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a,b\n", "no row"),
        ("a,a\n1,2\n", "name its columns"),
        ("a,\n1,2\n", "name its"),
        ("a,b\n1\n", "line 2: 1 cell"),
    ],
)
def test_a_table_that_is_none_is_refused(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        made(each="x.csv", files={"x.csv": text})


def test_indices_and_how_many_run_at_once_are_typed_as_for_slurm() -> None:
    array = made(array="0-49999%64")
    assert (array.indices, array.throttle) == ("0-49999", 64)
    assert made(array="7,1,3-4").indices == "1,3-4,7"
    assert made(array="0-9", throttle=3).throttle == 3
    for text in ("", "%4", "0-9%", "0-9%0", "0-9%x", "9-0"):
        with pytest.raises(UsageError):
            made("x=1" if text == "" else "x=1..10", array=text or "5")
    with pytest.raises(UsageError, match="contradict"):
        made(array="0-9%2", throttle=3)


def test_chosen_combinations_keep_their_numbers() -> None:
    array = made("x=a,b,c,d", array="1-3:2")
    assert lines(array, "{i}{x}") == ["1b", "3d"]
    with pytest.raises(UsageError, match="4 combinations, 0 to 3"):
        made("x=a,b,c,d", array="0-4")


def test_a_sample_is_the_same_each_time_and_says_its_seed() -> None:
    said = Said(sweeps=("x=1..100",), sample="5")
    one, remarks = array_of(said, read=held())
    again, _ = array_of(said, read=held())
    other, _ = array_of(Said(sweeps=("x=1..100",), sample="5:1"), read=held())
    assert one == again != other
    assert len(Indices.parse(one.indices)) == 5
    assert "5 of 100, drawn with seed 0" in remarks[0]
    assert made("x=1..3", sample="5").indices == "0-2"
    with pytest.raises(UsageError):
        made("x=1..3", sample="0")


def test_one_index_is_remarked_for_who_types_a_number_meant_many() -> None:
    assert "-a 0-9" in array_of(Said(array="10"), read=held())[1][0]
    assert array_of(Said(array="0"), read=held())[1] == []
    assert "1..5" in array_of(Said(sweeps=("seed=1-5",)), read=held())[1][0]


def test_a_name_that_no_word_uses_and_a_typo_of_one_are_told() -> None:
    array = made("lr=1,2", "seed=1..2")
    _, told = fitted(task("train", "--lr", "{Ir}", '{"a": {}}', "${lr}", "{seed}"), array)
    assert told == [
        "no word uses {lr}: its values are in $LEASEQ_PARAM_LR only",
        "{Ir} stays as typed: did you mean {lr}?",
    ]
    assert fitted(task("train", "{lr}{seed}{i}"), array)[1] == []
    assert fitted(task("train --lr $LEASEQ_PARAM_LR --seed {seed}", shell=True), array)[1] == []


def test_a_value_that_cannot_be_quoted_in_its_place_is_refused() -> None:
    array = made("x=it's,b")
    with pytest.raises(UsageError) as refused:
        fitted(task("echo '{x}'", shell=True), array)
    assert "LEASEQ_PARAM_X" in refused.value.hint
    assert fitted(task("echo {x}", shell=True), array)[0].array == array
