"""Leases from Python: what `leaseq add` and the commands of `leaseq lease` do, as functions, on a cluster."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

import leaseq
from leaseq.models import State
from tests.contract.site import Site
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
def here(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """This process is a program of that user, in that user's directory."""
    for name in [name for name in os.environ if name not in site.env]:
        monkeypatch.delenv(name)
    for name, value in site.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(site.directory)
    return site


@pytest.mark.timeout(300)
def test_a_lease_is_asked_for_used_kept_and_given_back(here: Site, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.warns(UserWarning, match="--no-such-thing is no sbatch option known here"),
        pytest.raises(leaseq.LeaseqError),
    ):
        leaseq.add("-N1", "--no-such-thing")
    added = leaseq.add("-N2", "-c2", "-t", "60", name="sweep", idle=timedelta(hours=1))
    assert (added.lease.name, added.default) == ("sweep", added.lease.id) and added.alloc is not None
    node = leaseq.wait_for_lease("sweep", timeout=PATIENCE_SECONDS)
    assert node in leaseq.lease_info("sweep").view.nodes
    here.started(added.lease.id)
    info = leaseq.lease_info()
    assert (info.view.word, sorted(info.view.nodes), len(info.held)) == ("RUNNING", ["node1", "node2"], 1)
    assert {each.heartbeat.idle_limit_seconds for each in info.snapshot.nodes if each.heartbeat} == {3600.0}
    task = leaseq.submit("echo $SLURM_JOB_ID", cpus=1, lease="sweep")
    assert leaseq.wait(task, timeout=PATIENCE_SECONDS).ended[task].state is State.DONE
    assert leaseq.log(task) == f"{added.lease.id}\n"
    assert leaseq.idle_lease("sweep", limit="off").allocs == (added.alloc.id,)
    how = leaseq.keep_lease("sweep", keep="2h", overlap="10m")
    assert how is not None and how.overlap_minutes == 10
    assert leaseq.lease_info("sweep").view.kept is not None
    assert leaseq.keep_lease("sweep", keep="off") is None
    assert leaseq.hold_queue("sweep") == leaseq.hold_queue("sweep", off=True) == ("node1", "node2")
    assert leaseq.release_lease("sweep", nodes=["node2"])
    here.wait_until(lambda: leaseq.lease_info("sweep").view.nodes == ("node1",), "node2 is given back")
    assert "Host leaseq-sweep\n" in leaseq.ssh_config("sweep")
    assert leaseq.release_lease("sweep", drain=True)
    here.wait_until(lambda: added.lease.id not in here.squeue("-o", "%i"), "its end")  # until then it is being released
    assert not leaseq.release_lease("sweep")
    assert capfd.readouterr() == ("", "")
    modes = {path.stat().st_mode & 0o077 for path in [here.home, *Path(here.home).rglob("*.json")]}
    assert modes == {0}


@pytest.mark.timeout(300)
def test_another_job_gives_a_lease_nodes_and_is_given_back_alone(here: Site) -> None:
    lease = leaseq.add("-N1", "-t", "60", name="grows").lease.id
    leaseq.wait_for_lease(lease, timeout=PATIENCE_SECONDS)
    more = leaseq.add("-N1", "-t", "60", to="grows")
    assert (more.lease.id, more.default) == (lease, "") and more.alloc is not None
    assert leaseq.wait_for_lease("grows", job=more.alloc.job, timeout=PATIENCE_SECONDS)
    assert len(leaseq.lease_info("grows").held) == 2
    with pytest.raises(leaseq.LeaseqError, match="has no job 4711"):
        leaseq.wait_for_lease("grows", job="4711")
    assert leaseq.release_lease("grows", jobs=[more.alloc.job])
    here.wait_until(lambda: more.alloc is not None and more.alloc.job not in here.squeue("-o", "%i"), "its end")
    assert leaseq.lease_info("grows").view.word == "RUNNING"


@pytest.mark.timeout(300)
def test_a_lease_scales_with_its_tasks(here: Site) -> None:
    lease = leaseq.add("-N1", "-c2", "-t", "60", name="pool", scale=(0, 2)).lease.id
    now = leaseq.scaling("pool")
    assert (now.least, now.most, now.wanted is not None and now.wanted.jobs) == (0, 2, 0)
    assert leaseq.wait_for_lease("pool", timeout=0) == ""
    task = leaseq.submit("true", cpus=1, lease=lease)
    assert leaseq.wait(task, timeout=2 * PATIENCE_SECONDS).ended[task].state is State.DONE
    leaseq.scale_lease("pool", least=0, most=1)
    assert leaseq.scaling("pool").most == 1
    with pytest.raises(leaseq.LeaseqError, match="end below its beginning"):
        leaseq.scale_lease("pool", least=2, most=1)
    with pytest.raises(leaseq.LeaseqError, match="would never have a node"):
        leaseq.add("-N1", scale=(0, 0))


@pytest.mark.timeout(300)
def test_an_allocation_made_elsewhere_is_adopted(here: Site) -> None:
    job = here.slurm("sbatch", "--parsable", "-N1", "-t", "30", "-o", "/dev/null", "--wrap", "sleep 600").strip()
    here.wait_until(lambda: here.job(job).get("JobState") == "RUNNING", "it runs")
    record = leaseq.adopt_lease(int(job), name="mine")
    assert (record.id, record.name) == (job, "mine")
    task = leaseq.submit("true", cpus=1)
    assert leaseq.wait(task, timeout=PATIENCE_SECONDS).ended[task].state is State.DONE
    assert leaseq.tasks(task)[0].node == "node1"
    assert leaseq.release_lease("mine")


def test_a_lease_that_ends_before_it_starts_says_why(here: Site) -> None:
    lease = leaseq.add("-N1", "-t", "60", "--begin=now+1hour").lease.id
    assert leaseq.wait_for_lease(lease, timeout=0.5) == ""
    here.slurm("scancel", lease)
    here.ask_slurm_anew()
    with pytest.raises(leaseq.LeaseqError, match="has ended"):
        leaseq.wait_for_lease(lease, timeout=PATIENCE_SECONDS)


def test_what_contradicts_itself_is_refused_before_slurm_is_asked(here: Site) -> None:
    for options, said in (
        ({"to": "x", "name": "y"}, "is a lease that there is"),
        ({"scale": (0, 1), "keep": "3d"}, "none follows the other"),
        ({"name": "9lives"}, "begins like an id"),
        ({"keep": "soon"}, "not a duration"),
        ({"idle": "5s"}, "below a minute"),
        ({"profile": "none"}, "there is no profile"),
    ):
        with pytest.raises(leaseq.LeaseqError, match=said):
            leaseq.add("-N1", **options)
    with pytest.raises(leaseq.LeaseqError, match="not the number of a job"):
        leaseq.adopt_lease("abc")
    assert not here.squeue("-o", "%i")
