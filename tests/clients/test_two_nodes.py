"""A sweep, a workflow and a study on a lease of two nodes of a Slurm, each as the documents say and no otherwise."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import PROGRAMS, SECONDS, VENV, Clients
from tests.clients.test_from_python import plugin, recipe
from tests.clients.test_snakemake import Recipe
from tests.e2e.harness import ROOT

JOBS = """
rule total:
    input: expand("part{n}.txt", n=range(6))
    output: "total.txt"
    shell: "cat {input} > {output}"
rule part:
    output: "part{n}.txt"
    shell: "sleep 0.2; echo $LEASEQ_NODE > {output}"
"""
TRAIN = """
import os, time
from pathlib import Path
import hydra

@hydra.main(version_base=None, config_path=None, config_name="config")
def main(config):
    time.sleep(0.2)
    Path(ROOT, f"ran-{config.lr}-{config.seed}").write_text(os.environ["LEASEQ_NODE"])
    return config.lr

main()
"""


@pytest.fixture
def site(clients: Clients, tmp_path: Path) -> Iterator[Recipe]:
    """A user with a lease of two nodes, which is the default, and the files of the snakemake page."""
    made = Recipe(tmp_path, JOBS)
    programs = made.environment["PATH"].partition(":")[0]
    made.environment |= {**clients.env, "PATH": f"{programs}:{clients.env['PATH']}"}
    made.environment["PYTHONPATH"] = f"{ROOT}:{plugin(tmp_path)}"
    made.run("add", "--detach", "--name", "two", "--", "-N2", "-c4", "-p", "long", "-t", "4:00:00", code=0)
    made.run("wait", made.run("submit", "-c", "1", "--", "true", code=0).out.strip(), code=0)
    yield made
    made.run("lease", "release", "two", "--yes", code=0)
    made.close()


def nodes(site: Recipe, *words: str) -> set[str]:
    """The nodes that the tasks ran on, all of which are done."""
    rows = site.run("tasks", *words, "--json", "--all", code=0).json["tasks"]
    assert {row["state"] for row in rows} == {"DONE"}
    return {row["node"] for row in rows}


def test_a_hydra_sweep(site: Recipe) -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    (line,) = re.findall(r"^python train.py -m (hydra/launcher=.*)$", page, re.M)
    (site.work / "train.py").write_text(TRAIN.replace("ROOT", repr(str(site.work))))
    (site.work / "config.yaml").write_text("lr: 0\nseed: 0\n")
    words = [str(VENV / "bin" / "python"), "train.py", "--config-dir", ".", "-m", *shlex.split(line)]
    done = subprocess.run(words, env=site.environment, cwd=site.work, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = {path.name: path.read_text() for path in site.work.glob("ran-*")}
    assert ran.keys() == {f"ran-{lr}-{seed}" for lr in ("0.1", "0.3", "1") for seed in (1, 2, 3, 4)}
    assert set(ran.values()) == {"node1", "node2"}
    (array,) = site.run("tasks", "-g", "sweep", "--json", code=0).json["tasks"]
    assert array["array"]["size"] == 12 and nodes(site, array["id"]) == {"node1", "node2"}


def test_a_snakemake_workflow(site: Recipe) -> None:
    assert site.snakemake().wait(SECONDS) == 0, site.said()
    assert set((site.work / "total.txt").read_text().split()) == {"node1", "node2"}
    assert site.states() == ["DONE"] * 7


def test_an_optuna_study(site: Recipe) -> None:
    recipe(site, "study.ask")
    words = [str(VENV / "bin" / "python"), str(PROGRAMS / "optuna_on_leaseq.py"), "recipe.py"]
    done = subprocess.run(words, env=site.environment, cwd=site.work, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stdout) == (0, "24 {'COMPLETE'} True\n"), done.stderr
    ids = [row["id"] for row in site.run("tasks", "--json", code=0).json["tasks"] if row["array"]]
    assert len(ids) == 3 and nodes(site, *ids) == {"node1", "node2"}
