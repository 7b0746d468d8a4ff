"""The two clusters that the contract is held against, behind one face: the mock, and a real Slurm on this host."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tests.contract.mock import inside
from tests.patience import PATIENCE_SECONDS

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).resolve().parent))
MOCK = REPOSITORY / "slurm_mock" / "bin" / "mockslurm"
SECONDS_MAX = PATIENCE_SECONDS


class Cluster(Protocol):
    """Three nodes, node1 to node3, each with 8 CPUs and 4 GPUs; a default partition gpu and another, long."""

    kind: str
    nodes: tuple[str, ...]
    shared: Path
    """A directory that this process and all nodes see."""

    @property
    def env(self) -> dict[str, str]:
        """The environment of a login host."""
        ...

    def kill_node(self, node: str) -> None:
        """The node has lost its power."""
        ...

    def revive_node(self, node: str) -> None:
        """The node has booted."""
        ...

    def kill_slurmd(self, node: str) -> None:
        """The node's slurmd is gone, by SIGKILL; all else on the node lives on."""
        ...

    def start_slurmd(self, node: str) -> None:
        """The node has a slurmd again."""
        ...

    def save_state(self, job: str) -> None:
        """The controller has written down what it knows of the job: killed before, it takes it for pending."""
        ...

    def kill_ctld(self) -> None:
        """No command of Slurm's reaches the controller."""
        ...

    def start_ctld(self) -> None:
        """The controller answers again."""
        ...

    def processes(self, node: str) -> list[tuple[int, str]]:
        """(pid on this host, command line) of what runs on the node, daemons included."""
        ...

    def slow_signals(self, node: str, seconds: float) -> AbstractContextManager[object]:
        """Meanwhile so long passes between the signals to two processes of a step that runs on the node."""
        ...

    def squeue(self, *options: str) -> str:
        """What squeue prints now; it has succeeded."""
        ...


class MockCluster:
    """slurm_mock, started in a directory."""

    kind = "mock"
    nodes: tuple[str, ...] = ("node1", "node2", "node3")

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "mock"
        self.shared = directory / "shared"
        self.shared.mkdir(parents=True)
        size = ("--nodes", "3", "--gpus", "4", "--cpus", "8")
        # A time limit of a minute is what no test can do without, and Slurm has no shorter one.
        self._control(
            *("start", *size, "--until-exit-of", str(os.getpid())),
            *("--option", "minute=20", "--option", "limit_check=2"),
            # What a test does while a slurmd is silent has to fit in here on a busy machine, too.
            *("--option", "node_detection=6"),
        )

    @property
    def env(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "LEASEQ_"))}
        return {
            **clean,
            "SLURM_MOCK_DIR": str(self.directory),
            "SLURM_CONF": str(self.directory / "slurm.conf"),
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
        }

    def kill_node(self, node: str) -> None:
        self._control("kill-node", node)

    def revive_node(self, node: str) -> None:
        self._control("revive-node", node)

    def kill_slurmd(self, node: str) -> None:
        self._control("kill-slurmd", node)

    def start_slurmd(self, node: str) -> None:
        self._control("start-slurmd", node)

    def save_state(self, job: str) -> None:
        """Nothing to do: the mock's controller writes before it answers."""

    def kill_ctld(self) -> None:
        """It cannot be reached; its process lives, for the mock's nodes hang on it."""
        self.fault("down")

    def start_ctld(self) -> None:
        self._control("clear-faults")

    def fault(self, *words: str) -> None:
        """The cluster misbehaves like that from now on."""
        self._control("fault", *words)

    @contextlib.contextmanager
    def slow_signals(self, node: str, seconds: float) -> Iterator[None]:
        """Meanwhile so long passes between the signals to two processes of a step, of any node's."""
        self.fault("slow-signals", str(seconds))
        try:
            yield
        finally:
            self._control("clear-faults")

    def processes(self, node: str) -> list[tuple[int, str]]:
        """What carries the node's name in its environment: the mock's nodes have no namespaces."""
        mark = f"SLURMD_NODENAME={node}\0".encode()
        here = str(self.directory).encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes() + b"\0"
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            except OSError:
                continue
            if mark in environment and here in environment and line:
                found.append((int(entry.name), line))
        return found

    def squeue(self, *options: str) -> str:
        """What squeue prints now; it has succeeded."""
        return inside.squeue(self.directory, *options)

    def stop(self) -> None:
        self._control("stop")

    def _control(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, str(MOCK), *words, "--dir", str(self.directory)], check=True, stdout=subprocess.DEVNULL
        )


def run(
    argv: Sequence[str], env: Mapping[str, str], *, cwd: Path, seconds_max: float = SECONDS_MAX, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """The command's end, whatever its exit code."""
    return subprocess.run(
        list(argv),
        env=dict(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds_max,
        check=False,
        input=stdin,
    )
