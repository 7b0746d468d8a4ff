"""The environment of a task: its submitter's, under what the node set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaseq.models import Task

NODE_OWNED = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SLURMD_", "PMI_", "PMIX_", "LEASEQ_")
"""Prefixes of variables that only the node may set; a submitter's values of these are dropped."""
GPU_OWNED = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
BASIC = ("HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG", "TZ", "TMPDIR")
"""What a task submitted with --export=NONE still gets, from the runner's own environment."""


def task_environment(
    task: Task,
    *,
    node_environment: Mapping[str, str],
    kept: Mapping[str, str],
    gpus: Sequence[str] | None,
    marks: Mapping[str, str],
) -> dict[str, str]:
    """The variables of one attempt.

    node_environment: the runner's own. kept: the Slurm variables a task may inherit from it. gpus: tokens booked
    for the task, None where the node's GPUs are unknown or the task has the node to itself and none is listed;
    then CUDA_VISIBLE_DEVICES stays as the node has it. marks: the LEASEQ_* variables.
    """
    environment = {name: node_environment[name] for name in BASIC if name in node_environment}
    environment.update(
        (name, value) for name, value in task.env.items() if not name.startswith(NODE_OWNED) and name not in GPU_OWNED
    )
    environment.update(kept)
    environment["PWD"] = task.cwd
    for name in GPU_OWNED:
        if name in node_environment:
            environment[name] = node_environment[name]
    if gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        for name in ("ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"):
            environment.pop(name, None)
    environment.update(marks)
    return environment
