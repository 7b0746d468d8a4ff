"""What a task waits for, in a paragraph."""

from __future__ import annotations

from typing import Any

from tests.e2e.cli import Box
from tests.patience import wait_until

PACKED = ("--gpus", "0")


def why(box: Box, task_id: str) -> dict[str, Any]:
    (said,) = box.run("why", task_id, "--json", code=0).json["tasks"]
    assert box.run("why", task_id, code=0).out.split()[:3] == said["why"].split()[:3]
    return dict(said)


def test_a_task_that_does_not_stand_in_the_queue_says_what_lets_it_go_on(box: Box) -> None:
    held = box.submit("true", options=("--hold", "--no-start"))
    assert "is held" in why(box, held)["why"] and f"leaseq release {held}" in why(box, held)["why"]
    box.submit("true", options=PACKED)
    box.run("pause", "-g", "eval", code=0)
    paused = box.submit("true", options=("-g", "eval", *PACKED))
    assert "while its group eval is paused" in why(box, paused)["why"]
    box.run("pause", code=0)
    assert "while the lease is paused" in why(box, paused)["why"]


def test_a_task_behind_others_says_which_have_to_end_and_that_it_is_not_known_when(box: Box) -> None:
    running = box.submit("sleep", "600", options=PACKED)
    box.until(running, "RUNNING")
    first, second = (box.submit("sleep", "600") for _ in range(2))
    wait_until(lambda: why(box, second)["ends"] == [running], "the runner's word", seen=lambda: why(box, second))
    said = why(box, second)
    assert (said["ahead"], said["never"], said["seconds"]) == (1, False, None)
    assert f"1 task stands before it ({first})" in said["why"] and "not known" in said["why"]
    assert f"{running} has to end first" in said["why"]
    assert f"{running} runs on" in why(box, running)["why"]


def test_by_what_has_ended_it_is_said_when(box: Box) -> None:
    ids = [box.submit("sleep", "0.1", options=(*PACKED, "-J", "short")) for _ in range(3)]
    box.run("wait", *ids, code=0)
    running = box.submit("sleep", "600", options=(*PACKED, "-J", "short"))
    box.until(running, "RUNNING")
    wait_until(lambda: "none as long" in why(box, running)["why"], "its time", seen=lambda: why(box, running))
    said = why(box, running)
    assert said["seconds"] is None and "the last 3 tasks named short took about" in said["why"]
    box.submit("true")
    assert "1 pending" in box.run("status", code=0).out


def test_a_task_that_can_never_run_here_says_what_would_change_that(box: Box) -> None:
    box.run("wait", box.submit("true", options=PACKED), code=0)
    task_id = box.submit("true", options=("--hold", "-c", "1"))
    path = next(box.home.glob(f"runs/*/held/_any/*{task_id}*"))
    path.rename(path.parent.parent.parent / "inbox" / "_any" / path.name.replace(".c1.", ".c99999."))
    wait_until(lambda: why(box, task_id)["never"], "never", seen=lambda: why(box, task_id))
    assert "can never run here" in why(box, task_id)["why"] and "leaseq set" in why(box, task_id)["why"]


def test_an_ended_task_and_one_without_runner_say_so(box: Box) -> None:
    done = box.submit("false", options=PACKED)
    box.run("wait", done, code=1)
    assert "has ended as FAILED with exit code 1" in why(box, done)["why"]
    box.run("daemon", "stop", code=0)
    waits = box.submit("true", options=("--no-start", *PACKED))
    assert "leaseq daemon start" in why(box, waits)["why"]
    assert box.run("why", "nonsense").code == 2 and box.run("why").code == 2
