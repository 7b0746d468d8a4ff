"""An id is found in whichever lease has it, a lease by every word for it, and what was cleaned up is remembered."""

from __future__ import annotations

import time

import pytest

from leaseq.layout import Home
from leaseq.models import Lease
from leaseq.protocol import files, records
from leaseq.world import SystemFs
from tests.e2e.cli import Box

FS = SystemFs(remote=False)


def make_lease(box: Box, lease_id: str, *, name: str = "", ended: float | None = None, age: float = 0.0) -> None:
    """The box has another lease of that id, which no runner serves."""
    box.home.mkdir(mode=0o700, exist_ok=True)
    (box.home / "runs").mkdir(mode=0o700, exist_ok=True)
    directory = Home(str(box.home)).lease(lease_id)
    records.prepare(FS, directory)
    record = Lease(
        id=lease_id,
        kind="local",
        created=time.time() - age,
        user="me",
        host="far",
        name=name,
        nodes=("far",),
        ended=ended,
        end_reason="TIMEOUT" if ended else "",
    )
    files.replace_file(FS, directory.record, record.to_json())


def queued(box: Box, lease: str, *words: str) -> str:
    return box.run("submit", "--no-start", "--lease", lease, "--", *(words or ("x",))).id


@pytest.fixture
def two(box: Box) -> tuple[str, str]:
    """The ids of a task of this host's lease and of one in `far`, which is the default."""
    make_lease(box, "local:far", name="far")
    ids = queued(box, "local"), queued(box, "far")
    box.run("lease", "use", "far", code=0)
    return ids


# -- ids ---------------------------------------------------------------------------------------------


def test_every_command_finds_a_task_whichever_lease_is_the_default(box: Box, two: tuple[str, str]) -> None:
    task_id, _ = two
    local = box.run("status", "--json", "--lease", "local").json["lease"]
    for word in (task_id, task_id[:9], task_id.upper()):
        (task,) = box.run("info", word, "--json", code=0).json["tasks"]
        assert (task["id"], task["lease"]) == (task_id, local)
    assert "is held" in box.run("hold", task_id, code=0).err
    assert "is released" in box.run("release", task_id, code=0).err
    assert "has not started" in box.run("logs", task_id, code=2).err
    assert "PENDING, neither stuck nor lost" in box.run("recover", task_id, code=2).err
    assert "has not ended" in box.run("redo", task_id, code=2).err
    assert box.run("wait", task_id, "--timeout", "0.5s").code == 124
    assert "is cancelled" in box.run("cancel", task_id, code=0).err
    assert box.run("wait", task_id).code == 120
    assert box.run("follow", task_id).code == 120
    again = box.run("redo", "--no-start", task_id, code=0).id
    assert box.task(again)["lease"] == local, "a redone task is where the first was"


def test_a_lease_that_is_named_is_the_only_one_looked_in(box: Box, two: tuple[str, str]) -> None:
    here, far = two
    said = box.run("info", here, "--lease", "far", code=2).err
    assert f"no task '{here}' in lease local:far\n" in said
    assert box.run("info", far, "--lease", "far", "--json", code=0).json["lease"] == "local:far"
    said = box.run("info", "T00000000000", code=2).err
    assert "in lease local:far or the 1 other" in said


def test_tasks_of_several_leases_in_one_call(box: Box, two: tuple[str, str]) -> None:
    found = box.run("info", *two, "--json", code=0).json["tasks"]
    assert [task["id"] for task in found] == list(two)
    assert box.run("cancel", ",".join(two), code=0).err.count("is cancelled") == 2
    said = box.run("wait", "--json", *two)
    assert [(task["id"], task["wait_code"]) for task in said.json["tasks"]] == [(each, 120) for each in two]


def test_last_is_the_newest_of_the_lease_that_is_meant(box: Box, two: tuple[str, str]) -> None:
    here, far = two
    assert box.task("last")["id"] == far
    assert box.run("info", "last", "--lease", "local", "--json", code=0).json["tasks"][0]["id"] == here


def test_a_moved_task_is_found_where_it_is(box: Box, two: tuple[str, str]) -> None:
    here, _ = two
    assert box.run("move", "--to", "far", here, code=0).out.split() == [here]
    assert box.task(here)["lease"] == "local:far"
    assert "is in lease local:far already" in box.run("move", "--to", "far", here, code=1).err


@pytest.mark.parametrize("gone", ["T00000000000", "T0zz", "sweep-1"])
def test_an_unknown_id_hides_no_answer_of_the_others(box: Box, two: tuple[str, str], gone: str) -> None:
    here, far = two
    said = box.run("info", here, gone, far, "--json", code=2)
    assert [task["id"] for task in said.json["tasks"]] == [here, far]
    assert said.json["unknown"] == [gone]
    assert repr(gone) in said.err
    said = box.run("info", here, gone, code=2)
    assert here in said.out and repr(gone) in said.err
    said = box.run("cancel", gone, here, code=2)
    assert f"{here} is cancelled" in said.err
    said = box.run("wait", "--json", gone, here, code=2)
    assert said.json["tasks"][0]["wait_code"] == 120 and said.json["unknown"] == [gone]


def test_a_task_without_output_hides_no_output_of_the_others(box: Box) -> None:
    done = box.submit("echo", "out-of-it")
    box.run("wait", done, code=0)
    waits = box.submit("x", options=("--hold",))
    said = box.run("logs", waits, done, code=2)
    assert "out-of-it" in said.out and waits in said.err


def test_a_name_is_no_id_and_the_way_to_find_it_is_told(box: Box) -> None:
    box.run("submit", "--no-start", "--name", "probe", "--", "x", code=0)
    said = box.run("wait", "probe-1", code=2)
    assert "leaseq tasks --search probe-1" in said.err


# -- leases ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["local", "local:far", "far", "local:fa", "old", "ended"])
def test_the_variable_takes_every_word_that_the_option_takes(box: Box, word: str) -> None:
    make_lease(box, "local:far", name="far")
    make_lease(box, "local:old", name="ended", ended=1e9)
    queued(box, "local")
    by_option = box.run("status", "--json", "--lease", word, code=0).json["lease"]
    assert box.run("status", "--json", env={"LEASEQ_LEASE": word}, code=0).json["lease"] == by_option


def test_a_variable_that_names_no_lease_is_refused_and_hides_no_list(box: Box) -> None:
    queued(box, "local")
    said = box.run("tasks", env={"LEASEQ_LEASE": "nope"}, code=2)
    assert "no lease 'nope' (LEASEQ_LEASE names it)" in said.err
    assert len(box.run("lease", "ls", "--json", env={"LEASEQ_LEASE": "nope"}, code=0).json["leases"]) == 1


def test_the_newest_ended_lease_of_a_name_stands_in_for_a_living_one(box: Box) -> None:
    make_lease(box, "local:one", name="sweep", ended=1e9, age=200)
    make_lease(box, "local:two", name="sweep", ended=1e9, age=100)
    assert box.run("tasks", "--json", "--lease", "sweep", code=0).json["lease"] == "local:two"
    for words in (["submit", "--lease", "sweep", "--", "x"], ["lease", "use", "sweep"], ["shell", "--lease", "sweep"]):
        assert "sweep (local:two) has ended: TIMEOUT" in box.run(*words, code=2).err
    make_lease(box, "local:zzz", name="sweep", age=300)
    assert box.run("tasks", "--json", "--lease", "sweep", code=0).json["lease"] == "local:zzz"


def test_a_list_without_living_leases_says_that_there_are_ended_ones(box: Box) -> None:
    make_lease(box, "local:one", name="sweep", ended=1e9)
    assert "1 lease has ended: `leaseq lease ls --all`" in box.run("lease", "ls", code=0).err


# -- what was cleaned up -----------------------------------------------------------------------------


def test_what_was_cleaned_up_is_known_from_its_line_of_history(box: Box) -> None:
    failed = box.run("submit", "--name", "probe", "--", "sh", "-c", "exit 7").id
    done = box.submit("true")
    assert box.run("wait", failed, done).code == 7
    assert box.clean().out.startswith("removed the results and logs of 2 tasks")
    make_lease(box, "local:far", name="far")
    box.run("lease", "use", "far", code=0)
    task = box.task(failed)
    assert (task["state"], task["exit_code"], task["cleaned"], task["name"]) == ("FAILED", 7, True, "probe")
    assert "line of history" in box.run("info", failed[:9], code=0).out
    assert box.run("wait", failed).code == 7
    assert box.run("wait", done).code == 0
    (waited,) = box.run("wait", failed, "--json").json["tasks"]
    assert (waited["wait_code"], waited["cleaned"]) == (7, True)
    for words in (["logs", failed], ["follow", failed]):
        assert "clean` has removed the output" in box.run(*words, code=2).err
    said = box.run("redo", failed, done, code=1)
    assert said.out == "" and said.err.count("clean` has removed") == 2
    assert "has ended already" in box.run("cancel", failed, code=1).err


def test_a_history_longer_than_one_read_is_searched_to_its_start(box: Box) -> None:
    first = box.submit("true")
    box.run("wait", first, code=0)
    box.clean()
    (history,) = box.home.glob("runs/*/events/*.jsonl")
    line = history.read_bytes()
    other = line.replace(first.encode(), b"T" + b"0" * 11)
    history.write_bytes(line + other * ((3 << 20) // len(other)))
    assert box.task(first)["state"] == "DONE"


def test_indices_of_a_task_that_has_none_are_refused(box: Box, two: tuple[str, str]) -> None:
    task_id, _ = two
    said = box.run("info", f"{task_id[:9]}_3", code=2)
    assert f"{task_id} is one task, without indices" in said.err
    assert "'T3k9_x'" in box.run("info", "T3k9_x", code=2).err
