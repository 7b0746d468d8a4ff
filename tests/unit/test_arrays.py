"""What an index runs: values, words, variables. In a line for bash, bash itself is asked."""

from __future__ import annotations

import itertools
import subprocess
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaseq.arrays import Expansion, Instance, part_of, steps
from leaseq.errors import Malformed
from leaseq.models import Array, Task

Axes = tuple[dict[str, tuple[str, ...] | str], ...]


def expansion(*words: str, axes: Axes = (), indices: str = "0", shell: bool = False) -> Expansion:
    return Expansion(Task("T", words, "/", 0.0, shell=shell), Array(indices, axes))


def test_indices_go_through_all_combinations_the_last_axis_fastest() -> None:
    axes: Axes = ({"lr": ("1e-3", "3e-4")}, {"seed": "1..3"})
    made = expansion("train", "--lr={lr}", "--seed", "{seed}", "--i", "{i}", axes=axes, indices="0-5")
    wanted = itertools.product(("1e-3", "3e-4"), "123")
    for index, (lr, seed) in enumerate(wanted):
        assert made.at(index).argv == ("train", f"--lr={lr}", "--seed", seed, "--i", str(index))
        assert made.values(index) == {"lr": lr, "seed": seed}
    assert made.at(4).env == {
        "LEASEQ_ARRAY_INDEX": "4",
        "LEASEQ_ARRAY_SIZE": "6",
        "LEASEQ_PARAM_LR": "3e-4",
        "LEASEQ_PARAM_SEED": "2",
    }


def test_parameters_of_one_axis_go_together() -> None:
    made = expansion("{lr}/{bs}", axes=({"lr": ("1", "2"), "bs": ("32", "64")},), indices="0-1")
    assert [made.at(index).argv[0] for index in (0, 1)] == ["1/32", "2/64"]


@pytest.mark.parametrize(
    "word", ["${lr}", "{}", "{.}", '{"json": 1}', "{LR}", "{lr ", "{ lr}", "{i:03}", "{{}}", "{lr2}", "%lr%"]
)
def test_whatever_names_no_parameter_stays_as_typed(word: str) -> None:
    assert expansion(word, axes=({"lr": ("1",)},)).at(0).argv == (word,)


def test_a_value_is_never_read_again() -> None:
    made = expansion("{a}{b}", axes=({"a": ("{b}",)}, {"b": ("{i} $x",)}))
    assert made.at(0).argv == ("{b}{i} $x",)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("data/a.b.png", ("data/a.b", "a.b.png", "data", "a.b")),
        ("a.png", ("a", "a.png", ".", "a")),
        ("dir.d/file", ("dir.d/file", "file", "dir.d", "file")),
        ("/x", ("/x", "x", "/", "x")),
        ("d/.hidden", ("d/.hidden", ".hidden", "d", ".hidden")),
        ("two words.txt", ("two words", "two words.txt", ".", "two words")),
    ],
)
def test_the_parts_of_a_path_are_those_of_gnu_parallel(path: str, parts: tuple[str, ...]) -> None:
    made = expansion("{}", "{.}", "{/}", "{//}", "{/.}", axes=({"": (path,)},))
    assert made.at(0) == Instance(
        (path, *parts), {"LEASEQ_ARRAY_INDEX": "0", "LEASEQ_ARRAY_SIZE": "1", "LEASEQ_PARAM_LINE": path}
    )
    assert part_of("", path) == path


values = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@settings(max_examples=40)
@given(st.lists(values, min_size=1, max_size=4), st.sampled_from(["{x}", '"{x}"', "'{x}'", "a{x}b", '"$(echo)"{x}']))
def test_bash_reads_each_value_in_a_line_as_itself_or_the_line_is_refused(texts: list[str], place: str) -> None:
    made = expansion(f"printf '%s' {place}", axes=({"x": tuple(texts)},), shell=True)
    if made.unquotable():
        return
    around = place.strip("\"'").replace('$(echo)"', "")
    for index, value in enumerate(texts):
        said = subprocess.run(["bash", "-c", *made.at(index).argv], capture_output=True, check=True)
        assert said.stdout.decode() == around.replace("{x}", value)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('echo "{x}"', "$HOME"),
        ("echo '{x}'", "it's"),
        ("echo `echo {x}`", "a b"),
        ('echo "$(echo "{x}")"', "a b"),
        ("cat <<E\n{x}\nE", "a b"),
        ("echo $'{x}'", "a b"),
        ("echo \\{x}", "a b"),
    ],
)
def test_a_value_that_a_shell_would_read_in_its_place_is_told(line: str, value: str) -> None:
    assert expansion(line, axes=({"x": ("fine", value)},), shell=True).unquotable() == ("{x}", value)
    assert expansion(line, axes=({"x": ("fine", "1e-3")},), shell=True).unquotable() is None
    assert expansion(line, axes=({"x": ("fine", value)},)).unquotable() is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1..5", "1 2 3 4 5"),
        ("5..1", "5 4 3 2 1"),
        ("0..10..5", "0 5 10"),
        ("0..9..5", "0 5"),
        ("5..1..2", "5 3 1"),
        ("5..1..-2", "5 3 1"),
        ("-2..2", "-2 -1 0 1 2"),
        ("08..11", "08 09 10 11"),
        ("3..3", "3"),
        ("0..0.3..0.1", "0.0 0.1 0.2 0.3"),
        ("1e-4..5e-4..2e-4", "0.0001 0.0003 0.0005"),
        ("1e-8..3e-8..1e-8", "1e-8 2e-8 3e-8"),
        ("1e3..3e3..1e3", "1000 2000 3000"),
        ("1..0..0.5", "1.0 0.5 0.0"),
    ],
)
def test_a_range_of_numbers_gives_its_values(text: str, wanted: str) -> None:
    found = steps(text)
    assert found is not None
    assert list(found) == wanted.split()


@given(st.integers(-99, 99), st.integers(0, 2000), st.integers(1, 999), st.integers(0, 6))
def test_no_error_adds_up_in_a_range(first: int, many: int, step: int, digits: int) -> None:
    one = Fraction(1, 10**digits)
    text = f"{first}e-{digits}..{first + many * step}e-{digits}..{step}e-{digits}"
    found = steps(text)
    assert found is not None
    assert len(found) == many + 1
    assert Fraction(found[many]) == (first + many * step) * one
    assert Fraction(found[many // 2]) == (first + many // 2 * step) * one


@pytest.mark.parametrize(
    "text", ["1..5..0", "1..5..-1", "1...5", "0.1..0.5", "0..1e9..0.1", "0..999999999999", "1..2..1e-300"]
)
def test_a_range_that_leads_nowhere_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        steps(text)


@pytest.mark.parametrize("text", ["", "..", "1..", "a..b", "../x", "1..2..3..4", "nan..inf", "1-5"])
def test_what_is_no_range_is_a_value(text: str) -> None:
    assert steps(text) is None


def test_a_million_combinations_by_rule_are_a_few_bytes_and_each_is_found_at_once() -> None:
    array = Array("0-999999", ({"a": "1..1000"}, {"b": "0..99.9..0.1"}))
    assert len(array.to_json()) < 100
    made = Expansion(Task("T", ("{a}", "{b}"), "/", 0.0), array)
    assert made.at(999_999).argv == ("1000", "99.9")
    assert made.at(123_456).argv == ("124", "45.6")


@pytest.mark.parametrize(
    "array",
    [
        Array("x"),
        Array("0", ({"a": ("1", "2"), "b": ("1",)},)),
        Array("0", ({"a": ()},)),
        Array("0", ({"a": "no rule"},)),
        Array("0-2", ({"a": ("1", "2")},)),
    ],
)
def test_an_array_that_means_nothing_is_malformed(array: Array) -> None:
    with pytest.raises(Malformed):
        Expansion(Task("T", ("x",), "/", 0.0), array)
