"""A kept lease: one job follows the other, and what waits or goes on again runs in the next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.contract.site import Site
from tests.contract.test_allocations import states
from tests.patience import LONG

ONE = ("-N1", "-w", "node1", "-c", "4")
BUSY_SECONDS = 150
"""A runner looks each minute whether the next job is to be asked for, on a busy machine too."""
MARK = 'echo begin >> "$1"; sleep 2; echo end >> "$1"'
LONGER = 'echo begin >> "$1"; sleep "$2"; echo end >> "$1"'


def jobs(site: Site) -> list[str]:
    """The numbers of all jobs that have not ended, oldest first."""
    return sorted(site.squeue("-o", "%i"), key=int)


def following(site: Site, *before: str) -> str:
    """The number of the job that was asked for to follow these."""
    site.wait_until(lambda: set(jobs(site)) - {*before}, "the next job", seconds_max=BUSY_SECONDS)
    (job,) = set(jobs(site)) - {*before}
    return job


def ended(site: Site, lease: str) -> None:
    """The lease has been released, and has no job any more."""
    site.ok("lease", "release", lease, "--yes")
    site.wait_until(lambda: not jobs(site), "the end of all jobs", seconds_max=BUSY_SECONDS)
    site.keep_up(lease)
    site.wait_until(lambda: site.record(lease).get("end_reason") == "released", "the lease's end")
    assert list((site.home / "scripts").iterdir()) == []


@pytest.mark.timeout(500)
def test_what_is_left_runs_in_the_next_job_and_nothing_runs_twice(site: Site) -> None:
    lease = site.add(*ONE, "-t", "30", "--keep", "forever")
    second = following(site, lease)
    assert f"afterany:{lease}" in site.job(second)["Dependency"]
    marks = site.directory / "marks"
    marks.mkdir()
    queue = ("submit", "--lease", lease, "--requeue", "--node", "node1", "--cpus", "1")
    array = site.ok(*queue, "-a", "0-11", "--", "sh", "-c", MARK, "sh", f"{marks}/i{{i}}")
    tasks = [site.ok(*queue, "--", "sh", "-c", MARK, "sh", f"{marks}/t{number}") for number in range(8)]
    waits = site.ok("submit", "--lease", lease, "--after", array, "--", "sh", "-c", "echo $LEASEQ_NODE $SLURM_JOB_ID")

    def over() -> int:
        return sum("end" in path.read_text() for path in marks.iterdir())

    site.wait_until(lambda: over() >= 4, "what runs in the first job", seconds_max=BUSY_SECONDS)
    site.slurm("scancel", lease)
    site.wait_until(lambda: over() >= 9, "what runs in the second job", seconds_max=BUSY_SECONDS)
    third = following(site, lease, second)
    site.slurm("scancel", second)
    assert site.ok("follow", waits, seconds_max=BUSY_SECONDS) == f"node1 {third}", "the name of the node is the same"
    site.ok("wait", *tasks, seconds_max=BUSY_SECONDS)
    assert {states(site, lease)[each][0] for each in (*tasks, array)} == {"DONE"}
    assert [path.read_text().count("end") for path in marks.iterdir()] == [1] * 20
    site.keep_up(lease)
    story = json.loads(site.ok("lease", "info", lease, "--json"))["lease"]
    assert [each["job"] for each in story["history"]][:3] == [lease, second, third]
    assert (story["state"], story["keep"]["stopped"]) == ("RUNNING", "")
    ended(site, lease)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sixty_tasks_and_an_array_run_over_three_jobs_of_two_minutes_and_end_once_each(site: Site) -> None:
    if site.cluster.kind != "mock" and not LONG:
        pytest.skip("takes seven minutes: with LEASEQ_HYPOTHESIS=long")
    lease = site.add("-N1", "-w", "node1", "-c", "2", "-t", "2", "--keep", "20m")
    marks = site.directory / "marks"
    marks.mkdir()
    queue, command = ("submit", "--lease", lease, "--requeue", "--cpus", "1"), ("--", "sh", "-c", LONGER, "sh")
    seconds = "3" if site.cluster.kind == "mock" else "6"  # its minutes are shorter
    tasks = [site.ok(*queue, *command, f"{marks}/t{number}", seconds) for number in range(60)]
    array = site.ok(*queue, "-a", "0-19", *command, f"{marks}/i{{i}}", seconds)
    site.ok("wait", *tasks, array, seconds_max=800)
    assert {states(site, lease)[each][0] for each in (*tasks, array)} == {"DONE"}
    assert [path.read_text().count("end") for path in marks.iterdir()] == [1] * 80

    def ends() -> list[str]:
        """How each of its jobs has ended; empty: it has not."""
        site.keep_up(lease)
        story = json.loads(site.ok("lease", "info", lease, "--json"))["lease"]
        return [each["end_reason"] for each in story["history"]]

    site.wait_until(lambda: all(ends()[:2]), "two jobs that have ended", seconds_max=BUSY_SECONDS)
    assert set(ends()[:2]) <= {"TIMEOUT (TimeLimit)", "time limit"}
    assert len(ends()) >= 3
    ended(site, lease)


@pytest.mark.timeout(500)
def test_if_nodes_may_not_ask_a_login_host_does_and_a_cancelled_one_is_asked_for_again(site: Site) -> None:
    real, programs = shutil.which("sbatch", path=site.env["PATH"]), site.directory / "programs"
    programs.mkdir()
    refuses = '#!/bin/sh\ncase $(hostname) in node[0-9]) echo "sbatch: error: not from here" >&2; exit 1 ;; esac\n'
    Path(programs, "sbatch").write_text(f'{refuses}exec {real} "$@"\n')
    Path(programs, "sbatch").chmod(0o755)
    lease = site.ok("add", "--detach", *ONE, "--keep", "2h", "-t", "60", PATH=f"{programs}:{site.env['PATH']}")
    site.started(lease)
    refused = site.lease_dir(lease) / "keep" / "refused"
    site.wait_until(refused.exists, "the refusal", seconds_max=BUSY_SECONDS)
    assert jobs(site) == [lease]
    assert "next job refused (on its nodes" in site.ok("lease", "ls")
    assert "sbatch: error: not from here" in site.ok("lease", "ls")
    task = site.ok("submit", "--lease", lease, "--", "true")
    site.ok("wait", "--lease", lease, task, seconds_max=BUSY_SECONDS)
    site.ask_slurm_anew()
    site.ok("recover", "--lease", lease)
    (job,) = set(jobs(site)) - {lease}
    site.ask_slurm_anew()
    assert f"next {job} pending (Dependency)" in site.ok("lease", "ls")
    site.slurm("scancel", job)
    site.ask_slurm_anew()
    site.ok("recover", "--lease", lease)
    (again,) = set(jobs(site)) - {lease}
    assert again != job
    site.ok("lease", "keep", lease, "off")
    site.wait_until(lambda: jobs(site) == [lease], "the end of what was queued")
    site.ask_slurm_anew()
    assert "no next job: `leaseq lease keep off`" in site.ok("lease", "ls")
    site.ok("lease", "keep", lease, "1d")
    assert "shorter than one job" in site.leaseq("lease", "keep", lease, "59m").stderr
    assert len(jobs(site)) == 2
    ended(site, lease)


@pytest.mark.timeout(400)
def test_with_an_overlap_the_next_job_starts_before_the_end_of_the_one_before_it(site: Site) -> None:
    lease = site.add("-N1", "-w", "node1", "-c", "2", "-t", "3", "--keep", "forever", "--overlap", "2m")
    second = following(site, lease)
    assert f"after:{lease}+1" in site.job(second)["Dependency"]
    both = ["node1", f"node1.{second}"]
    site.wait_until(lambda: sorted(site.nodes(lease)) == both, "the overlap", seconds_max=BUSY_SECONDS)
    assert lease in jobs(site)
    site.started(lease)
    node = site.ok("submit", "--lease", lease, "--node", f"node1.{second}", "--", "sh", "-c", "echo $LEASEQ_NODE")
    assert site.ok("follow", node, seconds_max=60) == f"node1.{second}"
    ended(site, lease)
