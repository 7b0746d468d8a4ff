"""A number that comes again, and an end that is learnt from Slurm: every fault at every operation."""

from __future__ import annotations

import pytest

from leaseq.dataclass import replace
from leaseq.lease.slurm import sbatch
from leaseq.lease.slurm.answer import cache_of
from leaseq.models import Lease
from leaseq.protocol import allocs, records
from leaseq.world import Fs
from tests.build import make_alloc
from tests.crash.actors import REAL
from tests.crash.answers import (
    ENTRY,
    HOME,
    NEW,
    OLD,
    disk,
    ends_of_one,
    every_fault,
    foreign_answers,
    learn,
    lines_of_another,
    record,
    running,
    two,
)
from tests.memoryfs import Disk, MemoryFs


def test_a_number_that_comes_again_gives_one_new_lease_and_leaves_the_old_one_alone() -> None:
    cases = 0

    def register(fs: Fs) -> Lease:
        return records.register(fs, HOME, record(NEW))

    for fs, case in every_fault(disk, register):
        cases += 1
        assert records.read_lease(fs, HOME.lease("1")) == record(OLD), case
        made = register(fs)
        assert (made.id, made.token) == (f"1.{NEW}", NEW), case
        assert sorted(fs.names(HOME.runs)) == ["1", f"1.{NEW}"], case
        assert records.read_lease(fs, HOME.lease("1")) == record(OLD), case
    assert cases > 300


def test_a_new_lease_and_its_allocation_are_recorded_once_whatever_number_comes_again() -> None:
    made = replace(record(NEW), allocs=True)
    asked = sbatch.Asked(made, make_alloc("1", "1", token=NEW, cluster="here"))
    cases = 0
    for fs, case in every_fault(disk, lambda fs: sbatch.register(fs, HOME, asked)):
        cases += 1
        seen = allocs.all_of(fs, HOME.lease(f"1.{NEW}"))
        assert [(each.job, each.token) for each in seen] in ([], [("1", NEW)]), case
        stands = sbatch.register(fs, HOME, asked)
        assert (stands.lease.id, stands.alloc.id, stands.alloc.lease) == (f"1.{NEW}", "1", f"1.{NEW}"), case
        assert allocs.all_of(fs, HOME.lease(f"1.{NEW}")) == (stands.alloc,), case
        assert sorted(fs.names(HOME.runs)) == ["1", f"1.{NEW}"], case
    assert cases > 300


def test_a_job_that_joins_a_lease_is_recorded_once_and_leaves_the_others_alone() -> None:
    lease, made, cases = HOME.lease("1"), make_alloc("1", "2", token="c" * 10, cluster="here"), 0

    def register(fs: Fs) -> str:
        return allocs.register(fs, lease, made).id

    before = allocs.all_of(MemoryFs(two()), lease)
    for fs, case in every_fault(two, register):
        cases += 1
        seen = {each.id: each for each in allocs.all_of(fs, lease)}
        assert [seen[each.id] for each in before] == list(before), case
        assert register(fs) == f"2.{made.token}", case
        assert sorted(each.id for each in allocs.all_of(fs, lease)) == ["1", "2", f"2.{made.token}"], case
    assert cases > 30


def test_the_end_of_one_job_is_not_the_end_of_the_other() -> None:
    assert sum(1 for _ in ends_of_one(REAL)) > 50
    assert sum(1 for _ in lines_of_another(REAL)) > 20


@pytest.mark.parametrize("state", ["TIMEOUT", ""])
def test_who_learns_of_an_end_starts_every_task_once_more_at_most(state: str) -> None:
    def build() -> Disk:
        made = running(200.0)
        if not state:
            made.seconds = -100.0
            MemoryFs(made).create(f"{cache_of(HOME, 'here')}/missed.1@1", b"")
            made.seconds = 0.0
        return made

    cases = 0
    for fs, case in every_fault(build, learn(state)):
        cases += 1
        fs.disk.seconds = 100.0  # type: ignore[attr-defined]
        learn(state)(fs)
        fs.disk.seconds = 200.0  # type: ignore[attr-defined]
        learn(state)(fs)
        lease = HOME.lease("1")
        assert records.read_lease(fs, lease).ended is not None, case
        assert fs.names(lease.inbox("_any")) == [str(ENTRY.next_attempt())], case
        assert fs.names(lease.claimed("n1")) == [], case
    assert cases > 100


@pytest.mark.parametrize("state", ["NODE_FAIL", ""])
def test_no_fault_makes_an_answer_end_a_lease_that_is_heard(state: str) -> None:
    for fs, case in every_fault(lambda: running(10.0), learn(state)):
        lease = HOME.lease("1")
        assert records.read_lease(fs, lease).ended is None, case
        assert fs.names(lease.inbox("_any")) == [], case
        assert fs.names(lease.claimed("n1")) == [str(ENTRY.claimed_by("0123456789"))], case


def test_no_answer_of_another_cluster_ends_a_lease() -> None:
    assert sum(1 for _ in foreign_answers(REAL)) > 5
