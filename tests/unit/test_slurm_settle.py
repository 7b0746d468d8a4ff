"""What an ended lease leaves behind is decided once Slurm says that it has ended: nothing is silently gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leaseq.heartbeat import Heartbeat
from leaseq.layout import Home, LeaseDir
from leaseq.lease import settle
from leaseq.lease.settle import settle_claims
from leaseq.models import Outcome, State, Task
from leaseq.names import Entry, new_incarnation
from leaseq.protocol import records, tasks, terms
from leaseq.world import SystemClock, SystemFs
from tests.build import allocate, make_entry

FS, CLOCK = SystemFs(remote=False), SystemClock()


@pytest.fixture
def lease(tmp_path: Path) -> LeaseDir:
    directory = Home(str(tmp_path)).lease("7")
    os.mkdir(f"{tmp_path}/runs")
    records.prepare(FS, directory)
    records.prepare_node(FS, directory, "node1")
    return directory


def claimed(lease: LeaseDir, **of_task: object) -> Entry:
    """A task that the runner of node1 held when it was killed."""
    entry = make_entry()
    task = Task(id=entry.id, argv=("true",), cwd="/", submitted=1.0, **of_task)  # type: ignore[arg-type]
    tasks.publish(FS, lease.inbox("_any"), entry, task)
    held = tasks.claim(FS, lease, lease.inbox("_any"), entry, node="node1", incarnation=new_incarnation())
    assert held is not None
    return held.entry


def outcome(lease: LeaseDir, entry: Entry) -> Outcome:
    found = tasks.read_outcome(FS, lease, entry.id, entry.attempt)
    assert found is not None
    return found


def test_a_claim_of_an_ended_lease_is_lost_with_the_reason(lease: LeaseDir) -> None:
    entry = claimed(lease)
    assert settle_claims(FS, lease, clock=CLOCK, reason="LeaseEnd: TIMEOUT (TimeLimit)") == []
    decided = outcome(lease, entry)
    assert (decided.state, decided.reason, decided.requeued) == (State.LOST, "LeaseEnd: TIMEOUT (TimeLimit)", "")
    assert os.listdir(lease.claimed("node1")) == []
    assert os.listdir(lease.lost) == [str(entry)]


@pytest.mark.parametrize("wish", [{"requeue": True}, {"on_lost": "requeue"}, {"retries": 1}])
def test_a_task_that_wants_to_go_on_is_pending_again_as_its_next_attempt(
    lease: LeaseDir, wish: dict[str, object]
) -> None:
    entry = claimed(lease, **wish)
    settle_claims(FS, lease, clock=CLOCK, reason="PREEMPTED")
    assert outcome(lease, entry).requeued
    assert os.listdir(lease.inbox("_any")) == [str(entry.next_attempt())]


def test_what_a_runner_decided_first_stands(lease: LeaseDir) -> None:
    entry = claimed(lease)
    task = tasks.read_task(FS, f"{lease.claimed('node1')}/{entry}", entry)
    tasks.decide_all(FS, lease, [Outcome(task=task, attempt=1, state=State.DONE, exit_code=0, ended=5.0)])
    settle_claims(FS, lease, clock=CLOCK, reason="CANCELLED")
    assert outcome(lease, entry).state is State.DONE
    assert os.listdir(lease.claimed("node1")) == []
    assert os.listdir(lease.lost) == []


def test_a_malformed_claim_is_set_aside_and_stops_nothing(lease: LeaseDir) -> None:
    entry = claimed(lease)
    Path(lease.claimed("node1"), "rubbish").write_text("x")
    assert settle_claims(FS, lease, clock=CLOCK, reason="CANCELLED") == []
    assert outcome(lease, entry).state is State.LOST
    assert len(os.listdir(lease.evidence)) == 2


def test_nothing_is_done_twice(lease: LeaseDir) -> None:
    entry = claimed(lease, requeue=True)
    for _ in range(2):
        settle_claims(FS, lease, clock=CLOCK, reason="CANCELLED")
        assert os.listdir(lease.inbox("_any")) == [str(entry.next_attempt())]


def test_what_a_node_holds_that_is_heard_stays_its_own(lease: LeaseDir) -> None:
    entry = claimed(lease, requeue=True)
    terms.beat(FS, lease, Heartbeat("7", "node1", new_incarnation(), 1, 1.0, 5.0))
    assert settle_claims(FS, lease, clock=CLOCK, reason="requeued by Slurm") == ["node1"]
    assert os.listdir(lease.claimed("node1")) == [str(entry)]
    assert os.listdir(lease.inbox("_any")) == []
    then = CLOCK.now() - 130
    os.utime(lease.heartbeat("node1"), (then, then))
    assert settle_claims(FS, lease, clock=CLOCK, reason="requeued by Slurm") == []
    assert os.listdir(lease.inbox("_any")) == [str(entry.next_attempt())]


def test_a_node_that_has_a_runner_again_is_left_to_it(lease: LeaseDir) -> None:
    allocate(FS, lease, "7", nodes=("node1", "node2"))
    claimed(lease)
    settle.main([lease.root.rsplit("/runs/", 1)[0], "7@7", "requeued by Slurm", "node1", "node2"])
    assert len(os.listdir(lease.claimed("node1"))) == 1
    settle.main([lease.root.rsplit("/runs/", 1)[0], "7@7", "requeued by Slurm", "node2"])
    assert os.listdir(lease.claimed("node1")) == []


def test_the_nodes_of_another_job_of_the_lease_are_left_alone(lease: LeaseDir) -> None:
    allocate(FS, lease, "6", nodes=("node2",), created=1.0)
    allocate(FS, lease, "7", nodes=("node1",), created=2.0)
    claimed(lease)
    home = lease.root.rsplit("/runs/", 1)[0]
    settle.main([home, "7@6", "requeued by Slurm", "node3"])
    settle.main([home, "7", "requeued by Slurm", "node3"])
    assert len(os.listdir(lease.claimed("node1"))) == 1, "a script of before knows of the oldest alone"
    settle.main([home, "7@7", "requeued by Slurm", "node3"])
    assert os.listdir(lease.claimed("node1")) == []
