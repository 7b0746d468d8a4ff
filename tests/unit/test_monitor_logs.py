"""Output of tasks: any bytes, any size, and nothing that could act on a terminal."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from leaseq.layout import Home
from leaseq.monitor.model import Want
from leaseq.monitor.reader import LogWatch
from leaseq.protocol import records
from leaseq.reading.logtext import LINE_CHARS_MAX, LogTail, next_style, sanitise
from leaseq.world import SystemClock, SystemFs
from tests.unit import monitor_scenes as situations

FS = SystemFs(remote=False)


def texts(tail: LogTail) -> list[str]:
    return [line.text for line in tail.read()]


def test_colours_pass_and_go_on_into_the_next_line_and_nothing_else_passes() -> None:
    spans, style = sanitise("\x1b[31;1mred\x1b[2J\x1b[0m plain \x1b[38;5;208morange")
    assert spans == (("red", "1;31"), (" plain ", ""), ("orange", "38;5;208"))
    assert sanitise("next", style)[0] == (("next", "38;5;208"),)


@pytest.mark.parametrize(
    ("style", "parameters", "after"),
    [
        ("", "1;31", "1;31"),
        ("1;31", "22", "31"),
        ("1;31;44", "39;49", "1"),
        ("31", "", ""),
        ("", "5", ""),
        ("", "8", ""),
        ("", "38;2;1;2;3", "38;2;1;2;3"),
        ("", "38;2;1;2", ""),
        ("", "38;5;999", ""),
        ("", "48:5:17", "48;5;17"),
        ("38;5;208;48;2;1;2;3", "1", "1;38;5;208;48;2;1;2;3"),
        ("", "97;107", "97;107"),
        ("", "999999999999", ""),
    ],
)
def test_a_style_follows_sequences_of_colours_and_weights_only(style: str, parameters: str, after: str) -> None:
    assert next_style(style, parameters) == after


def test_no_bytes_at_all_become_something_a_terminal_acts_on() -> None:
    source = random.Random(7)
    pieces = [
        b"\x1b",
        b"[",
        b"]",
        b"P",
        b"\x9b",
        b"\x07",
        b"\x1b\\",
        b"2J",
        b"m",
        b";",
        b"31",
        b"\r",
        b"text",
        b"\xe2\x80\xae",
    ]
    for _ in range(3000):
        raw = b"".join(source.choice(pieces) for _ in range(12)) + source.randbytes(3)
        for text, style in sanitise(raw.decode("utf-8", "replace"))[0]:
            assert text.isprintable() and "\ufe0f" not in text, raw
            assert all(part.isdigit() for part in style.split(";") if part), (raw, style)


def test_what_would_hide_or_turn_text_is_not_kept() -> None:
    assert sanitise("a\u202eb\u200bc\x00d") == ((("a\ufffdbcd", ""),), "")
    assert sanitise("a\tb\xa0c") == ((("a       b c", ""),), "")
    assert sanitise("\x1b]52;c;ZXZpbA==\x07safe") == ((("safe", ""),), "")


def test_only_appended_bytes_are_read(tmp_path: Path) -> None:
    class Counted(SystemFs):
        total = 0

        def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
            data, size = super().read_range(path, offset, length)
            self.total += len(data)
            return data, size

    path, fs = tmp_path / "log", Counted(remote=False)
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(500_000)))
    tail = LogTail(fs, str(path), want_bytes=10_000)
    first = texts(tail)
    assert first[-1] == "line 499999" and fs.total <= 10_000 and tail.skipped > 0
    before = fs.total
    with path.open("ab") as file:
        file.write(b"one more\nand a half")
    assert texts(tail) == ["one more"] and fs.total - before == 19
    assert tail.unfinished and tail.unfinished.text == "and a half"
    with path.open("ab") as file:
        file.write(b" done\n")
    assert texts(tail) == ["and a half done"] and tail.unfinished is None


def test_a_progress_bar_is_its_last_state_and_never_grows(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"\r%3d%% |%s|" % (n % 100, b"#" * 50) for n in range(40_000)))
    tail = LogTail(FS, str(path))
    assert texts(tail) == []
    assert tail.unfinished and tail.unfinished.text.startswith(" 99%")
    assert len(tail._open) < 5 * LINE_CHARS_MAX
    with path.open("ab") as file:
        file.write(b"\rdone\n")
    assert texts(tail) == ["done"]


def test_a_file_without_a_line_break_shows_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 3_000_000 + b"END")
    tail = LogTail(FS, str(path))
    assert texts(tail) == [] and tail.unfinished and len(tail.unfinished.text) <= LINE_CHARS_MAX


def test_a_file_that_is_not_there_that_shrinks_or_that_leaps_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = LogTail(FS, str(path))
    assert texts(tail) == [] and tail.missing
    path.write_bytes(b"old one\nold two\n")
    assert texts(tail) == ["old one", "old two"] and not tail.missing
    path.write_bytes(b"new\n")
    assert texts(tail) == ["new"]
    with path.open("ab") as file:
        file.write(b"".join(b"row %d\n" % n for n in range(1_000_000)))
    assert texts(tail)[-1] == "row 999999"
    path.unlink()
    assert texts(tail) == [] and tail.missing


def watch(tmp_path: Path) -> tuple[LogWatch, Path, Path]:
    home = Home(str(tmp_path))
    (tmp_path / "runs").mkdir()
    records.prepare(FS, home.lease("1"))
    lease, task = home.lease("1"), situations.task_id(1)
    made = LogWatch(FS, home, SystemClock())
    return made, Path(lease.log(task, 1, "out")), Path(lease.log(task, 1, "err"))


def test_a_line_keeps_its_number_when_more_is_read_before_it(tmp_path: Path) -> None:
    made, out, _ = watch(tmp_path)
    out.write_bytes(b"".join(b"line %d\n" % n for n in range(5000)))
    want = Want("1", task=situations.task_id(1), attempt=1, log_bytes=1000)
    first = made.read(want)
    more = made.read(Want("1", task=want.task, attempt=1, log_bytes=20_000))
    assert first and more and len(more.lines) > len(first.lines)
    assert {first.first + n: line for n, line in enumerate(first.lines)}.items() <= {
        more.first + n: line for n, line in enumerate(more.lines)
    }.items()
    assert made.read(Want("1", task=want.task, attempt=1, log_bytes=20_000)) is None


def test_both_streams_are_told_apart(tmp_path: Path) -> None:
    made, out, err = watch(tmp_path)
    out.write_bytes(b"to out\n")
    err.write_bytes(b"to err\n")
    log = made.read(Want("1", task=situations.task_id(1), attempt=1, stream="both"))
    assert log and [(line.text, line.stream) for line in log.lines] == [("to out", "out"), ("to err", "err")]


def test_a_task_without_output_says_so(tmp_path: Path) -> None:
    made, out, _ = watch(tmp_path)
    want = Want("1", task=situations.task_id(1), attempt=1)
    log = made.read(want)
    assert log and log.note == "no output yet"
    out.touch()
    log = made.read(want)
    assert log and log.note == "nothing written yet"
