"""A lease gives some of its nodes back, a job or a node of one, and goes on with the rest."""

from __future__ import annotations

import json

import pytest

from tests.contract.site import Site
from tests.contract.test_allocations import ONE, OTHER, runs, shown, states

SLEEP = ("--cpus", "1", "--", "sleep", "600")


def hosts_of(site: Site, job: str) -> str:
    """What Slurm counts for the job."""
    return " ".join(site.squeue("-j", job, "-o", "%N"))


@pytest.mark.timeout(300)
def test_one_job_of_a_lease_is_given_back_and_the_others_go_on(site: Site) -> None:
    lease = site.add("--name", "sweep", *ONE)
    job = site.join(lease, *OTHER)
    stays = site.ok("submit", "--node", "node1", *SLEEP)
    lost = site.ok("submit", "--node", "node2", *SLEEP)
    again = site.ok("submit", "--node", "node2", "--requeue", *SLEEP)
    runs(site, lease, stays, lost, again)
    refused = site.leaseq("lease", "release", "sweep", "--job", job)
    assert refused.returncode == 2
    assert f"job {job} of lease {lease} has 2 running tasks, which end with it\n  --yes ends them" in refused.stderr
    done = site.leaseq("lease", "release", "--job", job, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert f"job {job} of lease {lease} is given back; 2 running tasks end with it" in done.stderr
    assert f"lease sweep ({lease}) goes on with node1" in done.stderr
    document = json.loads(done.stdout)
    assert (document["released"], document["jobs"], document["nodes"]) == ([], [job], ["node2"])
    site.wait_until(lambda: job not in site.squeue("-o", "%i"), "the end of the job", seconds_max=90)
    site.wait_until(lambda: states(site, lease)[lost][0] == "LOST", "what it held is lost")
    assert states(site, lease)[stays] == ("RUNNING", "node1")
    assert states(site, lease)[again][0] == "PENDING"
    site.keep_up(lease)
    assert shown(site, lease)["nodes"] == ["node1"]
    assert site.record(lease).get("ended") is None
    site.ok("cancel", again)
    assert site.ok("follow", site.ok("submit", "--lease", lease, "--cpus", "1", "--", "hostname")) == "node1"
    done = site.leaseq("lease", "release", "sweep", "--job", lease, "--yes")
    assert f"that is all that gives lease sweep ({lease}) nodes: the lease ends" in done.stderr
    site.wait_until(lambda: not site.squeue("-o", "%i"), "the end of the last job", seconds_max=90)
    site.keep_up(lease)
    site.wait_until(lambda: site.record(lease).get("end_reason") == "released", "the lease's end")


@pytest.mark.timeout(300)
def test_a_node_is_drained_and_given_back_and_its_job_goes_on_without_it(site: Site) -> None:
    lease = site.add("-N3", "-c2")
    gate = site.directory / "gate"
    waits = ("bash", "-c", f"until [ -e {gate} ]; do sleep 0.1; done")
    on_first = site.ok("submit", "--node", "node1", *SLEEP)
    on_third = site.ok("submit", "--node", "node3", "--cpus", "1", "--", *waits)
    runs(site, lease, on_first, on_third)
    pinned = site.ok("submit", "--node", "node3", "--", "true")
    terminal = site.terminal("lease", "release", lease, "--node", "node3", "--drain")
    terminal.expect(f"waiting for 1 running task of node3 of lease {lease}; no other starts")
    gate.touch()
    terminal.expect(f"node3 of lease {lease} is given back; ")
    terminal.expect("goes on with node1, node2")
    assert terminal.end() == 0
    assert "Slurm counts" not in terminal.seen
    assert states(site, lease)[on_third][0] == "DONE"
    site.wait_until(lambda: hosts_of(site, lease) == "node[1-2]", "Slurm has taken the node back")
    assert states(site, lease)[on_first][0] == "RUNNING"
    assert shown(site, lease)["nodes"] == ["node1", "node2"]
    (row,) = json.loads(site.ok("tasks", pinned, "--json"))["tasks"]
    assert (row["state"], row["reason"]) == ("PENDING", "NodeDown: no longer part of the lease")
    refused = site.leaseq("submit", "--lease", lease, "--node", "node3", "--", "true")
    assert refused.returncode == 2 and f"lease {lease} has no node node3" in refused.stderr
    assert site.ok("follow", site.ok("submit", "--node", "node2", "--", "hostname")) == "node2"
    other = site.add("-N1", "-w", "node3", "--exclusive")
    assert site.nodes(other) == ["node3"], "the node is another's now"


@pytest.mark.timeout(300)
def test_a_node_that_is_given_back_at_once_ends_its_tasks_as_the_end_of_a_lease_does(site: Site) -> None:
    lease = site.add("-N2", "-c2")
    lost = site.ok("submit", "--node", "node2", *SLEEP)
    again = site.ok("submit", "--node", "node2", "--requeue", *SLEEP)
    stays = site.ok("submit", "--node", "node1", *SLEEP)
    runs(site, lease, lost, again, stays)
    done = site.leaseq("lease", "release", lease, "--node", "node2", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["nodes"] == ["node2"]
    after = states(site, lease)
    assert after[lost][0] == "LOST" and after[again][0] == "PENDING" and after[stays] == ("RUNNING", "node1")
    assert hosts_of(site, lease) == "node1"
    assert site.leaseq("shell", "--lease", lease, "--node", "node2", "--", "true").returncode == 2
    site.keep_up(lease)
    assert [row["node"] for row in json.loads(site.ok("status", "--json"))["nodes"]] == ["node1", "node2"]


@pytest.mark.timeout(300)
def test_the_first_node_of_a_job_leaves_the_lease_and_slurm_counts_it_until_the_job_ends(site: Site) -> None:
    lease = site.add("-N2", "-c2")
    done = site.leaseq("lease", "release", lease, "--node", "node1", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert f"Slurm counts node1 for job {lease} until that ends: Invalid node name specified" in done.stderr
    assert json.loads(done.stdout)["still_counted"] == ["node1"]
    assert hosts_of(site, lease) == "node[1-2]"
    site.keep_up(lease)
    assert shown(site, lease)["nodes"] == ["node2"]
    assert site.ok("follow", site.ok("submit", "--", "hostname")) == "node2"
    done = site.leaseq("lease", "release", lease, "--node", "node2", "--yes")
    assert "the lease ends" in done.stderr
    site.wait_until(lambda: not site.squeue("-o", "%i"), "the end of the job", seconds_max=90)


def test_what_a_lease_does_not_have_cannot_be_given_back(site: Site) -> None:
    lease = site.add(*ONE)
    waits = site.ok("add", "--detach", "--to", lease, "--hold", *OTHER)
    for words, said in {
        ("--job", "99999"): f"lease {lease} has no job 99999 now\n  it has {lease}, {waits}",
        ("--node", "node7"): f"node7 is no node of lease {lease} now\n  it has node1",
    }.items():
        done = site.leaseq("lease", "release", lease, *words, "--yes")
        assert done.returncode == 2 and said in done.stderr, done.stderr
    several = site.leaseq("lease", "release", lease, "local", "--node", "node1")
    assert several.returncode == 2 and "of one lease, and several are named" in several.stderr
    assert sorted(site.squeue("-o", "%i")) == sorted([lease, waits])
    site.ok("lease", "release", lease, "--job", waits)
    site.wait_until(lambda: site.squeue("-o", "%i") == [lease], "what had not started is not queued any more")
    assert site.ok("follow", site.ok("submit", "--", "hostname")) == "node1"
