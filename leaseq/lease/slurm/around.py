"""The Slurm job around this process: what a local runner that is started in it inherits, and when it ends with it.

A runner outlives the shell that starts it. On a login host it outlives the job too (salloc), and its tasks must know
nothing of that job. On a node of the job it ends with the job, which Slurm does not announce to it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError
from leaseq.lease.slurm.command import ask
from leaseq.lease.slurm.text import parse_duration
from leaseq.node.scrub import for_sbatch
from leaseq.schema import whole

ROOM = ("SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU")
"""What of the job a runner on its node must know: how much of the node it was granted."""
CUDA = "CUDA_VISIBLE_DEVICES"
OWN = frozenset(
    (
        "LEASEQ_LEASE",
        "LEASEQ_NODE",
        "LEASEQ_TASK_ID",
        "LEASEQ_ATTEMPT",
        "LEASEQ_GPUS",
        "LEASEQ_SLOT",
        "LEASEQ_TASK_DIR",
        "LEASEQ_END_TIME",
    )
)
"""What a task or a lease's shell has of its lease."""
ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    """A Slurm job that this process belongs to. `here`: this host is one of its nodes."""

    id: str
    here: bool


def job_around(environment: Mapping[str, str]) -> Job | None:
    """The job that the environment tells of; None if there is none, or if it is a lease's own."""
    job = environment.get("SLURM_JOB_ID", "")
    if whole(job) is None or "LEASEQ_LEASE" in environment:
        return None
    # Slurm sets it for what runs on a node of the job: not for a shell of salloc's.
    return Job(job, here=bool(environment.get("SLURMD_NODENAME")))


def runner_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a local runner: nothing of a job or a lease around it, but its share of this node."""
    kept = {name: value for name, value in for_sbatch(environment).items() if name not in OWN}
    if environment.get("SLURMD_NODENAME"):
        kept |= {name: environment[name] for name in ROOM if name in environment}
        # Without it a runner takes all GPUs of the host for granted.
        kept.setdefault(CUDA, environment.get("SLURM_STEP_GPUS", ""))
    return kept


def seconds_left(job: Job, environment: Mapping[str, str]) -> float | None:
    """How long Slurm lets the job run on; None if it has no end, or does not say."""
    ends = whole(environment.get("SLURM_JOB_END_TIME", ""))
    if ends is not None:
        return ends - time.time()
    try:
        answer = ask(["squeue", "-h", "-j", job.id, "-o", "%L"], seconds_max=ANSWER_SECONDS)
    except LeaseqError:
        return None
    return parse_duration(answer.out) if answer.code == 0 else None
