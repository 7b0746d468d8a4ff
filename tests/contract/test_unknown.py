"""What is said if Slurm gives no answer, or a lease none: only what is known, and how to find out the rest."""

from __future__ import annotations

import os

import pytest

from tests.contract.site import Site
from tests.contract.test_identity import CPUS, Wrapper

TIMED_OUT = "Socket timed out on send/recv operation"


def test_a_lease_that_slurm_has_queued_without_an_answer_is_found_at_once(site: Site) -> None:
    sbatch = Wrapper(site, "sbatch")
    sbatch.does(last=f'{sbatch.real} "$@" >/dev/null; echo "sbatch: error: {TIMED_OUT}" >&2; exit 1')
    lease = site.ok("add", "--detach", "-N1", *CPUS, PATH=sbatch.path)
    assert site.squeue("-j", lease, "-o", "%i") == [lease]
    site.ok("lease", "release", lease, "--yes")


def test_a_lease_of_which_nothing_is_known_is_found_by_the_next_look(site: Site) -> None:
    sbatch, squeue = Wrapper(site, "sbatch"), Wrapper(site, "squeue")
    silent = f'echo "slurm_load_jobs error: {TIMED_OUT}" >&2; exit 1'
    sbatch.does(last=f'{sbatch.real} "$@" >{site.directory}/id; echo "sbatch: error: {TIMED_OUT}" >&2; exit 1')
    squeue.does(last=silent)
    said = site.leaseq("add", "--detach", "--name", "second", "-N1", *CPUS, PATH=sbatch.path)
    assert said.returncode == 75
    assert "whether it has queued the lease is not known" in said.stderr
    assert TIMED_OUT in said.stderr
    assert "squeue --me -n second" in said.stderr
    assert "nothing was allocated" not in said.stderr
    lease = (site.directory / "id").read_text().split(";")[0].strip()
    site.wait_until(lambda: f'"id": "{lease}"' in site.ok("lease", "ls", "--json"), "the lease", seconds_max=60)
    assert site.leaseq("submit", "--lease", lease, "--", "true").returncode == 0, "whoever acts on it makes its record"
    assert site.record(lease)["name"] == "second"
    site.ok("lease", "release", lease, "--yes")


def test_a_refusal_is_said_as_one(site: Site) -> None:
    said = site.leaseq("add", "--detach", "-N1", "-p", "nowhere")
    assert said.returncode == 1
    assert "nothing was allocated" in said.stderr


def another_script(site: Site, edit: str) -> Wrapper:
    """An sbatch that hands Slurm the lease script as sed has edited it, under a name by which it is known."""
    sbatch, scripts = Wrapper(site, "sbatch"), site.directory / "scripts"
    scripts.mkdir()
    sbatch.does(
        f'edited={scripts}/$(basename "${{!#}}")',
        f'sed \'{edit}\' "${{!#}}" >"$edited"',
        last=f'exec {sbatch.real} "${{@:1:$#-1}}" "$edited"',
    )
    return sbatch


@pytest.mark.parametrize("done", [True, False], ids=["carried out", "not carried out"])
def test_a_release_without_an_answer_says_so_and_again_does_no_harm(site: Site, done: bool) -> None:
    lease = site.add("-N1", *CPUS)
    scancel = Wrapper(site, "scancel")
    first = f'{scancel.real} "$@"; ' if done else ""
    scancel.does(last=f'{first}echo "scancel: error: Kill job error on job id {lease}: {TIMED_OUT}" >&2; exit 1')
    said = site.leaseq("lease", "release", lease, "--yes", PATH=scancel.path)
    assert said.returncode == 75
    assert f"whether lease {lease} ends is not known" in said.stderr
    assert "as it was" not in said.stderr
    site.ok("lease", "release", lease, "--yes")
    site.wait_until(lambda: site.squeue("-j", lease, "-o", "%T") in ([], ["COMPLETING"]), "the end", seconds_max=60)


@pytest.mark.slow
def test_a_lease_whose_nodes_have_another_home_under_its_path_is_told_soon(site: Site) -> None:
    """As on a login host whose home is not the nodes': what the lease writes there is never seen here."""
    real, other = str(site.home), f"{site.directory}/elsewhere"
    sbatch = another_script(site, f"s#{real}#{other}#g")
    os.mkdir(other, 0o700)
    # What a node sees of this home is what stands elsewhere: nothing that was made here.
    srun = Wrapper(site, "srun")
    srun.does(
        f"args=() real={real} other={other}",
        'for each; do args+=("${each//"$real"/$other}"); done',
        last=f'exec {srun.real} "${{args[@]}}"',
    )
    said = site.leaseq("add", "-N1", *CPUS, PATH=sbatch.path, seconds_max=120)
    assert said.returncode == 1, said
    assert f"does not see {real}: under that path it has a directory of its own, or none" in said.stderr
    (lease,) = site.squeue("-u", "root", "-t", "RUNNING", "-o", "%i")
    found = site.leaseq("doctor", "--lease", lease, PATH=sbatch.path).stdout
    assert "does not see the home" in found
    site.ok("lease", "release", lease, "--yes", PATH=sbatch.path)


def test_a_lease_that_runs_without_a_runner_is_not_said_to_stay_queued(site: Site) -> None:
    sbatch = another_script(site, "2i sleep 300")
    said = site.leaseq("add", "-N1", *CPUS, "--wait", "20s", PATH=sbatch.path, seconds_max=120)
    assert said.returncode == 124, said
    assert "runs, and no node of it has a runner yet" in said.stderr
    assert "stays queued" not in said.stderr


def test_a_lease_that_fails_while_it_is_waited_for_is_not_said_to_stay_queued(site: Site) -> None:
    sbatch = another_script(site, "2i exit 3")
    said = site.leaseq("add", "-N1", *CPUS, "--wait", "90s", PATH=sbatch.path, seconds_max=120)
    assert said.returncode == 1, said
    assert "has ended: FAILED" in said.stderr
    assert "stays queued" not in said.stderr
