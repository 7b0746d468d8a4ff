"""A mock cluster per test module, brought up by its control tool, and waiting without fixed sleeps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.contract.mock import inside
from tests.patience import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[3]
TOOL = str(ROOT / "slurm_mock" / "bin" / "mockslurm")
QUICK = (
    "kill_wait=0.5",
    "output_wait=5",
    "node_detection=0.3",
    "limit_check=0.1",
    "sched_delay=0.02",
    "message_timeout=0.2",
)


class Mock:
    """Commands of one cluster, as a user types them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        scrubbed = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
        self.env = {**scrubbed, "PATH": f"{folder / 'c' / 'bin'}:{os.environ['PATH']}"}

    def tool(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, TOOL, *words, "--dir", str(self.folder / "c")],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )

    def run(
        self, *words: str, env: dict[str, str] | None = None, stdin: str = "", seconds: float = PATIENCE_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            env={**self.env, **(env or {})},
            cwd=self.work,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def popen(self, *words: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            words,
            env={**self.env, **(env or {})},
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def out(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = self.run(*words, env=env)
        assert done.returncode == 0, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stdout.strip()

    def squeue(self, *options: str) -> str:
        """What squeue prints now, without a header."""
        return inside.squeue(self.folder / "c", "-h", *options).strip()

    def submit(self, *words: str) -> str:
        return self.out("sbatch", "--parsable", *words)

    def script(self, name: str, text: str) -> str:
        path = self.work / name
        path.write_text("#!/bin/bash\n" + text)
        return str(path)

    def state(self, job: str) -> str:
        return self.squeue("-t", "all", "-j", job, "-o", "%T")

    def wait_state(self, job: str, *states: str) -> str:
        return wait_until(lambda: state if (state := self.state(job)) in states else "")

    def lease(self, *words: str, script: str = "sleep 300") -> str:
        """A running job of the given options."""
        job = self.submit("-o", f"{self.work}/%j.out", *words, "--wrap", script)
        self.wait_state(job, "RUNNING")
        return job

    def end(self, *jobs: str) -> None:
        self.run("scancel", *jobs)
        for job in jobs:
            wait_until(partial(self.ended, job))

    def ended(self, job: str) -> bool:
        return self.state(job) not in ("PENDING", "RUNNING", "COMPLETING")

    def read(self, name: str) -> str:
        path = self.work / name
        return path.read_text() if path.exists() else ""

    def wait_text(self, name: str, text: str = "") -> str:
        return wait_until(lambda: self.read(name) if self.read(name) and text in self.read(name) else "")


def cluster_in(folder: Path, *options: str) -> Iterator[Mock]:
    mock = Mock(folder)
    mock.work.mkdir()
    words = [word for option in (*QUICK, *options) for word in ("--option", option)]
    mock.tool("start", "--until-exit-of", str(os.getpid()), *words)
    yield mock
    mock.tool("stop")
    logs = [folder / "c" / "ctld.log", *folder.glob("c/nodes/*/slurmd.log")]
    assert "".join(log.read_text() for log in logs if log.exists()) == ""


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    yield from cluster_in(tmp_path_factory.mktemp("mock"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Mock]:
    """A cluster for a test that breaks it."""
    yield from cluster_in(tmp_path)
