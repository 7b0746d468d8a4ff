"""`submit --json-lines`: tasks that a program writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli import Box, Said


def submit(box: Box, *objects: Any, options: tuple[str, ...] = (), code: int | None = 0) -> Said:
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in objects) + "\n"
    return box.run("submit", "--no-start", "--json-lines", "-", *options, input=text.encode(), code=code)


def queued(box: Box) -> list[Path]:
    return list(box.home.glob("runs/*/inbox/*/*"))


def test_each_line_is_a_task_with_what_it_says_and_ids_come_in_order(box: Box) -> None:
    said = submit(
        box,
        {"argv": ["python", "a b", "x\ny"], "name": "one", "group": "g", "need": {"mem": "2G"}, "priority": 5},
        "",
        {"line": "echo two | cat", "env": {"A": "1"}, "cwd": "sub", "time": "2h", "gpus": 0, "retries": 2},
        {"argv": ["true"], "hold": True, "key": "k"},
        options=("-c", "1", "-g", "all"),
    )
    first, second, third = said.out.split()
    one, two, three = (box.task(each) for each in (first, second, third))
    assert (one["argv"], one["shell"], one["name"], one["group"]) == (["python", "a b", "x\ny"], False, "one", "g")
    assert one["need"] == {"gpus": None, "cpus": 1, "mem_mb": 2048, "time_seconds": None}
    assert (two["argv"], two["shell"], two["group"], two["retries"]) == (["echo two | cat"], True, "all", 2)
    assert two["need"] == {"gpus": 0, "cpus": 1, "mem_mb": None, "time_seconds": 7200}
    assert two["cwd"].endswith("/w/sub") and two["env_given"] == ["A"]
    assert (three["reason"], three["key"]) == ("Held", "k")
    rows = box.run("tasks", "--json", code=0).json["tasks"]
    assert next(row["id"] for row in rows) == first, "its priority puts it first"
    again = submit(box, {"argv": ["other"], "key": "k"}, {"argv": ["new"]}, options=("--json",))
    assert again.json["ids"][0] == third and len(queued(box)) == 3


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not JSON"),
        ("[1]", "not an object"),
        ({}, "argv"),
        ({"argv": ["a"], "line": "b"}, "argv"),
        ({"argv": "a b"}, "not a list of words"),
        ({"argv": [1]}, "not a list of words"),
        ({"argv": []}, "no command"),
        ({"argv": ["a"], "nmae": "x"}, "no field 'nmae'"),
        ({"argv": ["a"], "name": 1}, "name is not text"),
        ({"argv": ["a"], "group": "a.b"}, "group"),
        ({"argv": ["a"], "gpus": "many"}, "gpus"),
        ({"argv": ["a"], "need": {"gpu": 1}}, "need is not"),
        ({"argv": ["a"], "env": {"A": 1}}, "env"),
        ({"argv": ["a"], "env": {"CUDA_VISIBLE_DEVICES": "1"}}, "set by the node"),
        ({"argv": ["a"], "priority": 1000}, "priority"),
        ({"argv": ["a"], "requeue": "yes"}, "requeue"),
        ({"argv": ["a"], "node": "nowhere"}, "nowhere"),
        ({"argv": ["a"], "cpus": 99999}, "can ever run"),
        ({"argv": ["a"], "cpus": 10**9}, "cpus"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_submitted(box: Box, line: Any, why: str) -> None:
    said = submit(box, {"argv": ["true"]}, "", line, {"argv": ["true"]}, code=2)
    assert "line 3" in said.err and why in said.err and "nothing was submitted" in said.err
    assert queued(box) == [] and said.out == ""


def test_a_key_in_two_lines_and_a_file_without_tasks_are_refused(box: Box) -> None:
    assert "stands in several lines" in submit(box, *[{"argv": ["a"], "key": "k"}] * 2, code=2).err
    assert "no task" in submit(box, "", code=2).err
    assert "brings the commands" in submit(box, {"argv": ["a"]}, options=("--", "true"), code=2).err
    assert box.run("submit", "--json-lines", "/no/such", code=2).err.startswith("leaseq: cannot read")
    assert queued(box) == []


def test_a_line_comes_after_tasks_that_are_there(box: Box) -> None:
    first = box.submit("true", options=("--hold", "--no-start", "-J", "first"))
    said = submit(box, {"argv": ["true"], "after": first}, {"argv": ["a"], "after": ["any:name:first"], "hold": True})
    one, two = (box.task(each) for each in said.out.split())
    assert (one["state"], two["reason"].partition(":")[0]) == ("PENDING", "Held") and first in one["reason"]
    assert "/waiting/" in one["file"]
    for wrong in ({"after": "Tnone"}, {"after": 1}, {"after": "afterok:T1"}):
        assert "line 1" in submit(box, {"argv": ["true"], **wrong}, code=2).err
    box.run("release", first, code=0)
    box.run("daemon", "start", code=0)
    box.run("wait", said.out.split()[0], code=0)


def test_a_thousand_lines_are_one_batch(box: Box) -> None:
    said = submit(box, *({"argv": ["true", str(n)], "name": f"n{n}"} for n in range(1000)))
    ids = said.out.split()
    assert len(ids) == len(set(ids)) == 1000
    names = sorted(path.name for path in queued(box))
    assert [name.split(".")[1] for name in names] == ids
