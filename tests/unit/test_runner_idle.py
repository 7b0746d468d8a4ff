"""How long a node has stood unused, and what uses it."""

from __future__ import annotations

import pytest

from leaseq.layout import LeaseDir
from leaseq.models import Need
from leaseq.protocol import allocs, leaving, succession, tasks
from leaseq.protocol.leaving import LEAVE, STAY
from leaseq.protocol.succession import How
from leaseq.runner.idle import Idle
from leaseq.runner.leaving import used_by
from tests.build import allocate, make_entry, make_task
from tests.crash.answers import OLD
from tests.crash.leaving_world import LEASE, about_to_leave
from tests.memoryfs import Disk, MemoryFs


def test_the_clock_counts_while_nothing_uses_the_node_and_begins_again_when_something_does() -> None:
    idle = Idle(0.0, limit=600.0)
    idle.hear("", 599.0)
    assert (idle.unused_seconds(599.0), idle.is_due(599.0), idle.is_due(600.0)) == (599.0, False, True)
    idle.hear("a task", 600.0)
    assert (idle.unused_seconds(601.0), idle.is_due(1199.0), idle.is_due(1200.0)) == (1.0, False, True)


def test_without_a_limit_nobody_counts() -> None:
    idle = Idle(0.0)
    assert (idle.counts, idle.unused_seconds(1e9), idle.is_due(1e9)) == (False, None, False)
    assert idle.wait(1e9, look_seconds=1.0) is None and not idle.is_to_be_told(1e9)


def test_another_limit_begins_the_clock_again() -> None:
    idle = Idle(0.0, limit=600.0)
    idle.set_limit(60.0, 500.0)
    assert not idle.is_due(559.0) and idle.is_due(560.0)


@pytest.mark.parametrize(("limit", "at"), [(1800.0, 1500.0), (120.0, 60.0)])
def test_terminals_are_told_once_five_minutes_before_or_half_of_a_short_limit(limit: float, at: float) -> None:
    idle = Idle(0.0, limit=limit)
    assert idle.wait(0.0, look_seconds=1.0) == at
    assert not idle.is_to_be_told(at - 1) and idle.is_to_be_told(at)
    idle.told = True
    assert not idle.is_to_be_told(at + 1) and idle.wait(at, look_seconds=1.0) == limit - at
    idle.hear("a shell", at + 1)
    assert not idle.told


def test_a_task_whose_time_comes_within_the_limit_is_waited_for() -> None:
    idle = Idle(0.0, limit=600.0, begins_at=1000.0)
    assert not idle.begins_soon(399.0) and idle.begins_soon(400.0)
    idle.begins_at = None
    assert not idle.begins_soon(400.0)


@pytest.mark.parametrize(
    ("need", "counts"),
    [
        (Need(cpus=1), True),
        (Need(cpus=9), False),  # too big
        (Need(cpus=1, time_seconds=9000), False),  # longer than the lease lasts
        (Need(gpus=1), False),
    ],
)
def test_what_is_pending_counts_only_if_it_could_start_here(need: Need, counts: bool) -> None:
    world = about_to_leave("n1")
    node = world.nodes[0]
    assert node.service is not None
    state, ports = node.service.state, node.service.ports
    state.ends_at = world.clock.at + 3600.0
    intake = node.service.runner.intake
    intake.look_once_more()
    assert used_by(state, ports, world.clock.at) == ""
    entry = make_entry(need=need)
    tasks.publish(world.fs, ports.lease.inbox("n1"), entry, make_task(entry.id, node="n1"))
    intake.look_once_more()
    assert used_by(state, ports, world.clock.at) == ("a task that may start here" if counts else "")
    state.phase.drain()
    assert used_by(state, ports, world.clock.at) == "", "nothing starts on a node that is drained"
    state.retry_at = world.clock.at + 1
    assert used_by(state, ports, world.clock.at) == "what is not known now"


def test_a_limit_is_as_asked_for_until_it_is_set_and_can_be_off() -> None:
    fs, lease = MemoryFs(Disk()), LeaseDir("L", "/home/L")
    fs.mkdir(lease.root)
    fs.mkdir(lease.allocs)
    alloc = allocate(fs, lease, "1", idle_seconds=1800.0)
    place = allocs.directory(lease, alloc)
    assert leaving.limit_of(fs, place, alloc) == 1800.0
    leaving.set_limit(fs, place, None)
    assert leaving.limit_of(fs, place, alloc) is None
    leaving.set_limit(fs, place, 90.0)
    assert leaving.limit_of(fs, place, alloc) == 90.0


def test_a_round_comes_out_once_however_many_decide() -> None:
    fs, lease = MemoryFs(Disk()), LeaseDir("L", "/home/L")
    fs.mkdir(lease.root)
    fs.mkdir(lease.allocs)
    place = allocs.directory(lease, allocate(fs, lease, "1"))
    assert leaving.rounds(fs, place) == {}
    leaving.begin(fs, place)
    leaving.would_leave(fs, place, "r", "n.1")
    assert leaving.rounds(fs, place) == {"r": None}
    assert leaving.would_all_leave(fs, place, "r", ["n.1"]) and not leaving.would_all_leave(
        fs, place, "r", ["n.1", "n2"]
    )
    assert leaving.decide(fs, place, "r", STAY, "n2: a task") == (STAY, "n2: a task")
    assert leaving.decide(fs, place, "r", LEAVE, "idle for 30 min") == (STAY, "n2: a task")
    assert leaving.rounds(fs, place) == {"r": (STAY, "n2: a task")}


@pytest.mark.parametrize(("first", "stops"), [(OLD, True), ("another000", False)])
def test_none_follows_an_allocation_that_has_left(first: str, stops: bool) -> None:
    world = about_to_leave("n1")
    succession.keep(world.fs, LEASE, How(first))
    world.run(until=lambda: bool(leaving.why_left(world.fs, allocs.directory(LEASE, world.alloc))))
    told = succession.why_stopped(world.fs, LEASE)
    assert told == (leaving.why_left(world.fs, allocs.directory(LEASE, world.alloc)) if stops else "")


def test_without_a_limit_a_node_does_not_a_thing_more_than_before() -> None:
    """What an idle turn and a minute's housekeeping cost, with a limit and without."""

    def calls(limit: float) -> list[tuple[str, ...]]:
        world = about_to_leave("n1", limit=limit)
        fs = world.arm()
        world.run(until=lambda: world.clock.at >= 1000.0 + 180.0)
        return [(call[0], *(path for path in call[1:] if "/." not in path)) for call in fs.calls]

    without = calls(0.0)
    assert len(without) > 100
    assert calls(86400.0) == without
