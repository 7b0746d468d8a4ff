"""proctrack=cgroup: signals for the tasks alone, and nothing outlives its step."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.contract.mock.conftest import Mock, cluster_in
from tests.contract.mock.test_jobs import notes, signal_job
from tests.patience import wait_until


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    yield from cluster_in(tmp_path_factory.mktemp("cgroup"), "proctrack=cgroup", "constrain_devices=1")


def test_children_of_a_task_get_no_term(mock: Mock) -> None:
    job = signal_job(mock)
    mock.end(job)
    assert notes(mock) == ["batch SIGTERM", "runner SIGTERM"]


def test_leftovers_are_killed_when_the_step_ends(mock: Mock) -> None:
    job = mock.lease("-N1")
    script = "setsid sh -c 'echo $$ > pid.left; exec sleep 300' & while [ ! -s pid.left ]; do sleep 0.02; done"
    done = mock.run("srun", f"--jobid={job}", "--overlap", "-N1", "-n1", "sh", "-c", script)
    assert done.returncode == 0
    pid = int(mock.read("pid.left"))
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    mock.end(job)


def test_constrained_devices_are_counted_from_zero(mock: Mock) -> None:
    first = mock.lease("-w", "node1", "--gres=gpu:2")
    second = mock.lease("-w", "node1", "--gres=gpu:2")
    script = "echo $CUDA_VISIBLE_DEVICES $SLURM_STEP_GPUS"
    words = ["srun", f"--jobid={second}", "--overlap", "-N1", "-n1", "sh", "-c", script]
    assert mock.out(*words) == "0,1 2,3"
    mock.end(first, second)
