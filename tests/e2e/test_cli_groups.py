"""Groups, pauses and limits, typed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.cli import Box
from tests.patience import wait_until

PACKED = ("--gpus", "0")


def lease_root(box: Box) -> Path:
    (root,) = box.home.glob("runs/*")
    return root


def states(box: Box, *options: str) -> dict[str, str]:
    return {task["id"]: task["state"] for task in box.run("tasks", *options, "--json", code=0).json["tasks"]}


def test_a_task_says_its_group_and_is_found_by_it(box: Box) -> None:
    one = box.submit("true", options=("-g", "eval", "--no-start"))
    other = box.submit("true", options=("--no-start",))
    assert (box.task(one)["group"], box.task(other)["group"]) == ("eval", "")
    assert list(states(box, "-g", "eval")) == [one]
    (group,) = box.run("group", "--json", code=0).json["groups"]
    assert (group["group"], group["paused"], group["parallel"], group["tasks"]["PENDING"]) == ("eval", False, None, 1)
    assert "eval" in box.run("tasks", code=0).out


@pytest.mark.parametrize("name", ["a.b", "-x", "a b", "x" * 33, "_all", "ä"])
def test_what_is_no_groups_name_is_refused_and_nothing_is_queued(box: Box, name: str) -> None:
    said = box.run("submit", "--no-start", f"--group={name}", "--", "true", code=2)
    assert "group" in said.err
    assert not box.home.exists() or not list(box.home.glob("runs/*/inbox/_any/*"))
    assert box.run("group", "--parallel=2", "--", name).code == 2


def test_a_paused_group_starts_nothing_whichever_runner_serves_it_until_it_is_resumed(box: Box) -> None:
    box.submit("true", options=PACKED)
    said = box.run("pause", "-g", "eval", code=0)
    assert "resume -g eval" in said.err
    kept = box.submit("true", options=("-g", "eval", *PACKED))
    box.run("wait", box.submit("true", options=PACKED), code=0)
    pid = box.runner_pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the runner's end")
    box.run("daemon", "start", code=0)
    box.run("wait", box.submit("true", options=PACKED), code=0)
    assert (box.task(kept)["state"], box.task(kept)["reason"]) == ("PENDING", "Paused: group eval")
    assert "group eval is paused" in box.run("status", code=0).out
    assert box.run("status", "--json", code=0).json["groups"] == {"eval": {"paused": True, "parallel": None}}
    box.run("resume", "-g", "eval", code=0)
    box.run("wait", kept, code=0)


def test_a_paused_lease_starts_nothing_and_says_what_goes_on(box: Box) -> None:
    running = box.submit("sleep", "600", options=PACKED)
    box.until(running, "RUNNING")
    paused = box.run("pause", "--json", code=0).json
    assert (paused["group"], paused["paused"], paused["running"]) == ("", True, [running])
    kept = box.submit("true", options=PACKED)
    assert "was paused before" in box.run("pause", code=0).err
    assert box.task(kept)["reason"] == "Paused"
    assert box.run("status", "--json", code=0).json["paused"] is True
    assert "paused" in box.run("tasks", code=0).err
    box.run("cancel", running, code=0)
    box.run("wait", running, code=120)
    assert box.task(kept)["state"] == "PENDING"
    assert box.run("resume", "--json", code=0).json["paused"] is False
    box.run("wait", kept, code=0)
    assert "was not paused" in box.run("resume", code=0).err


def test_a_limited_group_runs_as_many_as_it_may_and_others_pass_it(box: Box) -> None:
    box.submit("true", options=("-g", "eval", *PACKED, "--no-start"))
    assert box.run("group", "eval", "--parallel", "1", "--json", code=0).json["groups"][0]["parallel"] == 1
    log = box.work / "log"
    line = f"echo + >> {log}; sleep 0.2; echo - >> {log}"
    ids = [box.submit(line, options=("-g", "eval", "-c1")) for _ in range(3)]
    box.run("wait", box.submit("true", options=PACKED), code=0)
    box.run("wait", *ids, code=0)
    assert log.read_text().split() == ["+", "-"] * 3
    held = [path.name for path in lease_root(box).glob("lanes/~eval/*") if path.name.count(".") > 1]
    wait_until(lambda: not [p for p in lease_root(box).glob("lanes/~eval/*") if p.name.count(".") > 1], "free lanes")
    assert len(held) <= 1
    box.run("group", "eval", "--parallel", "off", code=0)
    assert not list(lease_root(box).glob("groups/eval.parallel.*"))


def test_what_runs_before_a_limit_counts_and_goes_on(box: Box) -> None:
    running = [box.submit("sleep", "600", options=("-g", "eval", *PACKED)) for _ in range(1)]
    box.until(running[0], "RUNNING")
    box.run("group", "eval", "-p", "1", code=0)
    later = box.submit("true", options=("-g", "eval", *PACKED))
    box.run("wait", box.submit("true", options=PACKED), code=0)
    assert box.task(later)["reason"] == "Group: 1 of eval run, 1 may"
    box.run("cancel", *running, code=0)
    box.run("wait", later, code=0)


def test_a_lane_of_a_killed_runner_stays_with_its_task_and_is_free_when_that_ends(box: Box) -> None:
    box.submit("true", options=("-g", "eval", *PACKED, "--no-start"))
    box.run("group", "eval", "--parallel", "1", code=0)
    first = box.submit("until [ -e go ]; do sleep 0.1; done", options=("-g", "eval", *PACKED))
    box.until(first, "RUNNING")
    second = box.submit("true", options=("-g", "eval", *PACKED))
    pid = box.runner_pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the runner's end")
    box.run("daemon", "start", code=0)
    box.run("wait", box.submit("true", options=PACKED), code=0)
    assert box.task(second)["state"] == "PENDING"
    (box.work / "go").touch()
    box.run("wait", first, second, code=0)


def test_groups_of_a_lease_that_is_not_there_are_none(box: Box) -> None:
    assert box.run("pause", "-g", "eval").code == 2
    assert box.run("group", code=0).out == ""
    assert box.run("group", "--parallel", "2").code == 2
    assert box.run("group", "eval", "--parallel", "0").code == 2


# -- several tasks by what they share ----------------------------------------------------------------


def test_a_group_stands_for_its_tasks_wherever_ids_are_taken(box: Box) -> None:
    good = box.submit("true", options=("-g", "eval", *PACKED))
    bad = box.submit("false", options=("-g", "eval", *PACKED, "--name", "n"))
    box.submit("false", options=("-g", "other", *PACKED))
    said = box.run("wait", "-g", "eval", "--json", code=1)
    assert [task["id"] for task in said.json["tasks"]] == [good, bad]
    assert [task["id"] for task in box.run("info", "-g", "eval", "--json", code=0).json["tasks"]] == [good, bad]
    assert bad in box.run("logs", "-g", "eval", code=0).out
    assert box.run("wait", "name:n", "state:done", code=1).err.count("FAILED") == 1
    again = box.run("retry", "-g", "eval", "--failed", "--json", code=0).json
    assert again["ids"] == [bad]
    assert box.run("wait", "group:eval").code == 1
    new = box.run("redo", "-g", "eval", "--failed", "--json", code=0).json
    assert new["redo_of"] == [bad] and box.task(new["ids"][0])["group"] == "eval"


def test_a_command_takes_those_of_a_group_that_it_can_do_something_with(box: Box) -> None:
    ended = box.submit("true", options=("-g", "eval", *PACKED))
    box.run("wait", ended, code=0)
    box.run("pause", "-g", "eval", code=0)
    pending = [box.submit("true", options=("-g", "eval", *PACKED)) for _ in range(2)]
    assert box.run("hold", "-g", "eval", "--json", code=0).json["ids"] == pending
    assert "no task of group eval is pending and not held" in box.run("hold", "-g", "eval", code=2).err
    assert box.run("release", pending[0], "group:eval", "--json", code=0).json["ids"] == pending
    assert box.run("set", "group:eval", "--priority", "3", "--json", code=0).json["ids"] == pending
    assert box.run("cancel", "-g", "eval", "--json", code=0).json["ids"] == pending
    assert box.run("cancel", "-g", "eval").code == 2
    box.run("wait", "-g", "eval", code=120)


def test_what_is_cleaned_up_is_known_by_its_group_yet(box: Box) -> None:
    task_id = box.submit("true", options=("-g", "eval", *PACKED))
    box.run("wait", task_id, code=0)
    box.clean()
    assert box.run("wait", "-g", "eval", "--json", code=0).json["tasks"][0]["cleaned"] is True


@pytest.mark.parametrize("word", ["group:", "group:a.b", "name:", "state:nonsense", "group:nobody", "name:nobody"])
def test_a_word_that_stands_for_nothing_says_so(box: Box, word: str) -> None:
    box.submit("true", options=("--no-start",))
    said = box.run("cancel", word, code=2)
    assert word.partition(":")[2] in said.err
    assert box.run("wait", code=2).err.startswith("leaseq: which task?")


def test_a_name_with_underscores_and_digits_is_a_name(box: Box) -> None:
    task_id = box.submit("true", options=("--no-start", "--name", "vit_3"))
    assert box.run("hold", "name:vit_3", "--json", code=0).json["ids"] == [task_id]


# -- arrays of a group -------------------------------------------------------------------------------


def test_indices_of_a_limited_group_run_as_many_at_once_as_they_may(box: Box) -> None:
    box.submit("true", options=("-g", "eval", *PACKED, "--no-start"))
    box.run("group", "eval", "--parallel", "1", code=0)
    log = box.work / "log"
    line = f"echo + >> {log}; sleep 0.1; echo - >> {log}"
    array = box.submit(line, options=("-g", "eval", "-c1", "-a", "0-3"))
    box.run("wait", array, code=0)
    assert log.read_text().split() == ["+", "-"] * 4
    wait_until(lambda: not [p for p in lease_root(box).glob("lanes/~eval/*") if p.name.count(".") > 1], "free lanes")


def test_an_array_of_a_paused_group_starts_no_index(box: Box) -> None:
    box.submit("true", options=PACKED)
    box.run("pause", "-g", "eval", code=0)
    array = box.submit("true", options=("-g", "eval", "-c1", "-a", "0-3"))
    box.run("wait", box.submit("true", options=PACKED), code=0)
    assert box.task(array)["state"] == "PENDING" and box.task(array)["reason"] == "Paused: group eval"
    box.run("resume", "-g", "eval", code=0)
    box.run("wait", array, code=0)


def test_a_group_has_a_bar_and_how_much_of_it_has_ended(box: Box) -> None:
    for _ in range(3):
        box.run("wait", box.submit("true", options=("-g", "eval", *PACKED)), code=0)
    box.submit("true", options=("-g", "eval", "--hold", *PACKED))
    wait_until(lambda: box.run("group", "--json").json["groups"][0]["tasks"]["DONE"] == 3, "three that are done")
    (group,) = box.run("group", "--json", code=0).json["groups"]
    assert (group["fraction"], group["per_second"]) == (0.75, None)
    assert "███████░░░  75 %" in box.run("group", code=0).out
    box.submit("true", options=("-g", "eval", "--hold", "--array", "1-4", *PACKED))
    assert box.run("group", "--json", code=0).json["groups"][0]["fraction"] == 0.375
