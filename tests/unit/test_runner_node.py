"""What a runner was granted on its node."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leaseq.runner.node import granted, memory, parse_tokens


def nvidia_smi(path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("visible", "tokens"),
    [
        ("0,1", ("0", "1")),
        (" 3 , GPU-8932 ,MIG-1/2", ("3", "GPU-8932", "MIG-1/2")),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("1,-1,2", ("1",)),
        ("0,0,1", ("0",)),
    ],
)
def test_tokens_are_kept_as_they_are_and_the_first_bad_one_ends_them(visible: str, tokens: tuple[str, ...]) -> None:
    assert parse_tokens(visible) == tokens
    assert granted({"CUDA_VISIBLE_DEVICES": visible})[0].gpus == tokens


def test_a_slurm_step_without_the_variable_has_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, "echo 'GPU 0: Tesla'", monkeypatch)
    room, known = granted({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "12", "SLURM_MEM_PER_CPU": "100"})
    assert (room.gpus, known, room.cpus, room.mem_mb) == ((), True, 12, 1200)


def test_a_host_has_the_gpus_that_its_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "GPU 0: Tesla (UUID: GPU-a)\\n  MIG 1g.5gb Device 0:\\nGPU 1: Tesla"
    nvidia_smi(tmp_path, f"printf '{listed}\\n'", monkeypatch)
    assert granted({})[0].gpus == ("0", "1")
    assert granted({})[1]


def test_a_driver_that_fails_leaves_the_gpus_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, "echo broken; exit 9", monkeypatch)
    assert granted({})[0].gpus == ()
    assert not granted({})[1]


def test_memory_is_the_grant_or_what_the_host_has() -> None:
    assert granted({"SLURM_MEM_PER_NODE": "512", "CUDA_VISIBLE_DEVICES": ""})[0].mem_mb == 512
    assert granted({"SLURM_MEM_PER_NODE": "0", "CUDA_VISIBLE_DEVICES": ""})[0].mem_mb == memory()[0] > 0
    total, used = memory()
    assert 0 < used < total
