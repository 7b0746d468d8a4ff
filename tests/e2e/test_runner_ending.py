"""How a task is ended, with everything it started, and what follows. The grace is one second here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.models import ANY, Need, State, Why
from leaseq.names import new_task_id
from leaseq.node import record
from leaseq.node.nodedir import write_local
from leaseq.node.procs import KeeperProcs
from tests.e2e.harness import START, Node, a_node, of_task
from tests.patience import PATIENCE_SECONDS, wait_until

ONE = Need(cpus=1)
STUBBORN = "trap '' TERM; echo began; while :; do sleep 0.05; done"
DAEMON = """
import os, signal, sys, time
def fork():
    if os.fork():
        os._exit(0)
if sys.argv[1] != "stay":
    fork(); os.setsid(); fork()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdout.write("daemon\\n"); sys.stdout.flush()
time.sleep(300)
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with a_node(SLURM_CPUS_ON_NODE="16") as made:
        (made.path / "daemon.py").write_text(DAEMON)
        made.start()
        yield made


def daemon(node: Node, how: str = "daemon") -> str:
    return f"python3 {node.path}/daemon.py {how}"


# -- cancel ------------------------------------------------------------------------------------------


def test_a_cancelled_task_gets_term_and_its_own_last_words(node: Node) -> None:
    task = node.shell("trap 'echo bye; exit 5' TERM; echo began; while :; do sleep 0.05; done", need=ONE)
    node.printed(task, "began")
    node.cancel(task)
    outcome = node.result(task)
    assert (outcome.state, outcome.exit_code, outcome.reason) == (State.CANCELLED, 5, "cancelled while running")
    assert node.out(task) == b"began\nbye\n"


def test_a_task_that_ignores_term_is_killed_after_the_grace(node: Node) -> None:
    task = node.shell(STUBBORN, need=ONE)
    node.printed(task, "began")
    asked = time.monotonic()
    node.cancel(task)
    outcome = node.result(task)
    assert (outcome.state, outcome.signal, outcome.exit_code) == (State.CANCELLED, 9, 137)
    assert time.monotonic() - asked >= 1.0
    assert not of_task(task)


def test_a_stopped_task_can_be_cancelled(node: Node) -> None:
    task = node.shell("echo began; kill -STOP $$; sleep 60", need=ONE)
    node.printed(task, "began")
    node.cancel(task)
    assert node.result(task).signal == 15


@pytest.mark.parametrize("child", ["daemon", "stay"], ids=["forked twice, session of its own", "plain child"])
def test_cancel_ends_children_that_ignore_term_and_no_other_task(node: Node, child: str) -> None:
    bystander = node.submit("sleep", "60", need=ONE)
    rec = node.running(bystander)
    task = node.shell(f"{daemon(node, child)} & setsid sleep 300 & echo began; sleep 300", need=ONE)
    node.printed(task, "daemon")
    node.printed(task, "began")
    node.cancel(task)
    assert node.result(task).state is State.CANCELLED
    assert not of_task(task)
    assert of_task(bystander) == [rec.pid]
    node.cancel(bystander)
    assert node.result(bystander).state is State.CANCELLED


def test_cancel_asked_for_a_task_that_is_still_pending_here_ends_it(node: Node) -> None:
    blocker = node.submit("sleep", "60")
    node.running(blocker)
    task = node.submit("touch", str(node.path / "never"))
    node.cancel(task)
    outcome = node.result(task)
    assert (outcome.state, outcome.reason, outcome.started) == (State.CANCELLED, "cancelled", None)
    node.cancel(blocker)
    node.result(blocker)
    assert not (node.path / "never").exists()


def test_a_cancelled_task_is_not_retried(node: Node) -> None:
    task = node.shell("echo began; sleep 60", need=ONE, retries=3)
    node.printed(task, "began")
    node.cancel(task)
    assert (node.result(task).state, node.result(task).requeued) == (State.CANCELLED, "")


def test_cancel_of_a_retried_task_under_its_old_attempt_ends_the_next(node: Node) -> None:
    task = node.shell("echo began; test $LEASEQ_ATTEMPT = 2 && sleep 60; exit 1", need=ONE, retries=1)
    blocker = node.submit("true")
    assert node.result(task).requeued == "retry"
    node.printed(task, "began", attempt=2)
    node.cancel(task, attempt=1)
    assert node.result(task, 2).state is State.CANCELLED
    assert node.result(blocker).state is State.DONE


def test_a_signal_reaches_every_process_of_a_task(node: Node) -> None:
    line = "trap 'echo usr1' USR1; (trap 'echo child' USR1; echo began; while :; do sleep 0.05; done) & wait; wait"
    task = node.shell(line, need=ONE)
    node.printed(task, "began")
    node.ask(f"signal.{task}.1", signal=10)
    node.printed(task, "usr1")
    node.printed(task, "child")
    node.cancel(task)
    node.result(task)


# -- time limit --------------------------------------------------------------------------------------


def test_a_time_limit_is_term_then_kill(node: Node) -> None:
    polite = node.shell("echo began; sleep 60", need=Need(cpus=1, time_seconds=1))
    stubborn = node.shell(f"setsid sleep 300 & {STUBBORN}", need=Need(cpus=1, time_seconds=1))
    in_time = node.shell("sleep 0.2; exit 4", need=Need(cpus=1, time_seconds=30))
    outcome = node.result(polite)
    assert (outcome.state, outcome.signal, outcome.reason) == (State.TIMEOUT, 15, "time limit")
    assert outcome.elapsed_seconds is not None and 1.0 <= outcome.elapsed_seconds < 1.9
    outcome = node.result(stubborn)
    assert (outcome.state, outcome.signal) == (State.TIMEOUT, 9)
    assert outcome.elapsed_seconds is not None and outcome.elapsed_seconds >= 2.0
    assert not of_task(stubborn)
    assert (node.result(in_time).state, node.result(in_time).exit_code) == (State.FAILED, 4)


def test_a_time_limit_of_a_month_is_a_time_limit(node: Node) -> None:
    keeper = node.keeper()
    task = node.submit("sleep", "60", need=Need(cpus=1, time_seconds=40 * 86400))
    node.running(task)
    node.cancel(task)
    assert node.result(task).state is State.CANCELLED
    assert node.keeper() == keeper


def test_a_time_out_is_retried_while_retries_are_left(node: Node) -> None:
    task = node.shell("test $LEASEQ_ATTEMPT = 2 || sleep 60", need=Need(cpus=1, time_seconds=1), retries=1)
    assert (node.result(task).state, node.result(task).requeued) == (State.TIMEOUT, "retry")
    assert node.result(task, 2).state is State.DONE


# -- leftovers ---------------------------------------------------------------------------------------


def test_what_an_ended_task_left_behind_is_ended_before_its_outcome(node: Node) -> None:
    waits = "until grep -q daemon /proc/$$/fd/1; do sleep 0.02; done"
    task = node.shell(f"sleep 300 & setsid sleep 300 & {daemon(node)} & {waits}; exit 6", need=ONE)
    node.printed(task, "daemon")
    outcome = node.result(task)
    assert (outcome.state, outcome.exit_code) == (State.FAILED, 6)
    assert not of_task(task)


def test_a_pipe_kept_open_by_nobody_does_not_delay_an_outcome(node: Node) -> None:
    task = node.submit("true", need=ONE)
    outcome = node.result(task)
    assert outcome.elapsed_seconds is not None and outcome.elapsed_seconds < 1.0


# -- what follows ------------------------------------------------------------------------------------


def test_a_failed_task_is_retried_as_often_as_asked_with_logs_of_its_own(node: Node) -> None:
    task = node.shell("echo attempt $LEASEQ_ATTEMPT; exit $((3 - LEASEQ_ATTEMPT))", need=ONE, retries=5)
    assert [node.result(task, n).exit_code for n in (1, 2, 3)] == [2, 1, 0]
    assert [node.result(task, n).requeued for n in (1, 2, 3)] == ["retry", "retry", ""]
    assert [node.out(task, n) for n in (1, 2, 3)] == [f"attempt {n}\n".encode() for n in (1, 2, 3)]
    wait_until(node.all_done, "nothing pending", seen=node.everything)
    assert node.outcome(task, 4) is None


def test_retries_end(node: Node) -> None:
    task = node.shell("exit 1", need=ONE, retries=1)
    assert (node.result(task, 2).state, node.result(task, 2).requeued) == (State.FAILED, "")
    wait_until(node.all_done, "nothing pending", seen=node.everything)


def test_the_history_tells_every_attempt_once_and_totals_count_tasks(node: Node) -> None:
    wait_until(node.all_done, "nothing pending", seen=node.everything)
    lines = node.history()
    keys = [(line["id"], line["attempt"]) for line in lines]
    assert len(keys) == len(set(keys))
    ended = [line for line in lines if not line.get("requeued")]
    counted: dict[str, int] = {}
    for line in ended:
        counted[line["state"]] = counted.get(line["state"], 0) + 1
    assert lines[-1]["totals"] == counted


# -- Slurm ends the lease ------------------------------------------------------------------------------


class Step(Node):
    """A node of a Slurm lease."""

    kind = "slurm"


@pytest.fixture
def step(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="lq-", ignore_cleanup_errors=True) as path:
        monkeypatch.setenv("LEASEQ_NODE_DIR", f"{path}/n")
        made = Step(Path(path), SLURM_CPUS_ON_NODE="16")
        made.start()
        yield made
        made.close()


def behind(step: Node, task: str) -> str:
    """A task that starts as soon as nothing else runs; the other one runs."""
    step.printed(task, "began")
    return step.shell("echo began; sleep 60")


def told(step: Node, who: str = "runner") -> None:
    """Slurm's TERM has come to that process."""
    os.kill(step.keeper().pid if who == "keeper" else step.runners[-1].pid, signal.SIGTERM)


def only_waits(step: Node, *ids: str) -> None:
    """The runner, which has heard that its lease ends, leaves; what waited for its turn has never had it."""
    assert step.runners[-1].wait(PATIENCE_SECONDS) == 0
    assert sorted(name.split(".")[1] for name in step.names(step.lease.inbox(ANY))) == sorted(ids)
    for task in ids:
        assert [step.record(task, attempt) for attempt in (1, 2)] == [None, None]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("hears", ["keeper", "runner"])
def test_a_task_that_dies_of_slurms_signal_before_anybody_else_hears_it_is_lost_with_the_lease(
    step: Node, hears: str, number: int
) -> None:
    first, other = step.shell("echo began; sleep 60", need=ONE), step.shell("echo began; sleep 60", need=ONE)
    step.printed(first, "began")
    next_one = behind(step, other)
    pid = step.running(first).pid
    assert pid is not None
    os.kill(pid, number)
    wait_until(lambda: pid not in of_task(first), "the task's death")
    told(step, hears)
    for task, by in ((first, number), (other, signal.SIGTERM)):
        outcome = step.result(task)
        assert (outcome.state, outcome.signal, outcome.reason) == (State.LOST, by, "LeaseEnd")
    if hears == "keeper":
        told(step)
    only_waits(step, next_one)


def test_nothing_starts_once_the_keeper_has_heard_that_the_lease_ends_and_the_runner_has_not(step: Node) -> None:
    task = step.shell("echo began; sleep 60", requeue=True)
    next_one = behind(step, task)
    told(step, "keeper")
    assert step.result(task).requeued == "requeue"
    told(step)
    only_waits(step, task, next_one)


def test_a_task_whose_keeper_was_killed_and_that_dies_of_slurms_term_before_its_runner_hears_it_is_lost(
    step: Node,
) -> None:
    task = step.shell("echo began; sleep 60")
    next_one = behind(step, task)
    pid = step.running(task).pid
    assert pid is not None
    step.kill_keeper()
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: pid not in of_task(task), "the task's death")
    told(step)
    outcome = step.result(task)
    assert (outcome.state, outcome.signal, outcome.reason) == (State.LOST, signal.SIGTERM, "LeaseEnd")
    only_waits(step, next_one)


def test_a_keeper_that_was_told_of_the_end_starts_nothing_for_the_runner_of_then(step: Node) -> None:
    keeper, stubborn = step.keeper().pid, step.shell(STUBBORN, need=ONE)
    step.printed(stubborn, "began")
    told(step, "keeper")
    task = step.shell("echo began; sleep 60", need=ONE)
    wait_until(lambda: (beat := step.beat()) and "the lease ends" in beat.note, "the runner's word")
    step.kill(step.runners[-1])
    step.start()
    step.printed(task, "began")
    assert (step.keeper().pid, step.outcome(task)) == (keeper, None)


def test_the_word_of_a_runner_before_that_its_lease_ends_ends_nothing(step: Node) -> None:
    task = step.shell("echo began; sleep 60", need=ONE)
    step.printed(task, "began")
    KeeperProcs(step.directory, "aaaaaaaaaa").end_lease(grace=0.1)
    wait_until(lambda: not os.listdir(step.directory.ask), "the keeper's look", seen=step.everything)
    after = step.shell("echo began; sleep 60", need=ONE)
    step.printed(after, "began")
    assert (step.outcome(task), step.outcome(after)) == (None, None)


def test_a_task_of_a_slurm_lease_that_somebody_terminates_has_failed(step: Node) -> None:
    task = step.shell("echo began; sleep 60", need=ONE)
    step.printed(task, "began")
    pid = step.running(task).pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    outcome = step.result(task)
    assert (outcome.state, outcome.reason) == (State.FAILED, "signal 15")


@pytest.mark.parametrize("dead", ["runner", "runner and keeper"])
def test_where_a_slurm_lease_ends_while_a_node_has_no_runner_its_tasks_end_all_the_same(step: Node, dead: str) -> None:
    task = step.shell(f"(setsid sleep 300 &); {STUBBORN}", need=ONE)
    step.printed(task, "began")
    step.kill(step.runners[-1])
    waiting = f"{new_task_id()}.1"
    if dead == "runner and keeper":
        step.kill_keeper()
        write_local(f"{step.directory.ask}/start-{waiting}", b"{}")
    where = ["--lease", step.lease_id, "--node", step.name, "--home", step.home]
    last = [sys.executable, "-c", START, *where, "--last", "--lease-grace", "0.5"]
    subprocess.run(last, env=step.environment, check=True, timeout=PATIENCE_SECONDS)
    assert not of_task(task)
    if dead == "runner and keeper":
        never = record.read(f"{step.directory.rec}/{waiting}")
        assert never is not None and never.void
    ended = step.record(task)
    assert ended is not None and ended.over and ended.stopping is Why.LEASE
    step.start()
    assert step.result(task).state is State.LOST
