"""docs/snakemake.md, as printed: a workflow whose jobs are tasks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import SECONDS, VENV
from tests.e2e.cli import Box
from tests.e2e.harness import ROOT
from tests.patience import wait_until

PARTS = """
rule total:
    input: expand("part{n}.txt", n=range(3))
    output: "total.txt"
    shell: "cat {input} > {output}"
rule part:
    output: "part{n}.txt"
    shell: "echo $LEASEQ_TASK_ID > {output}"
"""
SLEEPER = 'rule sleeper:\n    output: "never.txt"\n    shell: "sleep 600"\n'
FAILING = 'rule failing:\n    output: "never.txt"\n    shell: "exit 3"\n'


class Recipe(Box):
    """The page's files beside a Snakefile, and snakemake in that directory."""

    def __init__(self, path: Path, snakefile: str) -> None:
        super().__init__(path)
        page = (ROOT / "docs" / "snakemake.md").read_text()
        profile, status, cancel = re.findall(r"^```(?:yaml|sh)\n(.*?)^```", page, re.M | re.S)
        (self.work / "leaseq").mkdir()
        for name, text in {"config.yaml": profile, "status": status, "cancel": cancel}.items():
            (self.work / "leaseq" / name).write_text(text)
            (self.work / "leaseq" / name).chmod(0o755)
        (self.work / "Snakefile").write_text(snakefile)
        programs = path / "bin"
        programs.mkdir()
        # The clients' venv has no leaseq, and this one's has programs of other versions.
        (programs / "leaseq").write_text(f'#!/bin/sh\nexec {sys.executable} -m leaseq "$@"\n')
        (programs / "leaseq").chmod(0o755)
        self.environment["PATH"] = f"{programs}:{VENV / 'bin'}:{os.environ['PATH']}"

    def snakemake(self, *, checks_seconds: int = 1) -> subprocess.Popen[bytes]:
        words = ["snakemake", "--profile", "leaseq", "--seconds-between-status-checks", str(checks_seconds)]
        with open(self.path / "said", "wb") as log:
            return subprocess.Popen(words, cwd=self.work, env=self.environment, stdout=log, stderr=log)

    def said(self) -> str:
        return (self.path / "said").read_text()

    def states(self) -> list[str]:
        return sorted(each["state"] for each in self.run("tasks", "-g", "snakemake", "--json").json["tasks"])


@pytest.fixture
def recipe(tmp_path: Path, request: pytest.FixtureRequest) -> Recipe:
    if not (VENV / "bin" / "snakemake").exists():
        pytest.skip(f"no snakemake in {VENV}: make test-clients makes it")
    recipe = Recipe(tmp_path, request.param)
    request.addfinalizer(recipe.close)
    return recipe


@pytest.mark.parametrize("recipe", [PARTS], indirect=True, ids=["parts"])
def test_each_job_of_a_workflow_is_a_task(recipe: Recipe) -> None:
    assert recipe.snakemake().wait(SECONDS) == 0, recipe.said()
    assert len(set((recipe.work / "total.txt").read_text().split())) == 3, "each part was a task of its own"
    assert recipe.states() == ["DONE"] * 4


@pytest.mark.parametrize("recipe", [FAILING], indirect=True, ids=["failing"])
def test_a_job_that_fails_fails_its_workflow(recipe: Recipe) -> None:
    assert recipe.snakemake().wait(SECONDS) == 1, recipe.said()
    assert recipe.states() == ["FAILED"]


@pytest.mark.parametrize("recipe", [SLEEPER], indirect=True, ids=["sleeping"])
def test_ctrl_c_cancels_the_tasks(recipe: Recipe) -> None:
    # While Snakemake asks for states it has no job in its list, and would cancel none.
    process = recipe.snakemake(checks_seconds=60)
    wait_until(lambda: recipe.home.exists() and recipe.states() == ["RUNNING"], seconds=SECONDS)
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) != 0
    wait_until(lambda: recipe.states() == ["CANCELLED"], seconds=SECONDS, seen=recipe.said)
