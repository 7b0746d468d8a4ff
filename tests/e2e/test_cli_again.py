"""Tasks that run once more: as new ones, with what they had and what is to be different."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from leaseq.layout import Home
from leaseq.models import ANY, Lease, Outcome
from leaseq.protocol import files, records
from leaseq.world import SystemFs
from tests.e2e.cli import Box
from tests.e2e.harness import SECONDS_MAX
from tests.patience import wait_until


def printed(box: Box, task_id: str) -> str:
    box.run("wait", task_id)
    return box.run("logs", task_id, code=0).out


def test_a_redone_task_has_the_environment_that_it_had(box: Box) -> None:
    line = "echo $LR $SEED; exit 3"
    first = box.run("submit", "-c1", "--env", "LR=0.3", "--", line, env={"SEED": "7", "LR": "0.1"}).id
    assert printed(box, first) == "0.3 7\n"
    assert printed(box, box.run("redo", "--failed", env={"SEED": "8", "LR": "0.2"}).id) == "0.3 7\n"
    assert printed(box, box.run("redo", first, "--env", "LR=0.5", env={"SEED": "8"}).id) == "0.5 7\n"
    # Chosen again: what --env had said stays, the rest is of now.
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
    box.clean()
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


# -- in place ----------------------------------------------------------------------------------------


def counts(box: Box) -> dict[str, int]:
    found = box.run("status", "--json", code=0).json["tasks"]
    return {state: number for state, number in found.items() if number}


def counted(box: Box, expected: dict[str, int]) -> None:
    """The lease's tasks are counted so, once the last end is told: `wait` returns a moment before."""
    wait_until(lambda: counts(box) == expected, f"{expected}", seen=lambda: counts(box))


def test_a_failed_task_is_retried_under_its_id_and_counts_once(box: Box) -> None:
    gate, good = box.path / "gate", box.path / "good"
    line = f"echo $LEASEQ_ATTEMPT $LR; while test -e {gate}; do sleep 0.05; done; test -e {good}"
    first = box.submit(line, options=("-c", "1", "--env", "LR=1"))
    assert box.run("wait", first).code == 1
    counted(box, {"FAILED": 1})
    gate.touch()
    assert box.run("retry", first, code=0).out.split() == [first]
    box.until(first, "RUNNING")
    counted(box, {"RUNNING": 1})
    said = box.run("retry", first, code=2)
    assert "has not ended" in said.err
    gate.unlink()
    assert box.run("wait", first).code == 1
    counted(box, {"FAILED": 1})
    good.touch()
    assert box.run("redo", "--in-place", "--failed", "--time", "1h", "--env", "LR=2", code=0).out.split() == [first]
    assert box.run("wait", first).code == 0
    counted(box, {"DONE": 1})
    task = box.task(first)
    assert [attempt["state"] for attempt in task["attempts"]] == ["FAILED", "FAILED", "DONE"]
    assert (task["attempt"], task["need"]["time_seconds"]) == (3, 3600)
    assert [box.run("logs", first, "-k", str(number)).out for number in (1, 2, 3)] == ["1 1\n", "2 1\n", "3 2\n"]
    assert f"leaseq redo {first}" in box.run("retry", first, code=2).err
    rows = [row["id"] for row in box.run("tasks", "--json", code=0).json["tasks"]]
    assert rows == [first]


def test_of_two_who_retry_at_once_one_makes_the_attempt(box: Box) -> None:
    runs = box.path / "runs"
    first = box.submit(f"echo $LEASEQ_ATTEMPT >>{runs}; exit 1", options=("-c", "1"))
    box.run("wait", first)
    box.run("daemon", "stop", code=0)
    racers = [box.popen("retry", first, "--no-start") for _ in range(4)]
    for racer in racers:
        racer.communicate(timeout=SECONDS_MAX)
    assert 0 in [racer.returncode for racer in racers]
    box.run("daemon", "start", code=0)
    box.until(first, "FAILED")
    assert runs.read_text() == "1\n2\n"
    assert len(box.task(first)["attempts"]) == 2


def test_cancelled_and_timed_out_tasks_are_retried_and_recover_says_how(box: Box) -> None:
    late = box.submit("sleep 60", options=("-c", "1", "--time", "1s"))
    never = box.submit("true", options=("-c", "1", "--hold"))
    box.run("cancel", never, code=0)
    assert box.run("wait", late).code == 121
    assert f"leaseq retry {late}" in box.run("recover", late, code=2).err
    assert box.run("retry", never, late, "--time", "5m", "--no-start", code=0).out.split() == [never, late]
    assert box.run("wait", never).code == 0
    box.until(late, "RUNNING")
    box.run("cancel", late, code=0)
    box.until(late, "CANCELLED")
    box.until(never, "DONE")


def test_what_was_unpinned_stays_unpinned_in_the_attempts_that_follow(box: Box) -> None:
    node = box.run("submit", "--no-start", "--json", "--", "true", code=0).json["lease"].partition(":")[2]
    task = box.run("submit", "--no-start", "-c1", "--node", node, "--retries", "1", "--", "false").id
    box.run("move", "--node", "any", task, code=0)
    box.run("daemon", "start", code=0)
    box.until(task, "FAILED")
    outcomes = [Outcome.from_json(path.read_bytes()) for path in sorted(box.home.glob(f"runs/*/done/*/{task}.*"))]
    assert [(outcome.attempt, outcome.task.node) for outcome in outcomes] == [(1, ANY), (2, ANY)]
    box.run("daemon", "stop", code=0)
    box.run("retry", "--no-start", task, code=0)
    (pending,) = box.home.glob(f"runs/*/inbox/*/*{task}*")
    assert pending.parent.name == ANY
    box.run("cancel", task, code=0)
    box.run("retry", "--no-start", "--node", node, task, code=0)
    (pending,) = box.home.glob(f"runs/*/inbox/*/*{task}*")
    assert pending.parent.name == node


# -- links and keys ----------------------------------------------------------------------------------


def test_a_redone_task_is_linked_both_ways(box: Box) -> None:
    first = box.submit("exit 3", options=("-c", "1"))
    box.run("wait", first)
    assert box.task(first)["redone_as"] == []
    news = [box.run("redo", first).id, box.run("redo", first).id]
    box.run("wait", *news)
    assert box.task(first)["redone_as"] == news
    assert [box.task(new)["redo_of"] for new in news] == [first, first]
    (waited,) = box.run("wait", first, "--json").json["tasks"]
    assert waited["redone_as"] == news
    listed = {row["id"]: row["redone_as"] for row in box.run("tasks", "--json").json["tasks"]}
    assert listed == {first: news, news[0]: [], news[1]: []}
    assert news[1] in box.run("wait", first).err and news[1] in box.run("info", first).out
    # Those that were submitted again are left alone, by both.
    failed = box.run("redo", "--failed", code=0)
    assert sorted(box.task(new)["redo_of"] for new in failed.out.split()) == sorted(news)
    assert news[1] in failed.err


def test_a_key_stands_for_its_task_after_clean_and_tells_how_it_ended(box: Box) -> None:
    runs = box.path / "runs"
    words = ("submit", "-c1", "--key", "run1")
    first = box.run(*words, "--", f"echo ran >>{runs}").id
    box.run("wait", first, code=0)
    assert box.run(*words, "--", "true").err == ""
    box.clean()
    assert box.run(*words, "--", f"echo ran >>{runs}").id == first
    assert runs.read_text() == "ran\n"
    failing = ("submit", "-c1", "--key", "run2")
    second = box.run(*failing, "--", f"echo $LEASEQ_ATTEMPT; test -e {box.path}/good").id
    box.run("wait", second)
    said = box.run(*failing, "--", "true")
    assert said.id == second and "FAILED" in said.err and f"leaseq retry {second}" in said.err
    (box.path / "good").touch()
    assert box.run(*failing, "--unless-done", "--", "true").id == second
    assert printed(box, second) == "2\n"
    said = box.run(*failing, "--unless-done", "--", "true")
    assert (said.id, said.err) == (second, "")


def test_keys_move_with_their_tasks(box: Box) -> None:
    box.run("submit", "--no-start", "--", "true", code=0)
    other = other_lease(box)
    sweep = [box.run("submit", "--no-start", "--key", f"sweep-{n}", "--", "true").id for n in range(3)]
    box.run("move", "--from", "local", "--to", other, *sweep, code=0)
    for n, task_id in enumerate(sweep):
        for lease in (other, "local"):
            assert box.run("submit", "--no-start", "-l", lease, "--key", f"sweep-{n}", "--", "true").id == task_id
    there = box.run("submit", "--no-start", "-l", other, "--key", "both", "--", "true").id
    here = box.run("submit", "--no-start", "--key", "both", "--", "true").id
    said = box.run("move", "--from", "local", "--to", other, here, code=1)
    assert there in said.err and box.task(here)["lease"].startswith("local:")


def other_lease(box: Box) -> str:
    """Another lease of the home, which nobody serves: its record is all that a command asks for."""
    fs, lease = SystemFs(remote=False), Home(str(box.home)).lease("local:elsewhere")
    os.makedirs(lease.root)
    records.prepare(fs, lease)
    files.replace_file(fs, lease.record, Lease(id=lease.id, kind="local", created=1.0, nodes=("elsewhere",)).to_json())
    return lease.id


def holding(root: Path, secret: str) -> list[Path]:
    """The files under that directory in which the secret stands."""
    return [path for path in root.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_nothing_runs_again_on_a_host_where_the_settings_forbid_tasks_unless_it_is_to_move(box: Box) -> None:
    task = box.run("submit", "--no-start", "--", "true").id
    box.run("cancel", task, code=0)
    (box.home / "config.yaml").write_text("local: never\n")
    before = sorted(path.name for path in box.home.glob("runs/*/inbox/*/*"))
    for verb in ("redo", "retry"):
        said = box.run(verb, task, code=2)
        assert said.out == "" and "no task may run on this host" in said.err and "--no-start" in said.err
    assert sorted(path.name for path in box.home.glob("runs/*/inbox/*/*")) == before
    assert box.run("retry", "--no-start", task, code=0).id == task
    assert box.task(task)["state"] == "PENDING"
