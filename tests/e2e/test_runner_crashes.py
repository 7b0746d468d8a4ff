"""Runners and keepers that are killed cost no task, run none twice, and tell the truth about each."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from leaseq.models import ANY, Need, Outcome, State
from leaseq.names import Entry, new_incarnation
from leaseq.protocol import concluding, tasks
from leaseq.protocol.tasks import Claim
from tests.e2e.harness import Node, claim_of, of_task
from tests.patience import PATIENCE_SECONDS, wait_until

ONE = Need(cpus=1)


@pytest.fixture
def node(node: Node) -> Node:
    node.environment["SLURM_CPUS_ON_NODE"] = "8"
    return node


def until(path: Path, code: int = 0) -> str:
    """A line that says it began and ends with the code once the file exists."""
    return f"echo began; until test -e {path}; do sleep 0.02; done; exit {code}"


# -- the runner --------------------------------------------------------------------------------------


def test_the_next_runner_adopts_what_runs_and_tells_the_true_exit_codes(node: Node) -> None:
    go = node.path / "go"
    first = node.start()
    running, meanwhile = node.shell(until(go, 7), need=ONE), node.shell("sleep 0.5; exit 9", need=ONE)
    node.printed(running, "began")
    rec = node.running(meanwhile)
    node.kill(first)
    assert rec.pid is not None
    wait_until(lambda: not of_task(meanwhile), "the end of a task that no runner watches")
    second = node.start()
    outcome = node.result(meanwhile)
    assert (outcome.exit_code, outcome.pid) == (9, rec.pid)
    assert outcome.elapsed_seconds is not None and 0.5 <= outcome.elapsed_seconds < 5
    beat = node.beat()
    assert beat is not None and beat.pid == second.pid
    go.touch()
    outcome = node.result(running)
    assert outcome.exit_code == 7
    assert outcome.started and outcome.elapsed_seconds
    assert abs(outcome.ended - outcome.started - outcome.elapsed_seconds) < 0.5
    assert node.out(running) == b"began\n"


def test_an_adopted_task_is_shown_with_its_true_elapsed_time_and_can_be_cancelled(node: Node) -> None:
    first = node.start()
    task = node.shell("echo began; sleep 60", need=ONE)
    node.printed(task, "began")
    started = node.running(task).started or 0.0
    node.kill(first)
    wait_until(lambda: time.time() - started > 1.5, "a second and a half")
    node.start()

    def shown() -> float:
        beat = node.beat()
        return next((each.elapsed_seconds for each in beat.running if each.id == task), 0.0) if beat else 0.0

    assert 1.5 <= wait_until(shown, "the task in the heartbeat") < 20
    node.cancel(task)
    assert node.result(task).state is State.CANCELLED


def test_an_adopted_task_keeps_its_gpus_from_others(node: Node) -> None:
    go = node.path / "go"
    node.environment["CUDA_VISIBLE_DEVICES"] = "0,1"
    first = node.start()
    blocker = node.shell(until(go), need=Need(gpus=1))
    node.printed(blocker, "began")
    holder = node.shell("echo began; sleep 60", need=Need(gpus=1))
    node.printed(holder, "began")
    go.touch()
    node.result(blocker)
    node.kill(first)
    node.start()
    other = node.shell("echo $CUDA_VISIBLE_DEVICES", need=Need(gpus=1))
    assert node.said_by(other) == "0\n"
    node.cancel(holder)
    assert node.result(holder).gpus == ("1",)


def test_sigterm_ends_a_runner_well_and_its_tasks_live_on(node: Node) -> None:
    go = node.path / "go"
    first = node.start()
    task = node.shell(until(go, 3), need=ONE)
    node.printed(task, "began")
    assert node.stop(first) == 0
    beat = node.beat()
    assert beat is not None and beat.state == "stopped"
    assert of_task(task)
    assert node.outcome(task) is None
    node.start()
    go.touch()
    assert node.result(task).exit_code == 3


def test_a_runner_that_is_asked_to_kill_ends_its_tasks_first(node: Node) -> None:
    runner = node.start()
    task = node.shell("trap '' TERM; echo began; while :; do sleep 0.1; done", need=ONE)
    node.printed(task, "began")
    pending = node.submit("true")
    node.ask("kill")
    assert runner.wait(timeout=PATIENCE_SECONDS) == 0
    outcome = node.outcome(task)
    assert outcome is not None and (outcome.state, outcome.signal) == (State.CANCELLED, 9)
    assert node.outcome(pending) is None
    assert len(node.names(node.lease.inbox(ANY))) == 1


def test_a_draining_runner_starts_nothing_and_costs_nothing(node: Node) -> None:
    runner = node.start()
    node.ask("drain")
    wait_until(lambda: (beat := node.beat()) and beat.state == "draining", "the state draining")
    task = node.submit("true")
    spent = cpu_seconds(runner.pid)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 1, "a second")
    assert cpu_seconds(runner.pid) - spent < 0.3
    assert node.outcome(task) is None
    node.ask("resume")
    assert node.result(task).state is State.DONE


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_later_of_two_runners_refuses(node: Node) -> None:
    first = node.start()
    second = node.start(wait=False)
    assert second.wait(timeout=PATIENCE_SECONDS) == 75
    assert b"another runner serves vm" in node.said.read_bytes()
    assert first.poll() is None
    assert node.result(node.submit("true")).state is State.DONE


def test_of_several_runners_started_at_once_one_serves(node: Node) -> None:
    runners = [node.start(wait=False) for _ in range(4)]
    wait_until(
        lambda: sum(runner.poll() is not None for runner in runners) == 3, "three refusals", seen=node.everything
    )
    assert sorted(str(runner.poll()) for runner in runners) == ["75", "75", "75", "None"]
    assert node.result(node.submit("true")).state is State.DONE


def test_of_several_that_share_no_local_directory_one_serves(node: Node) -> None:
    # As two containers of one name do, each with a /tmp of its own: no lock tells one of the other.
    runners = [node.start(wait=False, LEASEQ_NODE_DIR=str(node.path / str(number))) for number in range(4)]
    wait_until(
        lambda: sum(runner.poll() is not None for runner in runners) == 3, "three refusals", seen=node.everything
    )
    assert sorted(str(runner.poll()) for runner in runners) == ["75", "75", "75", "None"]
    assert node.result(node.submit("true")).state is State.DONE
    (serving,) = [runner for runner in runners if runner.poll() is None]
    assert node.stop(serving) == 0


# -- the keeper --------------------------------------------------------------------------------------


def test_exit_codes_are_true_when_the_keeper_is_killed(node: Node) -> None:
    go = node.path / "go"
    node.start()
    tasks = {code: node.shell(until(go, code), need=ONE) for code in (0, 4)}
    killed = node.shell("echo began; sleep 60", need=ONE)
    for task in (*tasks.values(), killed):
        node.printed(task, "began")
    before = node.keeper()
    node.kill_keeper()
    rec = node.running(killed)
    assert rec.pid is not None
    os.kill(rec.pid, signal.SIGSEGV)
    assert node.result(killed).signal == signal.SIGSEGV
    wait_until(lambda: node.keeper() != before, "another keeper")
    go.touch()
    for code, task in tasks.items():
        assert node.result(task).exit_code == code
        assert node.result(task).state is (State.FAILED if code else State.DONE)
    assert node.result(node.submit("true")).state is State.DONE


def test_a_time_limit_and_a_cancel_outlive_the_keeper(node: Node) -> None:
    node.start()
    limited = node.submit("sleep", "60", need=Need(cpus=1, time_seconds=3))
    stubborn = node.shell("trap '' TERM; echo began; while :; do sleep 0.05; done", need=ONE)
    node.running(limited)
    node.printed(stubborn, "began")
    node.cancel(stubborn)
    wait_until(lambda: (rec := node.record(stubborn)) and rec.stopping, "TERM")
    node.kill_keeper()
    outcome = node.result(stubborn)
    assert (outcome.state, outcome.signal) == (State.CANCELLED, 9)
    outcome = node.result(limited)
    assert outcome.state is State.TIMEOUT
    assert outcome.elapsed_seconds is not None and 3 <= outcome.elapsed_seconds < 10


def test_with_both_killed_a_task_is_lost_only_after_its_process_has_ended(node: Node) -> None:
    go = node.path / "go"
    runner = node.start()
    task = node.shell(until(go, 7), need=ONE, env={"PATH": os.environ["PATH"], "KEPT": "yes"})
    node.printed(task, "began")
    rec = node.running(task)
    node.kill(runner)
    node.kill_keeper()
    node.start()
    wait_until(lambda: (beat := node.beat()) and [each.pid for each in beat.running] == [rec.pid], "the adopted task")
    assert node.outcome(task) is None
    go.touch()
    outcome = node.result(task)
    assert (outcome.state, outcome.exit_code) == (State.LOST, None)
    assert outcome.reason == "its process ended and nobody saw its exit code"
    assert not of_task(task)
    wait_until(lambda: node.names(node.lease.lost), "its file in lost/")
    entry = Entry.parse(node.names(node.lease.lost)[0])
    kept = tasks.read_task(node.fs, f"{node.lease.lost}/{entry}", entry)
    assert (kept.id, kept.argv[0], kept.env["KEPT"]) == (task, until(go, 7), "yes")
    assert tasks.recover_lost(node.fs, node.lease, entry, node.lease.inbox(ANY))
    assert node.result(task, 2).exit_code == 7


def test_what_a_lost_task_left_behind_is_ended(node: Node) -> None:
    runner = node.start()
    task = node.shell("setsid sleep 300 & echo began; sleep 300", need=ONE)
    node.printed(task, "began")
    rec = node.running(task)
    node.kill(runner)
    node.kill_keeper()
    node.start()
    assert rec.pid is not None
    os.kill(rec.pid, signal.SIGKILL)
    assert node.result(task).state is State.LOST
    assert not of_task(task)


def test_a_lost_task_is_requeued_only_where_that_was_asked(node: Node) -> None:
    runner = node.start()
    go = node.path / "go"
    line = f"echo began; test $LEASEQ_ATTEMPT -gt 1 || until test -e {go}; do sleep 0.02; done"
    wants = {how: node.shell(line, need=ONE, on_lost=how) for how in ("", "fail", "requeue")}
    retried = node.shell(line, need=ONE, retries=1)
    for task in (*wants.values(), retried):
        node.printed(task, "began")
    node.kill(runner)
    node.kill_keeper()
    go.touch()
    node.start()
    assert [node.result(wants[how]).requeued for how in ("", "fail", "requeue")] == ["", "", "lost"]
    assert node.result(retried).requeued == "lost"
    assert node.result(wants["requeue"], 2).state is State.DONE
    assert node.result(retried, 2).state is State.DONE
    assert node.outcome(wants[""], 2) is None


# -- the node ----------------------------------------------------------------------------------------


def test_after_a_reboot_what_ran_is_lost_and_what_had_not_begun_is_lost_too(node: Node) -> None:
    runner = node.start()
    task = node.shell("echo began; sleep 300", need=ONE)
    node.printed(task, "began")
    record = Path(f"{node.directory.rec}/{task}.1")
    node.kill(runner)
    node.kill_keeper()
    for pid in of_task(task):
        os.kill(pid, signal.SIGKILL)
    facts = record.read_text().splitlines()
    begin = json.loads(facts[0])
    record.write_text("\n".join([json.dumps({**begin, "boot": "another"}), *facts[1:]]) + "\n")
    unbegun = node.submit("true", need=ONE)
    name = node.names(node.lease.inbox(ANY))[0]
    entry = Entry.parse(name)
    claim = tasks.claim(
        node.fs, node.lease, node.lease.inbox(ANY), entry, node=node.name, incarnation=new_incarnation()
    )
    assert claim is not None
    node.start()
    outcome = node.result(task)
    assert (outcome.state, outcome.reason) == (State.LOST, "the node was rebooted")
    assert outcome.started is not None
    assert node.result(unbegun).reason == "the node was rebooted, or lost its local records"
    wait_until(lambda: len(node.names(node.lease.lost)) == 2, "both files in lost/")
    assert node.names(node.directory.rec) == []


def test_a_task_whose_records_were_deleted_is_ended_before_it_is_lost(node: Node) -> None:
    runner = node.start()
    task = node.shell("echo began; sleep 300", need=ONE)
    node.printed(task, "began")
    node.kill(runner)
    node.kill_keeper()
    for directory in (node.directory.rec, node.directory.born):
        for name in os.listdir(directory):
            os.unlink(f"{directory}/{name}")
    node.start()
    assert node.result(task).state is State.LOST
    assert not of_task(task)


# -- overruled ---------------------------------------------------------------------------------------


def recover(node: Node, task: str) -> None:
    """What `recover` does to a claim whose runner is gone."""
    claim = Claim(Entry.parse(claim_of(node, task)), node.name)
    body = tasks.read_task(node.fs, claim.path(node.lease), claim.entry)
    concluding.recover_stuck(node.fs, node.lease, claim, body, ended=time.time())


def test_an_attempt_that_was_recovered_meanwhile_is_ended_and_its_end_is_evidence_only(node: Node) -> None:
    runner = node.start()
    line = "echo began; test $LEASEQ_ATTEMPT = 2 && exit 0; trap 'exit 0' TERM; while :; do sleep 0.05; done"
    task = node.shell(line)
    node.printed(task, "began")
    node.kill(runner)
    recover(node, task)
    node.start()
    assert node.result(task, 2).state is State.DONE
    assert node.result(task).reason == "NodeDown"
    wait_until(lambda: not of_task(task), "the end of the overruled attempt")
    late = [name for name in node.names(node.lease.evidence) if name.startswith(f"{task}.1.")]
    assert len(late) == 1
    assert Outcome.from_json(Path(f"{node.lease.evidence}/{late[0]}").read_bytes()).state is State.CANCELLED
    wait_until(lambda: node.names(node.directory.rec) == [], "no record", seen=node.everything)
    assert [line["attempt"] for line in node.history() if line["id"] == task and line["state"] == "DONE"] == [2]


def test_a_claim_taken_away_from_a_living_runner_costs_it_nothing(node: Node) -> None:
    go = node.path / "go"
    node.start()
    task = node.shell(f"echo began; test $LEASEQ_ATTEMPT = 2 || {{ {until(go)}; }}", need=ONE)
    node.printed(task, "began")
    recover(node, task)
    assert node.result(task, 2).state is State.DONE
    go.touch()
    wait_until(lambda: any(name.startswith(f"{task}.1.") for name in node.names(node.lease.evidence)), "late evidence")
    assert node.result(task).reason == "NodeDown"
    assert node.result(node.submit("true")).state is State.DONE


def test_a_claim_that_never_started_is_pending_again_and_a_cancel_meant_for_it_holds(node: Node) -> None:
    runner = node.start()
    node.stop(runner)
    born = os.listdir(node.directory.born)[0]
    runs, ends = node.submit("true", need=ONE), node.submit("touch", str(node.path / "never"), need=ONE)
    for name in node.names(node.lease.inbox(ANY)):
        inbox = node.lease.inbox(ANY)
        assert tasks.claim(node.fs, node.lease, inbox, Entry.parse(name), node=node.name, incarnation=born)
    node.cancel(ends)
    node.start()
    assert node.result(runs).state is State.DONE
    assert node.result(ends).state is State.CANCELLED
    assert not (node.path / "never").exists()


def _ran(path: Path) -> int:
    """How many tasks have begun so far."""
    return path.read_text().count("\n") if path.exists() else 0


# -- many --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_runners_killed_at_random_run_every_task_once_and_tell_one_outcome_of_each(node: Node, seed: int) -> None:
    count, chance = 200, random.Random(seed)
    ran = node.path / "ran"
    tasks = [
        node.shell(f"echo $LEASEQ_TASK_ID >>{ran}; exit {n % 3}", need=ONE if n % 4 else Need(), durable=False)
        for n in range(count)
    ]
    deadline = time.monotonic() + 60
    kills = 0
    while not node.all_done():
        assert time.monotonic() < deadline, node.everything()
        runner = node.start(wait=False)
        enough = _ran(ran) + chance.randrange(60)
        wait_until(lambda enough=enough: _ran(ran) > enough or node.all_done(), "the next kill")  # type: ignore[misc]
        if not node.all_done():
            node.kill(runner)
            kills += 1
    assert kills > 1
    if runner.poll() is not None:
        node.start()
    outcomes = {task: node.result(task) for task in tasks}
    assert Counter(ran.read_text().split()) == Counter(tasks)
    assert {task: outcome.exit_code for task, outcome in outcomes.items()} == {
        task: n % 3 for n, task in enumerate(tasks)
    }
    wait_until(lambda: node.names(node.directory.rec) == [], "no record", seen=node.everything)
    lines = node.history()
    assert Counter(line["id"] for line in lines) == Counter(tasks)
    totals = Counter(outcome.state.name for outcome in outcomes.values())
    assert lines[-1]["totals"] == totals
    wait_until(lambda: (beat := node.beat()) and beat.totals == totals, "the totals in the heartbeat", seen=node.beat)
    assert node.names(node.lease.evidence) == []


@pytest.mark.slow
def test_runners_and_keepers_killed_at_random_run_no_task_twice_and_lose_none_silently(node: Node) -> None:
    chance = random.Random(3)
    ran = node.path / "ran"
    line = f"echo $LEASEQ_TASK_ID >>{ran}; sleep 0.05; exit 4"
    tasks = [node.shell(line, need=ONE, durable=False) for _ in range(150)]
    deadline = time.monotonic() + 60
    while not node.all_done():
        assert time.monotonic() < deadline, node.everything()
        runner = node.start(wait=False)
        until_then = time.monotonic() + chance.uniform(0.3, 1.2)
        wait_until(lambda at=until_then: time.monotonic() > at or node.all_done(), "the next kill")  # type: ignore[misc]
        holder = node.directory.alive("keeper")
        if holder and chance.random() < 0.7:
            os.kill(holder.pid, signal.SIGKILL)
        if chance.random() < 0.7:
            node.kill(runner)
        else:
            node.stop(runner)
    node.start()
    outcomes = {task: node.result(task) for task in tasks}
    counts = Counter(ran.read_text().split())
    assert max(counts.values()) == 1
    lost = {task for task, outcome in outcomes.items() if outcome.state is State.LOST}
    assert all(outcomes[task].exit_code == 4 and counts[task] == 1 for task in outcomes if task not in lost)
    wait_until(lambda: len(node.names(node.lease.lost)) == len(lost), "the files of the lost", seen=node.everything)
    assert len(lost) < len(tasks) / 2
