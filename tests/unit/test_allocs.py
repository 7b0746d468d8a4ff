"""A lease of several allocations: what its files say of each, and what Slurm's answers mean for one of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leaseq.errors import Refused, SlurmError
from leaseq.lease import leases, states
from leaseq.lease.base import LeaseState
from leaseq.lease.slurm import sbatch
from leaseq.lease.slurm.args import check
from leaseq.lease.view import look_at_all, reader_of
from leaseq.models import Lease, State
from leaseq.protocol import allocs, files, records, tasks
from leaseq.reading import beats
from leaseq.reading.views import Health
from leaseq.verbs.access import Access
from tests.build import allocate, make_alloc, make_entry, make_task
from tests.unit.fake_program import FakeProgram
from tests.unit.slurm_world import CLOCK, World, line, set_age

LOST_WITH_ONE = "LeaseEnd: TIMEOUT (TimeLimit)"


@pytest.fixture(params=["names are noted", "by an older script"])
def lease(world: World, request: pytest.FixtureRequest) -> Lease:
    """A lease of two jobs that run and are heard: 1 on node1 and node2, 2 on node3."""
    made = world.lease("1")
    files.replace_file(world.fs, world.place(made).node_names, b"node1\nnode2\n")
    if request.param == "names are noted":
        files.replace_file(world.fs, world.place(made).named, b"node1\nnode2\n")
    records.prepare_node(world.fs, world.home.lease("1"), "node2")
    world.another(made, "2", nodes="node3")
    for node, job in (("node1", "1"), ("node2", "1"), ("node3", "2")):
        world.beat(made, node=node, alloc=job)
    return made


def both(first: str = "RUNNING", second: str = "RUNNING", **more: str) -> str:
    return line("1", first, nodes="node[1-2]", **more) + line("2", second, nodes="node3")


def silence(world: World, lease: Lease, *nodes: str, seconds: float = 500.0) -> None:
    for node in nodes:
        set_age(world.home.lease(lease.id).heartbeat(node), seconds)


# -- what the files say ----------------------------------------------------------------------------


def test_a_lease_has_the_nodes_the_notes_and_the_time_of_all_its_allocations(world: World, lease: Lease) -> None:
    directory = world.home.lease("1")
    first, second = allocs.all_of(world.fs, directory)
    assert allocs.members(world.fs, directory) == ("node1", "node2", "node3")
    files.replace_file(world.fs, f"{world.place(first).notes}/node1", b"then no python\n")
    files.replace_file(world.fs, f"{world.place(second).notes}/node3", b"then no step\n")
    assert allocs.notes_of(world.fs, directory) == {"node1": "then no python", "node3": "then no step"}
    files.replace_file(world.fs, world.place(first).ends, b"60\n")
    assert allocs.time_left(world.fs, directory) is None, "of the other no end is known"
    files.replace_file(world.fs, world.place(second).ends, b"600\n")
    left = allocs.time_left(world.fs, directory)
    assert left is not None and 590 < left <= 600
    allocs.mark_ended(world.fs, directory, second, ended=5.0, reason="TIMEOUT")
    assert allocs.members(world.fs, directory) == ("node1", "node2")
    assert allocs.notes_of(world.fs, directory) == {"node1": "then no python"}
    left = allocs.time_left(world.fs, directory)
    assert left is not None and left <= 60


def test_one_that_has_not_started_takes_nothing_from_the_time_of_another(world: World) -> None:
    lease = world.lease("1")
    directory = world.home.lease("1")
    world.another(lease, "2")
    allocate(world.fs, directory, "3", nodes=("node3",), left=600)
    assert allocs.members(world.fs, directory) == ("node3",)
    left = allocs.time_left(world.fs, directory)
    assert left is not None and 590 < left <= 600


def test_a_node_that_shares_its_host_has_a_name_of_its_own_and_is_reached_by_the_hosts(world: World) -> None:
    lease = world.lease("1")
    directory = world.home.lease("1")
    allocate(world.fs, directory, "2", nodes={"node1.2": "node1", "node4": "node4"})
    allocate(world.fs, directory, "3", nodes=("node1",))
    found = {node: allocs.serving(world.fs, directory, node) for node in allocs.members(world.fs, directory)}
    assert {node: (each.alloc.id, each.host) for node, each in found.items() if each} == {
        "node1.2": ("2", "node1"),
        "node4": ("2", "node4"),
        "node1": ("3", "node1"),
    }
    assert allocs.serving(world.fs, directory, "elsewhere") is None
    FakeProgram(world.path / "bin", "scontrol")
    words = Access(world.fs, world.home, CLOCK).attach(lease, "node1.2", ["true"], tty=False)
    assert [words[words.index(option) + 1] for option in ("-w",)] == ["node1"]
    assert "--jobid=2" in words


def test_an_allocation_without_a_record_is_the_one_of_which_the_leases_record_tells(world: World) -> None:
    made = Lease("7", "slurm", 1.0, allocs=True, cluster="here", job="7", token="t000000007")
    directory = world.home.lease(records.register(world.fs, world.home, made).id)
    (alone,) = allocs.all_of(world.fs, directory)
    assert (alone.id, alone.job, alone.token, alone.in_lease) == ("7", "7", "t000000007", False)
    allocs.mark_ended(world.fs, directory, alone, ended=5.0, reason="CANCELLED")
    (ended,) = allocs.all_of(world.fs, directory)
    assert (ended.ended, ended.end_reason) == (5.0, "CANCELLED")


def test_a_record_that_cannot_be_read_is_an_allocation_that_has_not_ended(world: World, lease: Lease) -> None:
    directory = world.home.lease("1")
    Path(directory.alloc("2").record).write_text("{")
    first, second = allocs.all_of(world.fs, directory)
    assert sorted([(first.id, first.is_known), (second.id, second.is_known)]) == [("1", True), ("2", False)]
    silence(world, lease, "node1", "node2", "node3")
    world.answers(line("1", "TIMEOUT", reason="TimeLimit"), apart=90)
    assert world.ended(lease) == ""
    seen = states.of_lease(world.fs, world.home, CLOCK, lease)
    assert (seen.word, seen.reason) == ("UNKNOWN", "the record of 2, which gives lease 1 nodes, cannot be read")


def test_a_lease_of_the_first_leaseq_keeps_its_allocation_when_another_is_added(world: World) -> None:
    old = Lease("9", "slurm", 1.0, cluster="here", job="9", token="t000000009")
    directory = world.home.lease(records.register(world.fs, world.home, old).id)
    files.replace_file(world.fs, directory.own.node_names, b"node1\n")
    world.fs.mkdir(directory.own.notes)
    asked = sbatch.ask_of(sbatch.LeaseRequest((), check(())), clock=CLOCK, user="u", host="h", lease=old)
    sbatch.register(world.fs, world.home, asked.known_as("10", "here"))
    first, second = allocs.all_of(world.fs, directory)
    assert [(first.id, first.in_lease), (second.id, second.in_lease)] == [("9", True), ("10", False)]
    assert allocs.members(world.fs, directory) == ("node1",)
    world.beat(old, node="node1", alloc="x")
    with_alloc = Path(directory.heartbeat("node1")).read_text().replace(',"alloc":"x"', "")
    Path(directory.heartbeat("node1")).write_text(with_alloc)
    files.replace_file(world.fs, directory.own.node_names, b"node2\n")
    assert beats.nodes_of(world.fs, directory, first, (first, second)).own == ("node1",)
    assert beats.nodes_of(world.fs, directory, second, (first, second)).all == ()


# -- what a lease is called, and its state -----------------------------------------------------------


def test_any_job_of_a_lease_means_it_also_after_it_has_ended(world: World, lease: Lease) -> None:
    directory = world.home.lease("1")
    assert [leases.resolve(world.fs, world.home, word) for word in ("1", "2")] == ["1", "1"]
    of_job = leases.of_job(world.fs, world.home, "2")
    assert of_job is not None and of_job.id == "1"
    for alloc in allocs.all_of(world.fs, directory):
        allocs.mark_ended(world.fs, directory, alloc, ended=5.0, reason="TIMEOUT")
    assert leases.resolve(world.fs, world.home, "2") == "1"
    assert leases.of_job(world.fs, world.home, "2") is not None, "the lease lives by its record"
    records.mark_ended(world.fs, directory, ended=5.0, reason="TIMEOUT")
    assert [leases.resolve(world.fs, world.home, word) for word in ("1", "2")] == ["1", "1"]
    assert leases.of_job(world.fs, world.home, "2") is None


def test_a_job_number_that_came_again_means_the_lease_that_has_it_now(world: World, lease: Lease) -> None:
    allocs.mark_ended(
        world.fs, world.home.lease("1"), make_alloc("1", "2", token="t000000002"), ended=5.0, reason="TIMEOUT"
    )
    new = world.lease("2", token="bbbbbbbbbb")
    assert (new.id, leases.resolve(world.fs, world.home, "2")) == ("2", "2")


def test_what_has_ended_is_not_read_again(world: World, lease: Lease) -> None:
    directory = world.home.lease("1")
    second = allocs.all_of(world.fs, directory)[1]
    allocs.mark_ended(world.fs, directory, second, ended=5.0, reason="TIMEOUT")
    before = leases.list_holdings(world.fs, world.home)
    Path(directory.alloc("2").record).write_text("{")
    assert leases.list_holdings(world.fs, world.home) == before
    assert [each.id for each in allocs.living_of(world.fs, directory)] == ["1"]
    assert [each.ended is None for each in allocs.all_of(world.fs, directory)] == [False, True], "the other has ended"
    assert allocs.members(world.fs, directory) == ("node1", "node2")
    os.unlink(world.home.index)
    assert leases.list_holdings(world.fs, world.home) != before, "without the cache the files count"


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("ENDED", "PENDING"), "PENDING"),
        (("PENDING", "RUNNING", "ENDED"), "RUNNING"),
        (("UNKNOWN", "RUNNING"), "RUNNING"),
        (("ENDED", "UNKNOWN"), "UNKNOWN"),
        (("ENDING", "COMPLETING"), "ENDING"),
        (("ENDED", "ENDED"), "ENDED"),
    ],
)
def test_a_lease_is_as_well_off_as_the_best_of_its_allocations(words: tuple[str, ...], word: str) -> None:
    found = [LeaseState(each, nodes=(f"n{number}",), ends=float(number)) for number, each in enumerate(words)]
    made = states.merged(found)
    assert made.word == word
    assert made.nodes == tuple(f"n{number}" for number in range(len(words)))
    assert made.ends == max(float(number) for number, each in enumerate(words) if each == word)


def test_no_end_that_is_known_of_one_is_no_end_of_the_lease(world: World) -> None:
    made = states.merged([LeaseState("RUNNING", ends=5.0), LeaseState("RUNNING", ends=None)])
    assert made.ends is None


# -- what Slurm's answers mean -----------------------------------------------------------------------


def test_the_end_of_one_settles_its_nodes_and_leaves_the_other_and_what_is_pending(world: World, lease: Lease) -> None:
    directory = world.home.lease("1")
    again, lost = world.running(lease), world.running(lease, node="node2", requeue=False)
    runs = world.running(lease, node="node3")
    silence(world, lease, "node1", "node2", "node3")
    world.answers(line("1", "TIMEOUT", reason="TimeLimit") + line("2", "RUNNING", nodes="node3"))
    outcomes = [tasks.read_outcome(world.fs, directory, each.id, 1) for each in (again, lost, runs)]
    assert [(each.state, each.reason, each.requeued) if each else None for each in outcomes] == [
        (State.LOST, LOST_WITH_ONE, "requeue"),
        (State.LOST, LOST_WITH_ONE, ""),
        None,
    ]
    assert world.starts(lease) == [str(again.next_attempt())]
    assert os.listdir(directory.claimed("node3")) == [str(runs)]
    assert world.ended(lease) == ""
    first, second = allocs.all_of(world.fs, directory)
    assert (first.end_reason, second.ended) == ("TIMEOUT (TimeLimit)", None)
    assert world.state(lease) == ("RUNNING", "")
    assert allocs.members(world.fs, directory) == ("node3",)
    world.age(31)
    world.answers(line("2", "CANCELLED"))
    assert world.ended(lease) == "CANCELLED"
    assert world.state(lease) == ("ENDED", "CANCELLED")


def test_the_other_allocations_heartbeat_keeps_none_alive_and_its_own_does(world: World, lease: Lease) -> None:
    silence(world, lease, "node1")
    world.answers(both("NODE_FAIL"), both("NODE_FAIL"))
    assert allocs.all_of(world.fs, world.home.lease("1"))[0].ended is None, "node2 is heard"
    silence(world, lease, "node2")
    world.answers(both("NODE_FAIL"))
    assert [each.end_reason for each in allocs.all_of(world.fs, world.home.lease("1"))] == ["NODE_FAIL", ""]
    assert world.ended(lease) == ""


def test_an_answer_that_lacks_one_ends_none_while_it_lacks_one_that_is_heard(world: World, lease: Lease) -> None:
    silence(world, lease, "node1", "node2")
    for _ in range(3):
        world.beat(lease, node="node3", alloc="2")
        world.answers("", apart=90)
    assert [each.ended for each in allocs.all_of(world.fs, world.home.lease("1"))] == [None, None]
    for _ in range(3):
        world.beat(lease, node="node3", alloc="2")
        world.answers(line("2", "RUNNING", nodes="node3"), apart=90)
    first, second = allocs.all_of(world.fs, world.home.lease("1"))
    assert (first.end_reason, second.ended) == ("no longer known to Slurm", None)


def test_a_line_with_another_token_ends_no_allocation(world: World, lease: Lease) -> None:
    silence(world, lease, "node1", "node2", "node3")
    world.answers(line("1", "RUNNING", nodes="node[1-2]") + line("2", "CANCELLED", token="aaaaaaaaaa"))
    assert [each.ended for each in allocs.all_of(world.fs, world.home.lease("1"))] == [None, None]


def test_one_that_was_called_ended_is_there_again_with_its_lease(world: World, lease: Lease) -> None:
    silence(world, lease, "node1", "node2", "node3")
    world.answers(line("1", "NODE_FAIL") + line("2", "NODE_FAIL"))
    assert world.ended(lease) == "NODE_FAIL"
    leases.list_holdings(world.fs, world.home)
    world.answers(line("1", "NODE_FAIL") + line("2", "RUNNING", nodes="node3"))
    assert world.ended(lease) == ""
    assert [each.end_reason for each in allocs.all_of(world.fs, world.home.lease("1"))] == ["NODE_FAIL", ""]
    assert world.state(lease) == ("RUNNING", "")


def test_a_lease_ends_whose_allocations_have_all_ended_though_a_command_died_in_between(
    world: World, lease: Lease
) -> None:
    silence(world, lease, "node1", "node2", "node3")
    for alloc in allocs.all_of(world.fs, world.home.lease("1")):
        allocs.mark_ended(world.fs, world.home.lease("1"), alloc, ended=5.0, reason="TIMEOUT")
    world.answers("")
    assert world.ended(lease) == "TIMEOUT"


def test_a_lost_node_of_one_is_settled_by_its_hosts_name_and_the_like_named_of_the_other_stays(world: World) -> None:
    lease = world.lease("1")
    directory = world.home.lease("1")
    files.replace_file(world.fs, world.place(lease).node_names, b"node1\nnode2\n")
    world.another(lease, "2", nodes="node1.2 node1,node5")
    for node, job in (("node1", "1"), ("node2", "1"), ("node1.2", "2"), ("node5", "2")):
        world.beat(lease, node=node, alloc=job, seconds_ago=500)
    stays, lost = world.running(lease), world.running(lease, node="node1.2")
    world.answers(line("1", "RUNNING", nodes="node[1-2]") + line("2", "RUNNING", nodes="node5"))
    assert tasks.read_outcome(world.fs, directory, stays.id, 1) is None
    outcome = tasks.read_outcome(world.fs, directory, lost.id, 1)
    assert outcome is not None and outcome.reason == "NodeDown: no longer part of the allocation"
    assert allocs.members(world.fs, directory) == ("node1", "node2", "node5")


def test_looks_show_what_an_upkeep_would_write_of_one_of_two(world: World, lease: Lease) -> None:
    held = world.running(lease)
    silence(world, lease, "node1", "node2")
    world.squeue.answer(line("1", "TIMEOUT", reason="TimeLimit") + line("2", "RUNNING", nodes="node3"))
    world.refresh()
    snapshot = reader_of(world.fs, world.home.lease("1"), CLOCK).read()
    assert {row.id: (row.state.name, row.reason) for row in snapshot.tasks}[held.id][0] == "PENDING"
    assert snapshot.end == ""
    (view,) = look_at_all(world.fs, world.home, clock=CLOCK).views
    assert (view.word, view.nodes) == ("RUNNING", ("node3",))
    shown = {alloc.id: state.word for alloc, state in view.allocs}
    assert shown == {"1": "ENDED", "2": "RUNNING"}
    assert {node.node: node.health for node in snapshot.nodes}["node3"] is Health.OK


# -- asking for another, and giving back -------------------------------------------------------------


def test_release_cancels_each_by_its_token_and_tells_of_one_that_it_may_not(world: World, lease: Lease) -> None:
    scancel = FakeProgram(world.path / "bin", "scancel")
    for job, token in (("1", "aaaaaaaaaa"), ("2", "")):
        world.squeue.answer(line(job, "RUNNING", token=token), given=job)
    with pytest.raises(Refused, match=r"job 1 .* is not lease 1"):
        Access(world.fs, world.home, CLOCK).release(lease)
    assert scancel.calls() == [["2"]]
    world.squeue.answer(line("1", "RUNNING"), given="1")
    assert Access(world.fs, world.home, CLOCK).release(lease)
    assert ["1"] in scancel.calls()
    places = [world.place(each) for each in allocs.all_of(world.fs, world.home.lease("1"))]
    assert [allocs.is_released(world.fs, place) for place in places] == [True, True]


def test_another_job_joins_a_lease_and_none_joins_one_that_has_ended(world: World, lease: Lease) -> None:
    program = FakeProgram(world.path / "bin", "sbatch")
    program.answer("2\n")
    request = sbatch.LeaseRequest(("-N1",), check(("-N1",)))

    def ask() -> sbatch.Asked:
        of = records.read(world.fs, world.home.lease("1"))
        prepared = sbatch.prepare(world.home, request, clock=CLOCK, user="u", host="h", lease=of)
        return sbatch.submit(world.fs, world.home, prepared, request=request)[0]

    made = ask()
    assert (made.lease.id, made.alloc.id) == ("1", f"2.{made.alloc.token}"), "job 2 of before has that name"
    assert Path(world.place(made.alloc).script).exists()
    assert os.listdir(world.home.scripts) == []
    assert os.listdir(world.home.runs) == ["1"]
    program.answer(err="sbatch: error: no\n", code=1)
    with pytest.raises(SlurmError):
        ask()
    assert len(allocs.all_of(world.fs, world.home.lease("1"))) == 3
    records.mark_ended(world.fs, world.home.lease("1"), ended=1.0, reason="TIMEOUT")
    with pytest.raises(Refused, match="lease 1 has ended"):
        ask()


def test_a_job_for_a_lease_whose_command_died_is_healed_into_that_lease(world: World, lease: Lease) -> None:
    request = sbatch.LeaseRequest((), check(()))
    ready = sbatch.prepare(world.home, request, clock=CLOCK, user="u", host="h", lease=lease)
    world.fs.mkdir(world.home.scripts)
    Path(ready.path.removesuffix(".sh") + ".json").write_bytes(ready.asked.to_json())
    Path(ready.path).write_text(ready.script)
    world.answers(both() + line("88", "PENDING", script=ready.path))
    assert [each.id for each in allocs.all_of(world.fs, world.home.lease("1"))] == ["1", "2", "88"]
    assert os.listdir(world.home.runs) == ["1"]


def test_whose_a_node_is_costs_nothing_of_what_ended_allocations_had(world: World) -> None:
    lease = world.lease("1")
    directory = world.home.lease("1")
    for number in range(2, 6):
        old = world.another(lease, str(number), nodes=f"old{number}")
        world.beat(lease, node=f"old{number}", alloc=str(number), seconds_ago=500)
        allocs.mark_ended(world.fs, directory, old, ended=5.0, reason="TIMEOUT")
    now, after = world.another(lease, "6", nodes="node6"), world.another(lease, "7")
    for path in Path(directory.heartbeats).glob("old*"):
        path.write_text("{")
    living = allocs.living_of(world.fs, directory)
    assert beats.nodes_of(world.fs, directory, now, living).all == ("node6",)
    assert beats.nodes_of(world.fs, directory, after, living).all == ()
    world.running(lease, node="old2")
    assert beats.nodes_of(world.fs, directory, now, [now], left=True).own == ("node6", "old2"), "nobody else takes it"


def test_the_nodes_of_an_ended_allocation_are_shown_while_something_waits_for_them(world: World, lease: Lease) -> None:
    directory = world.home.lease("1")
    first, second = allocs.all_of(world.fs, directory)
    reader = reader_of(world.fs, directory, CLOCK)
    assert [view.node for view in reader.read().nodes] == ["node1", "node2", "node3"]
    allocs.mark_ended(world.fs, directory, first, ended=5.0, reason="TIMEOUT")
    entry = make_entry()
    tasks.publish(world.fs, directory.inbox("node2"), entry, make_task(entry.id))
    assert [view.node for view in reader.read().nodes] == ["node2", "node3"]
    allocs.mark_ended(world.fs, directory, second, ended=5.0, reason="TIMEOUT")
    assert len(reader.read().nodes) == 3, "of a lease that has ended all is shown"


def test_a_name_that_two_have_had_is_the_nodes_of_the_one_that_has_it_now(world: World) -> None:
    lease = world.lease("1")
    directory = world.home.lease("1")
    gave_up = world.another(lease, "2", nodes="node1.2 node1")
    files.replace_file(world.fs, world.place(gave_up).named, b"node1\nnode1.2\n")
    has = world.another(lease, "3", nodes="node1")
    living = allocs.living_of(world.fs, directory)
    found = [beats.nodes_of(world.fs, directory, each, living) for each in (gave_up, has)]
    assert [(each.own, each.perhaps) for each in found] == [(("node1.2",), ()), (("node1",), ())]
    files.replace_file(world.fs, world.place(has).node_names, b"node4\n")
    found = [beats.nodes_of(world.fs, directory, each, living) for each in (gave_up, has)]
    assert [(each.own, each.perhaps) for each in found] == [(("node1.2",), ("node1",)), ((), ("node1",))]
