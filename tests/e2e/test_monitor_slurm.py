"""A lease of Slurm from the form to its release, all of it by keys, on a mock cluster of two nodes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.dataclass import dataclass
from tests import forked
from tests.e2e.monitor_screen import on_terminal

ROOT = Path(__file__).parents[2]
MOCK = ROOT / "slurm_mock" / "bin" / "mockslurm"
LEASEQ = [sys.executable, "-m", "leaseq"]


@dataclass
class Mock:
    """A running mock cluster and the environment of its login host."""

    directory: Path
    env: dict[str, str]

    def control(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, str(MOCK), *words, "--dir", str(self.directory)], check=True, stdout=subprocess.DEVNULL
        )

    def leaseq(self, *words: str) -> str:
        """What the command said on stdout."""
        code, out, err = forked.run(words, self.env, cwd=ROOT)
        assert code == 0, err
        return out.decode().strip()


@pytest.fixture
def mock(short_path: Path) -> Iterator[Mock]:
    directory = short_path / "mock"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LEASEQ_", "SLURM_"))}
    env |= {
        "LEASEQ_HOME": str(short_path / "home"),
        "LEASEQ_NODE_DIR": str(short_path / "node"),
        "SLURM_MOCK_DIR": str(directory),
        "SLURM_CONF": str(directory / "slurm.conf"),
        "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm-256color",
    }
    env.pop("NO_COLOR", None)
    made = Mock(directory, env)
    made.control("start", "--nodes", "2", "--gpus", "4", "--cpus", "8", "--until-exit-of", str(os.getpid()))
    # A site may poll more often than the default if Slurm is small.
    home = Path(env["LEASEQ_HOME"])
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text("slurm_poll_seconds: 1\n")
    yield made
    made.control("stop")


def test_a_lease_is_made_watched_used_and_released_by_keys_alone(mock: Mock) -> None:
    with on_terminal([*LEASEQ, "tui", "--refresh", "0.3"], mock.env, columns=170, lines=40) as screen:
        screen.shows("no task yet")
        screen.press("n", "new Slurm lease")
        screen.send("\t\t2\t10:00\t4\tsweep")
        screen.shows("leaseq add --detach --name sweep -- --nodes=2 --time=10:00 --gres=gpu:4")
        screen.send("\r")
        screen.wait(lambda: "sweep" in screen.text and "new Slurm lease" not in screen.text, "the lease in the list")
        screen.send("\t" * 3)
        screen.shows("Enter look at")
        screen.send("g")
        screen.send("\r")
        screen.shows("sweep")
        screen.shows("left")
        screen.shows("slurm ")
        screen.wait(lambda: screen.text.count("● node") == 2, "two nodes that are up")
        screen.press("a", "submit to")
        screen.send("echo gpus $CUDA_VISIBLE_DEVICES; sleep 300\t3\r")
        screen.shows("● 1 running")
        screen.shows("gpus 0,1,2")
        more = mock.leaseq("add", "--detach", "--to", "sweep", "--nodes=2", "--exclusive", "--time=10:00")
        screen.press("\t" * 3, "Enter jobs")
        screen.press("R", f"{more}  PENDING")
        mock.leaseq("lease", "release", "sweep", "--job", more, "--yes")
        screen.press("R", f"{more}  ENDED")
        # The cursor of the leases is left on another one, and the task list has the focus: x means what is looked at.
        screen.send("j\t\t")
        screen.shows("c cancel")
        screen.press("x", "releases 2 nodes, ends 1 running task;")
        screen.wait(lambda: re.search(r"─ release lease \d+ sweep ─", screen.text), "the lease by its name")
        screen.shows("0 pending tasks stay queued")
        screen.press("y", "is released")
        screen.shows("ended")


def test_a_slurm_that_does_not_answer_makes_its_age_grow_and_is_told(mock: Mock) -> None:
    mock.leaseq("add", "--detach", "-t", "10:00")
    with on_terminal([*LEASEQ, "tui", "--refresh", "0.3"], mock.env, columns=120, lines=40) as screen:
        screen.shows("slurm ")
        mock.control("fault", "down")
        screen.send("R")
        screen.shows("Slurm does not answer")
        screen.press("?", "everywhere")
