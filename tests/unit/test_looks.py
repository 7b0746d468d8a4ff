"""Looking changes nothing: what follows from Slurm's news is shown, and written only by who acts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leaseq.lease import upkeep
from leaseq.lease.view import look_at_all, reader_of
from leaseq.models import Lease, State
from leaseq.monitor.reader import read_once
from leaseq.monitor.wants import Want
from leaseq.protocol import files
from leaseq.reading.find import Search
from tests import forked
from tests.unit.slurm_world import CLOCK, World, line

ENDED = [line("1", "TIMEOUT", reason="TimeLimit")]
DENIED = [line("1", "RUNNING"), "", ""]
LOST_A_NODE = [line("1", "RUNNING", nodes="node2")]


def tree(root: str) -> dict[str, tuple[int, bytes]]:
    """Every file and directory there, with when it was changed and what it holds."""
    found = {}
    for path in sorted(Path(root).rglob("*")):
        found[str(path)] = path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b""
    return found


@pytest.fixture
def lease(world: World) -> Lease:
    """A lease whose node held a task and is silent."""
    lease = world.lease("1")
    files.replace_file(world.fs, world.home.lease("1").alloc("1").node_names, b"node1\nnode2\n")
    world.beat(lease, seconds_ago=500)
    return lease


def learn(world: World, answers: list[str]) -> None:
    """Slurm is asked, by commands that only look."""
    for text in answers:
        world.squeue.answer(text)
        world.refresh()
        world.age(90)
    world.refresh()


@pytest.mark.parametrize("answers", [ENDED, DENIED, LOST_A_NODE], ids=["a final line", "denied", "a node less"])
def test_no_look_changes_anything_of_a_lease(world: World, lease: Lease, answers: list[str]) -> None:
    held = world.running(lease)
    before = tree(world.home.runs)
    learn(world, answers)
    for words in (
        ("lease", "ls", "--all"),
        ("lease", "info", "1"),
        ("status", "--lease", "1"),
        ("tasks", "--lease", "1"),
        ("info", held.id),
    ):
        code, _, err = forked.run(words, {**os.environ, "LEASEQ_HOME": world.home.root}, cwd=world.path)
        assert code == 0, err
    read_once(world.fs, world.home, CLOCK, Want("1", task=held.id, attempt=1))
    assert tree(world.home.runs) == before
    upkeep.keep_up(world.fs, world.home, clock=CLOCK)
    assert tree(world.home.runs) != before, "there was something to be done"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [(ENDED, "TIMEOUT (TimeLimit)"), (DENIED, "no longer known to Slurm, RUNNING when seen last")],
    ids=["a final line", "denied"],
)
@pytest.mark.parametrize("wants", ["nothing", "requeue"])
def test_a_look_shows_what_an_upkeep_writes(
    world: World, lease: Lease, answers: list[str], reason: str, wants: str
) -> None:
    held = world.running(lease, requeue=wants == "requeue")

    def shown() -> tuple[object, ...]:
        (seen,) = look_at_all(world.fs, world.home, clock=CLOCK).views
        directory = world.home.lease("1")
        reader = reader_of(world.fs, directory, CLOCK)
        snapshot = reader.read()
        (row,) = snapshot.tasks
        ended = snapshot.end or (snapshot.lease.end_reason if snapshot.lease else "")
        counts = {state.name: number for state, number in snapshot.totals.items() if number}
        of_one = Search(reader).view(held.id)
        return seen.word, seen.reason, ended, row.state, row.attempt, of_one.state, of_one.attempt, counts

    learn(world, answers)
    before = shown()
    state, attempt = (State.PENDING, 2) if wants == "requeue" else (State.LOST, 1)
    assert before == ("ENDED", reason, reason, state, attempt, state, attempt, {state.name: 1})
    assert not world.ended(lease)
    upkeep.keep_up(world.fs, world.home, clock=CLOCK)
    assert world.ended(lease) == reason
    assert shown() == before


def test_a_lease_that_came_back_is_shown_as_alive(world: World, lease: Lease) -> None:
    world.answers(*ENDED)
    assert world.ended(lease)
    learn(world, [line("1", "PENDING", reason="BeginTime")])
    (seen,) = look_at_all(world.fs, world.home, clock=CLOCK).views
    assert (seen.word, seen.reason) == ("PENDING", "BeginTime")
    assert world.ended(lease)
    upkeep.keep_up(world.fs, world.home, clock=CLOCK)
    assert not world.ended(lease)


def test_what_was_known_of_an_end_stays_known_while_nobody_acts(world: World, lease: Lease) -> None:
    learn(world, [*ENDED, "", ""])
    assert world.state(lease) == ("ENDED", "TIMEOUT (TimeLimit)")
    world.beat(lease)
    learn(world, [""])
    assert world.state(lease)[0] == "UNKNOWN", "its runner is heard: nobody knows that it has ended"


def test_what_was_not_silent_when_slurm_answered_is_not_decided_by_that_answer(world: World, lease: Lease) -> None:
    held = world.running(lease)
    world.beat(lease, seconds_ago=1)
    world.squeue.answer(ENDED[0])
    world.refresh()
    world.beat(lease, seconds_ago=500)
    upkeep.keep_up(world.fs, world.home, clock=CLOCK)
    assert os.listdir(world.home.lease("1").claimed("node1")) == [str(held)]


def test_a_lease_whose_command_died_is_shown_before_it_has_a_record(world: World) -> None:
    script = f"{world.home.scripts}/t000000007.sh"
    world.fs.mkdir(world.home.scripts)
    unfinished = Lease("@LEASE@", "slurm", 1.0, name="mine", cluster="@CLUSTER@", job="@JOB@", token="t000000007")
    world.fs.create(script.replace(".sh", ".json"), unfinished.to_json())
    world.fs.create(script, b"#!/bin/bash\n")
    world.squeue.answer(line("7", "PENDING", reason="Priority", script=script))
    (seen,) = look_at_all(world.fs, world.home, clock=CLOCK).views
    assert (seen.id, seen.name, seen.word, seen.reason) == ("7", "mine", "PENDING", "Priority")
    assert os.listdir(world.home.runs) == []
    upkeep.keep_up(world.fs, world.home, clock=CLOCK)
    assert os.listdir(world.home.runs) == ["7"]
