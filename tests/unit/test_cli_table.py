"""The words after `leaseq`: what is a command, and what a word from elsewhere is answered with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaseq import cli
from leaseq.cli import exits
from leaseq.cli.help import text_for
from leaseq.cli.line import request_of
from leaseq.cli.table import FOREIGN, FOREIGN_IN, command, command_words
from leaseq.commands import ALIASES, COMMANDS, known
from leaseq.errors import LeaseqError, UsageError
from leaseq.installation import starts_runner
from leaseq.models import State

ELSEWHERE = [
    *((word, name) for name, words in FOREIGN.items() for word in words.split()),
    *(
        (f"{group} {word}", name)
        for group, table in FOREIGN_IN.items()
        for name in table
        for word in table[name].split()
    ),
]


@pytest.mark.parametrize(("words", "meant"), ELSEWHERE)
def test_a_word_that_other_tools_have_gets_the_command_of_leaseq(words: str, meant: str) -> None:
    assert meant in COMMANDS
    assert words not in COMMANDS and words not in ALIASES
    with pytest.raises(UsageError) as caught:
        command_words(words.split())
    assert f"did you mean `leaseq {meant}`?" in caught.value.hint


def test_what_newcomers_type_first_is_answered() -> None:
    known = {words for words, _ in ELSEWHERE}
    typed = "ps top queue jobs list kill rm stop rerun show attach history nodes delete run".split()
    assert [word for word in typed if word not in known] == []


def test_help_on_help_is_the_list_of_commands() -> None:
    assert text_for(["help"], 80) == text_for([], 80)
    with pytest.raises(UsageError) as caught:
        text_for(["kill"], 80)
    assert "leaseq cancel" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "runner"),
    [
        (["_run"], True),
        (["_run", "--lease", "1", "--node", "n", "--home", "/h"], True),
        (["run", "--lease", "1", "--node", "n", "--home", "/h", "--lease-grace", "20"], True),
        (["run", "python", "train.py"], False),
        (["run", "--lease", "1", "--node", "n", "--home", "/h", "--", "true"], False),
        (["submit", "--", "_run"], False),
        ([], False),
    ],
)
def test_a_runner_is_started_by_its_own_word_and_by_the_one_in_earlier_lease_scripts(
    words: list[str], runner: bool
) -> None:
    assert starts_runner(words) is runner


def test_a_letter_that_is_another_commands_option_is_refused_with_what_it_may_stand_for() -> None:
    with pytest.raises(UsageError) as caught:
        request_of("tasks", command("tasks"), ["-s", "sweep"], tail=None)
    assert caught.value.hint == "did you mean --state or --search?"


def test_every_command_has_the_file_that_is_named_as_it_is_typed_and_no_file_has_another() -> None:
    files = {path.stem for path in Path(cli.__file__).parent.glob("*.py") if "\nCOMMAND = " in path.read_text()}
    assert files == {name.replace(" ", "_").replace("-", "_") for name in COMMANDS}


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("status", False),
        ("ls --all", False),
        ("lease", False),
        ("lease --json", False),
        ("lease list", False),
        ("lease release 1", True),
        ("config", False),
        ("help submit", False),
        ("--version", False),
        ("submit -- x", True),
        ("log last", False),
    ],
)
def test_the_table_says_which_lines_change_something(line: str, changes: bool) -> None:
    found = known(line.split())
    assert found is not None and found.changes is changes


@pytest.mark.parametrize("line", ["", "sbmit", "lease burn", "lease ls2"])
def test_of_what_is_no_command_nothing_is_known(line: str) -> None:
    assert known(line.split()) is None


def test_the_exit_codes_of_the_page_and_of_the_help_are_those_of_the_code() -> None:
    errors = {LeaseqError.exit_code, *(kind.exit_code for kind in LeaseqError.__subclasses__())}
    tasks = {state.exit_code for state in (State.CANCELLED, State.TIMEOUT, State.LOST)}
    given = {0, *errors, *tasks, *(code for name, code in vars(exits).items() if name.isupper())}
    page = (Path(__file__).parents[2] / "docs/exit-codes-and-json.md").read_text()
    assert {int(code) for code in re.findall(r"^\| (\d+) \| .* \|$", page, re.MULTILINE)} == given
    text = "\n".join(text_for(["exit-codes"], 100))
    assert {int(code) for code in re.findall(r"(?:^| {3})(\d+) ", text, re.MULTILINE)} == given - {3, 70, 141}
