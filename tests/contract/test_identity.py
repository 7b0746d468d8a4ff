"""Whose a job is, and what an answer of squeue proves: wrong answers, other clusters, numbers that come again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.accounts import Accounts
from tests.contract.clusters import MOCK, Cluster
from tests.contract.conftest import KIND
from tests.contract.site import Site

CPUS = ("-c", "4")


class Wrapper:
    """A program before one of Slurm's on PATH, which does what its lines say and then what Slurm's does."""

    def __init__(self, site: Site, name: str) -> None:
        self.directory = site.directory / "wrappers"
        self.directory.mkdir(exist_ok=True)
        self.name, self.real = name, shutil.which(name, path=site.cluster.env["PATH"])
        self.path = f"{self.directory}:{site.cluster.env['PATH']}"

    def does(self, *lines: str, last: str = "") -> None:
        """From now on."""
        program = self.directory / self.name
        program.write_text("\n".join(["#!/bin/bash", *lines, last or f'exec {self.real} "$@"']) + "\n")
        program.chmod(0o755)


def look(site: Site, **env: Any) -> dict[str, dict[str, object]]:
    """Every lease by id, as a command tells them that asks Slurm now."""
    site.ask_slurm_anew()
    return {each["id"]: each for each in json.loads(site.ok("lease", "ls", "--all", "--json", **env))["leases"]}


def time_passes(site: Site) -> None:
    """What squeue was seen to lack has been missed for two minutes."""
    for path in (site.home / "cache").glob("*/missed.*"):
        os.utime(path, (path.stat().st_mtime - 120,) * 2)


@pytest.mark.parametrize("wrong", ["empty", "partial", "repeated"])
def test_a_wrong_answer_ends_no_lease_and_starts_nothing_a_second_time(site: Site, wrong: str) -> None:
    squeue = Wrapper(site, "squeue")
    squeue.does()
    old = site.squeue("-u", "root", "-t", "all", "-o", "%i")
    first, second = site.add("-N1", *CPUS), site.add("-N1", *CPUS)
    accounts = Accounts(site)
    tasks = accounts.submit(first, accounts.gated, accounts.gated, options=("--cpus", "1", "--requeue"))
    tasks += accounts.submit(first, accounts.gated, options=("--cpus", "1", "--on-lost", "requeue"))
    accounts.started(*tasks)
    assert look(site, PATH=squeue.path)[first]["state"] == "RUNNING"
    squeue.does(
        *{
            "empty": ["exit 0"],
            "partial": [f'{squeue.real} "$@" | grep -v "^{first}\\b"', "exit 0"],
            "repeated": [f"printf '%s\\n' {' '.join(old)}", "exit 0"],
        }[wrong]
    )
    for _ in range(4):
        assert look(site, PATH=squeue.path)[first]["state"] == "UNKNOWN"
        time_passes(site)
    assert {site.record(lease).get("ended") for lease in (first, second)} == {None}
    assert accounts.states(first, *tasks) == ["RUNNING"] * 3
    squeue.does()
    assert look(site, PATH=squeue.path)[first]["state"] == "RUNNING"
    accounts.gate.touch()
    accounts.wait_states(first, tasks, "DONE")
    assert sorted(accounts.attempts().values()) == [1, 1, 1]
    site.ok("lease", "release", first, second, "--yes", PATH=squeue.path)
    site.wait_until(lambda: not site.squeue("-o", "%i"), "the end of both")
    accounts.check_ended(first)


def test_a_lease_that_was_called_ended_is_given_back_all_the_same(site: Site) -> None:
    lease = site.add("-N1", *CPUS)
    path = site.lease_dir(lease) / "lease.json"
    path.write_text(json.dumps({**site.record(lease), "ended": 1.0, "end_reason": "no longer known to Slurm"}) + "\n")
    said = site.leaseq("lease", "release", lease, "--yes")
    assert (said.returncode, "is released" in said.stderr) == (0, True), said.stderr
    site.wait_until(lambda: not site.squeue("-o", "%i"), "the end of the job")
    again = site.leaseq("lease", "release", lease, "--yes")
    assert (again.returncode, "has ended already" in again.stderr) == (0, True), again.stderr


def test_what_was_just_given_back_is_ending_and_its_end_is_kept(site: Site) -> None:
    lease = site.add("-N1", *CPUS)
    assert look(site)[lease]["state"] == "RUNNING"
    site.ok("lease", "release", lease, "--yes")
    told = {each["id"]: each for each in json.loads(site.ok("lease", "ls", "--all", "--json"))["leases"]}
    assert told[lease]["state"] in ("ENDING", "COMPLETING", "ENDED")
    site.wait_until(lambda: not site.squeue("-o", "%i"), "the end of the job")
    site.wait_until(lambda: look(site)[lease]["state"] == "ENDED", "the end")
    site.keep_up(lease)
    assert site.record(lease)["end_reason"] == "released"


def test_a_lease_that_was_just_added_is_running_as_soon_as_its_runner_is_heard(site: Site) -> None:
    lease = site.add("-N1", *CPUS)
    told = {each["id"]: each for each in json.loads(site.ok("lease", "ls", "--json"))["leases"]}
    assert (told[lease]["state"], told[lease]["nodes_alive"]) == ("RUNNING", 1)
    assert told[lease]["ends"] is not None


def test_an_adopted_job_is_told_from_another_with_its_number(site: Site) -> None:
    job = site.slurm("sbatch", "--parsable", "-N1", "--comment=mine", "--wrap", "sleep 600").strip()
    site.wait_until(lambda: site.squeue("-j", job, "-o", "%T") == ["RUNNING"], "the job")
    lease = site.ok("lease", "adopt", job)
    site.started(lease)
    token = site.record(lease)["token"]
    assert site.slurm("squeue", "-h", "-j", job, "-o", "%k").strip() == f"mine leaseq:{token}"
    assert look(site)[lease]["state"] == "RUNNING"
    site.slurm("scontrol", "update", f"JobId={job}", "Comment=leaseq:aaaaaaaaaa")
    refused = site.leaseq("lease", "release", lease, "--yes")
    assert (refused.returncode, f"is not lease {lease}" in refused.stderr) == (2, True), refused.stderr
    site.slurm("scontrol", "update", f"JobId={job}", f"Comment=leaseq:{token}")
    site.ok("lease", "release", lease, "--yes")
    site.wait_until(lambda: not site.squeue("-o", "%i"), "the end of the job")


def test_a_squeue_that_knows_only_u_is_enough(site: Site) -> None:
    squeue = Wrapper(site, "squeue")
    squeue.does('[[ " $* " == *" --me "* ]] && { echo "squeue: unrecognized option: --me" >&2; exit 1; }')
    lease = site.add("-N1", *CPUS)
    assert look(site, PATH=squeue.path)[lease]["state"] == "RUNNING"
    assert site.leaseq("doctor", PATH=squeue.path).returncode == 0


def test_doctor_says_what_it_asked_where_squeue_fails_and_the_controller_answers(site: Site) -> None:
    squeue = Wrapper(site, "squeue")
    squeue.does('echo "this site wants -M" >&2; exit 1')
    said = site.leaseq("doctor", PATH=squeue.path).stdout
    assert "squeue: this site wants -M" in said
    assert f"the controller answers: is {squeue.directory}/squeue Slurm's own? leaseq asks `squeue -u " in said


# -- two clusters, and one that begins again ------------------------------------------------------------


class Another:
    """One more mock cluster, of whose home-sharing users this test's is one."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.name = directory, name

    def start(self, *, first_job: str) -> None:
        """It runs, and counts its jobs from there."""
        words = ["--nodes", "b1,b2", "--cpus", "8", "--gpus", "4", "--option", f"name={self.name}"]
        words += ["--option", f"first_job_id={first_job}"]
        self._control("start", *words, "--until-exit-of", str(os.getpid()))

    @property
    def env(self) -> dict[str, Any]:
        return {
            "SLURM_MOCK_DIR": str(self.directory),
            "SLURM_CONF": str(self.directory / "slurm.conf"),
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
        }

    def run(self, *words: str) -> str:
        return subprocess.run(
            words, env={**os.environ, **self.env}, capture_output=True, text=True, check=True, cwd=self.directory
        ).stdout.strip()

    def stop(self) -> None:
        """Nothing of it runs, if it was ever started."""
        if self.directory.exists():
            self._control("stop")

    def _control(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, str(MOCK), *words, "--dir", str(self.directory)], check=True, stdout=subprocess.DEVNULL
        )


@pytest.fixture(params=["other", "mock"])
def another(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Iterator[Another]:
    """A second cluster, once with a name of its own and once with the name of the first."""
    if KIND != "mock":
        pytest.skip("the second cluster is a mock")
    made = Another(tmp_path / "another", request.param)
    yield made
    made.stop()


def test_a_look_from_another_cluster_ends_nothing_and_cancels_no_job_of_it(site: Site, another: Another) -> None:
    lease = site.add("-N1", *CPUS)
    accounts = Accounts(site)
    tasks = accounts.submit(lease, accounts.gated, options=("--cpus", "1", "--requeue"))
    accounts.started(*tasks)
    another.start(first_job=lease)
    stranger = another.run("sbatch", "--parsable", "-o", "/dev/null", "-J", "stranger", "--wrap", "sleep 600")
    assert stranger == lease
    for _ in range(4):
        told = look(site, **another.env)[lease]
        assert told["state"] == "UNKNOWN", told
        time_passes(site)
    refused = site.leaseq("lease", "release", lease, "--yes", **another.env)
    assert refused.returncode == 2, refused.stderr
    entered = site.leaseq("shell", "--lease", lease, "--plain", "--", "true", **another.env)
    assert entered.returncode != 0, entered.stderr
    assert another.run("squeue", "-h", "-o", "%T") == "RUNNING"
    assert site.squeue("-o", "%T") == ["RUNNING"]
    assert site.record(lease).get("ended") is None
    assert look(site)[lease]["state"] == "RUNNING"
    accounts.gate.touch()
    accounts.wait_states(lease, tasks, "DONE")
    assert sorted(accounts.attempts().values()) == [1]


def test_a_number_that_comes_again_mixes_no_leases(site: Site, another: Another) -> None:
    first = site.ok("add", "--detach", "--name", "first", "-N1", "-t", "5", *CPUS)
    site.started(first)
    accounts = Accounts(site)
    old = accounts.submit(first, "true", options=("--cpus", "1", "--time", "30m"))
    another.start(first_job=first)
    second = site.ok("add", "--detach", "--name", "second", "-N1", "-t", "60", *CPUS, **another.env)
    assert second == f"{first}.{site.record(second)['token']}"
    site.started(second)
    new = accounts.submit(second, "true", options=("--cpus", "1"))
    accounts.wait_states(second, new, "DONE")
    assert site.record(first)["name"] == "first"
    assert accounts.states(first, *old) == ["PENDING"]
    assert [key.partition(".")[0] for key in accounts.attempts()] == new
    assert site.beats(first)["node1" if "node1" in site.beats(first) else site.nodes(first)[0]]["lease"] == first
    assert {beat["lease"] for beat in site.beats(second).values()} == {second}
    site.ok("lease", "release", "second", "--yes", **another.env)
    site.wait_until(lambda: another.run("squeue", "-h", "-o", "%i") == "", "the end of the second")
    assert site.squeue("-o", "%i") == [first]
    site.ok("move", "--from", first, "--to", "local")
