"""The guide for coding agents: each of its lines does what it is printed for, and it is enough."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.cli.skill import guide
from tests.e2e.cli import Box
from tests.patience import PATIENCE_SECONDS

LINES_MAX, CALLS_MAX = 80, 8
TRAIN = """\
import os, sys, time
print("CUDA", os.environ["CUDA_VISIBLE_DEVICES"])
while os.path.exists("early"):
    time.sleep(0.05)
if os.path.exists("bad") and sys.argv[1:] == ["--lr", "3e-4", "--seed", "2"]:
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
"""


class Host(Box):
    """A host with two GPUs, by what its driver says, and the programs that the guide speaks of."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        programs = path / "bin"
        programs.mkdir()
        gpus = "echo 'GPU 0: A100 (UUID: GPU-a)'; echo 'GPU 1: A100 (UUID: GPU-b)'"
        scripts = {
            "nvidia-smi": f"case $1 in -L) {gpus};; *) exit 15;; esac",
            "leaseq": f'echo "$@" >>{path}/calls; exec {sys.executable} -m leaseq "$@"',
            "python": f'exec {sys.executable} "$@"',
        }
        for name, script in scripts.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)
        (self.work / "train.py").write_text(TRAIN)
        (self.work / "collect.py").write_text("print('collected')\n")
        (self.work / "bad").touch()
        self.environment["PATH"] = f"{programs}:{self.environment['PATH']}"

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", script],
            env=self.environment,
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )


@pytest.fixture
def host(short_path: Path) -> Iterator[Host]:
    made = Host(short_path)
    yield made
    made.close()


def test_each_line_of_the_guide_is_run_as_it_stands(host: Host) -> None:
    text = guide()
    lines = re.findall(r"^\$ (.*)$", text, re.M)
    assert len(text.splitlines()) <= LINES_MAX and len(lines) >= 12
    # No run of the sweep ends before what is to come after it has been submitted.
    script = ["exec 3>codes"]
    for line in lines:
        script += ["touch early"] if "--sweep" in line else []
        script += [line, "echo '=' $? >&3"]
        script += ["rm early"] if "--after" in line else []
    done = host.bash("\n".join(script))
    codes = [int(line.split()[1]) for line in (host.work / "codes").read_text().splitlines()]
    # One run of the sweep fails, as long as `bad` is there.
    expected = [1 if number == 5 else 0 for number in range(len(lines))]
    assert codes == expected, done.stdout + done.stderr
    assert "CUDA out of memory" in done.stdout and "a GPU had not enough memory" in done.stdout


def test_who_has_read_the_guide_alone_finds_and_mends_a_failed_run_in_few_calls(host: Host) -> None:
    sweep = "--sweep lr=1e-3,3e-4 --sweep seed=1..3 --gpus 1 -- python train.py --lr {lr} --seed {seed}"
    task = host.bash(f"leaseq submit {sweep}").stdout.strip()
    assert host.bash(f"leaseq wait {task} --timeout 9m").returncode == 1
    said = host.bash(f"leaseq triage {task}").stdout
    assert "a GPU had not enough memory" in said and f"{task}_4" in said
    (host.work / "bad").unlink()
    assert host.bash(f"leaseq retry {task} --failed").stdout.strip() == task
    assert host.bash(f"leaseq wait {task} --timeout 9m").returncode == 0
    brief = host.bash("leaseq status --brief").stdout
    assert "1 done" in brief
    assert len((host.path / "calls").read_text().splitlines()) <= CALLS_MAX


def test_it_is_printed_and_written_where_it_is_said(host: Host) -> None:
    assert host.run("skill", code=0).out == guide()
    path = host.work / "skills" / "leaseq" / "SKILL.md"
    for _ in range(2):
        assert host.run("skill", "--install", "skills", code=0).out == "skills/leaseq/SKILL.md\n"
        assert path.read_text() == guide()
    forbidden = {"LEASEQ_READONLY": "1"}
    assert host.run("skill", env=forbidden, code=0).out == guide()
    path.write_text("a guide of my own\n")
    assert "is not leaseq's guide" in host.run("skill", "--install", "skills", code=2).err
    path.unlink()
    assert "LEASEQ_READONLY" in host.run("skill", "--install", "skills", code=2, env=forbidden).err
    assert not path.exists()
