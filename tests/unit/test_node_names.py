"""What the lease script calls the nodes of an allocation: each name is one node's of the lease."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from leaseq.layout import Home, LeaseDir
from leaseq.lease.slurm import sbatch
from leaseq.lease.slurm.args import check
from leaseq.protocol import allocs, files, records
from leaseq.world import SystemClock, SystemFs
from tests.build import allocate
from tests.unit.fake_program import FakeProgram, on_path

FS = SystemFs(remote=False)


@pytest.fixture
def lease(tmp_path: Path) -> LeaseDir:
    home = Home(str(tmp_path / "home"))
    for directory in (home.root, home.runs):
        os.mkdir(directory)
    records.prepare(FS, home.lease("7"))
    return home.lease("7")


def named(lease: LeaseDir, alloc_id: str, *hosts: str, restarts: int = 0, path: str = "") -> list[str]:
    """The names that the script of that allocation has given, as they are written."""
    home = Home(lease.root.rsplit("/runs/", 1)[0])
    request = sbatch.LeaseRequest((), check(()))
    asked = sbatch.ask_of(request, clock=SystemClock(), user="u", host="h")
    script = sbatch.script_of(home, request, asked).removesuffix("hold_allocation\n")
    place = lease.alloc(alloc_id)
    lines = f"lease={lease.root} alloc={alloc_id} own={place.root}\nname_nodes {' '.join(hosts)}\n"
    env = {"PATH": path or os.environ["PATH"], "SLURM_JOB_ID": alloc_id, "SLURM_RESTART_COUNT": str(restarts)}
    subprocess.run(["/bin/bash", "-p"], input=(script + lines).encode(), env=env, check=True)
    return Path(place.node_names).read_text().splitlines()


def test_a_node_is_called_as_its_host_unless_another_allocation_has_that_name(lease: LeaseDir) -> None:
    allocate(FS, lease, "1", nodes=("n1", "n2"))
    allocate(FS, lease, "2")
    assert named(lease, "2", "n2", "n3") == ["n2.2 n2", "n3"]
    assert allocs.members(FS, lease) == ("n1", "n2", "n2.2", "n3")


def test_a_name_that_an_ended_allocation_had_is_free(lease: LeaseDir) -> None:
    first = allocate(FS, lease, "1", nodes=("n1",))
    allocate(FS, lease, "2")
    allocs.mark_ended(FS, lease, first, ended=1.0, reason="TIMEOUT")
    assert named(lease, "2", "n1") == ["n1"]


def test_a_name_that_was_given_stays_and_hosts_that_are_gone_have_none(lease: LeaseDir) -> None:
    first = allocate(FS, lease, "1", nodes=("n1",))
    allocate(FS, lease, "2", nodes={"n1.2": "n1", "n4": "n4"})
    allocs.mark_ended(FS, lease, first, ended=1.0, reason="TIMEOUT")
    assert named(lease, "2", "n1", "n3") == ["n1.2 n1", "n3"]


def test_the_names_of_an_allocation_of_the_first_leaseq_count(lease: LeaseDir) -> None:
    old = allocate(FS, lease, "1", in_lease=True)
    files.replace_file(FS, lease.own.node_names, b"n1\n")
    allocate(FS, lease, "2")
    assert named(lease, "2", "n1") == ["n1.2 n1"]
    allocs.mark_ended(FS, lease, old, ended=1.0, reason="TIMEOUT")
    allocate(FS, lease, "3")
    assert named(lease, "3", "n1") == ["n1"]


def test_a_requeued_job_gives_up_a_name_that_another_has_taken_meanwhile(lease: LeaseDir) -> None:
    allocate(FS, lease, "1", nodes=("n1", "n2"))
    allocate(FS, lease, "2", nodes=("n1",))
    assert named(lease, "1", "n1", "n2", restarts=1) == ["n1.1 n1", "n2"]
    assert sorted(Path(lease.alloc("1").named).read_text().split()) == ["n1", "n1.1", "n2"]


def test_two_that_start_at_once_give_no_name_twice(lease: LeaseDir) -> None:
    """Each has written its names before it reads the other's."""
    allocate(FS, lease, "1", nodes=("n1",))
    allocate(FS, lease, "2")
    assert named(lease, "2", "n1") == ["n1.2 n1"]
    os.unlink(lease.alloc("1").node_names)
    assert named(lease, "1", "n1") == ["n1"]


@pytest.mark.parametrize(
    ("said", "code", "name"),
    [
        ("", 0, "n1"),
        ("slurm_load_jobs error: Invalid job id specified", 1, "n1"),
        ("1", 0, "n1.2"),
        ("slurm_load_jobs error: Unable to contact slurm controller", 1, "n1.2"),
    ],
)
def test_a_name_is_free_too_if_slurm_says_that_the_job_that_had_it_has_ended(
    lease: LeaseDir, tmp_path: Path, said: str, code: int, name: str
) -> None:
    """Who follows a job starts before its end is learnt, and tasks that are pinned to the node wait for its name."""
    first = allocate(FS, lease, "1", nodes=("n1",), job="1")
    allocate(FS, lease, "2")
    FakeProgram(tmp_path / "bin", "squeue").answer(said, code=code)
    assert named(lease, "2", "n1", path=on_path(tmp_path / "bin")["PATH"])[0].split()[0] == name
    assert (allocs.nodes_of(FS, lease, first) == ()) is (name == "n1")
    assert allocs.ever_named(FS, lease, first) == {"n1"}
