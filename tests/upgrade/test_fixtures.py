"""Directories that version 1 wrote are read, told, and taken over by the code of today."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from leaseq.config import load
from leaseq.errors import Malformed
from leaseq.layout import Home
from leaseq.lease import leases
from leaseq.lease.slurm import answer
from leaseq.models import ANY, Lease, State
from leaseq.protocol import allocs, files, keys, records
from leaseq.protocol.retention import old_tasks
from leaseq.reading.find import detail, find
from leaseq.reading.snapshot import Reader
from leaseq.schema import SCHEMA
from leaseq.world import SystemClock, SystemFs
from tests.e2e.cli import Box
from tests.e2e.harness import Node
from tests.patience import wait_until
from tests.upgrade import make_arrays
from tests.upgrade.make import EPOCH, FS, IDS, LOCAL, make

V1 = Path(__file__).parents[1] / "fixtures/v1"
V1_ARRAYS = V1.with_name("v1_arrays")
STATES = {
    "any": "PENDING",
    "pinned": "PENDING",
    "held": "PENDING",
    "keyed": "PENDING",
    "retried": "PENDING",
    "cancelling": "CANCELLED",
    "done": "DONE",
    "failed": "FAILED",
    "lost": "LOST",
    "booked": "CANCELLED",
}
"""What each task is for every reader; those that are claimed depend on what is known of their runner."""


def copied(target: Path, part: str = "home", *, of: Path = V1) -> Home:
    """A copy of the fixture, private as leaseq leaves it."""
    shutil.copytree(of / part, target, dirs_exist_ok=True)
    for path in (target, *target.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (EPOCH, EPOCH))
    return Home(str(target))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return copied(tmp_path / "home")


def contents(directory: Path) -> dict[str, Any]:
    """Every file by its name, but for the incarnation of a request, which is made up each time."""

    def name_of(path: Path) -> str:
        name = str(path.relative_to(directory))
        return name.rpartition(".")[0] if "/control/" in name else name

    return {name_of(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.skipif(SCHEMA != 1, reason="the directories of schema 1 are made by the version that writes it")
def test_the_fixture_is_what_this_version_writes(tmp_path: Path) -> None:
    make(tmp_path)
    assert contents(tmp_path) == contents(V1)


def test_a_snapshot_tells_every_task_of_the_old_directory(home: Home) -> None:
    snapshot = Reader(home.lease(LOCAL), FS, SystemClock()).read(pending=None)
    rows = {row.id: row.state.name for row in snapshot.tasks}
    assert {name: rows[IDS[name]] for name in STATES} == STATES
    assert rows.keys() == set(IDS.values())
    assert {rows[IDS["ended"]], rows[IDS["rebooted"]]} == {"STUCK"}
    assert snapshot.notes == ()
    assert (snapshot.totals[State.DONE], snapshot.totals[State.FAILED], snapshot.totals[State.LOST]) == (1, 1, 1)


def test_each_task_is_found_and_told_in_full(home: Home) -> None:
    reader = Reader(home.lease(LOCAL), FS, SystemClock())
    for name, task_id in IDS.items():
        (row,) = find(reader, task_id[:5])
        assert row.id == task_id
        task = detail(reader, task_id).task
        assert task is not None
        assert (task.name, task.argv[2]) == (name, f"echo {name} \udcff")
    (outcome,) = detail(reader, IDS["failed"]).outcomes
    assert (outcome.state, outcome.exit_code, outcome.max_rss_mb, outcome.ended) == (State.FAILED, 3, 12.5, EPOCH + 60)


def test_the_files_of_the_home_are_read(home: Home) -> None:
    assert leases.default(FS, home) == "42"
    assert {lease.id for lease in leases.list_leases(FS, home)} == {"41", "42", LOCAL}
    record = records.read(FS, home.lease("42"))
    assert (record.kind, record.name, record.options) == ("slurm", "night", {"gpus": "2"})
    assert allocs.members(FS, home.lease("42")) == ("n1", "n2")
    assert load(home).profiles["gpu"].slurm == ("--partition=gpu", "--time=4:00:00")
    assert answer.read(FS, home).rows["42"].left_seconds == 3000.0
    entry, directory = keys.read_key(FS, home.lease(LOCAL), "k" * 40)
    assert (entry.id, directory) == (IDS["keyed"], home.lease(LOCAL).inbox(ANY))
    old = {each.outcome.task.name for each in old_tasks(FS, home.lease(LOCAL), before=EPOCH + 999, keep_failed=False)}
    assert old == {"done", "failed", "booked"}


def test_the_command_line_tells_and_shows_the_old_directory(box: Box) -> None:
    copied(box.home)
    tasks = box.run("tasks", "--all", "--json", "--lease", LOCAL, code=0).json["tasks"]
    assert {task["id"] for task in tasks} == set(IDS.values())
    said = box.run("info", "--lease", LOCAL, *IDS.values(), code=0)
    assert "Traceback" not in said.err and said.out.count("name:") == len(IDS)
    assert box.run("logs", IDS["done"], "--lease", LOCAL, code=0).out.startswith("done ")
    assert box.run("wait", IDS["failed"], "--lease", LOCAL, code=3)
    assert (
        box.run("status", "--lease", LOCAL, code=0).err
        == "leaseq: 2 tasks are stuck: `leaseq recover` shows the next step\n"
    )


def test_a_runner_of_today_takes_over_and_finishes_what_the_old_one_left(node: Node) -> None:
    copied(Path(node.home))
    Path(node.directory.root).mkdir(parents=True)
    copied(Path(node.directory.root), "node")
    for path in Path(node.directory.root).parents[:3]:
        path.chmod(0o700)
    node.start()
    for name in ("any", "pinned", "keyed"):
        assert node.result(IDS[name]).exit_code == 0
        assert node.out(IDS[name]) == f"{name} ".encode() + b"\xff\n"
    assert node.result(IDS["retried"], 2).exit_code == 0
    ended = node.result(IDS["ended"])
    assert (ended.state, ended.exit_code, ended.started, ended.pid) == (State.FAILED, 7, EPOCH + 70, 77)
    assert node.result(IDS["rebooted"]).state is State.LOST
    assert node.result(IDS["cancelling"]).state is State.CANCELLED
    wait_until(lambda: not node.names(node.lease.booking), "what commands decided in the history", seen=node.everything)
    wait_until(lambda: not node.names(node.lease.control(node.name)), "the old request served")
    wait_until(node.all_done, "nothing pending but what is held", seen=node.everything)
    told = [(line["id"], line["attempt"]) for line in node.history()]
    assert len(told) == len(set(told)) == 12
    assert node.names(node.lease.held(ANY)) != []
    assert [name for name in node.names(node.lease.evidence) if not name.startswith("strange")] == []


def test_fields_of_a_later_version_survive_what_today_s_code_writes_again(home: Home) -> None:
    lease = home.lease("42")
    record = {**json.loads(FS.read(lease.record)), "colour": {"of": "later"}}
    files.replace_file(FS, lease.record, json.dumps(record).encode())
    records.mark_ended(FS, lease, ended=EPOCH, reason="TIMEOUT")
    assert json.loads(FS.read(lease.record))["colour"] == {"of": "later"}
    index = {**json.loads(FS.read(home.index)), "shape": [1]}
    files.replace_file(FS, home.index, json.dumps(index).encode())
    leases.choose(FS, home, "41")
    assert {key: json.loads(FS.read(home.index))[key] for key in ("shape", "default")} == {
        "shape": [1],
        "default": "41",
    }
    assert leases.list_leases(FS, home) and json.loads(FS.read(home.index))["shape"] == [1]


def test_a_record_without_a_version_is_of_the_first(home: Home) -> None:
    body = json.loads(SystemFs(remote=False).read(home.lease("41").record))
    del body["v"]
    assert Lease.from_record(body).end_reason == "TIMEOUT"
    with pytest.raises(Malformed):
        Lease.from_record({**body, "v": 0})


# -- arrays ----------------------------------------------------------------------------------------


@pytest.mark.skipif(SCHEMA != 1, reason="the directories of schema 1 are made by the version that writes it")
def test_the_arrays_are_what_this_version_writes_of_such_whose_chunks_have_no_groups(tmp_path: Path) -> None:
    make_arrays.make(tmp_path)
    assert contents(tmp_path) == contents(V1_ARRAYS)


def test_the_indices_of_the_old_arrays_are_told(box: Box) -> None:
    copied(box.home, of=V1_ARRAYS)

    def states(task_id: str) -> list[str]:
        found = box.run("tasks", task_id, "--values", "--json", "--lease", LOCAL, code=0).json["tasks"]
        return [each["state"] for each in found]

    assert states(make_arrays.OVER) == ["DONE", "FAILED"]
    goes_on = states(make_arrays.GOES_ON)
    assert goes_on[make_arrays.ENDED] == "DONE" and goes_on[make_arrays.BEGUN] in ("STUCK", "UNKNOWN")
    assert [goes_on[each] for each in (make_arrays.GIVEN_BACK, 6, 7)] == ["PENDING"] * 3


def test_a_runner_of_today_ends_the_old_array_and_begins_each_of_its_indices_once(node: Node) -> None:
    """What had begun on a node that was lost, or rebooted, is LOST; all else runs, whatever had become of its chunk."""
    copied(Path(node.home), of=V1_ARRAYS)
    node.start()
    assert node.result(make_arrays.OVER).counts == {"DONE": 1, "FAILED": 1}
    outcome = node.result(make_arrays.GOES_ON)
    assert outcome.counts == {"DONE": make_arrays.COUNT - 2, "LOST": 2}
    runs = set(range(make_arrays.COUNT)) - {make_arrays.ENDED, make_arrays.BEGUN, make_arrays.TAKEN_AWAY}
    for index in range(make_arrays.COUNT):
        log = Path(node.lease.log(f"{make_arrays.GOES_ON}_{index}", 1, "out"))
        assert log.exists() == (index in runs) and (index not in runs or log.read_text() == f"of {index}\n")
    root = node.lease.array(make_arrays.GOES_ON, 1).root
    wait_until(lambda: not any(name[0] in "ce" for name in node.names(root)), "its chunks to be swept together")
