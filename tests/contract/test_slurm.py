"""Slurm's own answers, where clients of any kind build on them: the mock gives what the real one gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.contract.clusters import run
from tests.contract.site import Site

# Runs the command of its arguments, outlives TERM, and leaves the command's exit code in the file.
ASK = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: None)
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(f"{code}\\n")
"""


def answer(site: Site, *argv: str, **env: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command of Slurm's."""
    done: subprocess.CompletedProcess[str] = run(argv, {**site.cluster.env, **env}, cwd=site.directory)
    return done.returncode, done.stdout, done.stderr


def submit(site: Site, *words: str) -> str:
    return site.slurm("sbatch", "--parsable", *words).strip()


def until(site: Site, *words: str, is_: str) -> None:
    """squeue says this."""
    site.wait_until(lambda: site.slurm("squeue", "-h", *words).strip() == is_, f"{is_!r} from {words}")


@pytest.mark.parametrize("verb", ["scontrol requeue", "scancel"])
@pytest.mark.parametrize("inside", ["a step", "the script"])
def test_a_job_that_ends_itself_gets_the_answer_first(site: Site, verb: str, inside: str) -> None:
    """On a real Slurm whose processors are busy the signal now and then overtakes the command (measured: 3 of 48)."""
    (site.directory / "ask.py").write_text(ASK)
    step = "srun --overlap -N1 -n1 " if inside == "a step" else "exec "
    script = f"{step}{sys.executable} -IS ask.py code.$SLURM_JOB_ID {verb} $SLURM_JOB_ID"
    jobs = [submit(site, "-N1", "-n1", "--wrap", script) for _ in range(6)]
    files = [site.directory / f"code.{job}" for job in jobs]
    site.wait_until(lambda: all(file.exists() and file.read_text() for file in files), "an answer for each job")
    codes = {file.read_text().strip() for file in files}
    assert codes <= ({"0"} if site.cluster.kind == "mock" else {"0", "-15"})
    assert "0" in codes


def test_a_long_format_without_a_width_is_as_wide_as_it_is(site: Site) -> None:
    job = submit(site, "-H", "-N1", "-n1", "-J", "alpha", "--wrap", "true")

    def shown(spec: str) -> str:
        return site.slurm("squeue", "-h", "-j", job, "-O", spec).rstrip("\n")

    assert shown("name:###,state:|,partition:") == "alpha###PENDING|gpu"
    assert shown("name:8###,state:.9|") == "alpha   ###  PENDING|"
    assert shown("name,state") == f"{'alpha':20}{'PENDING':20}"
    assert shown("name:#3,state:x10") == "alpha#3PENDINGx10"
