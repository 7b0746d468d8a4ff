"""Several jobs that give nodes to one lease: what one does, ends or loses is not the others'."""

from __future__ import annotations

import json

import pytest

from tests.contract.site import Site

ONE, OTHER = ("-N1", "-w", "node1", "-c", "2"), ("-N1", "-w", "node2", "-c", "2")


def shown(site: Site, lease: str) -> dict[str, object]:
    """The lease as a command shows it that asks Slurm now."""
    site.ask_slurm_anew()
    found: list[dict[str, object]] = json.loads(site.ok("lease", "ls", "--all", "--json"))["leases"]
    (row,) = [each for each in found if each["id"] == lease]
    return row


def states(site: Site, lease: str) -> dict[str, tuple[str, str]]:
    rows = json.loads(site.ok("tasks", "--lease", lease, "--all", "--json"))["tasks"]
    return {row["id"]: (row["state"], row["node"]) for row in rows}


def runs(site: Site, lease: str, *tasks: str) -> None:
    site.wait_until(lambda: all(states(site, lease)[task][0] == "RUNNING" for task in tasks), f"{tasks} running")


@pytest.mark.timeout(300)
def test_two_jobs_serve_one_lease_and_the_end_of_one_is_not_the_end_of_the_other(site: Site) -> None:
    lease = site.add(*ONE)
    job = site.join(lease, *OTHER)
    assert sorted(site.nodes(lease)) == ["node1", "node2"]
    assert len(shown(site, lease)["nodes"]) == 2  # type: ignore[arg-type]
    sleep = ("--lease", lease, "--cpus", "1", "--", "sleep", "600")
    stays = site.ok("submit", "--node", "node1", *sleep)
    lost = site.ok("submit", "--node", "node2", *sleep)
    again = site.ok("submit", "--node", "node2", "--requeue", *sleep)
    runs(site, lease, stays, lost, again)
    waits = site.ok("submit", "--hold", "--lease", lease, "--", "true")
    assert site.ok("info", "--lease", job, stays), "the lease is meant by any of its jobs"
    site.slurm("scancel", job)
    site.wait_until(lambda: job not in site.squeue("-o", "%i"), "the end of the second job", seconds_max=90)
    site.wait_until(lambda: states(site, lease)[lost][0] == "LOST", "what it held is lost")
    after = states(site, lease)
    assert after[stays] == ("RUNNING", "node1")
    assert (after[again][0], after[waits][0]) == ("PENDING", "PENDING")
    site.keep_up(lease)
    assert shown(site, lease)["state"] == "RUNNING"
    assert shown(site, lease)["nodes"] == ["node1"]
    assert site.record(lease).get("ended") is None
    assert site.ok("follow", site.ok("submit", "--lease", job, "--cpus", "1", "--", "hostname")) == "node1"
    site.ok("lease", "release", lease, "--yes")
    site.wait_until(lambda: not site.squeue("-o", "%i"), "the end of the first job", seconds_max=90)
    site.keep_up(lease)
    site.wait_until(lambda: shown(site, lease)["state"] == "ENDED", "the end of the lease")
    assert site.ok("tasks", "--lease", job, "--json")


@pytest.mark.timeout(300)
def test_a_release_ends_every_job_of_the_lease(site: Site) -> None:
    lease = site.add(*ONE)
    job = site.join(lease, *OTHER)
    assert sorted(site.squeue("-o", "%i")) == sorted([lease, job])
    site.ok("lease", "release", job, "--yes")
    site.wait_until(lambda: not site.squeue("-o", "%i"), "the end of both", seconds_max=90)
    site.keep_up(lease)
    site.wait_until(lambda: site.record(lease).get("end_reason") == "released", "the lease's end")


@pytest.mark.timeout(300)
def test_two_jobs_on_one_host_are_two_nodes_of_the_lease(site: Site) -> None:
    lease = site.add(*ONE)
    job = site.join(lease, *ONE)
    second = f"node1.{job}"
    assert site.nodes(lease) == ["node1", second]
    both = [
        site.ok("submit", "--node", node, "--", "bash", "-c", "echo $LEASEQ_NODE $SLURM_JOB_ID")
        for node in ("node1", second)
    ]
    assert [site.ok("follow", task) for task in both] == [f"node1 {lease}", f"{second} {job}"]
    words = ("bash", "-c", "echo $(hostname) $LEASEQ_NODE $SLURM_JOB_ID")
    assert site.ok("shell", "--node", second, "--", *words) == f"node1 {second} {job}"
    site.slurm("scancel", lease)
    site.wait_until(lambda: site.squeue("-o", "%i") == [job], "the end of the first job", seconds_max=90)
    assert site.ok("follow", site.ok("submit", "--", "bash", "-c", "echo $LEASEQ_NODE")) == second
