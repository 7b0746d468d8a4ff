"""Which Slurm variables a process may inherit. Standard library only: the runner uses it for every task.

What a step inherits from srun describes that step, and a nested `srun`, `sbatch` or `mpirun` takes it for its
own options: SLURM_NTASKS starts too many tasks, SLURM_MEM_PER_CPU and SLURM_GPUS make the step fail,
SLURM_JOB_NUM_NODES of 1 keeps it from any other node, SLURM_CPU_BIND pins all ranks to one CPU (all measured). So what
is not known to be harmless goes. The lease script puts the job's own values back for the names in `OF_JOB`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from leaseq.forms import Form
from leaseq.hostlist import expand_hosts

OF_JOB = (
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_ACCOUNT",
    "SLURM_JOB_CPUS_PER_NODE",
    "SLURM_JOB_NAME",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_QOS",
    "SLURM_JOB_RESERVATION",
    "SLURM_MEM_PER_CPU",
    "SLURM_MEM_PER_NODE",
    "SLURM_NODELIST",
    "SLURM_RESTART_COUNT",
    "SLURM_SUBMIT_DIR",
    "SLURM_SUBMIT_HOST",
    "SLURM_TASKS_PER_NODE",
)
"""Variables of the batch script that srun would replace by the step's; the lease script hands them to the runner."""

FOR_TASKS = (
    frozenset(OF_JOB) - {"SLURM_MEM_PER_CPU", "SLURM_MEM_PER_NODE"}
    | {"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JOB_ID", "SLURM_JOBID", "SLURMD_NODENAME"}
    | {"SLURM_CPUS_ON_NODE", "SLURM_GPUS_ON_NODE", "SLURM_STEP_GPUS", "SLURM_JOB_UID", "SLURM_JOB_USER"}
    | {"SLURM_JOB_GID", "SLURM_TOPOLOGY_ADDR", "SLURM_TOPOLOGY_ADDR_PATTERN", "SLURM_WORKING_CLUSTER"}
)
"""What a task may see: none of these changes what a nested srun, sbatch or mpirun does, except for naming the job."""

COUNTS = ("SLURM_NNODES", "SLURM_JOB_NUM_NODES")
"""What a runner's step has of these is its own, 1; a task gets the count of the lease's nodes, as a batch script does.

A nested srun without -N then takes them all, whatever -w names; one with -N is as free as before (measured).
"""

TASKS = "SLURM_TASKS_PER_NODE"
"""The batch script's counts for every node; in an adopted lease, whose batch script is another's, a runner's step has
its own. Tasks get one for each node then: mpirun takes the list of nodes and these counts together."""
_PER_NODE = Form(r"[0-9]{1,9}(?:\(x([0-9]{1,9})\))?")

PROLOGUE = "LEASEQ_FROM_PROLOGUE"
"""Set by the lease script: the names of the variables that the lease's prologue has set or changed."""

PROLOGUE_FAILED = "LEASEQ_PROLOGUE_FAILED"
"""Set by the lease script if the prologue failed: how."""

FOR_COMMANDS = frozenset({"SLURM_CONF", "SLURM_CLUSTERS"})
"""What a Slurm command that leaseq itself runs may see of a surrounding job."""

FAMILIES = ("SLURM_", "SLURMD_", "SRUN_", "SALLOC_", "SACCT_", "SQUEUE_", "SINFO_", "SCANCEL_", "SCONTROL_")
"""Prefixes of variables that change what Slurm's commands do or print."""
RANKS = ("PMI_", "PMI2_", "PMIX_", "PALS_")
"""Prefixes of variables that make a program take itself for a rank of the runner's step."""


def kept_for_tasks(environment: Mapping[str, str]) -> dict[str, str]:
    """What a task inherits of its runner's environment over its submitter's: Slurm's variables, the prologue's."""
    prologue = [name for name in environment.get(PROLOGUE, "").split() if not name.startswith((*FAMILIES, *RANKS))]
    kept = {name: value for name, value in environment.items() if name in FOR_TASKS or name in prologue}
    count = _count_of(kept.get("SLURM_JOB_NODELIST", ""))
    if not count:
        return kept
    kept |= dict.fromkeys(COUNTS, count)
    if TASKS in kept and _nodes_told(kept[TASKS]) != int(count):
        kept[TASKS] = "1" if count == "1" else f"1(x{count})"
    return kept


def _nodes_told(tasks: str) -> int:
    """Of how many nodes `2(x3),1` tells; 0 if it is nothing of the kind."""
    parts = [_PER_NODE.fullmatch(part) for part in tasks.split(",")]
    return sum(int(part[1] or 1) for part in parts if part) if all(parts) else 0


@functools.lru_cache(maxsize=8)
def _count_of(nodes: str) -> str:
    """How many nodes the host list names; empty if it is none."""
    try:
        return str(len(expand_hosts(nodes)) or "")
    except ValueError:
        return ""


def newest_functions() -> dict[str, str]:
    """Bash's exported functions in this process's environment, each as it was exported last.

    The supervisor of the node passes on what it was given unread, and behind it what the prologue made of it; of two
    values of one name Python knows the first, and bash takes the last.
    """
    with open("/proc/self/environ", "rb") as file:
        pairs = [os.fsdecode(pair).partition("=") for pair in file.read().split(b"\0")]
    return {name: value for name, _, value in pairs if name.startswith("BASH_FUNC_")}


def for_tasks(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what poisons a nested step; for shells and sessions beside the tasks."""
    return _without(environment, keep=FOR_TASKS, families=(*FAMILIES, "SBATCH_", *RANKS))


def for_commands(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for squeue, scontrol, scancel and srun: printed times and formats are those leaseq parses."""
    return {
        **_without(environment, keep=FOR_COMMANDS, families=(*FAMILIES, "SBATCH_", *RANKS)),
        "SLURM_TIME_FORMAT": "standard",
    }


def for_sbatch(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for sbatch, which becomes the lease's: the user's SBATCH_* options count, a job's do not."""
    return _without(environment, keep=FOR_COMMANDS, families=(*FAMILIES, *RANKS))


def _without(environment: Mapping[str, str], *, keep: frozenset[str], families: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name in keep or not name.startswith(families)}
