"""Pending tasks changed by options and in an editor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cli import Box, Said

PACKED = ("--gpus", "0")


def held(box: Box, *options: str) -> str:
    return box.submit("python", "train.py", options=("--no-start", "--hold", *options))


def edit(box: Box, *ids: str, by: str, code: int | None = None) -> Said:
    """The tasks are edited by a Python that has the sheet as `body`; or with `!` in front, is a shell line on $1."""
    script = box.path / "editor.py"
    script.write_text(
        "import sys, yaml\npath = sys.argv[1]\nbody = yaml.safe_load(open(path))\n"
        f"{by}\nyaml.safe_dump(body, open(path, 'w'))\n"
    )
    return box.run("edit", *ids, env={"EDITOR": f"{box.python} {script}"}, code=code)


def need(task: dict[str, Any]) -> dict[str, Any]:
    return dict(task["need"])


def test_what_a_pending_task_needs_is_changed_and_its_id_stays(box: Box) -> None:
    first, second = held(box), held(box)
    said = box.run("set", first, "--cpus", "1", "--time", "4h", "--group", "x", "--name", "n", "--env", "A=1", code=0)
    assert "is changed: name, group, env, cpus, time" in said.err
    task = box.task(first)
    assert need(task) == {"gpus": None, "cpus": 1, "mem_mb": None, "time_seconds": 14400}
    assert (task["group"], task["name"], task["env_given"], task["argv"]) == ("x", "n", ["A"], ["python", "train.py"])
    assert task["state"] == "PENDING" and task["reason"] == "Held"
    assert need(box.task(second))["cpus"] is None
    assert "is so already" in box.run("set", first, "--cpus", "1", code=0).err
    box.run("set", first, "--group", "", code=0)
    assert box.task(first)["group"] == ""


def test_a_priority_puts_a_task_first(box: Box) -> None:
    first, second = (box.submit("true", options=("--no-start", *PACKED)) for _ in range(2))
    box.run("set", second, "--priority", "5", code=0)
    rows = box.run("tasks", "--json", code=0).json["tasks"]
    assert [row["id"] for row in rows] == [second, first]
    assert box.run("tasks", "--json", code=0).json["tasks"][0]["command"] == "true"


def test_what_has_started_is_named_and_left_and_the_others_are_changed(box: Box) -> None:
    running = box.submit("sleep", "600", options=PACKED)
    box.until(running, "RUNNING")
    pending = held(box)
    said = box.run("set", running, pending, "--gpus", "0", "--cpus", "1", code=1)
    assert f"{running} has started: it is RUNNING: nothing of it was changed" in said.err and "redo" in said.err
    assert need(box.task(pending))["cpus"] == 1
    box.run("cancel", running, code=0)
    box.run("wait", running, code=120)
    assert "has ended" in box.run("set", running, "--gpus", "0").err


@pytest.mark.parametrize(
    "words",
    [(), ("--priority", "999"), ("--group", "a.b"), ("--gpus", "many"), ("--node", "nowhere")],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(box: Box, words: tuple[str, ...]) -> None:
    task_id = held(box)
    before = box.task(task_id)
    assert box.run("set", task_id, *words).code in (1, 2)
    assert box.task(task_id) == before


def test_a_need_that_no_node_has_is_refused(box: Box) -> None:
    task_id = held(box)
    said = box.run("set", task_id, "--cpus", "99999")
    assert said.code in (1, 2) and "can ever run" in said.err
    assert need(box.task(task_id))["cpus"] is None


def test_several_tasks_are_edited_in_one_sheet(box: Box) -> None:
    first, second, third = held(box), held(box, "--env", "SEED=1"), held(box)
    by = f"""
body["{first}"].update(command="echo a | cat", gpus=0, mem="2G", time="90m", priority=3, group="g")
body["{second}"]["env"]["SEED"] = "2"
del body["{third}"]
"""
    said = edit(box, first, second, third, by=by, code=0)
    assert "command, group, gpus, mem, time, priority" in said.err
    task = box.task(first)
    assert (task["shell"], task["argv"], task["group"]) == (True, ["echo a | cat"], "g")
    assert need(task) == {"gpus": 0, "cpus": None, "mem_mb": 2048, "time_seconds": 5400}
    (told,) = box.run("info", second, "--env", "--json", code=0).json["tasks"]
    assert told["env"]["SEED"] == "2"
    assert not list(Path("/tmp").glob("leaseq-edit-nothing"))


def test_an_editor_that_changes_nothing_changes_nothing(box: Box) -> None:
    task_id = held(box, "--gpus", "0", "--time", "61s", "--mem", "513M")
    before = box.task(task_id)["file"]
    assert "nothing was changed" in box.run("edit", task_id, env={"EDITOR": "true"}, code=0).err
    assert box.task(task_id)["file"] == before


@pytest.mark.parametrize(
    "by",
    [
        'body["Tnone"] = {}',
        'body[list(body)[0]]["gpu"] = 1',
        'body[list(body)[0]]["gpus"] = "many"',
        'body[list(body)[0]]["command"] = []',
        'body[list(body)[0]]["command"] = [1]',
        'body[list(body)[0]]["env"] = {"A": True}',
        'body[list(body)[0]]["group"] = "a.b"',
        'body[list(body)[0]]["priority"] = 5000',
        'body[list(body)[0]]["cwd"] = "here"',
        'body[list(body)[0]]["requeue"] = "perhaps"',
        "body = [1]",
    ],
)
def test_a_wrong_sheet_changes_nothing_and_stays_where_it_is_told(box: Box, by: str) -> None:
    task_id = held(box)
    before = box.task(task_id)
    said = edit(box, task_id, by=by, code=2)
    assert box.task(task_id) == before
    path = Path(said.err.split("What you wrote is in ")[1].split()[0])
    yaml.safe_load(path.read_text())
    path.unlink()


def test_what_a_task_comes_after_is_edited_in_the_sheet(box: Box) -> None:
    first, second, third = held(box), held(box), held(box, "--begin", "+2h")
    by = f"""
assert body["{second}"]["after"] == []
body["{second}"]["after"] = ["{first}", "any:{third}"]
body["{third}"]["after"] = "{first}"
"""
    said = edit(box, second, third, by=by, code=0)
    assert f"{second} is changed: after" in said.err and f"{third} is changed: after" in said.err
    assert box.task(second)["waits_for"] == sorted([f"ok:{first}", f"any:{third}"])
    assert [word.partition(":")[0] for word in box.task(third)["waits_for"]] == ["begin", "ok"], "its time stays"
    edit(box, second, by=f'assert body["{second}"].pop("after") == ["{first}", "any:{third}"]', code=0)
    edit(box, second, by=f'body["{second}"]["after"].remove("{first}")', code=0)
    assert box.task(second)["waits_for"] == [f"any:{third}"]
    edit(box, second, by=f'body["{second}"]["after"] = []', code=0)
    assert box.task(second)["waits_for"] == []


@pytest.mark.parametrize(
    ("after", "word"),
    [
        ("[first]", "cannot come after itself"),
        ("[second]", "which waits for"),
        ('["Tnone"]', "Tnone"),
        ('["afterok:last"]', "Slurm's word"),
        ("[1]", "neither a word nor a list of words"),
        ("{}", "neither a word nor a list of words"),
    ],
)
def test_a_sheet_in_which_a_task_comes_after_what_cannot_be_changes_nothing(box: Box, after: str, word: str) -> None:
    first, other = held(box), held(box)
    second = held(box, "--after", first)
    by = f"""
first, second = "{first}", "{second}"
body["{other}"]["priority"] = 7
body[first]["after"] = {after}
"""
    said = edit(box, other, first, by=by, code=2)
    assert word in said.err and "priority" not in said.err and "nothing was changed" in said.err
    assert box.task(first)["waits_for"] == []
    Path(said.err.split("What you wrote is in ")[1].split()[0]).unlink()


def test_what_is_no_yaml_says_in_which_line(box: Box) -> None:
    task_id = held(box)
    script = box.path / "editor"
    script.write_text('#!/bin/sh\nprintf "a: [1\\nb: }" > "$1"\n')
    script.chmod(0o755)
    said = box.run("edit", task_id, env={"EDITOR": str(script)}, code=2)
    assert "line " in said.err and "nothing was changed" in said.err
    Path(said.err.split("What you wrote is in ")[1].split()[0]).unlink()


def test_a_task_that_starts_or_is_changed_while_the_editor_is_open_is_named_and_left(box: Box) -> None:
    changed, started = held(box), held(box)
    command = f"{box.python} -m leaseq"
    by = f"""
import subprocess
subprocess.run("{command} set {changed} --name other".split(), check=True)
subprocess.run("{command} cancel {started}".split(), check=True)
for each in body.values(): each["name"] = "mine"
"""
    said = edit(box, changed, started, by=by, code=1)
    assert f"{changed} was changed by somebody else meanwhile" in said.err
    assert f"{started} has ended" in said.err and "redo" in said.err
    assert box.task(changed)["name"] == "other"
    Path(said.err.split("what you wrote is in ")[1].split()[0]).unlink()


def test_an_editor_that_is_missing_or_fails_changes_nothing(box: Box) -> None:
    task_id = held(box)
    assert "cannot be started" in box.run("edit", task_id, env={"EDITOR": "/no/such/editor"}, code=2).err
    said = box.run("edit", task_id, env={"EDITOR": "false"}, code=2)
    Path(said.err.split("what you wrote is in ")[1].split()[0]).unlink()
    assert "running" not in box.task(task_id)


def test_a_signal_is_a_command_of_its_own(box: Box) -> None:
    running = box.submit("trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done", options=PACKED)
    box.until(running, "RUNNING")
    from tests.patience import wait_until

    wait_until(lambda: "ready" in box.run("logs", running).out, "the trap")
    assert box.run("signal", running).code == 2
    assert box.run("signal", running, "NONSENSE").code == 2
    assert "gets SIGUSR1" in box.run("signal", running, "usr1", code=0).err
    box.run("wait", running, code=7)
    assert box.run("signal", running, "USR1").code == 1


def test_an_ended_task_is_submitted_again_as_it_was_edited(box: Box) -> None:
    first, second = (box.submit("false", options=PACKED) for _ in range(2))
    box.run("wait", first, second, code=1)
    script = box.path / "editor.py"
    script.write_text(
        "import sys, yaml\npath = sys.argv[1]\nbody = yaml.safe_load(open(path))\n"
        f"body['{first}'].update(command=['true'], name='better', priority=4)\ndel body['{second}']\n"
        "yaml.safe_dump(body, open(path, 'w'))\n"
    )
    said = box.run("redo", first, second, "--edit", "--json", env={"EDITOR": f"{box.python} {script}"}, code=0).json
    assert said["redo_of"] == [first]
    (new,) = said["ids"]
    assert (box.task(new)["name"], box.task(new)["argv"]) == ("better", ["true"])
    box.run("wait", new, code=0)
    script.write_text("import sys\nopen(sys.argv[1], 'w').write('[')\n")
    wrong = box.run("redo", first, "--edit", env={"EDITOR": f"{box.python} {script}"}, code=2)
    Path(wrong.err.split("What you wrote is in ")[1].split()[0]).unlink()
