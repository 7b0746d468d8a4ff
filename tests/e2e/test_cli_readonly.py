"""An environment that forbids every change."""

from __future__ import annotations

import os

import pytest

from leaseq.commands import COMMANDS
from tests.e2e.cli import Box

FORBIDDEN = {"LEASEQ_READONLY": "1"}
LINES = {
    "submit": ("--", "true"),
    "add": ("-N1", "-t", "10"),
    "cancel": ("ID",),
    "hold": ("ID",),
    "release": ("ID",),
    "set": ("ID", "--priority", "5"),
    "edit": ("ID",),
    "signal": ("ID", "TERM"),
    "pause": (),
    "resume": (),
    "group": ("eval", "--parallel", "2"),
    "redo": ("ID",),
    "retry": ("ID",),
    "recover": ("--all",),
    "lease use": ("local",),
    "lease idle": ("local", "10m"),
    "lease release": ("local", "--yes"),
    "lease keep": ("local", "1d"),
    "lease hold-queue": (),
    "lease adopt": ("1",),
    "move": ("ID", "--to", "local"),
    "shell": ("--", "true"),
    "daemon start": (),
    "daemon stop": (),
    "daemon restart": (),
    "lease scale": ("local", "0..2"),
    "hook add": ("x", "--", "true"),
    "hook test": ("x",),
    "hook remove": ("x",),
    "ssh-config": (),
    "forward": ("8888",),
    "clean": (),
    "doctor": (),
    "init": ("--yes",),
}
"""A line of each command that changes something."""


def tree(box: Box) -> dict[str, tuple[int, int]]:
    """Each file of the home, with its size and time."""
    found = {}
    for directory, _, names in os.walk(box.home):
        for name in names:
            about = os.lstat(path := os.path.join(directory, name))
            found[path] = (about.st_size, about.st_mtime_ns)
    return found


def test_nothing_that_changes_something_is_run(box: Box) -> None:
    task = box.submit("true", options=("--hold", "--no-start"))
    before = tree(box)
    assert {name for name, known in COMMANDS.items() if known.changes} <= LINES.keys()
    for name, rest in LINES.items():
        said = box.run(*name.split(), *(task if word == "ID" else word for word in rest), env=FORBIDDEN, code=2)
        assert f"`leaseq {name}` was not run: LEASEQ_READONLY is set" in said.err and not said.out, name
    assert tree(box) == before


@pytest.mark.parametrize(
    "line", [("status",), ("tasks",), ("info", "last"), ("why", "last"), ("lease", "ls"), ("tui", "--once")]
)
def test_what_only_looks_is_run(box: Box, line: tuple[str, ...]) -> None:
    box.submit("true", options=("--hold", "--no-start"))
    before = tree(box)
    assert box.run(*line, env=FORBIDDEN, code=0).out
    assert tree(box) == before


def test_it_can_be_waited_for_and_a_value_of_0_forbids_nothing(box: Box) -> None:
    task = box.submit("sh", "-c", "echo hello; exit 4", options=("--gpus", "0"))
    assert box.run("wait", task, env=FORBIDDEN, code=4)
    assert box.run("follow", task, env=FORBIDDEN, code=4).out == "hello\n"
    assert box.run("hold", task, env={"LEASEQ_READONLY": "0"}).code != 0
    refused = box.run("redo", task, "--json", env=FORBIDDEN, code=2).json["error"]
    assert refused["code"] == "refused" and "status" in refused["hint"]
