"""What these programs do on a real Slurm they do on the mock."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from pathlib import Path

import pyte

from tests.clients.conftest import PROGRAMS, VENV, Clients
from tests.patience import wait_until


def last_line(clients: Clients, what: str) -> str:
    """What the program for submitit says in the end; before it come warnings, for the cluster has no accounting."""
    return clients.program("with_submitit.py", what).splitlines()[-1]


def test_submitit_maps_an_array(clients: Clients) -> None:
    assert last_line(clients, "arrays") == "[0, 1, 4, 9, 16] True"


def test_submitit_submits_a_batch_as_an_array(clients: Clients) -> None:
    assert last_line(clients, "batches") == "9 FailedJobError"


def test_submitit_checkpoints_and_requeues(clients: Clients) -> None:
    assert last_line(clients, "checkpoint") == "('done', 2)"


def test_submitit_cancels(clients: Clients) -> None:
    assert last_line(clients, "cancel") == "cancelled"


def test_hydra_sweeps_with_its_submitit_launcher(clients: Clients) -> None:
    words = ["-m", f"+folder={clients.work}", "+x=1,2,3", "hydra/launcher=submitit_slurm"]
    more = ["hydra.launcher.partition=gpu", "hydra.launcher.timeout_min=5", "hydra.launcher.array_parallelism=2"]
    clients.program("with_hydra.py", *words, *more)
    assert [(clients.work / f"seen-{x}").read_text() for x in (1, 2, 3)] == ["2", "4", "6"]


def test_simple_slurm_has_arrays_and_what_comes_after_them(clients: Clients) -> None:
    job = clients.program("with_simple_slurm.py").strip()
    clients.mock.wait_text("after.out", "after")
    texts = {path.name: path.read_text() for path in clients.work.glob("simple-*.out")}
    assert texts == {f"simple-{job}_{task}.out": f"task {task} of 3\n" for task in (3, 7, 11)}


def test_snakemake_runs_a_workflow_by_its_slurm_executor(clients: Clients) -> None:
    slurm = ["--executor", "slurm", "--slurm-status-command", "squeue", "--slurm-no-account"]
    pace = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"]
    clients.run("snakemake", "-s", str(PROGRAMS / "Snakefile"), "--jobs", "3", *slurm, *pace)
    assert (clients.work / "total.txt").read_text().split() == ["0", "1", "2"]
    jobs = {(clients.work / f"part{n}.txt").read_text().split()[1] for n in range(3)}
    assert len(jobs) == 3, "each part was a job of its own"


def test_turm_lists_jobs_and_arrays(clients: Clients) -> None:
    job = clients.mock.submit("-H", "-J", "alpha", "--array=0-3%2", "-o", "/dev/null", "--wrap", "true")
    screen = Screen([str(VENV / "bin" / "turm")], clients.env, clients.work)
    try:
        line = wait_until(lambda: next((row for row in screen.rows() if "alpha" in row), ""), seconds=60)
    finally:
        screen.end()
    assert f"PD {job}_0 gpu root 0:00 alpha" in line


class Screen:
    """A program on a terminal, as it looks."""

    def __init__(self, argv: list[str], env: dict[str, str], cwd: Path) -> None:
        self.screen = pyte.Screen(160, 40)
        self.stream = pyte.ByteStream(self.screen)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(argv[0], argv, {**env, "TERM": "xterm-256color"})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))

    def rows(self) -> list[str]:
        until = time.monotonic() + 0.5
        while time.monotonic() < until and select.select([self.fd], [], [], 0.1)[0]:
            try:
                self.stream.feed(os.read(self.fd, 65536))
            except OSError:
                break
        return list(self.screen.display)

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
