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
    assert sorted(site.nodes(lease)) == ["node1", second]
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


@pytest.mark.timeout(300)
def test_a_lease_that_waits_gets_its_first_nodes_from_another_job(site: Site) -> None:
    lease = site.ok("add", "--detach", "--name", "sweep", "--hold", *ONE)
    other = site.add(*ONE)
    chosen = json.loads(site.ok("lease", "ls", "--json"))["default"]
    task = site.ok("submit", "--lease", "sweep", "--", "bash", "-c", "echo $LEASEQ_LEASE $SLURM_JOB_ID")
    done = site.leaseq("add", "--to", "sweep", *OTHER)
    job = done.stdout.strip()
    assert done.returncode == 0, done.stderr
    assert f"job {job} of lease {lease} is queued" in done.stderr
    assert "default" not in done.stderr
    assert site.nodes(lease) == ["node2"]
    assert site.job(job)["JobName"] == "sweep"
    assert site.ok("follow", task) == f"{lease} {job}"
    assert json.loads(site.ok("lease", "ls", "--json"))["default"] == chosen == other
    document = json.loads(site.ok("add", "--detach", "--json", "--to", job, "--hold", *ONE))
    assert document["lease"]["id"] == lease
    assert document["allocation"]["job"] in site.squeue("-o", "%i")


@pytest.mark.timeout(300)
def test_what_is_waited_for_is_the_new_job_and_not_the_lease(site: Site) -> None:
    lease = site.add(*ONE)
    done = site.leaseq("add", "--to", lease, "--wait", "1", "--hold", *OTHER)
    job = done.stdout.strip()
    assert done.returncode == 124, done.stderr
    assert f"job {job} of lease {lease} has not started; it stays queued" in done.stderr
    assert f"`leaseq lease release {lease} --job {job}` gives it back" in done.stderr
    failing = site.directory / "fails.j2"
    failing.write_text("#!/bin/bash\nexit 3\n")
    done = site.leaseq("add", "--to", lease, "--template", str(failing), *OTHER, seconds_max=90)
    assert done.returncode == 1, done.stderr
    assert f"of lease {lease} has ended: " in done.stderr
    assert shown(site, lease)["state"] == "RUNNING"


@pytest.mark.timeout(300)
def test_what_no_job_of_slurm_can_join_is_refused_and_nothing_is_asked_for(site: Site) -> None:
    lease = site.add(*ONE)
    refused = {
        ("local",): "no job of Slurm can join",
        ("nosuch",): "there is no lease 'nosuch'",
        (lease, "--name", "other"): "--to and --name contradict",
    }
    site.ok("submit", "--lease", "local", "--", "true")
    for words, said in refused.items():
        done = site.leaseq("add", "--detach", "--to", *words, *OTHER)
        assert done.returncode == 2 and said in done.stderr, (words, done.stderr)
    record = site.lease_dir(lease) / "allocs" / lease / "alloc.json"
    before = record.read_text()
    record.write_text(json.dumps({**json.loads(before), "cluster": "elsewhere"}))
    done = site.leaseq("add", "--detach", "--to", lease, *OTHER)
    assert done.returncode == 2 and "is on cluster elsewhere" in done.stderr
    record.write_text(before)
    site.ok("lease", "release", lease, "--yes")
    site.wait_until(lambda: not site.squeue("-o", "%i"), "the end of the job", seconds_max=90)
    site.keep_up(lease)
    site.wait_until(lambda: site.record(lease).get("ended"), "the lease's end")
    done = site.leaseq("add", "--detach", "--to", lease, *OTHER)
    assert done.returncode == 2 and f"lease {lease} has ended" in done.stderr
    assert site.squeue("-o", "%i") == []
