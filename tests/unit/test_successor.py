"""A kept lease by its files and Slurm's answers: exactly one job for each that is to follow, and nothing by guess."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.errors import Refused, SlurmError
from leaseq.layout import LeaseDir
from leaseq.lease import capacity, leases, upkeep, view
from leaseq.lease.slurm import sbatch
from leaseq.lease.slurm.answer import Queue
from leaseq.lease.slurm.args import check
from leaseq.lease.slurm.asking import Hands, followed
from leaseq.lease.slurm.keep import LOST_SECONDS, like
from leaseq.lease.slurm.successor import Chain
from leaseq.lease.slurm.text import parse_rows
from leaseq.models import Lease
from leaseq.protocol import allocs, files, records, succession
from leaseq.protocol.succession import How
from leaseq.verbs import lease_keep
from leaseq.verbs.access import Access
from leaseq.verbs.lease_shrink import part_of
from tests.build import make_entry, make_task
from tests.unit.fake_program import FakeProgram
from tests.unit.slurm_world import CLOCK, World, line, set_age

TYPED = ("-N1", "-t", "60", "-d", "afterok:3", "--gres=gpu:1")


class Kept:
    """A lease that is kept, in a world where sbatch and scancel answer as they are told."""

    def __init__(self, world: World, how: How) -> None:
        self.world, self.fs = world, world.fs
        self.sbatch, self.scancel = (FakeProgram(world.path / "bin", name) for name in ("sbatch", "scancel"))
        self.sbatch.answer("70\n")
        environment = {**os.environ, "MINE": "x", "SLURM_JOB_ID": "3"}
        kept = like(how, tokens=TYPED, name="sweep", umask=0o027, environment=environment)
        request = sbatch.LeaseRequest(tokens=TYPED, checked=check(TYPED), name="sweep", umask=0o027, keep=kept)
        self.prepared = sbatch.prepare(world.home, request, clock=CLOCK, user="", host="login")
        self.lease: Lease = sbatch.submit(self.fs, world.home, self.prepared, request=request)[0].lease
        self.directory: LeaseDir = world.home.lease(self.lease.id)
        self.lines = {"70": line("70", "PENDING", token=self.lease.token)}

    def start(self, job: str) -> None:
        """That job has nodes."""
        place = self.directory.alloc(job)
        for path in (place.node_names, place.named):
            files.replace_file(self.fs, path, b"node1\n")
        self.lines[job] = line(job, "RUNNING", nodes="node1", token=self.alloc(job).token)

    def alloc(self, job: str) -> Allocation:
        found = allocs.find(self.fs, self.directory, job)
        assert found is not None
        return found

    def end(self, job: str, state: str = "TIMEOUT", reason: str = "None") -> None:
        self.lines[job] = line(job, state, reason=reason, token=self.alloc(job).token)

    def look(self, *, job: str = "", on_node: bool = True) -> list[list[str]]:
        """What sbatch was asked for in an upkeep that Slurm answers; job: the number that it gives then."""
        before = len(self.sbatch.calls())
        if job:
            self.sbatch.answer(f"{job}\n")
        self.world.age(31)
        self.world.squeue.answer("".join(self.lines.values()))
        upkeep.keep_up(self.fs, self.world.home, clock=CLOCK, period_seconds=30.0, on_node=on_node)
        for alloc in allocs.all_of(self.fs, self.directory):
            if alloc.ended is None:
                self.lines.setdefault(alloc.job, line(alloc.job, "PENDING", reason="Dependency", token=alloc.token))
        return self.sbatch.calls()[before:]

    def names(self) -> set[str]:
        return set(succession.names(self.fs, self.directory))

    def scripts(self) -> list[str]:
        return os.listdir(self.world.home.scripts)


@pytest.fixture
def kept(world: World) -> Kept:
    return Kept(world, How(""))


def test_the_next_is_asked_for_once_with_what_was_typed_and_no_more_of_when(kept: Kept) -> None:
    assert kept.look() == []
    kept.start("70")
    (call,) = kept.look(job="71")
    token = succession.token_of(kept.fs, kept.directory, (2, 1))
    typed = ["--parsable", "-N1", "-t", "60", "--gres=gpu:1", "--dependency=afterany:70", f"--chdir={os.getcwd()}"]
    assert call == [*typed, f"{kept.world.home.scripts}/{token}.sh"]
    assert kept.sbatch.environment()["MINE"] == "x"
    assert "SLURM_JOB_ID" not in kept.sbatch.environment()
    assert (kept.alloc("71").token, kept.alloc("71").lease) == (token, kept.lease.id)
    assert kept.look() == kept.look() == []
    assert kept.scripts() == []


def test_the_script_of_the_next_knows_its_lease_and_writes_its_own_record(kept: Kept) -> None:
    kept.start("70")
    kept.look(job="71")
    text = Path(kept.directory.alloc("71").script).read_text()
    first = Path(kept.directory.alloc("70").script).read_text()
    changed = [line for line in text.splitlines() if line not in first.splitlines()]
    assert [line.partition("=")[0] for line in changed] == [
        *("lease_id", "lease_record", "alloc_record", "token", "asked_as")
    ]
    assert "asked_as=2.1" in changed and "lease_id=70" in changed
    subprocess.run(["bash", "-n"], input=text.encode(), check=True)


def test_each_is_followed_by_one_and_the_lease_lives_as_long_as_one_is_to_follow(kept: Kept) -> None:
    kept.start("70")
    kept.look(job="71")
    kept.end("70")
    assert kept.look() == []
    assert kept.alloc("70").ended is not None
    kept.start("71")
    assert len(kept.look(job="72")) == 1
    for job in ("71", "72"):
        kept.end(job)
    kept.sbatch.answer(err="sbatch: error: no\n", code=1)
    kept.look()
    assert records.read(kept.fs, kept.directory).ended is None, "another is to follow"
    (seen,) = view.look_at_all(kept.fs, kept.world.home, clock=CLOCK).views
    assert (seen.word, seen.reason) == (
        "PENDING",
        "next job refused (on its nodes, a command on a login host asks): sbatch: error: no",
    )
    how = succession.read_how(kept.fs, kept.directory)
    succession.go_on(kept.fs, kept.directory, replace(how, until=1.0))
    assert view.look_at_all(kept.fs, kept.world.home, clock=CLOCK).views[0].word == "ENDED", "its time is over"
    succession.go_on(kept.fs, kept.directory, how)
    succession.stop(kept.fs, kept.directory, "enough")
    kept.look()
    assert records.read(kept.fs, kept.directory).end_reason == "TIMEOUT"


def test_a_kept_lease_has_ended_as_the_last_of_its_jobs_did_that_had_started(kept: Kept) -> None:
    kept.start("70")
    kept.look(job="71")
    succession.stop(kept.fs, kept.directory, "enough")
    kept.end("70")
    kept.end("71", "CANCELLED")
    kept.look()
    kept.look()
    assert records.read(kept.fs, kept.directory).end_reason == "TIMEOUT"


def test_one_that_an_admin_cancels_is_asked_for_again(kept: Kept) -> None:
    kept.start("70")
    kept.look(job="71")
    kept.end("71", "CANCELLED")
    assert len(kept.look(job="72")) == 1
    assert {"2.1", "2.2"} <= kept.names()
    assert kept.look() == []
    kept.end("72", "CANCELLED")
    kept.look(job="73")
    kept.end("73", "CANCELLED")
    assert kept.look(job="74") == []
    assert "the next job ended 3 times before it started" in succession.why_stopped(kept.fs, kept.directory)
    kept.sbatch.answer("74\n")
    lease_keep.keep(Access(kept.fs, kept.world.home, CLOCK), kept.lease, kept.alloc("70"), How(""), umask=0o022)
    assert kept.alloc("74").ended is None, "somebody has said that it is to go on"
    assert succession.why_stopped(kept.fs, kept.directory) == ""


def test_an_answer_that_fails_or_says_nothing_changes_nothing(kept: Kept) -> None:
    kept.start("70")
    kept.look(job="71")
    for out, code in (("", 0), ("slurm_load_jobs error: Unable to contact\n", 1)):
        kept.world.squeue.answer(out, code=code)
        kept.world.age(31)
        upkeep.keep_up(kept.fs, kept.world.home, clock=CLOCK, period_seconds=30.0)
    assert len(kept.sbatch.calls()) == 2
    assert kept.alloc("71").ended is None


def test_what_a_node_may_not_do_a_login_host_does(kept: Kept) -> None:
    kept.start("70")
    kept.sbatch.answer(err="sbatch: error: submission is disabled on this node\n", code=1)
    assert len(kept.look()) == 1
    assert kept.look() == [], "not again at once"
    told = succession.refusal(kept.fs, kept.directory)
    assert told is not None and told.on_node and "disabled on this node" in told.words
    assert kept.scripts() == [] and "2.1" not in kept.names()
    kept.world.age(31)
    kept.sbatch.answer("71\n")
    assert upkeep.keep_up_for(kept.fs, kept.world.home, kept.directory, clock=CLOCK) in (True, False)
    assert kept.alloc("71")
    assert "refused" not in kept.names()


def test_who_queues_a_task_asks_for_the_next_as_others_do_that_act(kept: Kept) -> None:
    kept.start("70")
    kept.sbatch.answer(err="sbatch: error: submission is disabled on this node\n", code=1)
    kept.look()
    kept.world.age(31)
    kept.sbatch.answer("71\n")
    record = records.read(kept.fs, kept.directory)
    assert record.kept
    assert capacity.ensure(kept.fs, kept.world.home, CLOCK, kept.directory, record) is None
    assert kept.alloc("71").asked_as == "2.1"
    asked = len(kept.world.squeue.calls())
    capacity.ensure(kept.fs, kept.world.home, CLOCK, kept.directory, record)
    capacity.ensure(kept.fs, kept.world.home, CLOCK, kept.directory, replace(record, kept=False))
    assert len(kept.sbatch.calls()) == 3
    assert len(kept.world.squeue.calls()) <= asked + 1, "the shared answer, which is asked for anew as a job was queued"


def test_a_refusal_is_no_end_and_the_same_host_tries_again_later(kept: Kept) -> None:
    kept.start("70")
    kept.sbatch.answer(err="sbatch: error: QOSMaxSubmitJobPerUserLimit\n", code=1)
    kept.look()
    set_age(f"{kept.directory.keep}/refused", 61)
    assert len(kept.look()) == 1
    set_age(f"{kept.directory.keep}/refused", 61)
    assert kept.look() == [], "twice as long the second time"
    set_age(f"{kept.directory.keep}/refused", 121)
    assert len(kept.look(job="71")) == 1


def test_why_nothing_can_be_asked_for_is_told(kept: Kept) -> None:
    kept.start("70")
    os.unlink(kept.directory.alloc("70").script)
    assert kept.look() == []
    told = succession.refusal(kept.fs, kept.directory)
    assert told is not None and "lease.sh" in told.words
    assert "2.1" not in kept.names()


def lost_answer(kept: Kept) -> str:
    """The token of an ask of which nobody knows whether it was heard."""
    kept.start("70")
    kept.sbatch.answer(err="sbatch: error: Batch job submission failed: Socket timed out on send/recv\n", code=1)
    assert len(kept.look()) == 1
    return succession.token_of(kept.fs, kept.directory, (2, 1))


def test_the_job_of_a_lost_answer_is_found_and_nothing_is_asked_for_twice(kept: Kept) -> None:
    token = lost_answer(kept)
    set_age(f"{kept.directory.keep}/2.1", 10 * LOST_SECONDS)
    kept.lines["71"] = line("71", "PENDING", script=f"{kept.world.home.scripts}/{token}.sh")
    assert kept.look(job="72") == []
    assert kept.alloc("71").token == token
    assert kept.scripts() == []


def test_an_ask_that_was_never_heard_is_made_again_and_leaves_no_script(kept: Kept) -> None:
    token = lost_answer(kept)
    assert kept.look(job="72") == [], "it may be late"
    set_age(f"{kept.directory.keep}/2.1", 10 * LOST_SECONDS)
    kept.world.age(31)
    kept.world.squeue.answer("", err="slurm_load_jobs error\n", code=1)
    upkeep.keep_up(kept.fs, kept.world.home, clock=CLOCK, period_seconds=30.0)
    assert "2.2" not in kept.names(), "nobody has said that it is not there"
    assert len(kept.look(job="72")) == 1
    assert {"2.1", "2.2"} <= kept.names()
    assert kept.scripts() == []
    kept.lines["73"] = line("73", "PENDING", token=token)
    alloc = allocs.register(kept.fs, kept.directory, Allocation("73", "slurm", "70", job="73", token=token))
    kept.world.squeue.answer(kept.lines["73"], given="-j")
    kept.look()
    assert ["73"] in kept.scancel.calls(), "it comes after all, and another was asked for"
    assert allocs.is_released(kept.fs, allocs.directory(kept.directory, alloc))


class Meanwhile(Chain):
    """Something happens after it was decided to ask, and before that is known to others."""

    def __init__(self, kept: Kept, what: Callable[[], object]) -> None:
        queue, hands = kept.world.refresh(), Hands(kept.fs, kept.world.home, clock=CLOCK)
        held = leases.holding(kept.fs, kept.world.home, kept.lease)
        super().__init__(kept.fs, kept.world.home, held, queue, clock=CLOCK, on_node=True, hands=hands)
        self.what = what

    def _claim(self, ask: tuple[int, int], token: str) -> bool:
        self.what()
        return super()._claim(ask, token)


def test_who_claims_an_ask_looks_again_and_withdraws_it(kept: Kept) -> None:
    token = lost_answer(kept)
    set_age(f"{kept.directory.keep}/2.1", 10 * LOST_SECONDS)
    kept.world.age(31)
    kept.world.squeue.answer(kept.lines["70"])
    late = Allocation("73", "slurm", "70", job="73", token=token)
    Meanwhile(kept, lambda: allocs.register(kept.fs, kept.directory, late)).follow()
    assert len(kept.sbatch.calls()) == 2, "its job came late, and has looked for the next ask before this one was there"
    assert "2.2" not in kept.names()
    kept.start("73")
    Meanwhile(kept, lambda: succession.stop(kept.fs, kept.directory, "released")).follow()
    assert len(kept.sbatch.calls()) == 2
    assert "3.1" not in kept.names()


def test_of_two_who_ask_one_does(kept: Kept) -> None:
    kept.start("70")
    assert succession.claim(kept.fs, kept.directory, (2, 1), "another000")
    assert kept.look() == []
    assert not succession.claim(kept.fs, kept.directory, (2, 1), "mine000000")


def test_a_release_stops_it_and_takes_back_what_is_queued(kept: Kept) -> None:
    kept.start("70")
    kept.look(job="71")
    kept.world.squeue.answer(kept.lines["70"] + kept.lines["71"], given="-j")
    assert Access(kept.fs, kept.world.home, CLOCK).release(kept.lease)
    assert kept.scancel.calls() == [["71"], ["70"]], "the newest first: it may wait for the end of the other"
    assert succession.why_stopped(kept.fs, kept.directory) == "released"
    kept.end("71", "CANCELLED")
    kept.end("70", "CANCELLED")
    assert kept.look() == []
    assert records.read(kept.fs, kept.directory).ended is not None


def test_the_time_counts_from_the_first_start_and_a_requeue_does_not_begin_it_anew(world: World) -> None:
    kept = Kept(world, How("", seconds=7200.0))
    kept.look()
    assert "began" not in kept.names()
    kept.start("70")
    kept.look(job="71")
    then = f"{CLOCK.now() - 7300}\n"
    Path(kept.directory.keep, "began").write_text(then)
    kept.lines["70"] = line("70", "PENDING", reason="BeginTime", token=kept.lease.token)
    kept.world.squeue.answer(kept.lines["71"], given="-j")
    kept.look()
    assert Path(kept.directory.keep, "began").read_text() == then
    assert succession.why_stopped(kept.fs, kept.directory) == "its time is over"
    assert kept.scancel.calls() == [["71"]]


def test_with_an_overlap_the_next_may_start_before_the_end_and_waits_no_longer_than_that(world: World) -> None:
    kept = Kept(world, How("", overlap_minutes=10))
    kept.start("70")
    (call,) = kept.look(job="71")
    assert "--dependency=after:70+20?afterany:70" in call, "by the limit that Slurm shows, 30 min"


def test_until_empty_counts_what_may_start_by_itself(world: World) -> None:
    kept = Kept(world, How("", while_busy=True))
    kept.start("70")
    entry = make_entry()
    pending = f"{kept.directory.inbox('_any')}/{entry}"
    kept.fs.create(pending, make_task(entry.id).to_json())
    assert len(kept.look(job="71")) == 1
    assert "empty" not in kept.names()
    os.rename(pending, f"{kept.directory.held('_any')}/{entry}")
    kept.look()
    set_age(f"{kept.directory.keep}/empty", 100)
    kept.world.squeue.answer(kept.lines["71"], given="-j")
    kept.look()
    assert kept.scancel.calls() == [["71"]]
    kept.end("71", "CANCELLED")
    assert kept.look() == []
    os.rename(f"{kept.directory.held('_any')}/{entry}", pending)
    assert len(kept.look(job="72")) == 1, "while one runs more may come"


def test_a_lease_whose_command_died_is_kept_all_the_same(world: World) -> None:
    kept = Kept(world, How(""))
    scripts, ready = world.home.scripts, kept.prepared
    world.fs.create(ready.path.removesuffix(".sh") + ".json", ready.asked.to_json())
    world.fs.create(ready.path, ready.script.encode())
    subprocess.run(["rm", "-r", kept.directory.root], check=True)
    queue = Queue({"70": parse_rows(line("70", "PENDING", script=ready.path))[0]}, age_seconds=0.0)
    assert sbatch.heal(world.fs, world.home, queue) == ["70"]
    assert succession.read_how(world.fs, kept.directory).first == kept.lease.token
    assert os.listdir(scripts) == []


def test_a_lease_that_was_not_kept_can_be_from_now_on_and_no_longer(world: World) -> None:
    kept = Kept(world, How(""))
    subprocess.run(["rm", "-r", kept.directory.keep], check=True)
    kept.start("70")
    assert kept.look() == []
    access = Access(kept.fs, world.home, CLOCK)
    kept.sbatch.answer("71\n")
    kept.world.age(31)
    how = lease_keep.keep(access, kept.lease, kept.alloc("70"), How("", seconds=7200.0), umask=0o022)
    assert how.until is not None and 7100 < how.until - CLOCK.now() < 7300
    assert "-d" not in how.argv and how.first == kept.lease.token
    assert len(kept.sbatch.calls()) == 2
    kept.lines["71"] = line("71", "PENDING", reason="Dependency", token=kept.alloc("71").token)
    kept.world.squeue.answer("".join(kept.lines.values()))
    kept.world.squeue.answer(kept.lines["71"], given="-j")
    lease_keep.end(access, kept.lease)
    assert kept.scancel.calls() == [["71"]]
    os.unlink(kept.directory.alloc("70").script)
    with pytest.raises(Refused, match="was made elsewhere"):
        lease_keep.keep(access, kept.lease, kept.alloc("70"), How(""), umask=0o022)


def test_a_script_that_does_not_say_whose_it_is_cannot_be_followed(kept: Kept) -> None:
    with pytest.raises(SlurmError, match="no line asked_as="):
        followed(kept.prepared.script.replace("asked_as=", "x="), kept.prepared.asked, (2, 1))


def test_the_job_that_is_queued_to_follow_is_not_given_back_alone(kept: Kept) -> None:
    kept.start("70")
    kept.look(job="71")
    access = Access(kept.fs, kept.world.home, CLOCK)
    with pytest.raises(Refused, match="job 71 is to follow another one of lease 70") as caught:
        part_of(access, kept.lease, jobs=["71"], nodes=[])
    assert "leaseq lease keep 70 off" in caught.value.hint
    assert [each.job for each in part_of(access, kept.lease, jobs=["70"], nodes=[]).allocs] == ["70"]
    assert part_of(access, kept.lease, jobs=["70", "71"], nodes=[]).is_all


# -- at its start ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "restarts", "serves"),
    [("", 0, True), ("2.2", 0, False), ("stopped", 0, False), ("3.1", 0, True), ("stopped", 1, True)],
)
def test_a_job_in_whose_place_another_was_asked_for_ends_at_its_start(
    kept: Kept, made: str, restarts: int, serves: bool
) -> None:
    kept.start("70")
    kept.look(job="71")
    if made:
        Path(kept.directory.keep, made).write_text("x")
    script = Path(kept.directory.alloc("71").script).read_text().removesuffix("hold_allocation\n")
    env = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "71", "SLURM_RESTART_COUNT": str(restarts)}
    text = f"{script}\nfind_directory && echo serves\n"
    done = subprocess.run(["/bin/bash", "-p"], input=text, env=env, text=True, capture_output=True, check=True)
    assert ("serves" in done.stdout) is serves, done.stderr


@pytest.mark.parametrize("left", [True, False])
def test_a_job_whose_command_died_has_its_records_made_whole(kept: Kept, left: bool) -> None:
    scripts, script = kept.world.home.scripts, kept.prepared.script.removesuffix("hold_allocation\n")
    if left:
        Path(scripts, f"{kept.lease.token}.json").write_text("{}")
    env = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "70"}
    text = f"{script}\ndoze() {{ :; }}\npython=echo main=MAIN  # which takes -E for its own\n(heal_later)\n"
    done = subprocess.run(["/bin/bash", "-p"], input=text, env=env, text=True, capture_output=True, check=False)
    assert done.stdout == (f"MAIN ask {kept.world.home.root}\n" if left else "")
