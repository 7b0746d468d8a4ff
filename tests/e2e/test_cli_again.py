"""Tasks that run once more: as new ones, with what they had and what is to be different."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tests.e2e.cli import Box


def printed(box: Box, task_id: str) -> str:
    box.run("wait", task_id)
    return box.run("logs", task_id, code=0).out


def test_a_redone_task_has_the_environment_that_it_had(box: Box) -> None:
    line = "echo $LR $SEED; exit 3"
    first = box.run("submit", "-c1", "--env", "LR=0.3", "--", line, env={"SEED": "7", "LR": "0.1"}).id
    assert printed(box, first) == "0.3 7\n"
    assert printed(box, box.run("redo", "--failed", env={"SEED": "8", "LR": "0.2"}).id) == "0.3 7\n"
    assert printed(box, box.run("redo", first, "--env", "LR=0.5", env={"SEED": "8"}).id) == "0.5 7\n"
    # Chosen anew: what --env had said stays, the rest is of now.
    anew = box.run("redo", first, "--export", "ALL", env={"SEED": "8", "LR": "0.2"}).id
    assert printed(box, anew) == "0.3 8\n"
    # And so on: a redo of a redo.
    assert printed(box, box.run("redo", anew, env={"SEED": "9"}).id) == "0.3 8\n"


def test_a_redone_task_may_differ_in_what_submit_can_say(box: Box) -> None:
    first = box.submit("exit 1", options=("-c", "1", "--time", "5m", "-J", "probe", "--retries", "0"))
    box.run("wait", first)
    words = ("--time", "8h", "--mem", "64M", "--name", "longer", "--retries", "2", "--cwd", "/", "--on-lost", "requeue")
    task = box.task(box.run("redo", first, *words).id)
    assert task["need"] == {"gpus": None, "cpus": 1, "mem_mb": 64, "time_seconds": 8 * 3600}
    assert (task["name"], task["retries"], task["cwd"], task["on_lost"]) == ("longer", 2, "/", "requeue")
    same = box.task(box.run("redo", first).id)
    assert (same["need"]["time_seconds"], same["name"], same["cwd"]) == (300, "probe", str(box.work))


def test_values_of_an_environment_are_shown_only_on_request_and_go_with_clean(box: Box) -> None:
    secret = "hunter2 is secret"
    options = ("submit", "-c1", "--export", "NONE", "--env", f"TOKEN={secret}", "--", "true")
    task_id = box.run(*options).id
    box.run("wait", task_id, code=0)
    for words in (("info", task_id), ("info", task_id, "--json"), ("wait", task_id, "--json"), ("tasks", "--json")):
        assert secret not in box.run(*words, code=0).out
    task = box.task(task_id)
    assert (task["env_names"], task["env_given"], task["export"]) == (["TOKEN"], ["TOKEN"], "NONE")
    assert f"TOKEN={secret}" in box.run("info", task_id, "--env", code=0).out
    assert box.run("info", task_id, "--env", "--json", code=0).json["tasks"][0]["env"] == {"TOKEN": secret}
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in holding(box.home, secret)] == [0o600]
    box.run("clean", "--older-than", "0", code=0)
    assert holding(box.home, secret) == []


def test_an_outcome_without_an_environment_is_redone_with_that_of_now_and_says_so(box: Box) -> None:
    first = box.run("submit", "-c1", "--", "echo $LR; exit 1", env={"LR": "0.3"}).id
    box.run("wait", first)
    (outcome,) = box.home.glob(f"runs/*/done/*/{first}.1")
    body = outcome.read_text()
    old = {
        "export": '"export":"ALL",',
        "env": body[body.index('"env":{') : body.index("},", body.index('"env":{')) + 2],
    }
    for part in old.values():
        assert part in body
        body = body.replace(part, "")
    outcome.write_text(body)
    assert box.task(first)["env_names"] is None
    said = box.run("redo", first, env={"LR": "0.9"})
    assert "is not known any more" in said.err
    assert printed(box, said.id) == "0.9\n"


def test_what_the_node_sets_cannot_be_said(box: Box) -> None:
    first = box.submit("true")
    box.run("wait", first)
    (box.work / "file").write_text("true\n")
    for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "SLURM_JOB_ID", "LEASEQ_TASK_ID", "PWD"):
        for words in (
            ("submit", "--env", f"{name}=1", "--", "true"),
            ("submit", "--export", f"ALL,{name}=1", "--", "true"),
            ("submit", "--env", f"{name}=1", "--file", "file"),
            ("redo", first, "--env", f"{name}=1"),
        ):
            said = box.run(*words, code=2)
            assert said.out == "" and name in said.err and said.err.count("\n") > 1
    assert len(box.run("tasks", "-q").out.split()) == 1
    # The command may, and what is only inherited is dropped without a word.
    one = box.run("submit", "--", "env CUDA_VISIBLE_DEVICES=1 printenv CUDA_VISIBLE_DEVICES", env={"SLURM_X": "1"}).id
    assert printed(box, one) == "1\n"


def holding(root: Path, secret: str) -> list[Path]:
    """The files under that directory in which the secret stands."""
    return [path for path in root.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
