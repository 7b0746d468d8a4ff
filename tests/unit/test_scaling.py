"""A lease that scales by its files and Slurm's answers: made whole or not at all, and with jobs as its tasks need."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from leaseq.layout import Home
from leaseq.lease import capacity, leases, upkeep, view
from leaseq.lease.slurm import sbatch
from leaseq.lease.slurm.args import check
from leaseq.lease.slurm.asking import LINES
from leaseq.lease.slurm.keep import like
from leaseq.lease.slurm.sbatch import Prepared
from leaseq.lease.slurm.scaling import begin
from leaseq.models import ANY, Lease
from leaseq.names import Entry
from leaseq.protocol import allocs, files, leaving, records, succession, tasks
from leaseq.protocol.succession import How
from leaseq.verbs import lease_scale
from leaseq.verbs.access import Access
from tests.build import make_entry, make_task
from tests.memoryfs import Disk, MemoryFs
from tests.unit.fake_program import FakeProgram
from tests.unit.slurm_world import CLOCK, World, line, set_age

TYPED = ("-N1", "-t", "30")


class Scaled:
    """A lease that scales, in a world where sbatch and scancel answer as they are told."""

    def __init__(self, world: World) -> None:
        self.world, self.fs = world, world.fs
        self.sbatch, self.scancel = (FakeProgram(world.path / "bin", name) for name in ("sbatch", "scancel"))
        keep = like(How("", scale=(0, 2)), tokens=TYPED, name="pool", umask=0o022, environment=os.environ)
        request = sbatch.LeaseRequest(TYPED, check(TYPED), name="pool", keep=keep, idle_seconds=600.0)
        world.cache.mkdir()
        self.lease: Lease = begin(
            self.fs, world.home, sbatch.prepare(world.home, request, clock=CLOCK, user="", host="")
        )
        self.directory = world.home.lease(self.lease.id)
        self.lines: dict[str, str] = {}

    def submit(self) -> Entry:
        entry = make_entry()
        tasks.publish(self.fs, self.directory.inbox(ANY), entry, make_task(entry.id))
        return entry

    def see(self, *, job: str = "", seconds: float = 31.0) -> str:
        """What is said as capacity is seen to, so long after the last answer of Slurm; job: what sbatch gives."""
        self.sbatch.answer(f"{job}\n" if job else "")
        self.world.age(seconds)
        for name in self.names():
            set_age(f"{self.directory.keep}/{name}", 120.0)
        self.world.squeue.answer("".join(self.lines.values()))
        said = capacity.ensure(self.fs, self.world.home, CLOCK, self.directory, self.lease)
        for alloc in allocs.all_of(self.fs, self.directory):
            if alloc.ended is None:
                self.lines.setdefault(alloc.job, line(alloc.job, "PENDING", token=alloc.token))
        assert said is None or isinstance(said, str)
        return said or ""

    def names(self) -> set[str]:
        return set(succession.names(self.fs, self.directory))

    def view(self) -> tuple[str, str]:
        (seen,) = view.look_at_all(self.fs, self.world.home, clock=CLOCK).views
        return seen.word, seen.reason


@pytest.fixture
def scaled(world: World) -> Scaled:
    return Scaled(world)


def test_it_is_a_lease_without_a_job_and_goes_on_as_one(scaled: Scaled) -> None:
    assert allocs.all_of(scaled.fs, scaled.directory) == allocs.living_of(scaled.fs, scaled.directory) == ()
    assert scaled.view() == scaled.world.state(scaled.lease) == ("PENDING", "no node now, scales 0..2")
    assert scaled.see() == "" and scaled.sbatch.calls() == []
    assert records.read(scaled.fs, scaled.directory).ended is None


def test_a_task_asks_for_a_job_once_and_the_job_is_of_the_lease(scaled: Scaled) -> None:
    scaled.submit()
    assert scaled.see(job="70").endswith("1 job of it is queued, or about to start")
    token = succession.token_of(scaled.fs, scaled.directory, (1, 1))
    (call,) = scaled.sbatch.calls()
    assert call[:4] == ["--parsable", "-N1", "-t", "30"]
    assert call[-1] == f"{scaled.world.home.scripts}/{token}.sh"
    (alloc,) = allocs.all_of(scaled.fs, scaled.directory)
    assert (alloc.job, alloc.token, alloc.asked_as, alloc.idle_seconds) == ("70", token, "1.1", 600.0)
    script = scaled.fs.read(allocs.directory(scaled.directory, alloc).script).decode()
    assert f"lease_id={scaled.lease.id}\n" in script and "asked_as=1.1\n" in script and "lease_record=''\n" in script
    scaled.see(job="71")
    assert len(scaled.sbatch.calls()) == 1, "it has room in the job that is queued"


def test_a_job_whose_script_is_naming_its_nodes_is_about_to_start(scaled: Scaled) -> None:
    scaled.submit()
    scaled.see(job="70")
    (alloc,) = allocs.all_of(scaled.fs, scaled.directory)
    place = allocs.directory(scaled.directory, alloc)
    scaled.lines["70"] = line("70", "RUNNING", nodes="node1", token=alloc.token)
    scaled.fs.create(place.node_names, b"node1\n")
    assert scaled.see(job="71").endswith("1 job of it is queued, or about to start")
    set_age(place.node_names, 3600.0)
    scaled.fs.create(place.named, b"node1\n")
    assert scaled.see(job="71").endswith("1 job of it is queued, or about to start")
    assert len(scaled.sbatch.calls()) == 1, "it has room in the job that starts"


def test_a_queued_job_that_nothing_needs_is_cancelled_if_it_is_queued_yet(scaled: Scaled) -> None:
    entry = scaled.submit()
    scaled.see(job="70")
    files.discard(scaled.fs, f"{scaled.directory.inbox(ANY)}/{entry}")
    scaled.world.squeue.answer(scaled.lines["70"], given="-j")
    scaled.see()
    assert scaled.scancel.calls() == [["--state=PENDING", "70"]]
    assert scaled.names() >= {"1.1", "how"} and records.read(scaled.fs, scaled.directory).ended is None


def test_one_that_has_started_meanwhile_is_not_cancelled(scaled: Scaled) -> None:
    entry = scaled.submit()
    scaled.see(job="70")
    files.discard(scaled.fs, f"{scaled.directory.inbox(ANY)}/{entry}")
    (alloc,) = allocs.all_of(scaled.fs, scaled.directory)
    scaled.world.squeue.answer(line("70", "RUNNING", nodes="node1", token=alloc.token), given="-j")
    scaled.see()
    assert scaled.scancel.calls() == []
    assert not allocs.is_released(scaled.fs, allocs.directory(scaled.directory, alloc))


def test_three_refusals_pause_it_with_slurms_words_until_somebody_says_so(scaled: Scaled) -> None:
    scaled.submit()
    scaled.sbatch.answer(err="sbatch: error: Invalid account\n", code=1)
    for number in (1, 2, 3):
        set_age_of_refusal(scaled, 3600.0)
        scaled.world.age(31)
        upkeep.keep_up(scaled.fs, scaled.world.home, clock=CLOCK, period_seconds=30.0)
        assert len(scaled.sbatch.calls()) == number
    set_age_of_refusal(scaled, 86400.0)
    words = scaled.see()
    assert len(scaled.sbatch.calls()) == 3, "no other is asked for, however long ago that was"
    assert "Slurm has refused 3 times in a row: sbatch: error: Invalid account" in words
    assert "scales 0..2, paused: Slurm has refused 3 times" in scaled.view()[1]
    scaled.sbatch.answer("70\n")
    access = Access(scaled.fs, scaled.world.home, CLOCK)
    record, how = lease_scale.lease_that_scales(access, "pool")
    lease_scale.scale(access, record, how, (0, 4))
    assert allocs.find(scaled.fs, scaled.directory, "70") is not None
    assert {"paused", "refused"}.isdisjoint(scaled.names())


def set_age_of_refusal(scaled: Scaled, seconds: float) -> None:
    if "refused" in scaled.names():
        set_age(f"{scaled.directory.keep}/refused", seconds)


def test_more_that_are_to_stay_are_at_first_those_that_it_has_and_fewer_leave_when_unused(scaled: Scaled) -> None:
    scaled.submit()
    scaled.see(job="70")
    access = Access(scaled.fs, scaled.world.home, CLOCK)

    def limit() -> float | None:
        (alloc,) = allocs.all_of(scaled.fs, scaled.directory)
        return leaving.limit_of(scaled.fs, allocs.directory(scaled.directory, alloc), alloc)

    assert limit() == 600.0
    for bounds, told in (((1, 2), None), ((0, 2), 600.0)):
        record, how = lease_scale.lease_that_scales(access, "pool")
        lease_scale.scale(access, record, how, bounds)
        assert limit() == told
    assert len(scaled.sbatch.calls()) == 1


def test_a_release_ends_it_at_once_if_it_has_no_job(scaled: Scaled) -> None:
    assert Access(scaled.fs, scaled.world.home, CLOCK).release(scaled.lease)
    assert records.read(scaled.fs, scaled.directory).end_reason == "released"


def test_slurm_is_asked_no_oftener_than_for_all_other_leases_however_many_submit(scaled: Scaled) -> None:
    """squeue at most 120 times an hour: a task every 20 s, and a runner that looks each minute."""
    scaled.submit()
    scaled.see(job="70")
    before = len(scaled.world.squeue.calls())
    for second in range(0, 3600, 20):
        for path in scaled.world.cache.iterdir():
            set_age(str(path), 20.0 + CLOCK.now() - path.stat().st_mtime)
        for path in scaled.world.cache.glob("ask.*"):
            path.unlink()
        scaled.submit()
        capacity.ensure(scaled.fs, scaled.world.home, CLOCK, scaled.directory, scaled.lease)
        if second % 60 == 0:
            upkeep.keep_up(scaled.fs, scaled.world.home, clock=CLOCK, period_seconds=30.0, on_node=True)
    assert 60 < len(scaled.world.squeue.calls()) - before <= 120


# -- who makes it dies -----------------------------------------------------------------------------------


class Dies(Exception):
    pass


def disks_after(count: int) -> Iterator[tuple[Disk, bool]]:
    """What a command leaves that dies at that operation of its, and any loss of power then; True if it has not died."""
    disk = Disk()
    fs, home, prepared = MemoryFs(disk), Home("/home/l"), _prepared()
    left = [count]

    def strike(operation: str, paths: tuple[str, ...]) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Dies

    for directory in (home.root, home.runs, home.cache):
        fs.mkdir(directory)
        fs.sync_dir(directory.rpartition("/")[0])
    disk.hook = strike
    ended = True
    try:
        begin(fs, home, prepared)
    except Dies:
        ended = False
    disk.hook = None
    yield disk, ended
    for each in disk.losses():
        yield each, ended


def _prepared() -> Prepared:
    request = sbatch.LeaseRequest((), check(()), keep=How("", scale=(0, 2)), idle_seconds=600.0, environment={})
    asked = sbatch.ask_of(request, clock=CLOCK, user="", host="")
    return Prepared("\n".join(f"{name}=" for name in LINES), (), asked)


def test_who_dies_at_any_moment_leaves_a_whole_lease_or_none(world: World) -> None:
    found, count, ended = set(), 0, False
    while not ended:
        for disk, ended in disks_after(count):
            fs, home = MemoryFs(disk), Home("/home/l")
            known = leases.list_leases(fs, home)
            assert not leases.unreadable(fs, home, known)
            found.add(len(known))
            assert known or not ended, "what was told to be there is there"
            for lease in known:
                directory = home.lease(lease.id)
                assert succession.is_kept(succession.names(fs, directory))
                assert succession.read_how(fs, directory).scale == (0, 2)
                assert succession.model(fs, directory).idle_seconds == 600.0
                assert fs.read(succession.script_path(directory)).startswith(b"lease_id=")
        count += 1
    assert found == {0, 1} and count > 20
