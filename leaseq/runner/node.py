"""What a runner was granted on its node: CPUs, memory, GPU tokens. Never what happens to be unused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping

from leaseq.models import whole
from leaseq.runner.decide import Room

PROBE_SECONDS = 10.0


def granted(environment: Mapping[str, str]) -> tuple[Room, bool]:
    """(what this runner may hand out, whether its GPUs are known).

    CUDA_VISIBLE_DEVICES is the grant where it is set, in its own tokens; Slurm sets it relative to the job under
    device constraint, so SLURM_STEP_GPUS only tells how many there are. Else what the node has.
    """
    gpus, known = _gpus(environment)
    return Room(_cpus(environment), _memory_mb(environment), gpus), known


def _cpus(environment: Mapping[str, str]) -> int:
    granted_cpus = whole(environment.get("SLURM_CPUS_ON_NODE", ""))
    return max(1, len(os.sched_getaffinity(0)) if granted_cpus is None else granted_cpus)


def _memory_mb(environment: Mapping[str, str]) -> int:
    for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"):
        value = whole(environment.get(name, ""))
        if value:
            return value * (_cpus(environment) if name == "SLURM_MEM_PER_CPU" else 1)
    return memory()[0]


def memory() -> tuple[int, int]:
    """(total, used) memory of this host in MiB; zeros where /proc does not tell."""
    values: dict[str, int] = {}
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                name, _, rest = line.partition(":")
                if name in ("MemTotal", "MemAvailable"):
                    values[name] = int(rest.split()[0]) // 1024
    except (OSError, ValueError, IndexError):
        return 0, 0
    total = values.get("MemTotal", 0)
    return total, total - values.get("MemAvailable", total)


def _gpus(environment: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return parse_tokens(visible), True
    if "SLURM_JOB_ID" in environment:
        # A Slurm step without GPUs has the variable unset (measured, 22.05).
        return (), True
    return _installed()


def parse_tokens(visible: str) -> tuple[str, ...]:
    """The tokens of a CUDA_VISIBLE_DEVICES value, as they are: indices, UUIDs, MIG names; the first bad one ends it."""
    tokens: list[str] = []
    for token in (part.strip() for part in visible.split(",")):
        if not token or token in ("-1", "NoDevFiles", "none", "void") or token in tokens:
            break
        tokens.append(token)
    return tuple(tokens)


def _installed() -> tuple[tuple[str, ...], bool]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return (), True
    try:
        answer = subprocess.run(
            [program, "-L"], capture_output=True, text=True, errors="replace", timeout=PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return (), False
    return tuple(re.findall(r"^GPU (\d+):", answer.stdout, re.MULTILINE)), answer.returncode == 0
