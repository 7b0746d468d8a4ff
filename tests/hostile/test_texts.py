"""Texts from elsewhere: what Slurm prints, what settings, templates and command lines hold, what tasks write."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leaseq import config
from leaseq.cli.line import HelpAsked, request_of
from leaseq.cli.main import main, split
from leaseq.cli.table import command, command_words
from leaseq.commands import COMMANDS
from leaseq.errors import UsageError
from leaseq.hostlist import HOSTS_MAX, expand_hosts
from leaseq.layout import Home
from leaseq.lease.slurm import args, render, sbatch
from leaseq.lease.slurm.job import nodes_of
from leaseq.lease.slurm.text import FIELDS, SEPARATOR, parse_duration, parse_job_id, parse_rows
from leaseq.names import is_node
from leaseq.node.gpus import parse as parse_gpus
from leaseq.protocol.submission import commands_in
from leaseq.reading.document import Document, lines_of
from leaseq.reading.logtail import Folder, folded
from leaseq.reading.logtext import Harmless, sanitise
from leaseq.reading.output import Log
from leaseq.words import visible
from leaseq.world import SystemFs
from tests.hostile.words import arguments, pieces, words

BANNERS = st.sampled_from(
    [
        "*** Wartung am Montag, 12:00 ***",
        "slurm_load_jobs error: Socket timed out on send/recv operation",
        "\x1b[31mWelcome\x1b[0m",
        "12345",
        "12|RUNNING|",
        "JOBID PARTITION NAME",
        "",
    ]
)


# -- Slurm -----------------------------------------------------------------------------------------

hosts = st.sampled_from(
    ["n", "[", "]", ",", "-", "1", "0001-99999", "[1-3]", "[[1]]", "99999999999", "²", "..", "/", "x" * 90]
)


@given(st.lists(hosts, max_size=12).map("".join) | words)
@example("n" + "[1]" * 2000)
@example("n[1-99999][1-99999][5-3]")
@example("[1-99999]" * 50)
@example("n[" + "9" * 5000 + "]")
@example("n[0001-99999]")
@example("../../etc/passwd")
def test_a_host_list_is_names_of_nodes_or_a_value_error_and_never_long(folded_hosts: str) -> None:
    try:
        names = expand_hosts(folded_hosts)
    except ValueError as error:
        assert str(error)
    else:
        assert len(names) <= HOSTS_MAX and all(map(is_node, names))


def test_a_wide_host_list_is_unfolded_whole() -> None:
    names = expand_hosts("n[0001-99999]")
    assert (len(names), names[0], names[-1]) == (99_999, "n0001", "n99999")


fields = words | st.sampled_from(
    ["12", "RUNNING", "1-02:03:04", "UNLIMITED", "N/A", "n[1-3]", "(null)", "2026-11-24T00:52:32"]
)


@given(
    st.lists(st.lists(fields, min_size=11, max_size=15).map(SEPARATOR.join) | BANNERS | words, max_size=4).map(
        "\n".join
    )
)
def test_any_answer_of_squeue_is_rows_with_an_id_and_a_state_each(text: str) -> None:
    for row in parse_rows(text):
        assert row.id.isascii() and row.id[0].isdigit()
        assert type(row).from_json(row.to_json()) == row
        assert all(map(is_node, nodes_of(row)))


@given(st.integers(0, 300), st.lists(BANNERS, max_size=3))
def test_a_line_that_was_cut_is_no_job_and_the_others_are(length: int, banners: list[str]) -> None:
    whole = SEPARATOR.join(
        ["12", "RUNNING", "1:00", "2:00", "N/A", "N/A", "1", "p", "1", "n1", "None", "u", "/s.sh", "(null)", "name"]
    )
    assert len(FIELDS) == whole.count(SEPARATOR) + 1
    cut = whole[:length]
    rows = parse_rows("\n".join([*banners, cut, whole]))
    assert [row.id for row in rows if row.script == "/s.sh" and row.name == "name"][-1:] == ["12"]
    assert len(rows) == 1 + (cut.count(SEPARATOR) + 1 == len(FIELDS))


@given(words | st.from_regex(r"[0-9]{1,20}(-[0-9]{1,9})?(:[0-9]{1,20}){0,3}"))
def test_a_duration_and_a_job_id_are_known_or_not(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is None or 0 <= seconds < 1e18
    found = parse_job_id(f"{text}\n")
    assert found is None or (found[0].isascii() and found[0].isdigit())


@given(
    st.lists(
        arguments | st.sampled_from(["-p", "--partition=gpu", "--array=1-3", "-N2", "--", "-Q", "--time"]), max_size=6
    )
)
def test_any_slurm_options_are_understood_or_refused_with_a_hint(tokens: list[str]) -> None:
    try:
        checked = args.check(tokens)
    except UsageError as error:
        assert error.message and error.hint
    else:
        assert all(isinstance(value, str) for value in checked.options.values())
        sbatch.signal_of(checked.options.get("signal", ""))


@given(st.lists(words | st.just("0, GPU-1, a card, 1, 2, 3, 4"), max_size=4).map("\n".join))
def test_any_answer_of_nvidia_smi_is_gpus_that_a_heartbeat_can_hold(text: str) -> None:
    for use in parse_gpus(text):
        assert type(use).from_json(use.to_json()) == use


# -- settings and templates ------------------------------------------------------------------------

scalars = words | st.sampled_from(
    ["30", "USR1", "echo hello", "-p gpu", "'", '"\\UFFFFFFFF"', '"\\uD800"', '"\\0"', "*a", "&a x"]
)
keys = (
    st.sampled_from(["slurm_poll_seconds", "warning_seconds", "warning_signal", "prologue", "profiles", "<<"]) | scalars
)
nested = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(keys, inner, max_size=3).map(
            lambda items: f"{{{', '.join(f'{k}: {v}' for k, v in items.items())}}}"
        )
    ),
    max_leaves=5,
)
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(9))}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
)


@given(
    st.dictionaries(keys, nested, max_size=4).map(lambda body: "".join(f"{k}: {v}\n" for k, v in body.items())) | nested
)
@example(BOMB + "profiles: *k\n")
@example("slurm_poll_seconds: ²\n")
@example("slurm_poll_seconds: " + "9" * 5000 + "\n")
@example('prologue: "\\UFFFFFFFF"\n')
@example('prologue: "\\uD800"\n')
@example('profiles: {x: {slurm: {"a\\0b": c}}}\n')
@example("a: " + "[" * 3000 + "\n")
def test_any_settings_are_values_that_a_script_can_hold_or_a_usage_error(text: str) -> None:
    try:
        found = config.parse(text, path="c")
    except UsageError as error:
        assert error.message and len(error.message) < 2000
        return
    for word in (found.prologue, *(token for profile in found.profiles.values() for token in profile.slurm)):
        assert "\0" not in word
        word.encode()


def test_a_list_that_holds_itself_a_billion_times_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="must be `key: value` lines, not a list"):
        config.parse(
            "- &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"- &{b} [{', '.join(f'*{a}' for _ in range(9))}]\n"
                for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
            ),
            path="c",
        )


@given(
    text=st.lists(
        st.sampled_from(
            [
                "@leaseq{ home | sh }",
                "@leaseq{",
                "}",
                "@leaseq[ for x in ",
                "]@",
                "#leaseq if x",
                "\n",
                "home",
                "''.__class__",
                "1/0",
                "$(",
            ]
        )
        | pieces,
        max_size=6,
    ).map("".join)
)
def test_any_template_makes_a_script_that_bash_reads_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile.sh.j2"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    home = Home(str(tmp_path_factory.getbasetemp()))
    try:
        script = render.render(home, {"home": "/h", "x": [1]}, template=str(path))
    except UsageError as error:
        assert error.message
    else:
        assert subprocess.run(["bash", "-n"], input=script.encode("utf-8", "surrogateescape")).returncode == 0


@given(st.lists(arguments, min_size=1, max_size=4))
def test_what_a_lease_script_is_given_is_words_and_nothing_of_it_is_run(values: list[str]) -> None:
    line = f"printf '%s\\0' {render.quote(values)}"
    said = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    assert said == b"".join(os.fsencode(value) + b"\0" for value in values)


# -- command lines ---------------------------------------------------------------------------------

options = st.sampled_from(sorted({f"--{option.name}" for name in COMMANDS for option in command(name).options}))
line_words = (
    arguments
    | options
    | st.builds("{}={}".format, options, arguments)
    | st.sampled_from(["--", "-", "-h", "--help", "last", "local"])
)
lines = st.builds(
    lambda name, rest: [*name.split(), *rest], st.sampled_from(sorted(COMMANDS)), st.lists(line_words, max_size=5)
)


@given(lines | st.lists(line_words, max_size=4))
@example(["submit", "--time", "9" * 400 + "w", "--", "true"])
@example(["submit", "--mem", "9" * 400, "--", "true"])
@example(["cancel", "x", "--signal", "²"])
@example(["submit", "--priority", "9" * 5000, "--", "true"])
def test_any_words_are_a_request_or_a_usage_error(argv: list[str]) -> None:
    head, tail = split(argv)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            name, rest = command_words(head)
            if not name.startswith("help "):
                assert hasattr(request_of(name, command(name), rest, tail=tail), "perform")
        except HelpAsked:
            return
        except UsageError as error:
            assert error.message


HARMLESS = [
    "status",
    "tasks",
    "info",
    "logs",
    "wait",
    "cancel",
    "hold",
    "release",
    "recover",
    "redo",
    "move",
    "clean",
    "config",
    "lease ls",
    "lease info",
    "lease use",
    "follow",
    "daemon status",
]
"""Commands that start nothing and wait for nobody if nothing was ever submitted."""


@given(
    st.builds(lambda name, rest: [*name.split(), *rest], st.sampled_from(HARMLESS), st.lists(line_words, max_size=4))
)
def test_any_words_end_with_an_exit_code_of_ours_and_create_nothing_outside(
    tmp_path_factory: pytest.TempPathFactory, argv: list[str]
) -> None:
    """The whole command line, on a home that does not exist: never a traceback, never exit code 70, nothing made."""
    if "--help" in argv or "-h" in argv:
        return
    base = tmp_path_factory.getbasetemp() / "argv"
    base.mkdir(exist_ok=True)
    before, umask = dict(os.environ), os.umask(0o077)
    os.environ.update(LEASEQ_HOME=str(base / "h"), LEASEQ_NODE_DIR=str(base / "n"), TMPDIR=str(base))
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(argv)
    finally:
        os.umask(umask)
        os.environ.clear()
        os.environ.update(before)
    said = err.getvalue()
    assert code in (0, 1, 2, 75, 124), (code, said)
    assert "Traceback" not in said and "a bug" not in said
    assert all(line.isprintable() for line in said.split("\n")), said
    assert sorted(os.listdir(base)) in ([], ["h"])
    shutil.rmtree(base / "h", ignore_errors=True)
    assert not os.path.exists("/tmp/leaseq-hostile")


@given(st.lists(words, max_size=5).map("\n".join))
def test_a_file_of_any_lines_is_its_commands(text: str) -> None:
    for line in commands_in(text):
        assert line.strip() and "\n" not in line


# -- what tasks write ------------------------------------------------------------------------------

controls = st.sampled_from(
    [
        b"\x1b",
        b"\x1b[",
        b"\x1b]",
        b"\x1bP",
        b"\x9b",
        b"\xc2\x9b",
        b"\x07",
        b"\x1b\\",
        b"2J",
        b"6n",
        b"m",
        b";",
        b"31",
        b"9" * 4400,
        b"\r",
        b"\n",
        b"\b",
        b"\t",
        b"\xe2\x80\xae",
        b"\xef\xb8\x8f",
        b"text",
    ]
)
output = st.lists(controls | st.binary(max_size=4), max_size=14).map(b"".join)


@given(output)
@example(b"\x1b[" + b"9" * 5000 + b"m" + b"x")
@example(b"\x1b[38;5;" + b"9" * 5000 + b"mx")
def test_no_output_of_a_task_reaches_the_monitors_screen_as_a_sequence(raw: bytes) -> None:
    for text, style in sanitise(raw.decode("utf-8", "replace"))[0]:
        assert text.isprintable() and "\ufe0f" not in text
        assert all(part.isdigit() and int(part) < 256 for part in style.split(";") if part)
    assert visible(raw.decode("utf-8", "surrogateescape")).isprintable()


@given(st.lists(output, max_size=4))
def test_a_growing_log_of_any_bytes_is_lines_without_controls(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "log"
    path.write_bytes(b"")
    text = Document([("out", Log(SystemFs(remote=False), str(path)))])
    for part in parts:
        with open(path, "ab") as file:
            file.write(part)
        text.look()
        shown = [*lines_of(text, text.piece(0, 1 << 20), {}), *text.unfinished()]
        assert all(line.text.isprintable() for line in shown)


@given(st.lists(output, max_size=5))
@example([b"\x1b]52;c;aGk=\x07x\x1b[2Ky\x1b[1Az"])
@example([b"\x1b]0;ti", b"tle\x07x\x1b[3", b"1mred\x1b", b"[0m\xc2", b"\x9b2J"])
def test_a_terminal_gets_text_colours_and_moves_within_a_line_in_any_pieces(parts: list[bytes]) -> None:
    apart, whole = Harmless(), Harmless()
    shown = b"".join(map(apart.feed, parts)) + apart.feed(b"", final=True)
    left = re.sub(r"\x1b\[[0-9;:]*[mCDGK]", "", shown.decode())
    assert all(letter in "\n\r\t\b" or (letter >= " " and not "\x7f" <= letter < "\xa0") for letter in left), shown
    if sum(map(len, parts)) < 4000:
        assert shown == whole.feed(b"".join(parts), final=True)


@given(st.lists(output, max_size=4))
def test_folding_gives_the_same_in_any_pieces(parts: list[bytes]) -> None:
    folder = Folder()
    pieces_of = b"".join(map(folder.feed, parts)) + folder.end()
    whole = b"".join(parts)
    assert pieces_of == b"\n".join(folded(line) for line in whole.split(b"\n"))
