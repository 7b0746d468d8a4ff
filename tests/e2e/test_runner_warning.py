"""The word that a lease ends soon: who of a task hears it, and what follows."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.models import Need, State
from leaseq.names import new_task_id
from tests.e2e.harness import Node, a_node, of_task

ONE = Need(cpus=1)


@pytest.fixture
def node() -> Iterator[Node]:
    with a_node(SLURM_CPUS_ON_NODE="16") as made:
        made.start()
        yield made


TRAINER = """
import os, signal, sys, time
def save(number, frame):
    with open(sys.argv[1], "a") as file:
        file.write("saved\\n")
    for word in ("saved", "left"):
        sys.stdout.write(word + "\\n")
        sys.stdout.flush()
        time.sleep(0.1)
    os._exit(75)
signal.signal(signal.SIGUSR1, save)
if os.fork() == 0:
    os.closerange(0, 3)
    time.sleep(300)  # a helper of the program has inherited the handler
sys.stdout.write("began\\n")
sys.stdout.flush()
time.sleep(300)
"""
FORMS = {
    "alone": "exec {}",
    "under a shell": "{}; exit $?",
    "under two shells": "bash -c '{}; exit $?'; exit $?",
    "first in a pipe": "set -o pipefail; {} | tee /dev/null",
    "last in a pipe": "set -o pipefail; echo data | {}",
}


def trainer(node: Node, form: str, **more: object) -> tuple[str, Path]:
    """The id of a task that handles USR1, is ready for it and exits with 75 then; what it has saved."""
    script = node.path / "trainer.py"
    script.write_text(TRAINER)
    saved = node.path / f"saved.{new_task_id()}"
    task = node.shell(FORMS[form].format(f"python3 {script} {saved}"), need=ONE, **more)
    node.printed(task, "began")
    return task, saved


@pytest.mark.parametrize("form", FORMS)
def test_the_warning_reaches_the_program_that_handles_it_and_nothing_beside_it(node: Node, form: str) -> None:
    task, saved = trainer(node, form)
    node.ask("ending", signal="USR1", to="leader")
    outcome = node.result(task)
    assert (outcome.state, outcome.exit_code, outcome.reason) == (State.LOST, 75, "LeaseEnd")
    assert outcome.requeued == "requeue"
    assert (node.out(task), saved.read_text()) == (b"began\nsaved\nleft\n", "saved\n")


def test_a_task_without_a_handler_is_left_alone_by_the_warning(node: Node) -> None:
    plain, told = node.submit("sleep", "300", need=ONE, requeue=True), trainer(node, "alone")[0]
    node.running(plain)
    node.ask("ending", signal="USR1")
    node.result(told)
    assert node.outcome(plain) is None and len(of_task(plain)) == 1
    node.cancel(plain)
    node.result(plain)


@pytest.mark.parametrize(("requeue", "follows"), [(True, "requeue"), (False, "")])
def test_an_end_by_the_warning_itself_is_the_lease_s(node: Node, *, requeue: bool, follows: str) -> None:
    task = node.shell("echo began; sleep 300; true", need=ONE, requeue=requeue)
    node.printed(task, "began")
    node.ask("ending", signal="USR1", to="all")
    outcome = node.result(task)
    assert (outcome.state, outcome.signal, outcome.reason) == (State.LOST, signal.SIGUSR1, "LeaseEnd")
    assert outcome.requeued == follows


def test_a_signal_of_a_person_is_no_warning_and_may_be_for_the_program_alone(node: Node) -> None:
    task, saved = trainer(node, "first in a pipe")
    node.ask(f"signal.{task}.1", signal=10, to="leader")
    outcome = node.result(task)
    assert (outcome.state, outcome.exit_code, outcome.requeued) == (State.FAILED, 75, "")
    assert (node.out(task), saved.read_text()) == (b"began\nsaved\nleft\n", "saved\n")
    killed = node.shell("sleep 300 & echo began; wait; true", need=ONE, requeue=True)
    node.printed(killed, "began")
    node.ask(f"signal.{killed}.1", signal=10)
    assert node.result(killed).state is State.FAILED
