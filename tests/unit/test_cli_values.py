"""Words of the command line as values, and lines as requests."""

from __future__ import annotations

import shlex
import types
from collections.abc import Callable
from typing import get_args, get_origin, get_type_hints

import pytest

from leaseq.cli.help import text_for
from leaseq.cli.line import HelpAsked, request_of
from leaseq.cli.main import split
from leaseq.cli.retry import Retry
from leaseq.cli.submit import Submit
from leaseq.cli.table import command, command_words
from leaseq.commands import COMMANDS, GROUP_DEFAULTS
from leaseq.errors import UsageError
from leaseq.models import ALL_GPUS
from leaseq.sweep import Said
from leaseq.values import gpu_count, integer, mebibytes, seconds, yes
from leaseq.verbs.changes import Changes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("90", 90),
        ("90s", 90),
        ("0.5s", 0.5),
        ("30m", 1800),
        ("30min", 1800),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        ("1w", 604800),
        ("1:30", 90),
        ("04:00:00", 14400),
        ("1-12", 129600),
        ("1-12:30", 131400),
        ("1-12:30:15", 131415),
        ("1H30M", 5400),
    ],
)
def test_durations_are_read_as_people_and_slurm_write_them(text: str, value: int) -> None:
    assert seconds(text, what="--x") == value


def test_a_bare_number_has_the_unit_of_its_option() -> None:
    assert seconds("10", what="--time", plain=60) == 600


@pytest.mark.parametrize(
    "text", ["", "x", "1x", "-1", "1h x", "m", "1:2:3:4", "1e3", "h1", "10 m", "--", "infinity", "nan"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        seconds(text, what="--x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("512", 512),
        ("512M", 512),
        ("8G", 8192),
        ("8gb", 8192),
        ("8GiB", 8192),
        ("1.5T", 1572864),
        ("1K", 1),
    ],
)
def test_memory_is_in_mebibytes_rounded_up(text: str, value: int) -> None:
    assert mebibytes(text, what="--mem") == value


@pytest.mark.parametrize(
    "call",
    [
        lambda: mebibytes("8X", what="--mem"),
        lambda: mebibytes("-8G", what="--mem"),
        lambda: integer("1.0", what="-n", low=0),
        lambda: integer("0x10", what="-n", low=0),
        lambda: integer("1_000", what="-n", low=0),
        lambda: integer("٣", what="-n", low=4),
        lambda: gpu_count("2.5", what="--gpus"),
        lambda: yes("maybe", what="--hold"),
    ],
)
def test_nothing_is_guessed_from_the_looks_of_a_word(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        call()


def test_all_gpus_no_gpus_and_none_named_are_not_the_same() -> None:
    assert [gpu_count(word, what="--gpus") for word in ("all", "ALL", "0")] == [ALL_GPUS, ALL_GPUS, 0]
    assert submit("--", "x").need.gpus is None


# -- lines -------------------------------------------------------------------------------------------


def submit(*words: str) -> Submit:
    head, tail = split(["submit", *words])
    request = request_of("submit", command("submit"), head[1:], tail=tail)
    assert isinstance(request, Submit)
    return request


def test_the_first_dashes_part_the_line() -> None:
    assert split(["submit", "--", "a", "--", "b"]) == (["submit"], ("a", "--", "b"))
    assert split(["submit", "a"]) == (["submit", "a"], None)
    assert split(["submit", "--"]) == (["submit"], ())


def test_options_mean_the_same_in_every_form() -> None:
    forms = [["--name=a b"], ["--name", "a b"], ["-J", "a b"], ["-Ja b"], ["--name", "x", "-J", "a b"]]
    requests = [submit(*form, "--", "x") for form in forms]
    assert requests == [requests[0]] * len(forms)


def test_values_that_look_like_literals_stay_text() -> None:
    for word in ("1e3", "None", "True", "[1]", "{a: 1}", "1,2", "'x'", "0x10", "-"):
        assert submit("--name", word, "--", "x").name == word


def test_flags_are_set_unset_and_negated() -> None:
    assert submit("--hold", "--", "x").hold
    assert not submit("--hold", "--no-hold", "--", "x").hold
    assert not submit("--hold=false", "--", "x").hold
    assert submit("--", "x").start and not submit("--no-start", "--", "x").start


def test_repeated_values_are_all_kept() -> None:
    assert submit("--env", "A=1", "--env=B=2,3", "--", "x").env == ("A=1", "B=2,3")


def test_a_negative_priority_is_a_value_and_not_an_option() -> None:
    assert submit("--priority", "-5", "--", "x").priority == -5


def test_words_without_dashes_are_the_command_if_nothing_in_them_could_be_an_option() -> None:
    assert submit("-c", "1", "python", "x.py").command == ("python", "x.py")
    with pytest.raises(UsageError) as raised:
        submit("-c1", "python", "x.py", "--help")
    assert raised.value.hint == "leaseq submit -c1 -- python x.py --help"


def test_help_is_asked_before_the_dashes_only() -> None:
    with pytest.raises(HelpAsked):
        submit("-h", "--", "x")
    assert submit("--", "x", "-h").command == ("x", "-h")


def test_groups_have_a_meaning_of_their_own() -> None:
    for group, meaning in GROUP_DEFAULTS.items():
        assert command_words([group]) == (meaning, [])
        assert meaning in COMMANDS


def test_what_is_said_of_no_option_stays_as_it_was_and_what_is_said_empty_is_taken_away() -> None:
    def changes(*words: str) -> Changes:
        request = request_of("retry", command("retry"), ["last", *words], tail=None)
        assert isinstance(request, Retry)
        return request.changes

    assert not changes().said
    assert changes("--name", "").name == "" and changes("--no-requeue").requeue is False
    assert changes("--retries", "0").retries == 0 and changes("--time", "2").need.time_seconds == 120


def test_options_that_need_or_exclude_each_other_are_refused() -> None:
    for words in (
        ["cancel", "last", "--leader"],
        ["submit", "--unless-done", "x"],
        ["tasks", "--all", "--limit", "50"],
        ["redo", "last", "--in-place", "--priority", "0"],
        ["logs", "--follow", "--json"],
        ["shell", "--plain", "--session", "x"],
        ["add", "--detach", "--wait", "1m"],
    ):
        with pytest.raises(UsageError):
            request_of(words[0], command(words[0]), words[1:], tail=None)
    request_of("tasks", command("tasks"), ["--no-all", "--limit", "50"], tail=None)


# -- the table -----------------------------------------------------------------------------------------

KINDS = {"", *"lease node task group hook event profile file directory state signal shell".split()}
EXAMPLES = [(name, example) for name in COMMANDS for example in command(name).examples]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_a_command_have_names_of_their_own_and_know_each_other(name: str) -> None:
    found = command(name)
    for kind in ("name", "target", "short"):
        said = [getattr(option, kind) for option in found.options if getattr(option, kind)]
        assert len(said) == len(set(said)), kind
    names = {option.name for option in found.options}
    for option in found.options:
        assert {*option.against, option.goes_with or option.name} <= names
        assert option.completes in KINDS
    assert found.words.completes in KINDS


@pytest.mark.parametrize("name", COMMANDS)
def test_a_default_is_read_as_if_it_were_typed_and_the_help_shows_it(name: str) -> None:
    text = " ".join(" ".join(text_for(name.split(), 200)).split())
    for option in command(name).options:
        if option.default:
            assert option.value(()) == option.value((option.default,))
            shown = f"--no-{option.name}" if option.kind == "flag" else f"(default {option.default})"
            assert shown in text, option.name


def fits(value: object, hint: object) -> bool:
    """True if a type checker would take the value for what the hint says."""
    if isinstance(hint, types.UnionType):
        return any(fits(value, each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        inner = [each for each in get_args(hint) if each is not ...]
        return isinstance(value, tuple) and all(any(fits(each, kind) for kind in inner) for each in value)
    kind = get_origin(hint) or hint
    return type(value) is kind or (kind is float and type(value) is int)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_makes_a_request_whose_fields_hold_what_they_say(name: str, example: str) -> None:
    words = shlex.split(example.partition("$(")[0].rstrip('"') + "last" if "$(" in example else example)[1:]
    head, tail = split(words)
    called, rest = command_words(head)
    assert called == name
    request = request_of(name, command(name), rest, tail=tail)
    hints = get_type_hints(type(request), localns={"Said": Said})  # which submit imports for types alone
    assert hints
    assert [
        (field, getattr(request, field)) for field in hints if not fits(getattr(request, field), hints[field])
    ] == []
