"""Two runners of one node: the one that was silent too long gives way, and what it leaves is taken over."""

from __future__ import annotations

from typing import Any

import pytest

from leaseq.dataclass import replace
from leaseq.heartbeat import Heartbeat
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Array, Need, Outcome, State
from leaseq.names import Entry, histories_in, new_incarnation
from leaseq.protocol import arrays, chunks, concluding, history, records, requests, tasks, terms
from leaseq.protocol.concluding import Ending
from leaseq.protocol.tasks import Claim
from leaseq.reading.ended import Ended
from leaseq.reading.history import added
from leaseq.reading.sightings import Listing
from leaseq.room import Room
from leaseq.runner import recover
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.phase import Leave, Wanted
from leaseq.runner.ports import Options, Ports
from leaseq.runner.pulse import heartbeat_of
from tests.build import Clock, Keeper, allocate, make_alloc, make_entry, make_task
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
        ledger = Ledger(**given, totals={}, incarnation=first.incarnation)
        return Runner(
            Ports(**given, clock=self.clock, incarnation=first.incarnation, ledger=ledger, alloc=make_alloc()), options
        )

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


@pytest.mark.parametrize("inbox", [ANY, "n"])
def test_a_chunk_that_was_put_into_held_after_its_array_had_been_released_is_taken(world: World, inbox: str) -> None:
    """Its runner died before it looked whether the array was still held."""
    task = make_task(array=Array("0-1"), need=Need(cpus=1), node=inbox)
    entry = make_entry(task.id, count=2, need=task.need)
    tasks.publish(world.fs, LEASE.inbox(inbox), entry, task)
    arrays.prepare(world.fs, LEASE, entry)
    (claim,), _ = chunks.take(world.fs, LEASE, [entry.of_chunk(0)], node="n", incarnation=new_incarnation())
    tasks.unclaim(world.fs, LEASE, claim, LEASE.held(inbox))
    runner = taken_over(world, 1)
    for _ in range(8):
        world.turn(runner, seconds=MINUTE)
    assert world.fs.names(LEASE.held(inbox)) == []
    assert sorted(runner.ports.procs.attempts()) == [f"{task.id}_0.1", f"{task.id}_1.1"]


def test_a_file_that_is_no_claim_goes_to_evidence(world: World) -> None:
    runner = world.runner(2)
    world.fs.create(f"{LEASE.claimed('n')}/strange", b"?")
    for _ in range(4):
        world.turn(runner, seconds=MINUTE)
    assert world.claims() == []
    assert any(name.startswith("strange.") for name in world.fs.names(LEASE.evidence))


# -- histories -----------------------------------------------------------------------------------------


def beside(world: World, term: int) -> Runner:
    """The runner of that term, begun while another may live."""
    history.begin(world.fs, LEASE, "n", term)
    return taken_over(world, term)


def taken_over(world: World, term: int) -> Runner:
    runner = world.runner(term)
    past, ledger = recover.history(world.fs, LEASE, "n", term=term), runner.ports.ledger
    ledger.term, ledger.totals, ledger.earlier, ledger.recorded = past.term, past.totals, past.earlier, past.recorded
    recover.take_over(runner.state, runner.ports)
    return runner


def ended(world: World, runner: Runner, status: int = 0) -> str:
    """A task that has ended under the runner; its outcome is the ledger's to write."""
    task_id = world.submit()
    world.clock.at += MINUTE / 2
    runner.step()
    procs: Any = runner.ports.procs
    procs.records[f"{task_id}.1"] = replace(procs.records[f"{task_id}.1"], status=status)
    runner.step()
    assert runner.ports.ledger.open
    return task_id


def counted(world: World) -> dict[State, int]:
    ended = Ended(LEASE, world.fs)
    ended.newest(Listing(), 20)
    return ended.totals()


def lines(world: World, term: int) -> list[str]:
    return [event.id for _, event in added(world.fs, LEASE.events("n", term), 0)]


def test_what_a_cut_off_runner_tells_late_is_counted_once_and_each_history_has_one_writer(world: World) -> None:
    old = world.runner(1)
    first = ended(world, old)
    old.ports.ledger.persist()
    late = ended(world, old, status=1 << 8)
    (ending,) = old.ports.ledger.open
    assert isinstance(ending, Ending)
    tasks.decide_all(world.fs, LEASE, [ending.outcome])
    new = beside(world, 2)
    new.ports.ledger.persist()
    assert world.claims() == [] and lines(world, 2) == [late], "its outcome stood, and was not told"
    other = ended(world, new)
    new.ports.ledger.persist()
    old.ports.ledger.persist()
    assert (lines(world, 0), lines(world, 2)) == ([first, late], [late, other])
    for _ in range(3):
        world.turn(new, seconds=MINUTE)
        assert counted(world) == {State.DONE: 2, State.FAILED: 1}


def test_what_only_a_cut_off_runner_tells_is_taken_in_by_whoever_serves(world: World) -> None:
    old = world.runner(1)
    late = [ended(world, old), ended(world, old)]
    new = world.runner(2)
    history.begin(world.fs, LEASE, "n", 2)
    new.ports.ledger.term, new.ports.ledger.earlier = 2, {"n.jsonl": 0}
    first = ended(world, new)
    new.ports.ledger.persist()
    assert counted(world) == {State.DONE: 1}
    old.ports.ledger.persist()
    world.turn(new, seconds=MINUTE)
    assert counted(world) == {State.DONE: 3} and lines(world, 2) == [first, *late]
    assert {each.id for each in Ended(LEASE, world.fs).newest(Listing(), 20).values()} == {first, *late}


@pytest.mark.parametrize("taken_in", [False, True])
def test_the_next_runner_counts_what_was_told_late_once(world: World, *, taken_in: bool) -> None:
    old = world.runner(1)
    ended(world, old)
    old.ports.ledger.persist()
    new = beside(world, 2)
    ended(world, new)
    new.ports.ledger.persist()
    old.ports.ledger.add(Ending(*told_late(world)))
    old.ports.ledger.persist()
    if taken_in:
        world.turn(new, seconds=MINUTE)
    next_one = taken_over(world, 3)
    assert next_one.ports.ledger.term == 2, "the last runner has ended: its history goes on"
    for _ in range(2):
        world.turn(next_one, seconds=MINUTE)
        assert counted(world) == {State.DONE: 3}
    third = beside(world, 4)
    ended(world, third)
    world.turn(third, seconds=MINUTE)
    assert counted(world) == {State.DONE: 4}


def told_late(world: World) -> tuple[Claim, Outcome]:
    """A claim of the node whose attempt is DONE."""
    task_id = world.submit()
    (name,) = world.fs.names(LEASE.inbox(ANY))
    claim = tasks.claim(world.fs, LEASE, LEASE.inbox(ANY), Entry.parse(name), node="n", incarnation="0123456789")
    assert claim
    return claim, Outcome(task=make_task(task_id), attempt=1, state=State.DONE, node="n", incarnation="0123456789")


def test_a_runner_that_gives_way_books_nothing(world: World) -> None:
    old = world.runner(1)
    world.turn(old)
    beside(world, 2)
    claim, outcome = told_late(world)
    concluding.conclude_one(world.fs, LEASE, claim, outcome)
    for _ in range(2):
        world.turn(old, seconds=MINUTE)
    assert world.fs.names(LEASE.booking) == [f"{outcome.task.id}.1"] and counted(world) == {}


def test_a_history_of_a_node_whose_name_ends_in_a_number_is_its_own() -> None:
    names = ["n1.jsonl", "n1.2.jsonl", "n1.2", "n1.10", "n1.2.3", "n1.02", "n1.0", ".n1.4", "n1", "n1.x"]
    assert histories_in(names) == [("n1", 0), ("n1", 2), ("n1", 10), ("n1.2", 0), ("n1.2", 3)]
    assert {LEASE.events(*each) for each in histories_in(names)} == {f"{LEASE.events_dir}/{name}" for name in names[:5]}


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
    named: list[tuple[str, ...]] = [("n", "n2", "n3"), ("n", "n3")]
    assert not runner.state.nodes
    for nodes in named:
        allocate(world.fs, LEASE, nodes=nodes)
        world.turn(runner, seconds=MINUTE)
        assert runner.state.nodes == nodes and runner.state.queue.nodes == nodes


def test_nodes_without_this_one_are_not_believed(world: World) -> None:
    runner = world.runner(1)
    runner.state.learn_nodes(["n", "n2"])
    allocate(world.fs, LEASE, nodes=("n2", "n3"))
    world.turn(runner, seconds=MINUTE)
    assert runner.state.nodes == ("n", "n2")


def test_what_waits_for_room_is_told_so_as_long_as_anything_may_start(world: World) -> None:
    runner = world.runner(1)
    world.turn(runner)
    runner.state.waiting = {"T1": "CPUs: needs 2, 0 free"}
    assert heartbeat_of(runner).waiting == {"T1": "CPUs: needs 2, 0 free"}
    runner.state.phase.lease_ends(stays=True)
    assert (heartbeat_of(runner).state, heartbeat_of(runner).waiting) == ("ending", {})


def test_with_more_nodes_a_runner_beats_and_polls_less_often(world: World) -> None:
    runner = world.runner(1)
    before = heartbeat_of(runner).interval_seconds, runner.state.wait(world.clock.at)
    runner.state.learn_nodes(["n", *(f"n{number}" for number in range(999))])
    world.turn(runner)
    assert heartbeat_of(runner).interval_seconds == 200.0 > before[0]
    assert runner.state.wait(world.clock.at) > 20.0
