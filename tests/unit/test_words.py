"""What people read: counts, reasons, commands and what no terminal may get."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaseq.cli.lease_ls import COLUMNS, cells
from leaseq.cli.line import request_of
from leaseq.cli.overview import Overview, lease_json
from leaseq.cli.rows import gpu_text
from leaseq.cli.table import command
from leaseq.commands import COMMANDS
from leaseq.dataclass import replace
from leaseq.errors import UsageError
from leaseq.lease.base import LeaseState
from leaseq.lease.slurm.answer import Queue
from leaseq.lease.slurm.job import state_in
from leaseq.lease.slurm.text import Row
from leaseq.models import Lease, Need, State
from leaseq.protocol.submission import command_of
from leaseq.reading.views import TaskView, need_text
from leaseq.words import about, count, filled, joined, memory, per_time, reason_code, visible


@pytest.mark.parametrize(("number", "words"), [(0, "0 tasks"), (1, "1 task"), (2, "2 tasks"), (12400, "12,400 tasks")])
def test_a_count_has_its_noun(number: int, words: str) -> None:
    assert count(number, "task") == words


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert [count(number, "retry", "retries") for number in (1, 2)] == ["1 retry", "2 retries"]


def test_what_a_task_books_is_said_in_words() -> None:
    assert need_text(Need(gpus=1, cpus=1)) == "1 GPU, 1 CPU"
    assert need_text(Need(gpus=-1, mem_mb=1536, time_seconds=90)) == "all GPUs, 1.5G memory, time limit 1:30"
    assert need_text(Need()) == "the whole node, alone"
    assert [memory(amount) for amount in (14, 1024, 81920)] == ["14M", "1.0G", "80G"]


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("Slots", "Slots"),
        ("LeaseTime", "LeaseTime"),
        ("Resources: needs 4 GPUs, the node has 2", "Resources"),
        ("cancelled while pending", "cancelled"),
        ("time limit", "TimeLimit"),
        ("its time limit", "TimeLimit"),
        ("command not found: /no/such/program", "not found"),
        ("/no/such/program: command not found", "not found"),
        ("", ""),
    ],
)
def test_a_reason_has_a_code_for_narrow_tables(reason: str, code: str) -> None:
    assert reason_code(reason) == code


# -- commands ----------------------------------------------------------------------------------------


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12), min_size=1))
def test_a_shell_parts_a_shown_command_into_its_words_again(words: list[str]) -> None:
    assert shlex.split(joined(words)) == words


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab'\"$`\\!*? ~#\n"), max_size=8), min_size=1, max_size=5))
def test_bash_reads_a_shown_command_as_its_words(words: list[str]) -> None:
    printed = subprocess.run(["bash", "-c", f"printf '%s\\0' {joined(words)}"], capture_output=True, check=True).stdout
    assert printed.decode().split("\0")[:-1] == words


def test_a_shown_command_has_the_quotes_that_a_person_would_choose() -> None:
    assert joined(["python3", "-c", "print('done 3')"]) == "python3 -c \"print('done 3')\""
    assert joined(["sh", "-c", 'echo "$HOME"']) == "sh -c 'echo \"$HOME\"'"
    assert joined(["echo", ""]) == "echo ''"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"\xff".decode("utf-8", "surrogateescape"), r"\xff"),
        ("\ufeffx", r"\ufeffx"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\tb\nc\r", r"a b\nc\r"),
        ("\U000e0001", r"\U000e0001"),
        ("\u2764\ufe0f", "\u2764"),
        ("Größe 漢字", "Größe 漢字"),
    ],
)
def test_what_a_terminal_does_not_print_is_shown_as_what_it_is(text: str, shown: str) -> None:
    assert visible(text) == shown


# -- empty words -------------------------------------------------------------------------------------

VALUES = [
    (name, option.name)
    for name in COMMANDS
    for option in command(name).options
    if option.kind != "flag" and not option.blank
]


@pytest.mark.parametrize("value", ["", " "])
@pytest.mark.parametrize(("name", "option"), VALUES)
def test_an_empty_value_is_refused_with_what_the_option_is_for(name: str, option: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        request_of(name, command(name), [f"--{option}={value}"], tail=None)
    assert f"--{option} is empty" in caught.value.message
    assert f"--{option} " in caught.value.hint


@pytest.mark.parametrize("words", [[" "], ["\t"], ["", ""], [" ", ""]])
def test_a_blank_command_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        command_of(words)


# -- durations and leases ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (14383, "3 h 59 min"),
        (86400, "1 d"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_duration_in_prose_keeps_what_matters(seconds: int, words: str) -> None:
    assert about(seconds) == words


def test_a_pending_lease_tells_when_slurm_plans_to_start_it() -> None:
    row = Row(id="7", state="PENDING", reason="Priority", starts="2026-03-01T14:00:00")
    lease = Lease(id="7", kind="slurm", created=1.0)
    state = state_in(Queue({"7": row}, age_seconds=1.0), lease.first, now=1.0, lease_age_seconds=9.0)
    assert state.starts == "2026-03-01T14:00:00"
    shown = Overview(lease, state, (), (), {}, {})
    assert lease_json(shown, chosen=False)["starts"] == "2026-03-01T14:00:00"
    assert "expected 2026-03-01 14:00:00" in cells(shown, now=1.0, chosen=False)[-1]


def test_failures_time_outs_and_losses_are_counted_apart_in_the_list_of_leases() -> None:
    totals = {State.FAILED: 5, State.TIMEOUT: 1}
    shown = Overview(Lease(id="7", kind="local", created=1.0), LeaseState("RUNNING"), (), (), totals, {})
    row = dict(zip([column.title for column in COLUMNS], cells(shown, now=1.0, chosen=False), strict=True))
    assert (row["FAIL"], row["TIMEOUT"], row["LOST"]) == ("5", "1", "")


def test_gpus_that_a_task_has_and_gpus_that_it_needs_look_different() -> None:
    running = TaskView("T1", 1, State.RUNNING, gpus=("0",), need=Need(gpus=1))
    assert gpu_text(running) == "#0"
    assert gpu_text(replace(running, gpus=())) == "1"


@pytest.mark.parametrize(
    ("rate", "words"),
    [(25.0, "25 a second"), (2.5, "2.5 a second"), (0.2, "12 a minute"), (4 / 60, "4 a minute"), (1e-5, "0.9 a day")],
)
def test_a_rate_is_said_in_the_unit_that_suits_it(rate: float, words: str) -> None:
    assert per_time(rate) == words


def test_a_bar_is_full_only_at_the_end() -> None:
    assert [filled(part, 4) for part in (0.0, 0.26, 0.99, 1.0)] == ["░░░░", "█░░░", "███░", "████"]
    assert filled(0.5, 4, ascii=True) == "##.."
