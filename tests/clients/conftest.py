"""The venv with the clients (LEASEQ_CLIENTS, made by `make test-clients`), and a cluster that they find on PATH."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.mock.conftest import Mock, cluster_in

VENV = Path(os.environ.get("LEASEQ_CLIENTS") or Path.home() / ".cache" / "leaseq-clients")
PROGRAMS = Path(__file__).parent / "programs"
HERE = Path(__file__).parent
SECONDS = 150.0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """None of these run but by `make test-clients`."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.clients)
            item.add_marker(pytest.mark.timeout(SECONDS + 60))


class Clients:
    """The clients' Python and programs, in a user's directory on a cluster."""

    def __init__(self, mock: Mock) -> None:
        self.mock = mock
        self.work = mock.work
        self.env = {**mock.env, "PATH": f"{mock.env['PATH'].split(':')[0]}:{VENV / 'bin'}:{os.environ['PATH']}"}

    def run(self, *argv: str) -> str:
        """What the program printed; it has succeeded."""
        done = subprocess.run(argv, env=self.env, cwd=self.work, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def program(self, name: str, *argv: str) -> str:
        return self.run(str(VENV / "bin" / "python"), str(PROGRAMS / name), *argv)


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    if not (VENV / "bin" / "python").exists():
        pytest.skip(f"no {VENV}: make test-clients makes it")
    # submitit makes its folders after sbatch, and counts on a site that lets some seconds pass (3 by default).
    options = ("requeue_delay=1", "kill_wait=5", "sched_delay=4")
    for mock in cluster_in(tmp_path_factory.mktemp("clients"), *options):
        yield Clients(mock)
