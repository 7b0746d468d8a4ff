"""The Slurm job around this process, if it has nodes and this host is none of them, and the way to those nodes."""

from __future__ import annotations

import os

from leaseq.lease import leases
from leaseq.lease.slurm.around import Job, job_around
from leaseq.verbs.access import Access


def nodes_around(access: Access) -> str:
    """That a job around this shell has nodes, of which this host is none, and the way to them; empty without one."""
    job = job_around(os.environ)
    if job is None or job.here:
        return ""
    return f"this host is used, not the nodes of job {job.id} around this shell; {way_in(access, job)}"


def way_in(access: Access, job: Job) -> str:
    """How tasks get to the job's nodes."""
    known = leases.of_job(access.fs, access.home, job.id)
    if known:
        return f"its lease is {known.id}: --lease {known.id}"
    return f"`leaseq lease adopt {job.id}` makes a lease of it"
