"""The facts of one attempt, as the keeper appended them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leaseq.models import Why
from leaseq.node import record
from leaseq.node.record import Rec

BEGIN = {"e": "begin", "boot": "b", "gpus": ["0"], "limit": 5, "grace": 2.5}
SPAWN = {"e": "spawn", "pid": 7, "start": 9, "t": 100.0, "m": 50.0}
EXIT = {"e": "exit", "status": 256, "t": 103, "elapsed": 2.5, "rss": 10, "cpu": 0.5}


def told(*facts: dict[str, object]) -> Rec:
    return record.parse(b"".join(record.line(fact) for fact in facts))


def test_facts_add_up() -> None:
    rec = told(BEGIN, SPAWN, {"e": "stop", "why": "timeout"}, {"e": "stop", "why": "cancel"}, EXIT)
    assert (rec.boot, rec.gpus, rec.limit_seconds, rec.grace_seconds) == ("b", ("0",), 5.0, 2.5)
    assert (rec.pid, rec.pid_start, rec.started, rec.started_monotonic) == (7, 9, 100.0, 50.0)
    assert rec.stopping is Why.TIMEOUT, "the first reason stands"
    assert (rec.status, rec.ended, rec.elapsed) == (256, 103.0, 2.5)


@pytest.mark.parametrize(
    ("facts", "over"),
    [
        ((), False),
        ((BEGIN,), False),
        ((BEGIN, SPAWN), False),
        ((BEGIN, SPAWN, EXIT), True),
        ((BEGIN, {"e": "fail", "reason": "no", "code": 127, "t": 1.0}), True),
        ((BEGIN, SPAWN, {"e": "gone"}), True),
        (({"e": "void"},), True),
    ],
)
def test_a_record_is_over_once_nothing_more_will_be_known(facts: tuple[dict[str, object], ...], over: bool) -> None:
    assert told(*facts).over is over


def test_torn_and_foreign_lines_are_passed_over() -> None:
    whole = record.line(BEGIN) + b'{"e":"sp\n[]\n{"e":"spawn","pid":"x"}\n{"e":"new"}\n\xff\n' + record.line(SPAWN)
    assert record.parse(whole + b'{"e":"exit","sta') == told(BEGIN, SPAWN)


def test_a_failure_says_whether_it_was_the_tasks_own() -> None:
    fail: dict[str, object] = {"e": "fail", "reason": "r", "code": 1, "t": 1.0}
    assert not told(BEGIN, fail).again
    assert told(BEGIN, {**fail, "again": True}).again


def test_who_creates_a_record_decides_and_nobody_else(tmp_path: Path) -> None:
    path = str(tmp_path / "r")
    assert record.read(path) is None
    fd = record.begin(path, BEGIN)
    assert fd is not None
    assert record.begin(path, {"e": "void"}) is None
    os.close(fd)
    record.append(path, SPAWN)
    assert record.read(path) == told(BEGIN, SPAWN)
    with pytest.raises(FileNotFoundError):
        record.append(str(tmp_path / "gone"), EXIT)


def test_a_record_that_finds_no_room_does_not_exist(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from leaseq.node import record\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))\n"
        "try: record.begin(sys.argv[1], {'e': 'begin', 'boot': 'b' * 40, 'gpus': []})\n"
        "except OSError as error: print(error.errno)"
    )
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "-c", code, str(tmp_path / "r")]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "28"
    assert not (tmp_path / "r").exists()
