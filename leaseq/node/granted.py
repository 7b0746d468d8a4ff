"""What a runner was granted on its node: CPUs and memory beside its GPUs. Never what happens to be unused."""

from __future__ import annotations

import os
from collections.abc import Mapping

from leaseq.node.cgroup import limits
from leaseq.node.grant import Gpus
from leaseq.room import Room
from leaseq.schema import whole


def granted(environment: Mapping[str, str], gpus: Gpus) -> Room:
    """What this runner may hand out: what Slurm granted, or else what this host has and its groups allow."""
    return Room(_cpus(environment), _memory_mb(environment), gpus.tokens, gpus_known=gpus.known)


def _cpus(environment: Mapping[str, str]) -> int:
    granted_cpus = whole(environment.get("SLURM_CPUS_ON_NODE", ""))
    if granted_cpus is not None:
        return max(1, granted_cpus)
    here, quota = len(os.sched_getaffinity(0)), limits().cpus
    return max(1, here if quota is None else min(here, int(quota)))


def _memory_mb(environment: Mapping[str, str]) -> int:
    for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"):
        value = whole(environment.get(name, ""))
        if value:
            return value * (_cpus(environment) if name == "SLURM_MEM_PER_CPU" else 1)
    return memory()[0]


def memory() -> tuple[int, int]:
    """(total, used) memory in MiB: of the group that limits this process, or else of this host; zeros if unknown."""
    total, used = _host_memory()
    group = limits()
    if group.memory_mb is None or group.memory_mb >= total > 0:
        return total, used
    return group.memory_mb, used if group.memory_used_mb is None else group.memory_used_mb


def _host_memory() -> tuple[int, int]:
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
