"""submitit with leaseq's plugin, and optuna and joblib by the recipes of docs/python.md, as their users run them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import PROGRAMS, SECONDS, VENV, Clients
from tests.e2e.cli import Box
from tests.e2e.harness import ROOT
from tests.patience import wait_until


def plugin(path: Path) -> str:
    """Where the entry points of leaseq are found, as in an installed one: the clients' venv has none."""
    section = (ROOT / "pyproject.toml").read_text().partition("[project.entry-points.submitit]\n")[2]
    info = path / "leaseq-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaseq\nVersion: 0\n")
    lines = re.findall(r'^(\w+) = "(.*)"$', section.partition("\n\n")[0], re.M)
    assert len(lines) == 2
    (info / "entry_points.txt").write_text("[submitit]\n" + "".join(f"{name} = {value}\n" for name, value in lines))
    return str(path)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    if not (VENV / "bin" / "python").exists():
        pytest.skip(f"no {VENV}: make test-clients makes it")
    made = Box(tmp_path)
    made.environment["PYTHONPATH"] = f"{ROOT}:{plugin(tmp_path)}"
    yield made
    made.close()


def said(box: Box, what: str, *, program: str = "submitit_on_leaseq.py") -> list[str]:
    words = [str(VENV / "bin" / "python"), str(PROGRAMS / program), what]
    done = subprocess.run(words, env=box.environment, cwd=box.work, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_a_job_an_array_and_a_batch_are_tasks(box: Box) -> None:
    assert said(box, "jobs") == [
        *("9 True", "COMPLETED", "[0, 1, 4, 9, 16] 1", "True None", "9 FailedJobError True"),
    ]
    tasks = box.run("tasks", "--json", code=0).json["tasks"]
    assert sorted(task["name"] for task in tasks if task["name"]) == ["one"]
    assert sorted((task["array"] or {}).get("size", 1) for task in tasks) == [1, 1, 2, 5]


def test_a_job_that_is_cancelled_or_dies_is_told_by_its_state(box: Box) -> None:
    assert said(box, "ends") == ["CANCELLED True", "FAILED True"]


def test_what_a_task_cannot_be_is_refused(box: Box) -> None:
    assert said(box, "refused") == ["ValueError", "ValueError", "UsageError", "NameError"]
    assert box.run("tasks", "--json", code=0).json["tasks"] == []


def recipe(box: Box, word: str) -> None:
    """What docs/python.md prints with that word in it is `recipe.py`."""
    page = (ROOT / "docs" / "python.md").read_text()
    (text,) = (block for block in re.findall(r"^```py\n(.*?)^```$", page, re.M | re.S) if word in block)
    (box.work / "recipe.py").write_text(text)


def test_optuna_runs_its_trials_by_the_recipe_of_the_page(box: Box) -> None:
    recipe(box, "study.ask")
    assert said(box, "recipe.py", program="optuna_on_leaseq.py") == ["24 {'COMPLETE'} True"]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("values", ["True True", "4", "2 {'1'}"]),
        ("errors", ["no 3 RemoteTraceback True", "['CANCELLED', 'DONE', 'FAILED']", "Refused"]),
        ("nested", ["1 True SequentialBackend", "1 True LokyBackend"]),
        ("few", ["True"]),
        ("page", []),
    ],
)
def test_joblib_makes_its_calls_in_tasks(box: Box, what: str, expected: list[str]) -> None:
    recipe(box, "register_joblib")
    assert said(box, what, program="joblib_on_leaseq.py") == expected
    names = {task["name"] for task in box.run("tasks", "--json", code=0).json["tasks"]}
    assert names == {"values": {"sqrt", "where"}, "errors": {"fails"}, "nested": {"inner"}}.get(what, names) and names


def test_a_job_is_checkpointed_as_its_lease_ends_and_goes_on_in_another(clients: Clients, tmp_path: Path) -> None:
    home = tmp_path / "home"
    env = {**clients.env, "LEASEQ_HOME": str(home), "LEASEQ_NODE_DIR": str(tmp_path / "n")}

    def leaseq(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "leaseq", *words],
            env={**env, "PYTHONPATH": str(ROOT)},
            cwd=clients.work,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def lease() -> str:
        said = leaseq("add", "--detach", "--", "-N1", "-p", "gpu", "-t", "30")
        return said.split()[0]

    first = lease()
    words = [str(VENV / "bin" / "python"), str(PROGRAMS / "submitit_checkpoint.py")]
    variables = {**env, "PYTHONPATH": f"{ROOT}:{plugin(tmp_path)}", "LEASEQ_LEASE": first}
    with subprocess.Popen(words, env=variables, cwd=clients.work, stdout=subprocess.PIPE, text=True) as job:
        try:
            assert job.stdout is not None
            task_id = job.stdout.readline().strip()
            wait_until((clients.work / "life1").exists, "its first life", seen=lambda: leaseq("info", task_id))
            subprocess.run(["scancel", first], env=env, check=True)
            wait_until(
                lambda: "PENDING" in leaseq("info", task_id), "it waits", seen=lambda: leaseq("logs", "-b", task_id)
            )
            leaseq("move", "--from", first, "--to", lease())
            assert job.stdout.readline() == "('done', 2)\n"
        finally:
            job.kill()
