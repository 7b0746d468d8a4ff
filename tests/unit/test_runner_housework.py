"""Two runners of one node: the one that was silent too long gives way, and what it leaves is taken over."""

from __future__ import annotations

from typing import Any

import pytest

from leaseq.dataclass import replace
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Heartbeat, Need, Outcome, State
from leaseq.names import Entry, new_incarnation
from leaseq.protocol import files, records, requests, tasks, terms
from leaseq.room import Room
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.phase import Leave, Wanted
from leaseq.runner.ports import Options, Ports
from leaseq.runner.pulse import heartbeat_of
from tests.build import Clock, Keeper, make_entry, make_task
from tests.memoryfs import Disk, MemoryFs

LEASE = LeaseDir("L", "/home/L")
MINUTE = 61.0


class World:
    """A lease of one node on a file server, and its runners."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.fs = MemoryFs(Disk())
        records.prepare(self.fs, LEASE)
        records.prepare_node(self.fs, LEASE, "n")
        self.sequence = 0

    def runner(self, term: int) -> Runner:
        first = Heartbeat(lease="L", node="n", incarnation=new_incarnation(), counter=0, time=0.0, interval_seconds=5.0)
        assert terms.begin_term(self.fs, LEASE, term, first)
        procs = Keeper()
        given: dict[str, Any] = {"fs": self.fs, "procs": procs, "lease": LEASE, "node": "n"}
        options = Options(Room(4, 1, ()), term=term)
        ledger = Ledger(**given, totals={})
        return Runner(Ports(**given, clock=self.clock, incarnation=first.incarnation, ledger=ledger), options)

    def turn(self, runner: Runner, *, seconds: float = 0.0) -> None:
        self.clock.at += seconds
        self.fs.disk.seconds = self.clock.at
        runner.step()
        runner.ports.ledger.persist()

    def submit(self) -> str:
        self.sequence += 1
        entry = make_entry(sequence=self.sequence, need=Need(cpus=1))
        task = make_task(entry.id)
        tasks.publish(self.fs, LEASE.inbox(ANY), entry, task)
        return entry.id

    def outcome(self, task_id: str) -> Outcome | None:
        return tasks.read_outcome(self.fs, LEASE, task_id, 1)

    def claims(self) -> list[str]:
        return self.fs.names(LEASE.claimed("n"))


def may_leave(runner: Runner) -> bool:
    state = runner.state
    return state.phase.may_leave(state.hand(unwritten=bool(runner.ports.ledger.open))) is Leave.NOW


@pytest.fixture
def world() -> World:
    return World()


def test_a_runner_gives_way_to_a_later_term_and_leaves_when_its_tasks_have_ended(world: World) -> None:
    old = world.runner(1)
    held = world.submit()
    world.turn(old)
    new = world.runner(2)
    world.turn(old, seconds=MINUTE)
    assert (old.state.phase.superseded, old.state.phase.wanted) == (True, Wanted.GIVE_WAY)
    later = world.submit()
    world.turn(old)
    assert [*old.state.running] == [f"{held}.1"] and later not in str(world.claims())
    requests.ask(world.fs, LEASE, "n", "resume", {})
    world.turn(old, seconds=1.0)
    assert old.state.phase.wanted is Wanted.GIVE_WAY, "no request makes it serve again"
    old.ports.procs.records[f"{held}.1"] = replace(old.ports.procs.records[f"{held}.1"], status=3 << 8)  # type: ignore[attr-defined]
    world.turn(old)
    world.turn(old)
    assert may_leave(old)
    assert (outcome := world.outcome(held)) and (outcome.state, outcome.exit_code) == (State.FAILED, 3)
    world.turn(new)
    assert [*new.state.running] == [f"{later}.1"]


def test_a_runner_without_a_later_term_beside_it_serves_on(world: World) -> None:
    runner = world.runner(1)
    for _ in range(5):
        world.turn(runner, seconds=MINUTE)
    assert (runner.state.phase.superseded, runner.state.phase.wanted) == (False, Wanted.SERVE)


def test_what_another_runner_claimed_and_left_is_taken_over_after_two_minutes(world: World) -> None:
    runner = world.runner(2)
    world.turn(runner)
    left = world.submit()
    (name,) = world.fs.names(LEASE.inbox(ANY))
    other = new_incarnation()
    assert tasks.claim(world.fs, LEASE, LEASE.inbox(ANY), Entry.parse(name), node="n", incarnation=other)
    own = world.submit()
    world.turn(runner, seconds=MINUTE)
    world.turn(runner, seconds=MINUTE)
    assert world.outcome(left) is None, "its runner may yet end it"
    world.turn(runner, seconds=MINUTE)
    assert (outcome := world.outcome(left)) and outcome.state is State.LOST
    assert [*runner.state.running] == [f"{own}.1"] and world.outcome(own) is None
    assert [Entry.parse(name).id for name in world.claims()] == [own]


def test_what_its_runner_ends_in_time_is_left_to_it(world: World) -> None:
    other = world.runner(1)
    other.state.options = replace(other.state.options, term=0)  # it looks for no later term, and so goes on
    runner = world.runner(2)
    task_id = world.submit()
    world.turn(other)
    world.turn(runner, seconds=MINUTE)
    other.ports.procs.records[f"{task_id}.1"] = replace(other.ports.procs.records[f"{task_id}.1"], status=0)  # type: ignore[attr-defined]
    world.turn(other)
    for _ in range(4):
        world.turn(runner, seconds=MINUTE)
    assert (outcome := world.outcome(task_id)) and outcome.state is State.DONE
    assert runner.state.strays == {}


def test_a_file_that_is_no_claim_goes_to_evidence(world: World) -> None:
    runner = world.runner(2)
    world.fs.create(f"{LEASE.claimed('n')}/strange", b"?")
    for _ in range(4):
        world.turn(runner, seconds=MINUTE)
    assert world.claims() == []
    assert any(name.startswith("strange.") for name in world.fs.names(LEASE.evidence))


# -- other nodes --------------------------------------------------------------------------------------


def watching(world: World, *, asked: list[str], nodes: tuple[str, ...] = ("n", "n2")) -> Runner:
    """A runner that can have Slurm asked; n2 holds a task."""
    runner = world.runner(1)
    runner.ports = replace(runner.ports, ask_slurm=lambda: asked.append("asked"))
    runner.state.learn_nodes(nodes)
    records.prepare_node(world.fs, LEASE, "n2")
    task = make_task(submitted=0.0)
    entry = make_entry(task.id)
    tasks.publish(world.fs, LEASE.inbox("n2"), entry, task)
    assert tasks.claim(world.fs, LEASE, LEASE.inbox("n2"), entry, node="n2", incarnation="0123456789")
    return runner


def turns(world: World, runner: Runner, count: int = 4) -> None:
    """The runner keeps its house that often."""
    for _ in range(count):
        world.clock.at += MINUTE
        runner.step()


def test_a_node_that_holds_tasks_and_is_silent_has_slurm_asked_by_another_in_its_turn(world: World) -> None:
    asked: list[str] = []
    turns(world, watching(world, asked=asked))
    assert len(asked) == 2, "every second minute: there are two nodes"


def test_a_node_that_is_heard_has_nobody_asked(world: World) -> None:
    asked: list[str] = []
    runner = watching(world, asked=asked)
    beat = Heartbeat(lease="L", node="n2", incarnation="0123456789", counter=1, time=0.0, interval_seconds=5.0)
    terms.beat(world.fs, LEASE, beat)
    turns(world, runner)
    assert asked == []


def test_a_lease_that_is_none_of_slurms_has_nobody_asked(world: World) -> None:
    asked: list[str] = []
    runner = watching(world, asked=asked)
    runner.ports = replace(runner.ports, ask_slurm=None)
    turns(world, runner)
    assert asked == []


def test_the_nodes_of_the_lease_are_those_that_its_directory_names_now(world: World) -> None:
    runner = world.runner(1)
    world.turn(runner)
    assert runner.state.nodes == ()
    names = LEASE.own.node_names
    for nodes in (("n", "n2", "n3"), ("n", "n3")):
        files.replace_file(world.fs, names, "".join(f"{node}\n" for node in nodes).encode())
        world.turn(runner, seconds=MINUTE)
        assert runner.state.nodes == nodes and runner.state.queue.nodes == nodes


def test_nodes_without_this_one_are_not_believed(world: World) -> None:
    runner = world.runner(1)
    runner.state.learn_nodes(["n", "n2"])
    files.replace_file(world.fs, LEASE.own.node_names, b"n2\nn3\n")
    world.turn(runner, seconds=MINUTE)
    assert runner.state.nodes == ("n", "n2")


def test_with_more_nodes_a_runner_beats_and_polls_less_often(world: World) -> None:
    runner = world.runner(1)
    before = heartbeat_of(runner).interval_seconds, runner.state.wait(world.clock.at)
    runner.state.learn_nodes(["n", *(f"n{number}" for number in range(999))])
    world.turn(runner)
    assert heartbeat_of(runner).interval_seconds == 200.0 > before[0]
    assert runner.state.wait(world.clock.at) > 20.0
