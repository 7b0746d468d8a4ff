"""The environment of a task: its submitter's, under what the node set."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from leaseq.models import Task
from leaseq.node.grant import CUDA, VARIABLES

NODE_OWNED = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SLURMD_", "PMI_", "PMIX_", "LEASEQ_")
"""Prefixes of variables that only the node may set; a submitter's values of these are dropped."""
GPU_OWNED = (*VARIABLES, "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
BASIC = ("HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG", "TZ", "TMPDIR")
"""What a task submitted with --export=NONE still gets, from the runner's own environment."""


@functools.lru_cache(maxsize=4096)
def owned_by_node(name: str) -> bool:
    """True if the node sets the variable for each task, whatever the submitter says."""
    return name.startswith(NODE_OWNED) or name in GPU_OWNED


def task_environment(
    task: Task,
    *,
    node_environment: Mapping[str, str],
    kept: Mapping[str, str],
    gpus: Sequence[str] | None,
    gpu_variable: str = CUDA,
    marks: Mapping[str, str],
) -> dict[str, str]:
    """The variables of one attempt.

    node_environment: the runner's own. kept: the Slurm variables a task may inherit from it. gpus: tokens booked
    for the task, in gpu_variable alone: HIP counts what CUDA_VISIBLE_DEVICES says from what ROCR_VISIBLE_DEVICES
    leaves, so two that say the same would say too much. None if the task has the node to itself and no GPU is
    listed; then these variables stay as the node has them. marks: the LEASEQ_* variables.
    """
    environment = {name: node_environment[name] for name in BASIC if name in node_environment}
    environment.update({name: value for name, value in task.env.items() if not owned_by_node(name)})
    environment.update(kept)
    environment["PWD"] = task.cwd
    for name in GPU_OWNED:
        if name in node_environment:
            environment[name] = node_environment[name]
    if gpus is not None:
        for name in GPU_OWNED:
            environment.pop(name, None)
        environment[gpu_variable] = ",".join(gpus)
        if gpu_variable == CUDA:
            environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    environment.update(marks)
    return environment
