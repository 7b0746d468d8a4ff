"""A lease that scales: no job without a task, as many as tasks need, and none again once nothing uses them."""

from __future__ import annotations

import json
import time

import pytest

from leaseq.lease.slurm.want import ASK_SECONDS
from tests.contract.site import Site
from tests.contract.test_allocations import states
from tests.contract.test_idle import shorten
from tests.contract.test_keep import BUSY_SECONDS, jobs

ONE = ("-N1", "-c", "2", "-t", "30")
WAITS = 'until [ -e "$1" ]; do sleep 0.1; done'


def pool(site: Site, scale: str, *options: str) -> str:
    """The id of a new lease that scales."""
    return site.ok("add", "--name", "pool", "--scale", scale, "--idle", "10m", *ONE, *options)


def told(site: Site, lease: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(site.ok("lease", "scale", lease, "--why", "--json"))["why"]
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_has_two_jobs_for_two_tasks_and_none_again_once_they_are_done(site: Site) -> None:
    lease = pool(site, "0..2")
    assert jobs(site) == []
    assert "no node now, scales 0..2" in site.ok("lease", "ls")
    assert "has no node now, scales 0..2" in site.leaseq("shell", "--lease", lease).stderr
    gate = site.directory / "gate"
    words = ("--", "sh", "-c", WAITS, "sh", str(gate))
    said = site.leaseq("submit", "--lease", lease, *words)
    first = said.stdout.strip()
    assert "is queued, or about to start" in said.stderr
    tasks = [first, *(site.ok("submit", "--lease", lease, *words) for _ in range(3))]
    assert len(jobs(site)) == 1, "one is asked for in a minute"
    site.wait_until(lambda: len(jobs(site)) == 2, "the second job", seconds_max=2 * BUSY_SECONDS)
    site.wait_until(
        lambda: sum(state == "RUNNING" for state, _ in states(site, lease).values()) == 2,
        "two tasks run",
        seconds_max=BUSY_SECONDS,
    )
    why = told(site, lease)
    assert (why["jobs"], why["ready"], why["why_not"]) == (2, 2, "it has 2 jobs, and may have 2")
    gate.touch()
    site.ok("wait", *tasks, seconds_max=BUSY_SECONDS)
    assert {state for state, _ in states(site, lease).values()} == {"DONE"}
    shorten(site, lease)
    site.wait_until(lambda: not jobs(site), "the end of all jobs", seconds_max=BUSY_SECONDS)
    site.keep_up(lease)
    assert site.record(lease).get("ended") is None, "the lease goes on"
    again = site.ok("submit", "--lease", lease, "--", "true")
    site.ok("wait", again, seconds_max=BUSY_SECONDS)
    site.ok("lease", "release", lease, "--yes")
    site.wait_until(lambda: not jobs(site), "the end of all jobs", seconds_max=BUSY_SECONDS)
    site.keep_up(lease)
    site.wait_until(lambda: site.record(lease).get("end_reason") == "released", "the lease's end")
    assert list((site.home / "scripts").iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_job_that_comes_to_its_end_asks_for_the_next_though_there_may_be_one_alone(site: Site) -> None:
    lease = pool(site, "0..1")
    first = site.ok("submit", "--lease", lease, "--requeue", "--", "sleep", "600")
    site.wait_until(lambda: states(site, lease)[first][0] == "RUNNING", "the task runs", seconds_max=BUSY_SECONDS)
    site.ok("submit", "--lease", lease, "--", "true")
    (job,) = jobs(site)
    site.wait_until(lambda: told(site, lease)["why_not"] == "it has 1 job, and may have 1", "its node is known busy")
    asked = site.lease_dir(lease) / "keep" / "1.1"
    site.wait_until(lambda: time.time() - asked.stat().st_mtime > ASK_SECONDS, "a minute", seconds_max=BUSY_SECONDS)
    site.slurm("scancel", job)
    site.wait_until(lambda: set(jobs(site)) - {job}, "the next job", seconds_max=BUSY_SECONDS)
    site.ok("lease", "release", lease, "--yes")
    site.wait_until(lambda: not jobs(site), "the end of all jobs", seconds_max=BUSY_SECONDS)


@pytest.mark.timeout(400)
def test_a_queued_job_that_nothing_needs_is_cancelled_at_once_if_no_node_runs(site: Site) -> None:
    lease = pool(site, "0..3", "-w", "node1", "--exclusive")
    other = site.add("-N1", "-w", "node1", "--exclusive", "-t", "30")
    task = site.ok("submit", "--lease", lease, "--", "true")
    (job,) = set(jobs(site)) - {other}
    assert site.job(job)["JobState"] == "PENDING"
    held = site.ok("submit", "--lease", lease, "--hold", "--", "true")
    site.ok("cancel", "--lease", lease, task)
    site.wait_until(lambda: jobs(site) == [other], "the end of the queued job")
    why = told(site, lease)
    assert (why["jobs"], why["ready"], why["others"]) == (0, 0, {"held": 1}), held
