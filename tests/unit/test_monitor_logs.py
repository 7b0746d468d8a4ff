"""Output of tasks: any bytes, any size, and nothing that could act on a terminal."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseq.layout import Home
from leaseq.monitor.data import Log, Seek
from leaseq.monitor.logwatch import HELD_BYTES, LogWatch
from leaseq.monitor.wants import Want
from leaseq.protocol import records
from leaseq.reading.document import Document
from leaseq.reading.logfind import with_words
from leaseq.reading.logtail import decoded
from leaseq.reading.logtext import LINE_CHARS_MAX, next_style, sanitise
from leaseq.reading.output import Log as Output
from leaseq.world import SystemClock, SystemFs
from tests.patience import PATIENCE_SECONDS
from tests.unit import monitor_scenes as situations

FS = SystemFs(remote=False)


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


class Counted(SystemFs):
    """Counts what is read."""

    total = 0

    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        data, size = super().read_range(path, offset, length)
        self.total += len(data)
        return data, size


class Watched:
    """The output of one attempt in a lease directory of its own, and who reads it."""

    def __init__(self, root: Path) -> None:
        home = Home(str(root))
        (root / "runs").mkdir()
        self.fs, self.task = Counted(remote=False), situations.task_id(1)
        records.prepare(self.fs, home.lease("1"))
        self.out, self.err = (Path(home.lease("1").log(self.task, 1, stream)) for stream in ("out", "err"))
        self.watch = LogWatch(self.fs, home, SystemClock())
        self.last = Log()

    def read(self, **want: object) -> Log:
        """What is known after one read more."""
        found = self.watch.read(Want("1", task=self.task, attempt=1, **want))  # type: ignore[arg-type]
        self.last = found or self.last
        return self.last

    def until(self, seek: Seek, **want: object) -> Log:
        """What is known once the search has ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            log = self.read(seek=seek, **want)
            if log.sought and log.sought.seek == seek and log.sought.done and not self.watch.searching:
                return log
        raise AssertionError(f"the search has not ended: {self.last.sought}")


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def texts(log: Log) -> list[str]:
    return [line.text for line in log.lines]


def numbered(count: int, *, first: int = 0) -> bytes:
    return b"".join(b"line %d\n" % n for n in range(first, first + count))


def test_only_appended_bytes_are_read(watched: Watched) -> None:
    watched.out.write_bytes(numbered(500_000))
    log = watched.read()
    assert texts(log)[-1] == "line 499999" and watched.fs.total <= 256 << 10 and log.begin > 0
    before = watched.fs.total
    with watched.out.open("ab") as file:
        file.write(b"one more\nand a half")
    assert texts(watched.read())[-2:] == ["one more", "and a half"] and watched.fs.total - before == 19
    with watched.out.open("ab") as file:
        file.write(b" done\n")
    assert texts(watched.read())[-2:] == ["one more", "and a half done"]
    assert watched.watch.read(Want("1", task=watched.task, attempt=1)) is None


def test_a_progress_bar_is_its_last_state_and_never_grows(watched: Watched) -> None:
    bar = b"".join(b"\r%3d%% |%s|" % (n % 100, b"#" * 50) for n in range(40_000))
    watched.out.write_bytes(bar)
    (line,) = texts(watched.read())
    assert line.startswith(" 99%") and len(line) < 100
    for _ in range(3):
        with watched.out.open("ab") as file:
            file.write(bar)
        assert len(watched.read().lines) == 1
    with watched.out.open("ab") as file:
        file.write(b"\rdone\nnext\n")
    assert texts(watched.read()) == ["done", "next"]


def test_a_file_without_a_line_break_shows_its_end_and_stays_bounded(watched: Watched) -> None:
    watched.out.write_bytes(b"x" * 9_000_000 + b"END")
    log = watched.read()
    assert all(len(line.text) <= LINE_CHARS_MAX for line in log.lines) and watched.fs.total < 6 << 20
    watched.out.write_bytes(b"\n" * 3_000_000)
    assert len(watched.read().lines) <= 40_000


def test_a_file_that_is_not_there_that_shrinks_or_that_leaps_is_no_error(watched: Watched) -> None:
    assert watched.read().lines == ()
    watched.out.write_bytes(b"old one\nold two\n")
    assert texts(watched.read()) == ["old one", "old two"]
    watched.out.write_bytes(b"new\n")
    assert texts(watched.read()) == ["new"]
    with watched.out.open("ab") as file:
        file.write(numbered(1_000_000))
    assert texts(watched.read())[-1] == "line 999999"
    watched.out.unlink()
    watched.read()
    assert watched.read().note == "no output yet"


def test_the_top_of_an_output_of_any_size_is_its_first_line(watched: Watched) -> None:
    watched.out.write_bytes(numbered(600_000))
    watched.read()
    before = watched.fs.total
    log = watched.read(log_top=0)
    assert texts(log)[0] == "line 0" and log.begin == 0 and not log.live
    assert watched.fs.total - before < 1 << 20, "the top is read, not all that stands before the end"
    assert texts(watched.read())[-1] == "line 599999"


def test_going_up_step_by_step_passes_every_line(watched: Watched) -> None:
    watched.out.write_bytes(numbered(120_000))
    log, seen = watched.read(), set[int]()
    for top in range(log.whole, -1, -(16 << 10)):
        log = watched.read(log_top=top // (16 << 10) * (16 << 10))
        assert log.begin <= max(0, top - (16 << 10)), "the lines above the top are read before it gets there"
        seen |= {line.at for line in log.lines}
    assert len(seen) == 120_000


def test_a_line_keeps_its_offset_wherever_it_is_read_from(watched: Watched) -> None:
    watched.out.write_bytes(b"".join(b"%s %d\n" % (b"x" * (n % 300), n) for n in range(30_000)))
    found: dict[int, str] = {}
    size = watched.read().whole
    for top in (None, 0, size // 3, size // 2, size - 40_000, 200_000):
        for line in watched.read(log_top=top).lines:
            assert found.setdefault(line.at, line.text) == line.text
    assert len(found) > 1500


def test_what_is_held_has_a_bound_however_much_comes(watched: Watched) -> None:
    watched.out.write_bytes(numbered(10))
    for round in range(30):
        with watched.out.open("ab") as file:
            file.write(numbered(10_000, first=10 + 10_000 * round))
        log = watched.read()
        assert log.end - log.begin <= HELD_BYTES + (256 << 10) and texts(log)[-1] == f"line {10_009 + 10_000 * round}"
    paused = watched.read(log_top=log.begin + 100_000 // (16 << 10) * (16 << 10))
    for _ in range(30):
        with watched.out.open("ab") as file:
            file.write(numbered(10_000))
        paused = watched.read(log_top=log.begin + 100_000 // (16 << 10) * (16 << 10))
    assert paused.end - paused.begin <= HELD_BYTES + (256 << 10) and not paused.live


@pytest.mark.parametrize(("failed", "order"), [(False, ["err", "out"]), (True, ["out", "err"])])
def test_both_streams_stand_apart_at_first_and_then_as_they_come(
    watched: Watched, failed: bool, order: list[str]
) -> None:
    watched.out.write_bytes(b"to out\n")
    watched.err.write_bytes(b"to err\n")
    log = watched.read(failed=failed)
    assert [line.stream for line in log.lines] == order and log.parts == (log.lines[1].at,)
    assert [line.came for line in log.lines] == [0, 0]
    for path, text in ((watched.err, b"e1\n"), (watched.out, b"o1\n"), (watched.err, b"e2\n")):
        with path.open("ab") as file:
            file.write(text)
        log = watched.read(failed=failed)
    assert texts(log)[2:] == ["e1", "o1", "e2"]
    assert all(time.time() - 60 < line.came <= time.time() for line in log.lines[2:])
    assert watched.read(failed=failed, log_top=0).lines == log.lines


def test_a_task_without_output_says_so(watched: Watched) -> None:
    assert watched.read().note == "no output yet"
    watched.out.touch()
    assert watched.read().note == "nothing written yet"


# -- searches ----------------------------------------------------------------------------------------


def line_at(watched: Watched, at: int | None) -> str:
    assert at is not None
    return watched.out.read_bytes()[at:].split(b"\n", 1)[0].decode()


def test_a_search_goes_through_the_whole_file_to_the_first_line(watched: Watched) -> None:
    watched.out.write_bytes(b"the needle\n" + numbered(400_000) + b"end\n")
    assert "needle" not in " ".join(texts(watched.read()))
    log = watched.until(Seek(watched.out.stat().st_size, text="NEEDLE"), find="NEEDLE")
    assert log.sought and log.sought.at == 0 and not log.sought.wrapped
    assert log.index.offsets == (0,) and log.index.begin == 0
    absent = watched.until(Seek(watched.out.stat().st_size, text="nowhere"), find="nowhere")
    assert absent.sought and absent.sought.at is None


def test_a_search_goes_on_where_counting_stops(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaseq.monitor.searches.COUNTED_BYTES", 1 << 20)
    watched.out.write_bytes(b"needle one\n" + numbered(300_000) + b"needle two\n" + numbered(300_000))
    size = watched.out.stat().st_size
    log = watched.until(Seek(size, text="needle"), find="needle")
    assert log.sought and line_at(watched, log.sought.at) == "needle two" and log.index.begin > 0
    assert log.sought.at is not None
    first = watched.until(Seek(log.sought.at, text="needle"), find="needle")
    assert first.sought and line_at(watched, first.sought.at) == "needle one" and first.sought.come > 0
    around = watched.until(Seek(0, text="needle"), find="needle")
    assert around.sought and line_at(watched, around.sought.at) == "needle two" and around.sought.wrapped
    down = watched.until(Seek(5, back=False, text="needle"), find="needle")
    assert down.sought and line_at(watched, down.sought.at) == "needle two"
    top = watched.until(Seek(log.sought.at, back=False, text="needle"), find="needle")
    assert top.sought and line_at(watched, top.sought.at) == "needle one" and top.sought.wrapped


def test_lines_that_come_while_it_is_searched_are_counted(watched: Watched) -> None:
    watched.out.write_bytes(b"a needle\n")
    watched.read(find="needle")
    with watched.out.open("ab") as file:
        file.write(b"hay\nanother needle\n")
    assert watched.read(find="needle").index.offsets == (0, 13)


def test_errors_are_found_through_the_whole_file(watched: Watched) -> None:
    watched.out.write_bytes(numbered(1000) + b"RuntimeError: no\n" + numbered(200_000))
    log = watched.until(Seek(watched.out.stat().st_size))
    assert log.sought and line_at(watched, log.sought.at) == "RuntimeError: no"


PIECES = st.sampled_from(
    [b"a", b"b", b"ab", b"\x1b[31m", b"\r", b"\t", b" ", b"\xc3\xa4", b"\xff", b"\x00", b"A", b"\x1b]0;x\x07"]
)


@given(
    st.lists(st.lists(PIECES, max_size=6).map(b"".join), max_size=12), st.sampled_from(["a", "ab", "b a", "ä", "a b"])
)
def test_a_block_holds_the_words_if_one_of_its_lines_shows_them(rows: list[bytes], words: str) -> None:
    data, expected, at = b"\n".join(rows) + b"\n", [], 0
    for row in rows:
        shown = "".join(text for text, _ in sanitise(decoded(row))[0])
        expected += [at] if row and words in shown.lower() else []
        at += len(row) + 1
    assert with_words(words)(data, 0) == expected


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=20), st.integers(0, 900))
def test_a_text_of_two_streams_is_the_same_wherever_it_is_read_from(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[bool, bytes]], begin: int
) -> None:
    root = tmp_path_factory.mktemp("text")
    paths = [root / "out", root / "err"]
    made = Document([(path.name, Output(FS, str(path))) for path in paths])
    for first, data in writes:
        with paths[not first].open("ab") as file:
            file.write(data)
        made.look()
    whole = made.piece(0, 1 << 20)
    for place, path in enumerate(paths):
        lines = b"".join(raw.data + b"\n" for raw in whole.raws if raw.stream == place)
        assert lines == (path.read_bytes()[: len(lines)] if path.exists() else b"")
        assert b"\n" not in (path.read_bytes()[len(lines) :] if path.exists() else b"")
    known = {raw.at: raw for raw in whole.raws}
    assert all(known[raw.at] == raw for raw in made.piece(begin, 100).raws)
    back = list(made.blocks_before(made.size))
    assert b"".join(data for _, _, data in reversed(back)) == b"".join(d for _, _, d in made.blocks(0, made.size))
