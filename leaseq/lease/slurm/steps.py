"""Why no step can be started on a node of a lease, as far as Slurm tells."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leaseq.allocation import Allocation
from leaseq.errors import LeaseqError, SlurmError
from leaseq.hostlist import expand_hosts
from leaseq.lease.slurm.command import ask
from leaseq.lease.slurm.job import SlurmBackend
from leaseq.models import Lease
from leaseq.protocol import allocs
from leaseq.reading import beats

SECONDS_MAX = 20.0


class NodeLost(SlurmError):
    """The node is not the lease's any more; others may be."""


def refuse_impossible(backend: SlurmBackend, lease: Lease, node: str) -> None:
    """Raises SlurmError where Slurm says that the node, or what starts steps, is not the lease's any more."""
    serving = allocs.serving(backend.fs, backend.home.lease(lease.id), node)
    if serving is None:
        return
    job = told(serving.alloc)
    nodes = nodes_of_job(job)
    if not nodes:
        return
    if step_manager_is_lost(job):
        words = (
            f"no step can be started in lease {lease.id}: its first node, which manages its steps (stepmgr), is lost"
        )
        raise SlurmError(words, hint="its runners go on: submit tasks, or drain it and add another")
    if serving.host not in nodes:
        directory = backend.home.lease(lease.id)
        names = allocs.hosts(backend.fs, allocs.directory(directory, serving.alloc)) or {name: name for name in nodes}
        heard = [name for name, host in names.items() if host in nodes and beats.lives(backend.fs, directory, name)]
        raise NodeLost(f"{node} is no longer part of lease {lease.id}", hint=_others(heard))


def told(alloc: Allocation) -> dict[str, str]:
    """What scontrol tells of the job; {} if it tells nothing."""
    try:
        answer = ask(["scontrol", "show", "job", alloc.job], seconds_max=SECONDS_MAX)
    except LeaseqError:
        return {}
    return dict(re.findall(r"(?:^|\s)([A-Z]\w*)=(\S*)", answer.out)) if answer.code == 0 else {}


def nodes_of_job(job: dict[str, str]) -> tuple[str, ...]:
    """The nodes that the job has now."""
    try:
        return expand_hosts(job.get("NodeList", "")) if job.get("JobState") == "RUNNING" else ()
    except ValueError:
        return ()


def has_step_manager(job: dict[str, str]) -> bool:
    """True if the job's first node starts its steps, in the controller's place."""
    return job.get("StepMgrEnabled") == "Yes"


def step_manager_is_lost(job: dict[str, str]) -> bool:
    """True if that node is not the job's any more: Slurm has no other way to start a step of it."""
    return has_step_manager(job) and job.get("BatchHost", "") not in nodes_of_job(job)


def _others(heard: Sequence[str]) -> str:
    if not heard:
        return "no runner of it is heard: `leaseq status` says more"
    return f"runners are heard on {' '.join(heard)}: `leaseq shell --node {heard[0]}`"
