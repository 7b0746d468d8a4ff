"""The files of a Python call: read as they were written, or refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseq import payload
from leaseq.callee import python_version
from leaseq.installation import main_file
from leaseq.layout import LeaseDir
from leaseq.payload import Failure, Strange
from leaseq.protocol import calls, files, records, retention, tasks
from leaseq.protocol.tasks import decide
from tests.build import make_entry, make_task
from tests.memoryfs import Disk, MemoryFs

words = st.text(max_size=20)


@given(words, st.lists(words, max_size=3), st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.booleans())
def test_a_call_is_read_as_it_was_written(name: str, path: list[str], blobs: list[bytes], mapped: bool) -> None:
    import io

    file = io.BytesIO(payload.call_bytes(name, path, "3.11", blobs, mapped=mapped))
    head = payload.read_head(file)
    assert (head.name, head.path, head.python, head.mapped) == (name, tuple(path), "3.11", mapped)
    assert [payload.blob(file, head, number) for number in range(len(blobs))] == blobs
    for number in (-1, len(blobs)):
        with pytest.raises(Strange):
            payload.blob(file, head, number)


@pytest.mark.parametrize("data", [b"", b"{}\n", b"[]\n", b'{"v":1}\n', b"\x80\n", b'{"v":2,"python":"3"}\n'])
def test_what_is_no_call_is_said_to_be_none(data: bytes) -> None:
    import io

    with pytest.raises(Strange):
        payload.read_head(io.BytesIO(data))


def test_a_call_that_is_cut_short_is_said_to_be() -> None:
    import io

    file = io.BytesIO(payload.call_bytes("f", [], "3.11", [b"abc", b"def"], mapped=False)[:-1])
    head = payload.read_head(file)
    with pytest.raises(Strange, match="too early"):
        payload.blob(file, head, 1)


def written(tmp_path: Path, values: list[Any]) -> list[Any]:
    path = str(tmp_path / "r")
    payload.write_result(path, iter(values), str(tmp_path / ".r"))
    with payload.open_own(path) as file:
        return list(payload.records_of(file))


def test_a_result_holds_each_value_in_its_place_and_says_which_cannot_be_pickled(tmp_path: Path) -> None:
    failure = Failure(None, "Odd", "so", "text")
    one, none, two, lock, last = written(tmp_path, [1, None, failure, threading.Lock(), b"x" * 100_000])
    assert (one, none, two, last) == (1, None, failure, b"x" * 100_000)
    assert isinstance(lock, Failure) and "which cannot be pickled" in lock.message and "gave a lock" in lock.message
    assert isinstance(pickle.loads(lock.pickled or b""), pickle.PicklingError)
    assert os.listdir(tmp_path) == ["r"]


def test_a_file_of_another_kind_or_that_others_may_write_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for mode in (0o620, 0o602):
        (tmp_path / "file").chmod(mode)
        with pytest.raises(Strange):
            payload.open_own(str(tmp_path / "file"))
    for name in ("directory", "pipe"):
        with pytest.raises(Strange):
            payload.open_own(str(tmp_path / name))
    with pytest.raises(OSError):
        payload.open_own(str(tmp_path / "link"))


def called(directory: Path, **env: str) -> subprocess.CompletedProcess[str]:
    marks = {"LEASEQ_TASK_ID": "T00000000000", "LEASEQ_ATTEMPT": "1"}
    words = [sys.executable, main_file(), calls.VERB, str(directory), "f"]
    return subprocess.run(words, env={**os.environ, **marks, **env}, capture_output=True, text=True, timeout=60)


def put(directory: Path, function: object, *blocks: object, python: str = "", mapped: bool = False) -> None:
    blobs = [pickle.dumps(each) for each in (function, *blocks)]
    data = payload.call_bytes("f", sys.path, python or python_version(), blobs, mapped=mapped)
    (directory / "call").write_bytes(data)
    (directory / "call").chmod(0o600)


def test_a_task_makes_its_call_and_each_index_its_own_block(tmp_path: Path) -> None:
    put(tmp_path, pow, [((2, 3), {})], [((2, 4), {}), ((0, -1), {}), ((2, 5), {})], mapped=True)
    done = called(tmp_path, LEASEQ_TASK_ID="T00000000000_1", LEASEQ_ARRAY_INDEX="1")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    with payload.open_own(str(tmp_path / "T00000000000_1.1.result")) as file:
        first, second, third = payload.records_of(file)
    assert (first, second.name, third) == (16, "ZeroDivisionError", 32)


@pytest.mark.parametrize("what", ["gone", "other python", "others may write", "no call"])
def test_a_call_that_cannot_be_made_says_why_and_leaves_no_result(tmp_path: Path, what: str) -> None:
    put(tmp_path, pow, [((2, 3), {})], python="2.7" if what == "other python" else "")
    if what == "gone":
        (tmp_path / "call").unlink()
    elif what == "others may write":
        (tmp_path / "call").chmod(0o666)
    elif what == "no call":
        (tmp_path / "call").write_bytes(b"#!/bin/sh\n")
    done = called(tmp_path)
    said = {"gone": "the call is gone", "other python": "Python 2.7 made this call"}
    said |= {"others may write": "not a file of yours alone", "no call": "not a call"}
    assert done.returncode == 1 and done.stderr.startswith("leaseq: ") and said[what] in done.stderr
    assert not list(tmp_path.glob("*.result"))


# -- what clean knows of them ------------------------------------------------------------------------------------------


def lease(fs: MemoryFs, lease_id: str) -> LeaseDir:
    made = LeaseDir(lease_id, f"/runs/{lease_id}")
    records.prepare(fs, made)
    return made


def test_the_call_of_a_task_that_was_moved_goes_with_its_results_there() -> None:
    fs = MemoryFs(Disk("/runs"))
    here, there = lease(fs, "1"), lease(fs, "2")
    entry = make_entry()
    directory = calls.put(fs, here, entry.id, b"call")
    task = make_task(entry.id, argv=calls.command("python3", directory, "f"))
    assert calls.directory_in(task.argv) == directory
    assert calls.elsewhere(there, task) == here.results(entry.id)
    assert calls.elsewhere(here, task) == ""
    decide(fs, there, tasks.cancelled(task, entry))
    (old,) = retention.old_tasks(fs, there, before=1e12, keep_failed=False)
    retention.remove(fs, there, old)
    with pytest.raises(FileNotFoundError):
        fs.read(f"{directory}/call")


@pytest.mark.parametrize("path", ["/etc", "/runs/1/results/a/../../..", "/runs/1/results/0/T00000000001/.leaseq"])
def test_a_command_that_names_another_directory_has_nothing_removed_there(path: str) -> None:
    task = make_task("T00000000000", argv=("python3", "/x/__main__.py", calls.VERB, path))
    assert calls.elsewhere(LeaseDir("2", "/runs/2"), task) == ""


def test_the_call_of_a_task_that_was_never_queued_goes_after_a_day_and_no_other() -> None:
    disk = Disk("/runs")
    fs = MemoryFs(disk)
    here, there = lease(fs, "1"), lease(fs, "2")
    pending, moved, ended, stray = (make_entry() for _ in range(4))
    paths = {entry.id: f"{calls.put(fs, here, entry.id, b'call')}/call" for entry in (pending, moved, ended, stray)}
    tasks.publish(fs, here.inbox("_any"), pending, make_task(pending.id))
    tasks.publish(fs, there.inbox("_any"), moved, make_task(moved.id))
    decide(fs, there, tasks.cancelled(make_task(ended.id), ended))
    assert not set(retention.leftovers(fs, here)) & set(paths.values())
    disk.seconds += retention.LEFTOVER_SECONDS + 1
    assert set(retention.leftovers(fs, here)) & set(paths.values()) == {paths[stray.id]}
    files.discard(fs, paths[stray.id])
