"""What is shown on a terminal is never wider than it, whatever stands in it; a pipe gets everything."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from wcwidth import wcswidth

from leaseq.layout import LeaseDir
from leaseq.models import Lease
from leaseq.protocol import records
from leaseq.world import SystemFs
from tests.e2e.cli import Box, on_terminal

COLUMNS = (60, 80, 120)
LONG = "漢字-" * 40
LOOKS = (
    ("tasks",),
    ("status",),
    ("info", "last", "last-1", "last-2", "last-3"),
    ("lease", "ls", "--all"),
    ("lease", "info"),
    ("lease", "info", "4242"),
    ("recover",),
    ("config", "show"),
    ("daemon", "status"),
    ("doctor",),
    ("clean", "--dry-run"),
    ("help",),
    ("submit", "--help"),
    ("logs", "--help"),
)


@pytest.fixture(scope="module")
def full() -> Iterator[Box]:
    """A home with what is hard to show: wide, long and control characters, every kind of end, a lease of Slurm."""
    with TemporaryDirectory(prefix="lq-", ignore_cleanup_errors=True) as path:
        box = Box(Path(path))
        cancelled = box.submit("sleep", "1", options=("--hold", "--name", LONG))
        box.run("cancel", cancelled, code=0)
        ended = [
            box.submit("sh", "-c", f"exit 3 # {LONG}", options=("--name", "tab\tand\x1b[31m")),
            box.submit(f"/no/such/{'program' * 12}"),
            box.submit("printf", "\udcff\n", "x" * 150, options=("--cpus", "1")),
        ]
        box.run("wait", *ended)
        for number in range(3):
            box.submit("python3", "train.py", "--seed", str(number), options=("--hold",))
        stuck = box.submit("sleep", "600", options=("--name", "stuck"))
        box.until(stuck, "RUNNING")
        os.kill(box.runner_pid, signal.SIGKILL)
        box.until(stuck, "STUCK")
        job = box.home / "runs" / "4242"
        job.mkdir(mode=0o700)
        record = Lease(
            id="4242",
            kind="slurm",
            name=f"sweep {LONG}",
            nodes=tuple(f"gpu-cluster-node-{number:04d}" for number in range(40)),
            created=time.time(),
            argv=("--partition=gpu", f"--comment={LONG}"),
        )
        (job / "lease.json").write_bytes(record.to_json())
        yield box
        box.close()


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_no_line_is_wider_than_the_terminal(full: Box, words: tuple[str, ...], columns: int) -> None:
    shown = re.sub("\x1b\\[[0-9;]*m", "", on_terminal(full, *words, columns=columns)).replace("\r\n", "\n")
    lines = [line for line in shown.split("\n") if not line.startswith(("leaseq: ", "  `"))]
    assert any(lines), shown
    assert [line for line in lines if not 0 <= wcswidth(line) <= columns] == []


def test_a_pipe_gets_whole_ids_and_whole_lines(full: Box) -> None:
    shown = full.run("tasks", code=0).out
    ids = full.run("tasks", "--quiet", code=0).out.split()
    assert [task_id for task_id in ids if task_id not in shown] == []
    assert "x" * 150 in shown
    assert max(map(len, full.run("submit", "--help", code=0).out.splitlines())) <= 78


# -- many at once ------------------------------------------------------------------------------------


def lines_of(shown: str) -> list[str]:
    """What is left on the screen: a carriage return begins the line again."""
    shown = re.sub("\x1b\\[[0-9;]*m", "", shown)
    return [line.rstrip("\r").rpartition("\r")[2].strip() for line in shown.replace("\r\r\n", "\r\n").split("\n")]


@pytest.mark.parametrize(
    ("words", "doing", "done"),
    [
        (["hold", "HELD"], "holding", "12 tasks held already"),
        (["release", "HELD"], "releasing", "12 tasks released"),
        (["cancel", "--all"], "cancelling", "12 tasks cancelled"),
        (["cancel", "HELD"], "cancelling", "12 tasks cancelled"),
    ],
    ids=" ".join,
)
def test_many_tasks_get_a_count_that_moves_and_one_sum(box: Box, words: list[str], doing: str, done: str) -> None:
    ids = box.run("submit", "--no-start", "--hold", "--file", "-", input=b"true\n" * 12, code=0).out.split()
    at = words.index("HELD") if "HELD" in words else None
    if at is not None:
        words = [*words[:at], *ids, *words[at + 1 :]]
    shown = on_terminal(box, *words)
    assert f"{doing} 0/12" in shown
    assert [line for line in lines_of(shown) if line] == [f"leaseq: {done}"]


def test_a_file_of_many_tasks_is_counted_and_its_ids_stay_on_stdout(box: Box) -> None:
    (box.work / "tasks").write_text("true\n" * 12)
    words = ["submit", "--no-start", "--file", "tasks"]
    shown = on_terminal(box, *words)
    assert "submitting 0/12" in shown
    ids, end = [line for line in lines_of(shown) if line][:12], [line for line in lines_of(shown) if line][12:]
    assert box.run("tasks", "--quiet", code=0).out.split() == ids
    assert len(end) == 1 and end[0].startswith("leaseq: 12 tasks -> lease local:") and end[0].endswith("starts next")
    said = box.run(*words, code=0)
    assert (len(said.out.split()), said.err) == (12, "")


def test_a_file_that_grew_says_how_many_tasks_are_new(box: Box) -> None:
    words = ["submit", "--no-start", "--key", "sweep", "--file", "tasks"]
    (box.work / "tasks").write_text("".join(f"true {number}\n" for number in range(12)))
    ids = box.run(*words, code=0).out.split()
    (box.work / "tasks").write_text("".join(f"true {number}\n" for number in range(15)))
    lines = [line for line in lines_of(on_terminal(box, *words, columns=120)) if line]
    assert lines[:12] == ids and len(lines) == 17
    assert lines[15] == "leaseq: 12 tasks were submitted before with this key"
    assert lines[16].startswith("leaseq: 3 tasks -> lease local:") and lines[16].endswith("12 ahead")


def test_many_moved_many_recovered_and_many_removed_tasks_are_counted(box: Box) -> None:
    ids = box.run("submit", "--no-start", "--file", "-", input=b"true\n" * 12, code=0).out.split()
    other = box.home / "runs" / "local:elsewhere"
    records.prepare(SystemFs(remote=False), LeaseDir("local:elsewhere", str(other)))
    (other / "lease.json").write_bytes(Lease(id="local:elsewhere", kind="local", created=1.0).to_json())
    here = next(path.name for path in other.parent.iterdir() if path != other)
    shown = on_terminal(box, "move", "--from", "local", "--to", "local:elsewhere", columns=120)
    assert "moving 0/12" in shown
    assert [line for line in lines_of(shown) if line] == [f"leaseq: 12 tasks of lease {here} moved to local:elsewhere"]
    shown = on_terminal(box, "recover", *ids, columns=120)
    lines = [line for line in lines_of(shown) if line]
    assert "queueing 0/12" in shown
    assert lines[-1] == "leaseq: 12 tasks left as they are" and len(lines) < 12
    box.run("cancel", *ids, code=0)
    shown = on_terminal(box, "clean", "--lease", "local:elsewhere", "--older-than", "0")
    assert "removing 0/12" in shown
    assert [line for line in lines_of(shown) if line] == ["removed the results and logs of 12 tasks"]


def test_many_problems_are_told_as_a_few_and_a_number(box: Box) -> None:
    ids = box.run("submit", "--no-start", "--file", "-", input=b"true\n" * 12, code=0).out.split()
    box.run("cancel", *ids[:11], code=0)
    lines = [line for line in lines_of(on_terminal(box, "cancel", *ids)) if line]
    assert lines[-1] == "leaseq: 1 task cancelled, 11 tasks left as they are"
    assert len(lines) == 6 and all("has ended already" in line for line in lines[:-1])


def test_a_program_that_reads_stderr_gets_a_line_for_each_of_many(box: Box) -> None:
    ids = box.run("submit", "--no-start", "--file", "-", input=b"true\n" * 12, code=0).out.split()
    said = box.run("cancel", *ids, code=0)
    assert [line.split()[1] for line in said.err.splitlines()] == ids
    assert said.out == ""


def test_many_reruns_print_their_ids_to_a_program_and_one_sum_to_a_person(box: Box) -> None:
    ids = box.run("submit", "--no-start", "--file", "-", input=b"true\n" * 12, code=0).out.split()
    box.run("cancel", *ids, code=0)
    lines = [line for line in lines_of(on_terminal(box, "redo", "--no-start", *ids)) if line]
    assert lines == ["leaseq: 12 tasks submitted again"]
    assert len(box.run("redo", "--no-start", *ids, code=0).out.split()) == 12
