"""How far a task is, by its own output: real output of real libraries, and output that says nothing of it."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from leaseq import config
from leaseq.errors import UsageError
from leaseq.layout import Home
from leaseq.models import State
from leaseq.reading.progress import mark_of, progress_of, seconds_of
from leaseq.reading.rewritten import ROW_MAX, ROWS_MAX, Rows
from leaseq.reading.tails import WINDOW_BYTES, Tails
from leaseq.reading.views import TaskView, running
from leaseq.world import SystemFs

FIXTURES = Path(__file__).parents[1] / "fixtures"
SAID = {
    "alive-progress.out": "41 % · 0:01 left",
    "alive-progress.tty": "41 % · 0:01 left",
    "click.tty": "60 % · 0:00 left",
    "fastprogress.out": "37 %",
    "fastprogress.tty": "37 %",
    "keras-epochs.out": "35 %",
    "keras-epochs.tty": "35 %",
    "keras.out": "5 %",
    "keras.tty": "5 %",
    "lightning-rich.tty": "6 %",
    "lightning-tqdm.err": "42 % of epoch 3",
    "lightning-tqdm.tty": "42 % of epoch 3",
    "progressbar2.err": "39 % · 0:01 left",
    "progressbar2.tty": "39 % · 0:01 left",
    "pytest.out": "100 %",
    "rich-more-columns.tty": "45 % · 0:02 left",
    "rich-several.tty": "40 % · 0:02 left",
    "rich-track.tty": "61 % · 0:01 left",
    "rich.tty": "43 % · 0:02 left",
    "tqdm-ascii.err": "75 % · 0:00 left",
    "tqdm-ascii.tty": "75 % · 0:00 left",
    "tqdm-bytes.err": "40 % · 0:00 left",
    "tqdm-bytes.tty": "40 % · 0:00 left",
    "tqdm-described.err": "4 % · 0:09 left",
    "tqdm-described.tty": "4 % · 0:10 left",
    "tqdm-nested-long.err": "25 % · 0:01 left",
    "tqdm-nested-long.tty": "25 % · 0:01 left",
    "tqdm-nested.err": "40 % · 0:01 left",
    "tqdm-nested.tty": "40 % · 0:01 left",
    "tqdm-no-total.err": "",
    "tqdm-over.err": "100 % · 0:00 left",
    "tqdm-over.out": "",
    "tqdm-over.tty": "",
    "tqdm-write.err": "55 % · 0:00 left",
    "tqdm-write.out": "",
    "tqdm-write.tty": "55 % · 0:00 left",
    "tqdm.err": "4 % · 0:49 left",
    "tqdm.tty": "4 % · 0:56 left",
}


def said(*outputs: bytes | str, own: str = "", cut: bool = False) -> str:
    """What is known by the outputs of one task, in words."""
    screens = []
    for each in outputs:
        screen = Rows(cut=cut)
        screen.feed(each.encode() if isinstance(each, str) else each)
        screens.append(screen)
    return str(progress_of(screens, re.compile(own) if own else None) or "")


@pytest.mark.parametrize("path", sorted((FIXTURES / "progress").glob("*.[oet][urt][try]")), ids=lambda path: path.name)
def test_progress_is_read_in_what_real_libraries_write(path: Path) -> None:
    assert said(path.read_bytes()) == SAID[path.name]


def test_every_output_of_the_corpus_is_there() -> None:
    assert {path.name for path in (FIXTURES / "progress").iterdir()} - {"README.md", "make.py"} == set(SAID)


NOTHING = sorted((FIXTURES / "no_progress").iterdir())


@pytest.mark.parametrize("path", NOTHING, ids=lambda path: path.name)
def test_no_percentage_is_read_in_output_without_progress(path: Path) -> None:
    assert [row for row in path.read_text().splitlines() if mark_of(row)] == []
    assert said(path.read_bytes()) == ""


def test_twenty_outputs_have_no_progress() -> None:
    assert len(NOTHING) >= 20


@pytest.mark.parametrize(
    "row, words",
    [
        ("epoch 5/50", "10 %"),
        ("step 2050/5005", "40 %"),
        ("step 2,050 of 5,005", "40 %"),
        ("2025-07-15 10:00:01 epoch  5/50  step  2225/5005  loss 0.3", "8 %"),
        ("Epoch [3/50], Step [100/938], Loss: 0.32", "4 %"),
        ("Epoch: [5][ 100/5005]  Time  0.133 ( 0.2)", "1 % of epoch 5"),
        ("Train Epoch: 3 [25600/60000 (43%)]\tLoss: 0.32", "42 % of epoch 3"),
        ("Epoch 3, step 200/1000, loss 43%", "20 % of 1000 steps"),
        ("iter 1000/40000, eta: 1 day, 2:03:04", "2 % · 1-02:03:04 left"),
        ("Progress: 43.5%", "43 %"),
        ("43% complete", "43 %"),
        ("[ 43%] Building CXX object foo.o", "43 %"),
        ("     1,234,567  43%   12.30MB/s    0:00:12", "43 % · 0:12 left"),
        ("foo.tar   43%[======>            ]  12.3M  2.10MB/s    eta 12s", "43 % · 0:12 left"),
        ("   ━━━━━━━━╸━━━━━━ 43.2/120.1 MB 3.2 MB/s eta 0:00:24", "35 % · 0:24 left"),
        ("43/100 [=====>........................] - ETA: 1:02 - loss: 0.3", "43 % of its epoch"),
        ("processed 1,200/5,000 files, 3 min left", "24 % · 3:00 left"),
        ("Epoch 3/50:  43%|████▎     | 43/100 [00:10<00:13, 4.3it/s]", "4 %"),
        ("loss 43%", ""),
        ("step 1/2/2024", ""),
        ("checkpoint epoch-5/50.ckpt, batch/1/2", ""),
        ("step 60/50", ""),
        ("tests 12/50 passed", ""),
    ],
)
def test_a_row_says_how_far_it_is_or_nothing(row: str, words: str) -> None:
    assert said(row) == words


def test_the_last_line_counts() -> None:
    assert said("step 1/100\nstep 2/100\nsaving\nstep 3/100\n") == "3 %"


def test_a_full_bar_under_which_other_words_stand_is_over() -> None:
    full = "loading: 100%|██████████| 60/60 [00:00<00:00]\n"
    assert said(full) == "100 % · 0:00 left"
    assert said(full + "training\n") == ""
    assert said("training\n", full) == ""


def test_a_second_pass_of_the_same_bar_is_not_the_whole() -> None:
    bar = "100%|██████████| 60/60 [00:09<00:00, 6it/s]\n 50%|█████     | 30/60 [00:05<00:05, 6it/s]"
    assert said(bar) == "50 % of this pass"


def test_an_epoch_of_one_output_counts_before_the_bar_of_the_other() -> None:
    assert said("epoch 5/50 loss 43%\n", " 50%|█████     | 30/60 [00:05<00:05, 6it/s]") == "10 %"


def test_an_inner_bar_whose_outer_one_was_not_read_is_a_part() -> None:
    inner = "\n\rbatches:  43%|████▎     | 43/100 [00:10<00:13, 4.3it/s]\x1b[A"
    assert said(inner, cut=True) == "43 % of batches"
    assert said("\repochs:  40%|████      | 2/5 [00:10<00:15]" + inner) == "40 % · 0:15 left"


def test_the_expression_of_the_settings_counts_first() -> None:
    assert said("seen 30 of 40 sequences", own=r"seen (?P<done>\d+) of (?P<total>\d+)") == "75 %"
    assert said("at 12.5 per cent", own=r"at (?P<percent>[\d.]+) per cent") == "12 %"
    assert said("at 300 per cent", own=r"at (?P<percent>[\d.]+) per cent") == ""
    assert said("at ... per cent", own=r"at (?P<percent>[\d.]+) per cent") == ""


@pytest.mark.parametrize(
    "text, problem",
    [
        ("progress: '(?P<done>'", "not a regular expression"),
        ("progress: 'step (\\d+)'", "no group says how far"),
        ("progress: '(?P<done>\\d+)'", "no group says how far"),
        ("progress: [1, 2]", "must be text"),
    ],
)
def test_an_expression_that_says_nothing_is_refused_as_it_is_loaded(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        config.parse(text, path="config.yaml")


def test_the_expression_is_read_from_the_settings(tmp_path: Path) -> None:
    home = Home(str(tmp_path))
    assert config.progress_pattern(home) is None
    Path(home.config).write_text("progress: 'at (?P<percent>\\d+)'\n")
    found = config.progress_pattern(home)
    assert found is not None and found.search("at 12")


def test_durations_are_read_as_programs_write_them() -> None:
    texts = {"1:12": 72, "1 day, 2:03:04": 93784, "1h2m": 3720, "3 min": 180, "12s": 12, "1d 00:01:00": 86460}
    assert {text: seconds_of(text) for text in texts} == texts


def test_output_may_be_written_in_any_pieces() -> None:
    for path in sorted((FIXTURES / "progress").glob("*.tty")):
        screen, data = Rows(), path.read_bytes()
        for at in range(0, len(data), 7):
            screen.feed(data[at : at + 7])
        assert str(progress_of([screen]) or "") == SAID[path.name], path.name


PIECES = [
    *(
        b"\x1b[A",
        b"\x1b[2K",
        b"\x1b[999B",
        b"\x1b[999999999C",
        b"\x1b[1;1H",
        b"\x1b[J",
        b"\x1b[500A",
        b"\x1b[1K",
        b"\x1b[",
    ),
    *(b"\r", b"\n", b"\x08" * 300, b"\x1b]0;x", b"\xff", b"43%|##", b"\x1b[36m", b"epoch 5/50 ", b"x" * 500, b"\x9b2J"),
]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_written_the_rows_are_few_and_short(seed: int) -> None:
    source = random.Random(seed)
    screen = Rows(cut=bool(seed % 2))
    for _ in range(20):
        screen.feed(b"".join(source.choice(PIECES) for _ in range(100)))
        assert len(screen.rows) <= 2 * ROWS_MAX and 0 <= screen.row < len(screen.rows)
        assert max(map(len, screen.rows)) <= 2 * ROW_MAX
        assert not any(c in row for row in screen.rows for c in "\x1b\r\n\x08")


# -- the ends of files -------------------------------------------------------------------------------


class Counting(SystemFs):
    """Counts the bytes that it was asked for and gave."""

    asked = given = 0

    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        self.asked += 1
        data, size = super().read_range(path, offset, length)
        self.given += len(data)
        return data, size


class Running:
    """A running task with output in files."""

    def __init__(self, root: Path) -> None:
        self.fs = Counting(remote=False)
        self.lease = Home(str(root)).lease("local")
        self.task = TaskView("T0123456789a", 1, State.RUNNING)
        self.out, self.err = (Path(self.lease.log(self.task.id, 1, stream)) for stream in ("out", "err"))
        self.out.parent.mkdir(parents=True)
        self.tails = Tails(self.fs, self.lease)

    def look(self) -> str:
        return str(self.tails.look(running([self.task])).get(self.task.id, ""))


@pytest.fixture(name="running")
def running_task(tmp_path: Path) -> Running:
    return Running(tmp_path)


def test_what_has_not_grown_is_not_read_again(running: Running) -> None:
    assert running.look() == ""
    running.err.write_text("step 1/100\n")
    assert running.look() == "1 %"
    given = running.fs.given
    assert running.look() == "1 %"
    assert running.fs.given == given
    with running.err.open("a") as file:
        file.write("step 2/100\n")
    assert running.look() == "2 %"
    assert running.fs.given == given + len("step 2/100\n")


def test_of_a_large_output_only_the_end_is_read(running: Running) -> None:
    running.out.write_text("loss 43%\n" * 100_000 + "step 50/100\n")
    assert running.look() == "50 %"
    assert running.fs.given <= WINDOW_BYTES
    with running.out.open("a") as file:
        file.write("loss 43%\n" * 100_000 + "step 60/100\n")
    assert running.look() == "60 %"
    assert running.fs.given <= 3 * WINDOW_BYTES


def test_more_is_read_once_if_the_end_is_an_inner_bar(running: Running) -> None:
    data = (FIXTURES / "progress" / "tqdm-nested-long.err").read_bytes()
    running.err.write_bytes(data)
    assert running.look() == "25 % · 0:01 left"
    given = running.fs.given
    with running.err.open("ab") as file:
        file.write(b"\n\rbatches:  80%|########  | 320/400 [00:00<00:00, 870it/s]\x1b[A")
    assert running.look() == "25 % · 0:01 left"
    assert running.fs.given - given < 100


def test_an_output_that_was_replaced_is_read_from_its_end(running: Running) -> None:
    running.out.write_text("step 90/100\n" * 10)
    assert running.look() == "90 %"
    running.out.write_text("step 5/100\n")
    assert running.look() == "5 %"


def test_of_tasks_that_do_not_run_nothing_is_read(running: Running) -> None:
    running.out.write_text("step 90/100\n")
    running.task = TaskView(running.task.id, 1, State.DONE)
    assert running.look() == ""
    assert running.fs.asked == 0
