"""A kept lease: one job follows the other, and what waits or goes on again runs in the next."""

from __future__ import annotations

import pytest

from tests.contract.site import Site
from tests.contract.test_allocations import runs, states

ONE = ("-N1", "-w", "node1", "-c", "2")


def jobs(site: Site) -> list[str]:
    """The numbers of all jobs that have not ended, oldest first."""
    return sorted(site.squeue("-o", "%i"), key=int)


def following(site: Site, *before: str) -> str:
    """The number of the job that was asked for to follow these."""
    site.wait_until(lambda: set(jobs(site)) - {*before}, "the next job", seconds_max=90)
    (job,) = set(jobs(site)) - {*before}
    return job


@pytest.mark.timeout(300)
def test_the_next_job_is_asked_for_as_one_starts_and_what_is_left_runs_in_it(site: Site) -> None:
    lease = site.add(*ONE, "-t", "30", "--keep", "forever")
    job = following(site, lease)
    assert f"afterany:{lease}" in site.job(job)["Dependency"]
    pinned = ("--lease", lease, "--node", "node1", "--cpus", "2", "--")
    again = site.ok("submit", "--requeue", *pinned, "bash", "-c", "test $SLURM_JOB_ID != $LEASEQ_LEASE || sleep 600")
    runs(site, lease, again)
    waits = site.ok("submit", *pinned, "bash", "-c", "echo $LEASEQ_NODE $SLURM_JOB_ID")
    site.slurm("scancel", lease)
    assert site.ok("follow", waits, seconds_max=90) == f"node1 {job}"
    assert states(site, lease)[again][0] == "DONE"
    third = following(site, lease, job)
    site.ok("lease", "release", lease, "--yes")
    site.wait_until(lambda: not jobs(site), "the end of all jobs", seconds_max=90)
    site.keep_up(lease)
    site.wait_until(lambda: site.record(lease).get("end_reason") == "released", "the lease's end")
    assert not (site.lease_dir(lease) / "allocs" / third / "nodes").exists()
    assert list((site.home / "scripts").iterdir()) == []
