"""Outcomes that somebody else than the node's own runner decided: one history of the lease tells each of them."""

from __future__ import annotations

from typing import Any

import pytest

from leaseq.heartbeat import Heartbeat
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Need, Outcome, State
from leaseq.names import new_incarnation
from leaseq.protocol import concluding, history, records, retention, tasks, tellers, terms
from leaseq.protocol.tasks import Claim
from leaseq.reading.ended import Ended
from leaseq.reading.sightings import Listing
from leaseq.room import Room
from leaseq.runner import recover
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.ports import Options, Ports
from tests.build import Clock, Keeper, make_alloc, make_entry, make_task
from tests.memoryfs import Disk, MemoryFs

LEASE = LeaseDir("L", "/home/L")
MINUTE = 61.0
NODES = ("n1", "n2")


class World:
    """A lease of two nodes, and their runners."""

    def __init__(self) -> None:
        self.clock, self.fs = Clock(), MemoryFs(Disk())
        self.terms = dict.fromkeys(NODES, 0)
        records.prepare(self.fs, LEASE)
        for node in NODES:
            records.prepare_node(self.fs, LEASE, node)

    def runner(self, node: str, *, nodes: tuple[str, ...] = NODES) -> Runner:
        """The node's next runner: the one before has certainly ended."""
        self.terms[node] += 1
        first = Heartbeat(
            lease="L", node=node, incarnation=new_incarnation(), counter=0, time=0.0, interval_seconds=5.0
        )
        assert terms.begin_term(self.fs, LEASE, self.terms[node], first)
        given: dict[str, Any] = {"fs": self.fs, "procs": Keeper(), "lease": LEASE, "node": node}
        past = recover.history(self.fs, LEASE, node, term=self.terms[node])
        ledger = Ledger(**given, totals=past.totals, incarnation=first.incarnation)
        ledger.term, ledger.earlier, ledger.recorded = past.term, past.earlier, past.recorded
        runner = Runner(
            Ports(**given, clock=self.clock, incarnation=first.incarnation, ledger=ledger, alloc=make_alloc()),
            Options(Room(4, 1, ()), term=self.terms[node], nodes=nodes),
        )
        recover.take_over(runner.state, runner.ports)
        ledger.persist()
        return runner

    def minute(self, runner: Runner) -> None:
        self.clock.at += MINUTE
        self.fs.disk.seconds = self.clock.at
        runner.step()
        runner.ports.ledger.persist()

    def claim(self, node: str) -> Claim:
        """A task that a runner of the node had."""
        entry = make_entry(need=Need(cpus=1))
        tasks.publish(self.fs, LEASE.inbox(ANY), entry, make_task(entry.id))
        claim = tasks.claim(self.fs, LEASE, LEASE.inbox(ANY), entry, node=node, incarnation=new_incarnation())
        assert claim
        return claim

    def cancelled(self) -> Outcome:
        """A pending task that a command has cancelled; nothing has told it."""
        entry = make_entry(need=Need(cpus=1))
        tasks.publish(self.fs, LEASE.inbox(ANY), entry, make_task(entry.id))
        outcome = concluding.cancel_pending(self.fs, LEASE, LEASE.inbox(ANY), entry, ended=1.0, reason="cancelled")
        assert outcome
        return outcome

    def counted(self) -> dict[State, int]:
        ended = Ended(LEASE, self.fs)
        ended.newest(Listing(), 20)
        return {state: number for state, number in ended.totals().items() if number}

    def booked(self) -> list[str]:
        return self.fs.names(LEASE.booking)


@pytest.fixture
def world() -> World:
    return World()


def test_who_comes_late_to_an_end_that_is_told_does_not_have_it_told_by_another_node(world: World) -> None:
    first, second = world.runner("n1"), world.runner("n2", nodes=("n2",))
    outcome = world.cancelled()
    world.minute(first)
    assert world.counted() == {State.CANCELLED: 1} and world.booked() == []
    tasks.book(world.fs, LEASE, [(outcome.task.id, 1)])
    world.minute(second)
    world.minute(first)
    assert world.counted() == {State.CANCELLED: 1} and world.booked() == []


def test_a_node_that_died_as_it_was_to_tell_an_outcome_tells_it_when_it_is_asked(world: World) -> None:
    outcome = world.cancelled()
    tellers.take(world.fs, LEASE, "n2", [f"{outcome.task.id}.1"])
    first = world.runner("n1")
    for _ in range(2):
        world.minute(first)
    assert world.counted() == {} and world.booked()
    assert len(world.fs.names(LEASE.control("n2"))) == 1, "it is asked once"
    world.minute(world.runner("n2"))
    assert world.counted() == {State.CANCELLED: 1} and world.booked() == []


def test_what_a_runner_told_before_it_was_lost_is_not_told_again_by_another_node(world: World) -> None:
    claim = world.claim("n2")
    entry = claim.entry
    done = Outcome(task=make_task(entry.id), attempt=1, state=State.DONE, node="n2", incarnation=entry.owner)
    tasks.decide_all(world.fs, LEASE, [done])
    history.record_events(world.fs, LEASE, "n2", [history.event_of(done, {State.DONE.name: 1})])
    concluding.recover_stuck(world.fs, LEASE, claim, make_task(entry.id), ended=2.0)
    world.minute(world.runner("n1"))
    assert world.counted() == {State.DONE: 1} and world.booked() == []


def test_what_another_node_told_is_not_told_by_the_next_runner_of_the_one_that_held_it(world: World) -> None:
    claim = world.claim("n2")
    outcome = Outcome(task=make_task(claim.entry.id), attempt=1, state=State.FAILED, incarnation=new_incarnation())
    tasks.decide_all(world.fs, LEASE, [outcome])
    tasks.book(world.fs, LEASE, [(claim.entry.id, 1)])
    world.minute(world.runner("n1"))
    # Who decided it died before the claim was settled.
    world.minute(world.runner("n2"))
    assert world.fs.names(LEASE.claimed("n2")) == [] and world.counted() == {State.FAILED: 1}


def test_a_runner_that_died_before_it_had_removed_many_outcomes_leaves_none_to_be_told_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = recover.HISTORY_LOOKED_AT + 10
    for _ in range(many):
        world.cancelled()
    runner = world.runner("n1", nodes=("n1",))
    unlink, gone = world.fs.unlink, list[str]()

    def dies(path: str) -> None:
        if "/booking/" in path and len(gone) < many:
            gone.append(path)
            raise OSError(5, "the runner dies here", path)
        unlink(path)

    monkeypatch.setattr(world.fs, "unlink", dies)
    world.minute(runner)
    assert gone
    monkeypatch.setattr(world.fs, "unlink", unlink)
    world.minute(world.runner("n1", nodes=("n1",)))
    assert world.counted() == {State.CANCELLED: many} and world.booked() == []


def test_who_tells_an_outcome_is_forgotten_with_its_results(world: World) -> None:
    outcome = world.cancelled()
    world.minute(world.runner("n1"))
    assert world.fs.names(LEASE.told) == [f"{outcome.task.id}.1"]
    for old in retention.old_tasks(world.fs, LEASE, before=1e12, keep_failed=False):
        retention.remove(world.fs, LEASE, old)
    assert world.fs.names(LEASE.told) == []
