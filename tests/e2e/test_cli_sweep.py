"""Sweeps as they are typed: what would run, what is refused and in which words."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest

from tests.e2e.cli import Box
from tests.e2e.harness import of_task
from tests.patience import PATIENCE_SECONDS, wait_until

TRAIN = ("--", "python", "train.py", "--lr", "{lr}", "--seed", "{seed}")
GRID = ("--sweep", "lr=1e-3,3e-4", "--sweep", "seed=1..5")


def test_a_dry_run_shows_how_many_there_are_and_the_first_and_last_commands(box: Box) -> None:
    said = box.run("submit", *GRID, "--dry-run", *TRAIN, code=0)
    assert said.out.splitlines() == [
        "10 indices (0-9); nothing is submitted",
        "  0  python train.py --lr 1e-3 --seed 1",
        "  1  python train.py --lr 1e-3 --seed 2",
        "  2  python train.py --lr 1e-3 --seed 3",
        "  ...",
        "  7  python train.py --lr 3e-4 --seed 3",
        "  8  python train.py --lr 3e-4 --seed 4",
        "  9  python train.py --lr 3e-4 --seed 5",
    ]
    assert said.err == "" and not box.home.exists()


def test_a_dry_run_of_other_tasks_shows_them_too(box: Box) -> None:
    assert "1 task; nothing is submitted" in box.run("submit", "--dry-run", "--", "make", "all", code=0).out
    (box.work / "tasks").write_text("a b\nc d\n")
    said = box.run("submit", "--dry-run", "--json", "--file", "tasks", code=0).json
    assert (said["count"], said["indices"]) == (2, None)
    assert [each["argv"] for each in said["commands"]] == [["a b"], ["c d"]]


def test_lines_come_from_a_file_and_from_stdin(box: Box) -> None:
    (box.work / "files.csv").write_text("name,size\na b,1\nc,2\n")
    said = box.run("submit", "--each", "files.csv", "--dry-run", "--json", "--", "x", "{name}", "{size}", "{}", code=0)
    assert [each["argv"][1:] for each in said.json["commands"]] == [["a b", "1", "{}"], ["c", "2", "{}"]]
    assert said.json["commands"][0]["env"]["LEASEQ_PARAM_NAME"] == "a b"
    said = box.run("submit", "--each", "-", "--dry-run", "--json", "--", "x", "{/}", code=0, input=b"d/a b\n\nc")
    assert [each["argv"] for each in said.json["commands"]] == [["x", "a b"], ["x", "c"]]


def test_a_typo_and_an_unused_name_are_told_and_nothing_else_is_replaced(box: Box) -> None:
    said = box.run("submit", *GRID, "--dry-run", "--", "x", "{lr}", "{sed}", "${lr}", '{"a": {}}', code=0)
    assert "{sed} stays as typed: did you mean {seed}?" in said.err
    assert "no word uses {seed}" in said.err
    assert """x 1e-3 {sed} '${lr}' '{"a": {}}'""" in said.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--sweep", "lr", *TRAIN), "NAME=VALUES"),
        (("--sweep", "lr=1,2", "--sweep", "seed=1..5", "--zip", *TRAIN), "not as many: lr 2, seed 5"),
        (("-a", "5-3", "--", "x"), "ends before it begins"),
        (("-a", "0-9%0", "--", "x"), "how many run at once"),
        (("--throttle", "2", "--", "x"), "goes with --array"),
        (("--sample", "2", "--", "x"), "goes with --array"),
        (("--each", "nowhere", "--", "x"), "cannot read nowhere"),
        (("--file", "tasks", "-a", "0-3"), "a file brings the commands"),
        (("--sweep", "lr=@nowhere", *TRAIN), "cannot read nowhere"),
        (("--sweep", "x=it's", "--", "echo '{x}' | cat"), "LEASEQ_PARAM_X"),
    ],
)
def test_what_is_no_sweep_is_refused_and_nothing_is_made(box: Box, words: tuple[str, ...], told: str) -> None:
    assert told in box.run("submit", *words, code=2).err
    assert not box.home.exists()


# -- what runs ---------------------------------------------------------------------------------------

LINE = "echo {lr} {seed} $LEASEQ_PARAM_LR $LEASEQ_ARRAY_INDEX/$LEASEQ_ARRAY_SIZE; test ! -e bad || test {seed} != 2"


def rows(box: Box, *words: str) -> dict[str, str]:
    """The state of each index that the words name."""
    tasks = box.run("tasks", *words, "--json", code=0).json["tasks"]
    return {each["id"].partition("_")[2]: each["state"] for each in tasks}


def test_a_sweep_runs_once_for_each_combination_and_its_failed_indices_run_again_alone(box: Box) -> None:
    (box.work / "bad").touch()
    task = box.run("submit", "--sweep", "lr=1e-3,3e-4", "--sweep", "seed=1..3", "-c1", "-J", "grid", "--", LINE).id
    assert box.run("wait", task, code=1).err.startswith(f"leaseq: {task} FAILED (2 FAILED of 6)")
    assert rows(box, task) == {"0": "DONE", "1": "FAILED", "2": "DONE", "3": "DONE", "4": "FAILED", "5": "DONE"}
    (row,) = box.run("tasks", "--json", code=0).json["tasks"]
    assert (row["state"], row["array"]["counts"]["DONE"], row["array"]["counts"]["FAILED"]) == ("FAILED", 4, 2)
    assert box.run("logs", f"{task}_4", code=0).out == "3e-4 2 3e-4 4/6\n"
    assert "lr=3e-4 seed=2" in box.run("tasks", f"{task[:6]}_4", "--values", code=0).out
    assert box.run("tasks", task, "--state", "failed", "-q", code=0).out.split() == [f"{task}_1", f"{task}_4"]
    (box.work / "bad").unlink()
    assert box.run("retry", task, "--failed", code=0).id == task
    box.run("wait", task, code=0)
    assert set(rows(box, task).values()) == {"DONE"}
    (row,) = box.run("tasks", "--json", code=0).json["tasks"]
    assert (row["state"], row["array"]["size"], row["array"]["counts"]["DONE"]) == ("DONE", 6, 6)
    assert box.run("logs", f"{task}_4", code=0).out == "3e-4 2 3e-4 4/6\n"
    (known,) = box.run("info", f"{task}_4", "--json", code=0).json["tasks"]
    assert [(each["attempt"], each["state"]) for each in known["attempts"]] == [(1, "FAILED"), (2, "DONE")]
    assert known["values"] == {"lr": "3e-4", "seed": "2"}
    status = box.run("status", "--json", code=0).json["tasks"]
    assert {state: number for state, number in status.items() if number} == {"DONE": 1}


def test_indices_are_followed_waited_for_and_cancelled_one_by_one(box: Box) -> None:
    line = "echo begun {i}; until test -e gate; do sleep 0.02; done"
    task = box.run("submit", "-a", "0-9", "-c1", "--", line).id
    following = box.popen("follow", f"{task}_0")
    assert following.stdout and following.stdout.readline() == b"begun 0\n"
    assert f"{task}_9: 1 will not start" in box.run("cancel", f"{task}_9", code=0).err
    assert f"{task}_0: 1 index being ended" in box.run("cancel", f"{task}_0", code=0).err
    assert box.run("wait", f"{task}_0", code=120).err.startswith(f"leaseq: {task}_0 CANCELLED")
    following.communicate(timeout=PATIENCE_SECONDS)
    assert following.returncode == 120
    assert "CANCELLED" in box.run("wait", f"{task}_9", code=120).err
    assert box.run("wait", f"{task}_5", "--timeout", "0.2s", code=124)
    (box.work / "gate").touch()
    assert box.run("wait", f"{task}_5", f"{task}_8", code=0)
    assert "2 CANCELLED of 10" in box.run("wait", task, code=120).err
    assert "no index 10" in box.run("info", f"{task}_10", code=2).err
    assert "each of its indices has its own output" in box.run("logs", task, code=2).err
    assert "for the whole array only" in box.run("hold", f"{task}_3", code=2).err


def test_a_held_array_starts_nothing_and_a_cancelled_one_is_over_at_once(box: Box) -> None:
    task = box.run("submit", "--hold", "-a", "5,7-8", "-c1", "--", "true").id
    (row,) = box.run("tasks", "--json", code=0).json["tasks"]
    assert (row["state"], row["reason"], row["array"]["size"]) == ("PENDING", "Held", 3)
    assert "3 will not start" in box.run("cancel", task, code=0).err
    assert box.run("wait", task, code=120)
    assert rows(box, task) == {"5": "CANCELLED", "7": "CANCELLED", "8": "CANCELLED"}
    again = box.run("redo", f"{task}_7,8", code=0).id
    box.run("wait", again, code=0)
    assert rows(box, again) == {"7": "DONE", "8": "DONE"}
    (row,) = box.run("tasks", box.submit("true"), "--json", code=0).json["tasks"]
    assert row["redone_as"] == [] and row["array"] is None


def test_each_index_has_a_directory_of_its_own_and_clean_takes_all_of_an_array(box: Box) -> None:
    task = box.run("submit", "-a", "0-1%1", "-c1", "--task-dir", "--", 'touch "$LEASEQ_TASK_DIR/x"').id
    box.run("wait", task, code=0)
    (known,) = box.run("info", f"{task}_1", "--json", code=0).json["tasks"]
    assert os.path.exists(f"{known['task_dir']}/x")
    assert [*box.home.glob(f"runs/*/lanes/{task}/*")]
    box.run("clean", "--older-than", "0", code=0)
    left = [path for path in box.home.rglob(f"*{task}*") if "events" not in str(path) and "booking" not in str(path)]
    assert left == []


def test_an_array_whose_runner_and_keeper_died_is_put_back_on_request_and_its_lost_indices_run_again(box: Box) -> None:
    line = "touch begun.{i}; test {i} -gt 0 || test $LEASEQ_ATTEMPT -gt 1 || sleep 300"
    task = box.run("submit", "-a", "0-4", "-c1", "--", line).id
    wait_until(lambda: box.task(f"{task}_0")["state"] == "RUNNING", "the first index to run")
    others = {str(index) for index in range(1, 5)}
    wait_until(lambda: {rows(box, task)[index] for index in others} == {"DONE"}, "the end of the others")
    assert f"{task} is RUNNING, neither stuck nor lost" in box.run("recover", task, code=2).err
    status = box.run("daemon", "status", "--json").json
    os.kill(status["pid"], signal.SIGKILL)
    os.kill(status["keeper_pid"], signal.SIGKILL)
    wait_until(lambda: box.run("daemon", "status", "--json").json["keeper_pid"] is None, "the keeper's end")
    for pid in of_task(f"{task}_0"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: box.task(task)["state"] == "STUCK", "the array to be stuck")
    assert task in box.run("recover", code=0).out
    assert box.run("recover", task, code=0).out.split() == [task]
    assert "LOST" in box.run("wait", task, code=122).err
    assert {state for index, state in rows(box, task).items() if index != "0"} == {"DONE"}
    assert f"leaseq retry {task}" in box.run("recover", task, code=2).err
    assert box.run("retry", task, code=0).id == task
    box.run("wait", task, code=0)
    assert [each["state"] for each in box.task(f"{task}_0")["attempts"]] == ["LOST", "DONE"]


# -- how many, and how many may fail -----------------------------------------------------------------


def test_no_more_of_an_array_run_at_once_than_was_said_and_that_changes_while_it_runs(box: Box) -> None:
    line = "mkdir alone || echo two at once; sleep 0.1; rmdir alone"
    task = box.run("submit", "-a", "0-3%1", "-c1", "--", line).id
    box.run("wait", task, code=0)
    assert "two at once" not in "".join(box.run("logs", f"{task}_{index}", code=0).out for index in range(4))
    assert "at most 1 at once" in box.run("info", task, code=0).out
    # Two that wait for each other end only if both may run.
    pair = "touch {i}.here; until test -e 0.here && test -e 1.here; do sleep 0.02; done"
    both = box.run("submit", "-a", "0-1", "--throttle", "1", "--cpus", "1", "--", pair).id
    box.run("wait", both, "--timeout", "1s", code=124)
    assert "at most 2 of its indices" in box.run("set", both, "--throttle", "2", code=0).err
    said = [line for line in box.run("info", both, code=0).out.splitlines() if line.startswith("indices")]
    assert "at most 2 at once" in said[0]
    box.run("wait", both, code=0)
    plain = box.submit("true", options=("--hold",))
    assert "without indices" in box.run("set", plain, "--throttle", "2", code=1).err


def test_an_array_stops_when_as_many_have_failed_as_may(box: Box) -> None:
    task = box.run("submit", "-a", "0-99", "-c1", "--max-fails", "2", "--", "sleep 0.05; test {i} = 0").id
    assert "MaxFails" in box.run("wait", task, code=1).err
    states = list(rows(box, task, "--all").values())
    assert states.count("CANCELLED") > 50 and states.count("FAILED") >= 2


def test_an_array_of_which_nothing_is_left_is_not_held_for_its_failures(box: Box) -> None:
    for last in range(2, 8):
        task = box.run("submit", "-a", f"0-{last}", "-c1", "--", "false {i}").id
        wait_until(partial(_is_over_or_waits, box, task), "it to end, or to be held with something left")


def _is_over_or_waits(box: Box, task: str) -> bool:
    states = list(rows(box, task).values())
    return box.task(task)["state"] == "FAILED" or (box.task(task)["reason"].startswith("Held") and "PENDING" in states)


def test_an_array_whose_first_indices_fail_at_once_is_held_and_goes_on_when_it_is_released(box: Box) -> None:
    task = box.run("submit", "-a", "0-9", "-c1", "--", "test -e fixed").id
    wait_until(lambda: box.task(task)["reason"].startswith("Held"), "the array to be held")
    assert "failed within a second with exit code 1" in box.task(task)["reason"]
    (box.work / "fixed").touch()
    box.run("release", task, code=0)
    box.run("wait", task, code=1)
    assert list(rows(box, task).values()).count("DONE") >= 5
