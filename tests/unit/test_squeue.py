"""One squeue for everything of a user: how often it is asked, and what its answers mean."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq import protocol
from leaseq.layout import Home
from leaseq.lease import records, squeue
from leaseq.lease.slurm import SlurmBackend, state_in
from leaseq.lease.slurm_text import SEPARATOR
from leaseq.models import Lease
from leaseq.world import SystemClock, SystemFs
from tests.unit.fake_program import FakeProgram, on_path

CLOCK = SystemClock()


class World:
    """A home, a squeue on PATH, and leases in the home."""

    def __init__(self, path: Path) -> None:
        self.fs = SystemFs(remote=False)
        self.home = Home(str(path / "home"))
        self.squeue = FakeProgram(path / "bin", "squeue")
        self.path = path
        for directory in (self.home.root, self.home.runs, self.home.cache):
            os.makedirs(directory)

    def lease(self, job: str, *, age_seconds: float = 3600) -> Lease:
        lease = records.write_first(self.fs, self.home.lease(job), Lease(id=job, kind="slurm", created=1.0))
        then = CLOCK.now() - age_seconds
        os.utime(self.home.lease(job).record, (then, then))
        return lease

    def refresh(self, period_seconds: float = 30.0) -> squeue.Queue:
        return squeue.refresh(self.fs, self.home, clock=CLOCK, period_seconds=period_seconds)

    def age(self, seconds: float) -> None:
        """The last answer is that old, and nobody has asked since."""
        then = CLOCK.now() - seconds
        os.utime(f"{self.home.cache}/squeue.json", (then, then))
        for name in os.listdir(self.home.cache):
            if name.startswith("ask."):
                os.unlink(f"{self.home.cache}/{name}")

    def state(self, lease: Lease) -> tuple[str, str]:
        record = records.read(self.fs, self.home.lease(lease.id))
        state = SlurmBackend(self.fs, self.home, clock=CLOCK).state(record)
        return state.word, state.reason


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    before = os.environ["PATH"]
    os.environ["PATH"] = on_path(tmp_path / "bin")["PATH"]
    yield World(tmp_path)
    os.environ["PATH"] = before


def line(
    job: str, state: str, *, reason: str = "None", nodes: str = "", left: str = "29:00", script: str = "/x"
) -> str:
    return SEPARATOR.join([job, state, left, "30:00", "N/A", "N/A", "1", "gpu", "1", nodes, reason, script, "n"]) + "\n"


def test_many_questions_within_the_period_are_one_call(world: World) -> None:
    world.squeue.answer(line("1", "RUNNING"))
    world.lease("1")
    threads = [threading.Thread(target=world.refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.refresh().rows["1"].state == "RUNNING"
    assert len(world.squeue.calls()) == 1


def test_the_call_is_one_for_all_leases_and_its_environment_is_clean(world: World) -> None:
    os.environ["SQUEUE_FORMAT"] = "%i"
    try:
        world.refresh()
    finally:
        del os.environ["SQUEUE_FORMAT"]
    (call,) = world.squeue.calls()
    assert call[:5] == ["--me", "-h", "-t", "all", "-o"]
    assert "SQUEUE_FORMAT" not in world.squeue.environment()
    assert world.squeue.environment()["SLURM_TIME_FORMAT"] == "standard"


def test_an_old_answer_is_asked_anew_and_a_fresh_one_is_not(world: World) -> None:
    world.refresh()
    world.age(29)
    world.refresh()
    assert len(world.squeue.calls()) == 1
    world.age(31)
    world.refresh()
    assert len(world.squeue.calls()) == 2


def test_a_turn_that_a_dead_command_left_behind_blocks_only_its_own_period(world: World) -> None:
    now = CLOCK.now()
    for period in (now // 30 - 1, now // 30 - 7):
        Path(f"{world.home.cache}/ask.30.{int(period)}").touch()
    world.refresh()
    assert len(world.squeue.calls()) == 1
    assert len([name for name in os.listdir(world.home.cache) if name.startswith("ask.")]) == 1


def test_a_failing_squeue_keeps_the_old_answer_and_says_why(world: World) -> None:
    world.squeue.answer(line("1", "RUNNING", nodes="node[1-2]"))
    lease = world.lease("1")
    world.refresh()
    world.age(120)
    world.squeue.answer(err="slurm_load_jobs error: Socket timed out on send/recv operation\n", code=1)
    queue = world.refresh()
    assert "Socket timed out" in queue.failure
    assert 119 < queue.age_seconds < 130
    assert world.state(lease) == ("RUNNING", "")


def test_silence_makes_a_lease_unknown_and_never_ended(world: World) -> None:
    world.squeue.answer(line("1", "RUNNING"))
    lease = world.lease("1")
    world.refresh()
    world.squeue.answer(err="Unable to contact slurm controller\n", code=1)
    world.age(3600)
    word, reason = world.state(lease)
    assert word == "UNKNOWN"
    assert "Unable to contact slurm controller" in reason
    assert "RUNNING 60 min ago" in reason


def test_without_squeue_a_lease_is_unknown(world: World) -> None:
    lease = world.lease("1")
    os.environ["PATH"] = str(world.path / "nothing")
    assert world.state(lease) == ("UNKNOWN", "there is no squeue on this host")


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("PENDING", "Resources", ("PENDING", "Resources")),
        ("PENDING", "None", ("PENDING", "")),
        ("CONFIGURING", "None", ("PENDING", "Configuring")),
        ("RUNNING", "None", ("RUNNING", "")),
        ("SUSPENDED", "None", ("RUNNING", "Suspended")),
        ("COMPLETING", "None", ("COMPLETING", "")),
        ("TIMEOUT", "TimeLimit", ("ENDED", "TIMEOUT (TimeLimit)")),
        ("CANCELLED", "None", ("ENDED", "CANCELLED")),
        ("NODE_FAIL", "None", ("ENDED", "NODE_FAIL")),
        ("SOMETHING_NEW", "None", ("UNKNOWN", "Slurm calls it SOMETHING_NEW")),
    ],
)
def test_slurms_states_in_our_words(world: World, state: str, reason: str, expected: tuple[str, str]) -> None:
    world.squeue.answer(line("1", state, reason=reason))
    assert world.state(world.lease("1")) == expected


def test_a_lease_that_slurm_has_forgotten_has_ended_and_its_record_says_so(world: World) -> None:
    world.squeue.answer(line("1", "RUNNING"))
    lease = world.lease("1")
    world.refresh()
    world.squeue.answer("")
    world.age(31)
    assert world.state(lease)[0] == "ENDED"
    record = records.read(world.fs, world.home.lease("1"))
    assert record.ended is not None
    assert record.end_reason == "no longer known to Slurm, RUNNING when seen last"


def test_the_final_state_outlives_slurms_memory(world: World) -> None:
    world.squeue.answer(line("1", "TIMEOUT", reason="TimeLimit"))
    lease = world.lease("1")
    world.refresh()
    world.squeue.answer("")
    world.age(31)
    assert world.state(lease) == ("ENDED", "TIMEOUT (TimeLimit)")


def test_a_requeued_job_is_a_lease_again(world: World) -> None:
    world.squeue.answer(line("1", "NODE_FAIL"))
    lease = world.lease("1")
    world.refresh()
    world.squeue.answer(line("1", "PENDING", reason="BeginTime"))
    world.age(31)
    assert world.state(lease) == ("PENDING", "BeginTime")
    assert records.read(world.fs, world.home.lease("1")).ended is None


def test_an_answer_older_than_the_lease_says_nothing_of_it(world: World) -> None:
    world.squeue.answer("")
    world.refresh()
    assert world.state(world.lease("1", age_seconds=0)) == ("PENDING", "just submitted")


def test_a_lease_that_slurm_never_showed_has_ended_once_it_is_old_enough(world: World) -> None:
    world.squeue.answer("")
    assert world.state(world.lease("1", age_seconds=3600)) == ("ENDED", "not known to Slurm")


def test_the_end_is_counted_from_the_moment_of_the_answer(world: World) -> None:
    world.squeue.answer(line("1", "RUNNING", left="10:00", nodes="n[1-3]"))
    lease = world.lease("1")
    world.refresh()
    world.age(20)
    queue = squeue.read(world.fs, world.home)
    state = state_in(queue, lease, now=1000.0, lease_age_seconds=3600)
    assert state.ends is not None
    assert 1579 < state.ends < 1581
    assert state.nodes == ("n1", "n2", "n3")


def test_a_damaged_cache_is_no_answer(world: World) -> None:
    Path(f"{world.home.cache}/squeue.json").write_text('{"v":1,"rows":[{"id":3}]')
    world.squeue.answer(line("1", "RUNNING"))
    assert world.state(world.lease("1")) == ("RUNNING", "")


def test_a_record_is_that_of_whoever_was_first(world: World) -> None:
    lease = world.home.lease("7")
    first = records.write_first(world.fs, lease, Lease(id="7", kind="slurm", created=1.0, name="first"))
    second = records.write_first(world.fs, lease, Lease(id="7", kind="slurm", created=2.0, name="second"))
    assert (first.name, second.name) == ("first", "first")
    assert not [name for name in os.listdir(lease.root) if name.startswith(".")]


def test_the_time_left_is_that_of_the_file_less_its_age(world: World) -> None:
    world.lease("1")
    lease = world.home.lease("1")
    assert records.seconds_left(world.fs, lease) is None
    protocol.replace_file(world.fs, lease.ends, b"600\n")
    then = CLOCK.now() - 100
    os.utime(lease.ends, (then, then))
    left = records.seconds_left(world.fs, lease)
    assert left is not None
    assert 495 < left <= 500
    protocol.replace_file(world.fs, lease.ends, b"UNLIMITED\n")
    assert records.seconds_left(world.fs, lease) is None
