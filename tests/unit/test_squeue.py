"""One squeue for everything of a user: how often it is asked, and what its answers mean, and cannot mean."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from leaseq.errors import Refused, Unavailable
from leaseq.heartbeat import Heartbeat
from leaseq.lease import leases, upkeep
from leaseq.lease.host import user_name
from leaseq.lease.slurm import answer, squeue
from leaseq.lease.slurm.job import SlurmBackend, state_in
from leaseq.models import Lease
from leaseq.protocol import allocs, files, records, tasks, terms
from leaseq.world import SystemClock
from tests.unit.fake_program import FakeProgram
from tests.unit.slurm_world import CLOCK, HERE, UNKNOWN_JOB, World, line, set_age


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
    assert call[:6] == ["-u", user_name(), "-h", "-t", "all", "-o"]
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
        os.makedirs(world.cache, exist_ok=True)
        (world.cache / f"ask.30.{int(period)}").touch()
    world.refresh()
    assert len(world.squeue.calls()) == 1
    assert len([name for name in os.listdir(world.cache) if name.startswith("ask.")]) == 1


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


def test_the_end_is_counted_from_the_moment_of_the_answer(world: World) -> None:
    world.squeue.answer(line("1", "RUNNING", left="10:00", nodes="n[1-3]"))
    lease = world.lease("1")
    world.refresh()
    world.age(20)
    queue = answer.read(world.fs, world.home, HERE)
    state = state_in(queue, lease.first, now=1000.0, lease_age_seconds=3600)
    assert state.ends is not None
    assert 1579 < state.ends < 1581
    assert state.nodes == ("n1", "n2", "n3")


def test_a_damaged_cache_is_no_answer(world: World) -> None:
    world.cache.mkdir()
    (world.cache / "squeue.json").write_text('{"v":1,"rows":[{"id":3}]')
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
    ends = lease.alloc("1").ends
    assert allocs.time_left(world.fs, lease) is None
    files.replace_file(world.fs, ends, b"600\n")
    set_age(ends, 100)
    left = allocs.time_left(world.fs, lease)
    assert left is not None
    assert 495 < left <= 500
    files.replace_file(world.fs, ends, b"UNLIMITED\n")
    assert allocs.time_left(world.fs, lease) is None


# -- answers that say less than they seem to ----------------------------------------------------------


def test_an_empty_answer_ends_no_lease_that_is_heard_and_starts_nothing(world: World) -> None:
    lease = world.lease("1")
    held = world.running(lease)
    for _ in range(6):
        world.beat(lease, seconds_ago=3)
        world.answers(line("1", "RUNNING"), "", "", "", apart=90)
    assert (world.ended(lease), world.starts(lease)) == ("", [])
    assert os.listdir(world.home.lease("1").claimed("node1")) == [str(held)]
    world.answers("", "")
    assert world.state(lease) == ("UNKNOWN", "not in Slurm's answer, RUNNING when seen last")
    world.answers(line("1", "RUNNING"))
    assert world.state(lease) == ("RUNNING", "")


def test_a_partial_answer_ends_no_one_while_it_lacks_one_that_is_heard(world: World) -> None:
    heard, quiet = world.lease("1"), world.lease("2")
    both = line("1", "RUNNING") + line("2", "PENDING")
    world.beat(heard, seconds_ago=3)
    world.answers(both, "", "", "", apart=90)
    assert (world.ended(heard), world.ended(quiet)) == ("", "")


def test_a_lease_has_ended_that_two_answers_lack_and_slurm_denies_and_nobody_hears(world: World) -> None:
    other, lease = world.lease("1"), world.lease("2")
    held = world.running(lease)
    both = line("1", "RUNNING") + line("2", "RUNNING")
    world.beat(other, seconds_ago=3)
    world.beat(lease, seconds_ago=200)
    world.answers(both, line("1", "RUNNING"))
    assert world.ended(lease) == "", "the first answer that lacks it"
    world.answers(line("1", "RUNNING"))
    assert world.ended(lease) == "", "the second, too soon"
    world.squeue.answer("", given="-j")
    world.answers(line("1", "RUNNING"), apart=60)
    assert world.ended(lease) == "", "Slurm does not say that there is no such job"
    world.squeue.answer(err=UNKNOWN_JOB, code=1, given="-j")
    world.beat(lease, seconds_ago=100)
    world.answers(line("1", "RUNNING"))
    assert (world.ended(lease), world.starts(lease)) == ("", []), "its runner may be late"
    world.beat(lease, seconds_ago=130)
    world.answers(line("1", "RUNNING"))
    assert world.ended(lease) == "no longer known to Slurm, RUNNING when seen last"
    assert world.starts(lease) == [str(held.next_attempt())]
    assert world.ended(other) == ""


def test_a_lease_that_is_seen_between_two_answers_is_not_missed_twice(world: World) -> None:
    lease = world.lease("1")
    world.answers(line("1", "PENDING"), "", line("1", "PENDING"), "", apart=90)
    assert world.ended(lease) == ""
    world.answers("")
    assert world.ended(lease) == "no longer known to Slurm, PENDING when seen last"


def test_a_final_state_ends_no_lease_whose_runner_is_heard(world: World) -> None:
    lease = world.lease("1")
    world.running(lease)
    world.beat(lease, seconds_ago=10)
    world.answers(line("1", "RUNNING"), line("1", "NODE_FAIL"))
    assert world.state(lease) == ("COMPLETING", "NODE_FAIL")
    assert (world.ended(lease), world.starts(lease)) == ("", [])
    world.beat(lease, state="stopped")
    world.age(31)
    world.answers(line("1", "NODE_FAIL"))
    assert world.ended(lease) == "NODE_FAIL"
    assert len(world.starts(lease)) == 1


class HangsOnce(SystemClock):
    """Of a look that stands still for a minute once Slurm has been asked."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return super().monotonic() + (60.0 if self.looks > 1 else 0.0)


def test_a_final_state_says_nothing_of_a_runner_that_was_heard_after_slurm_was_asked(world: World) -> None:
    lease = world.lease("7")
    entry = world.running(lease)
    world.beat(lease, state="stopped", seconds_ago=5.0)
    world.squeue.answer(line("7", "NODE_FAIL"))
    assert not squeue.refresh(world.fs, world.home, clock=HangsOnce()).verdicts
    world.age(31.0)
    world.beat(lease, state="stopped", seconds_ago=5.0)
    assert world.refresh().verdicts[0].over
    world.age(20.0)
    upkeep.learn_kept(world.fs, world.home, lease, clock=CLOCK)
    assert not world.ended(lease) and os.listdir(world.home.lease("7").claimed("node1")) == [str(entry)]
    world.beat(lease, state="stopped", seconds_ago=25.0)
    upkeep.learn_kept(world.fs, world.home, lease, clock=CLOCK)
    assert world.ended(lease) == "NODE_FAIL" and not os.listdir(world.home.lease("7").claimed("node1"))


def test_a_runner_that_has_begun_and_not_beaten_yet_is_not_silent(world: World) -> None:
    lease = world.lease("1")
    directory = world.home.lease("1")
    world.beat(lease, state="stopped")
    terms.begin_term(world.fs, directory, 1, Heartbeat("1", "node1", "9876543210", 0, 1.0, 5.0))
    world.answers(line("1", "NODE_FAIL"))
    assert world.ended(lease) == ""
    set_age(directory.term("node1", 1), 200)
    world.answers(line("1", "NODE_FAIL"))
    assert world.ended(lease) == "NODE_FAIL"


def test_a_lease_that_was_called_ended_comes_back_when_it_is_seen_and_stays(world: World) -> None:
    lease = world.lease("1")
    held = world.running(lease)
    world.answers(line("1", "RUNNING"), "", "", apart=90)
    assert world.ended(lease)
    assert leases.list_leases(world.fs, world.home)[0].ended is not None
    world.answers(line("1", "RUNNING"))
    assert leases.list_leases(world.fs, world.home)[0].ended is None
    assert world.state(lease) == ("RUNNING", "")
    assert world.starts(lease) == [str(held.next_attempt())], "what was settled is settled, and once"


# -- answers of another cluster, and numbers that come again ---------------------------------------


def test_the_answer_of_another_cluster_says_nothing_of_a_lease(world: World) -> None:
    lease = world.lease("1")
    world.running(lease)
    world.answers(line("1", "RUNNING"))
    world.on("there")
    for text in (line("1", "CANCELLED"), line("1", "RUNNING", token="aaaaaaaaaa", nodes="b1"), "", ""):
        world.squeue.answer(text)
        assert world.state(lease) == ("UNKNOWN", "on cluster here; this is there")
        for path in Path(world.home.cache, "there").iterdir():
            path.unlink() if path.name.startswith("ask.") else set_age(str(path), 100)
    assert (world.ended(lease), world.starts(lease)) == ("", [])
    world.on(HERE)
    world.answers(line("1", "RUNNING"))
    assert world.state(lease) == ("RUNNING", "")


def test_where_the_cluster_is_not_known_absence_ends_nothing(world: World) -> None:
    lease = world.lease("1", cluster="")
    world.scontrol.answer(err="Unable to contact slurm controller", code=1)
    for _ in range(4):
        world.squeue.answer("")
        world.refresh()
        for path in Path(world.home.cache).iterdir():
            path.unlink() if path.name.startswith("ask.") else set_age(str(path), 100)
    assert world.ended(lease) == ""


def cluster_of(world: World) -> str:
    (alloc,) = allocs.all_of(world.fs, world.home.lease("1"))
    return alloc.cluster


def test_a_lease_of_an_early_leaseq_learns_its_cluster_by_its_token_and_by_nothing_else(world: World) -> None:
    lease = world.lease("1", cluster="")
    world.answers(line("1", "RUNNING", token="aaaaaaaaaa"))
    assert cluster_of(world) == ""
    world.answers(line("1", "RUNNING"))
    assert cluster_of(world) == HERE
    assert world.state(lease)[0] == "RUNNING"


def test_a_job_with_the_number_and_another_token_is_another(world: World) -> None:
    lease = world.lease("1")
    world.answers(line("1", "CANCELLED", token="aaaaaaaaaa"))
    assert world.state(lease) == ("UNKNOWN", "job 1 is another's now")
    assert world.ended(lease) == ""


def test_the_number_of_another_lease_gives_a_lease_of_its_own(world: World) -> None:
    old = world.lease("1", token="aaaaaaaaaa")
    new = world.lease("1", token="bbbbbbbbbb")
    assert (old.id, new.id, new.job) == ("1", "1.bbbbbbbbbb", "1")
    assert records.read(world.fs, world.home.lease("1")).token == "aaaaaaaaaa"
    assert world.lease("1", token="bbbbbbbbbb").id == new.id, "whoever registers it again finds it"
    world.answers(line("1", "RUNNING", token="bbbbbbbbbb"))
    assert world.state(new) == ("RUNNING", "")
    assert world.state(old)[0] == "UNKNOWN"


def test_a_damaged_record_is_nobodys(world: World) -> None:
    world.lease("1", token="aaaaaaaaaa")
    Path(world.home.lease("1").record).write_text("{")
    assert world.lease("1", token="bbbbbbbbbb").id == "1.bbbbbbbbbb"


# -- giving back ---------------------------------------------------------------------------------------


@pytest.fixture
def scancel(world: World) -> FakeProgram:
    return FakeProgram(world.path / "bin", "scancel")


def release(world: World, lease: Lease) -> bool:
    record = records.read(world.fs, world.home.lease(lease.id))
    return SlurmBackend(world.fs, world.home, clock=CLOCK).release(record.first)


def test_what_is_given_back_is_ending_at_once_and_released_for_ever(world: World, scancel: FakeProgram) -> None:
    lease = world.lease("1")
    world.answers(line("1", "RUNNING"), apart=0)
    world.squeue.answer(line("1", "RUNNING"), given="-j")
    assert release(world, lease)
    assert scancel.calls() == [["1"]]
    assert world.state(lease) == ("ENDING", "released")
    world.answers(line("1", "CANCELLED"))
    assert world.state(lease) == ("ENDED", "released")


def test_after_a_change_slurm_is_asked_anew_once(world: World, scancel: FakeProgram) -> None:
    lease = world.lease("1")
    world.squeue.answer(line("1", "RUNNING"))
    world.squeue.answer(line("1", "RUNNING"), given="-j")
    world.refresh()
    release(world, lease)
    before = len(world.squeue.calls())
    for _ in range(3):
        world.refresh()
    assert len(world.squeue.calls()) == before + 1


@pytest.mark.parametrize(
    "row",
    [
        {"token": "aaaaaaaaaa"},
        {"script": "/home/u/other.sh", "name": "stranger"},
        {"script": "/home/u/other.sh"},
        {"script": "/home/u/other.sh", "user": "somebody-else"},
    ],
)
def test_no_job_is_cancelled_that_may_be_another(world: World, scancel: FakeProgram, row: dict[str, str]) -> None:
    lease = world.lease("1")
    world.squeue.answer(line("1", "RUNNING", **row), given="-j")
    with pytest.raises(Refused, match="job 1"):
        release(world, lease)
    assert scancel.calls() == []
    assert not world.ended(lease)


def test_a_job_without_marks_is_the_leases_where_its_runner_is_heard(world: World, scancel: FakeProgram) -> None:
    lease = world.lease("1")
    world.squeue.answer(line("1", "RUNNING", script="(null)"), given="-j")
    world.beat(lease, seconds_ago=3)
    assert release(world, lease)
    assert scancel.calls() == [["1"]]


def test_a_lease_of_another_cluster_is_not_given_back_from_here(world: World, scancel: FakeProgram) -> None:
    lease = world.lease("1")
    world.on("there")
    world.squeue.answer(line("1", "RUNNING"), given="-j")
    with pytest.raises(Refused, match="lease 1 is on cluster here; Slurm's commands mean there here"):
        release(world, lease)
    with pytest.raises(Refused, match="on cluster here"):
        SlurmBackend(world.fs, world.home, clock=CLOCK).attach(lease.first, "node1", ["true"], tty=False)
    assert scancel.calls() == []


def test_slurms_line_counts_more_than_a_record_that_says_ended(world: World, scancel: FakeProgram) -> None:
    lease = world.lease("1")
    records.mark_ended(world.fs, world.home.lease("1"), ended=1.0, reason="no longer known to Slurm")
    world.squeue.answer(line("1", "RUNNING"), given="-j")
    assert release(world, lease)
    assert scancel.calls() == [["1"]]


def test_where_squeue_says_nothing_of_the_job_nothing_is_said_to_have_ended(world: World, scancel: FakeProgram) -> None:
    lease = world.lease("1")
    world.squeue.answer("", given="-j")
    with pytest.raises(Unavailable, match="says nothing of job 1"):
        release(world, lease)
    world.squeue.answer(err=UNKNOWN_JOB, code=1, given="-j")
    assert release(world, lease) is False
    assert scancel.calls() == []


# -- what is known of an end -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("0\n", "time limit"),
        ("-20\n", "time limit"),
        ("3\n", "time limit"),
        ("1800\n", "told to end by Slurm 30 min before its time limit"),
        (None, "no longer known to Slurm, RUNNING when seen last"),
    ],
)
def test_why_a_lease_ended_is_what_its_script_was_told(world: World, told: str | None, reason: str) -> None:
    lease = world.lease("1")
    if told is not None:
        Path(world.place(lease).told_to_end).write_text(told)
    world.answers(line("1", "RUNNING"), "", "", apart=90)
    assert world.ended(lease) == reason


def test_a_lease_whose_runner_was_heard_to_its_limit_has_lived_to_it(world: World) -> None:
    lease = world.lease("1")
    ends = world.place(lease).ends
    Path(ends).write_text("600\n")
    set_age(ends, 900)
    world.beat(lease, seconds_ago=310)
    world.answers(line("1", "RUNNING"), "", "", apart=90)
    assert world.ended(lease) == "time limit"


def test_a_runner_that_was_heard_since_the_answer_means_running(world: World) -> None:
    lease = world.lease("1")
    world.answers(line("1", "PENDING"), apart=20)
    world.beat(lease, seconds_ago=25)
    assert world.state(lease)[0] == "PENDING"
    world.beat(lease, seconds_ago=5)
    assert world.state(lease)[0] == "RUNNING"


# -- a node that the job has lost ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silent_for", "row", "lost"),
    [
        (500.0, line("1", "RUNNING", nodes="node2"), True),
        (0.0, line("1", "RUNNING", nodes="node2"), False),
        (90.0, line("1", "RUNNING", nodes="node2"), False),
        (500.0, line("1", "RUNNING", nodes="node[1-2]"), False),
        (500.0, line("1", "RUNNING", nodes=""), False),
        (500.0, line("1", "RUNNING", nodes="node[1-"), False),
        (500.0, line("1", "RUNNING", nodes="other7"), False),
        (500.0, line("1", "COMPLETING", nodes="node2"), False),
        (500.0, line("1", "PENDING", nodes="node2"), False),
        (500.0, line("1", "RUNNING", nodes="node2", token="another000"), False),
    ],
    ids=[
        "taken from the job, and silent",
        "its slurmd is lost, and its runner is heard",
        "nobody is dead so soon",
        "silent, and Slurm counts it in",
        "no node is named",
        "no host list",
        "no node of the lease at all",
        "a job that ends shows fewer",
        "a job that waits",
        "another job of that number",
    ],
)
def test_a_node_is_lost_where_slurm_has_taken_it_and_it_is_silent(
    world: World, silent_for: float, row: str, lost: bool
) -> None:
    lease = world.lease("1")
    directory = world.home.lease("1")
    files.replace_file(world.fs, world.place(lease).node_names, b"node1\nnode2\n")
    entry = world.running(lease)
    world.beat(lease, seconds_ago=silent_for)
    world.answers(row, row)
    outcome = tasks.read_outcome(world.fs, directory, entry.id, 1)
    assert (outcome is not None) is lost
    assert bool(world.starts(lease)) is lost
    assert not world.ended(lease)
    if outcome is not None:
        assert (outcome.state.name, outcome.requeued) == ("LOST", "requeue")
        assert outcome.reason == "NodeDown: no longer part of the allocation"
        assert allocs.members(world.fs, directory) == ("node2",)
