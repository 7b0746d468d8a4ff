"""What a reader makes of arrays: one row, its counts, and each index by itself. Over real files, without a runner."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leaseq.errors import NotFound, UsageError
from leaseq.heartbeat import Running
from leaseq.indices import Indices
from leaseq.models import Array, State, Task
from leaseq.names import Entry, new_incarnation
from leaseq.protocol import arrays, chunks, edges, tasks
from leaseq.protocol.facts import Ended
from leaseq.protocol.journal import Journal
from leaseq.protocol.plan import Plan
from leaseq.protocol.stops import Stop
from leaseq.protocol.tasks import Claim
from leaseq.reading.find import Search, detail
from leaseq.reading.indexed import Indexed
from leaseq.reading.views import TaskView
from leaseq.reading.waiting import Awaited
from leaseq.upstream import Upstream
from tests.unit.test_snapshot import INC, NODE, Lab

SWEEP = Array("0-5", ({"lr": ("1e-3", "3e-4")}, {"seed": "1..3"}))


@dataclass
class Running6:
    """An array of six indices, each a chunk of its own, and what one runner does with it."""

    lab: Lab
    entry: Entry
    task: Task
    began: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tasks.publish(self.lab.fs, self.lab.lease.inbox("_any"), self.entry, self.task)

    @property
    def id(self) -> str:
        return self.entry.id

    @property
    def journal(self) -> Journal:
        if not hasattr(self, "_journal"):
            arrays.prepare(self.lab.fs, self.lab.lease, self.entry)
            root = self.lab.lease.array(self.entry.id, self.entry.attempt)
            self._journal = Journal(self.lab.fs, root, NODE, INC)
        return self._journal

    def chunk_of(self, index: int) -> int:
        assert self.task.array is not None
        indices = Indices.parse(self.task.array.indices)
        return Plan(len(indices)).chunk_of(indices.place(index))

    def begin(self, *indices: int, attempt: int = 0) -> None:
        for index in indices:
            chunk = self.chunk_of(index)
            self.began[index] = attempt or self.entry.attempt
            if not attempt:
                journal = self.journal
                of_chunk = self.entry.of_chunk(chunk)
                assert chunks.take(self.lab.fs, self.lab.lease, [of_chunk], node=NODE, incarnation=INC)[0]
            else:
                journal = self.journal
            journal.write(begun={chunk: [(index, self.began[index])]})

    def end(
        self, index: int, state: State = State.DONE, *, code: int = 0, requeued: str = "", over: bool = True
    ) -> None:
        chunk = self.chunk_of(index)
        end = Ended(
            index=index,
            attempt=self.began[index],
            chunk=chunk,
            state=state,
            exit_code=code,
            requeued=requeued,
            started=100.0,
            ended=110.0,
            elapsed_seconds=10.0,
        )
        self.journal.write(ended=[end])
        if not requeued:
            held = Claim(self.entry.of_chunk(chunk).claimed_by(INC), NODE)
            chunks.end(self.lab.fs, self.lab.lease, [held])

    def beat(self, *running: int, **options: object) -> None:
        held = [Running(f"{self.id}_{index}", self.began[index], pid=7, elapsed_seconds=3.0) for index in running]
        self.lab.beat(running=tuple(held), **options)

    def finish(self) -> None:
        closed = arrays.close(self.lab.fs, self.lab.lease, self.entry)
        assert closed
        assert arrays.finish(self.lab.fs, self.lab.lease, closed, now=120.0)

    @property
    def row(self) -> TaskView:
        (row,) = self.lab.read().tasks
        return row

    @property
    def indexed(self) -> Indexed:
        return Search(self.lab.reader).indexed(self.id)

    def states(self) -> list[str]:
        return [row.state.code for row in self.indexed.rows()]


@pytest.fixture
def six(tmp_path: Path) -> Running6:
    lab = Lab(tmp_path)
    entry, task = lab.task(array=SWEEP, argv=("train", "--lr", "{lr}", "--seed", "{seed}"), name="grid")
    return Running6(lab, Entry(entry.order, entry.id, entry.need, 1, count=6), task)


def counts(row: TaskView) -> str:
    assert row.array is not None
    return str(row.array)


def test_an_array_that_waits_is_one_pending_row(six: Running6) -> None:
    row = six.row
    assert (row.state, counts(row), row.name) == (State.PENDING, "6: 6 wait", "grid")
    assert row.command == "train --lr {lr} --seed {seed}"
    assert six.states() == ["PD"] * 6
    assert six.lab.read().totals[State.PENDING] == 1


def test_an_array_of_which_some_runs_is_one_running_row_with_its_counts(six: Running6) -> None:
    six.begin(0, 1, 2)
    six.end(0)
    six.end(1, State.FAILED, code=3)
    six.beat(2)
    row = six.row
    assert (row.state, counts(row), row.node) == (State.RUNNING, "6: 1 run, 3 wait, 1 done, 1 failed", NODE)
    assert row.array and row.array.mean_seconds == 10.0
    assert {state: n for state, n in six.lab.read().totals.items() if n} == {State.RUNNING: 1}
    assert six.states() == ["CD", "F", "R", "PD", "PD", "PD"]


def test_what_comes_after_an_array_of_which_some_runs_says_that_it_runs(six: Running6) -> None:
    lab, up = six.lab, Upstream("ok", six.id, 1, six.lab.lease.id)
    entry, task = lab.task(after=(str(up),))
    edges.put(lab.fs, lab.lease, [up], [entry.key])
    os.makedirs(lab.lease.waiting("_any"), exist_ok=True)
    tasks.publish(lab.fs, lab.lease.waiting("_any"), entry, task)

    def reason() -> str:
        return next(row.reason for row in lab.read().tasks if row.id == entry.id)

    assert reason() == f"Dependency: {six.id} PENDING"
    six.begin(0)
    six.beat(0)
    assert reason() == f"Dependency: {six.id} RUNNING"


def test_an_index_has_its_command_values_node_and_end(six: Running6) -> None:
    six.begin(4)
    six.end(4, State.FAILED, code=3)
    six.beat()
    row = six.indexed.row(4)
    assert (row.id, row.state, row.exit_code, row.node) == (f"{six.id}_4", State.FAILED, 3, NODE)
    assert (row.command, row.values) == ("train --lr 3e-4 --seed 2", {"lr": "3e-4", "seed": "2"})
    known = detail(six.lab.reader, f"{six.id}_4")
    assert known.task and known.task.argv == ("train", "--lr", "3e-4", "--seed", "2")
    assert known.task.env["LEASEQ_PARAM_SEED"] == "2"
    assert [(each.attempt, each.state, each.exit_code) for each in known.outcomes] == [(1, State.FAILED, 3)]


def test_a_running_index_is_told_by_the_heartbeat_of_its_node(six: Running6) -> None:
    six.begin(2)
    six.beat(2)
    row = six.indexed.row(2)
    assert (row.state, row.pid, row.attempt) == (State.RUNNING, 7, 1)
    assert row.elapsed_seconds is not None and row.elapsed_seconds >= 3.0
    assert row.command == "train --lr 1e-3 --seed 3"


def test_an_index_that_runs_again_has_all_its_attempts(six: Running6) -> None:
    six.begin(0)
    six.end(0, State.FAILED, code=1, requeued="retry")
    six.beat()
    assert (six.indexed.row(0).state, six.indexed.row(0).attempt) == (State.PENDING, 2)
    assert six.indexed.final(0) == (2, None)
    six.begin(0, attempt=2)
    six.end(0)
    attempts = [(each.attempt, each.state) for each in six.indexed.outcomes(0)]
    assert attempts == [(1, State.FAILED), (2, State.DONE)]


def test_an_array_tells_how_many_may_run_and_fail_by_what_was_said_last(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    entry, task = lab.task(array=Array("0-5", throttle=2, max_fails=1), argv=("x",))
    some = Running6(lab, Entry(entry.order, entry.id, entry.need, 1, count=6), task)
    said = "none starts once 1 index failed"
    assert some.row.array and some.row.array.limits == f"at most 2 at once, {said}"
    arrays.set_throttle(lab.fs, lab.lease, some.entry, 0)
    assert some.row.array and (some.row.array.throttle, some.row.array.limits) == (0, said)
    some.begin(0)
    some.beat(0)
    arrays.set_throttle(lab.fs, lab.lease, some.entry, 4)
    assert some.row.array and some.row.array.limits == f"at most 4 at once, {said}"
    arrays.cancel(lab.fs, lab.lease, some.entry, Stop(None, "cancelled"), now=1.0)
    some.end(0)
    some.finish()
    ended, known = some.row.array, detail(lab.reader, some.id).view.array
    assert ended and (ended.throttle, ended.max_fails) == (None, None)
    assert known and (known.throttle, known.max_fails) == (4, 1)


def test_an_array_whose_node_is_silent_is_not_known(six: Running6) -> None:
    six.begin(0, 1)
    six.beat(0, 1, host="elsewhere", boot="other")
    then = os.stat(six.lab.lease.heartbeat(NODE)).st_mtime - 70
    os.utime(six.lab.lease.heartbeat(NODE), (then, then))
    assert (six.row.state, counts(six.row)) == (State.UNKNOWN, "6: 4 wait, 2 unknown")
    assert six.states()[:3] == ["??", "??", "PD"]


def test_what_was_taken_and_given_back_waits(six: Running6) -> None:
    six.begin(0)
    held = Claim(six.entry.of_chunk(six.chunk_of(0)).claimed_by(INC), NODE)
    target = six.lab.lease.inbox("_any")
    assert chunks.take_away(six.lab.fs, six.lab.lease, held, target, reason="its node is gone")
    six.beat()
    row = six.row
    assert (row.id, row.state) == (six.id, State.PENDING)
    assert [each.id for each in six.lab.read(pending=None).tasks] == [six.id]


def ended(six: Running6, states: Sequence[State]) -> None:
    for index, state in enumerate(states):
        six.begin(index)
        six.end(index, state, code=0 if state is State.DONE else 1)
    six.finish()


def test_an_array_that_has_ended_keeps_its_counts_and_its_indices(six: Running6) -> None:
    ended(six, [State.DONE] * 4 + [State.FAILED] * 2)
    six.beat()
    row = six.row
    assert (row.state, counts(row)) == (State.FAILED, "6: 4 done, 2 failed")
    assert six.states() == ["CD"] * 4 + ["F"] * 2
    found = six.indexed.by_state()
    assert {state: str(some) for state, some in found.items()} == {State.DONE: "0-3", State.FAILED: "4-5"}


def test_indices_that_were_cancelled_before_anybody_took_them_are_cancelled(six: Running6) -> None:
    six.begin(0)
    six.beat(0)
    arrays.cancel(six.lab.fs, six.lab.lease, six.entry, Stop(Indices.parse("3-4"), "cancelled"), now=1.0)
    assert six.states() == ["R", "PD", "PD", "CA", "CA", "PD"]
    six.end(0)
    arrays.cancel(six.lab.fs, six.lab.lease, six.entry, Stop(None, "cancelled"), now=1.0)
    assert six.states() == ["CD"] + ["CA"] * 5
    assert {state: str(some) for state, some in six.indexed.by_state().items()} == {
        State.DONE: "0",
        State.CANCELLED: "1-5",
    }
    assert six.indexed.final(3)[1] is not None


def test_what_is_said_of_many_ended_indices_is_what_is_said_of_each(six: Running6) -> None:
    six.begin(0, 1, 2)
    six.beat(1)
    six.end(0, State.FAILED, code=3)
    six.end(2, State.FAILED, code=1, requeued="retry")
    arrays.cancel(six.lab.fs, six.lab.lease, six.entry, Stop(Indices.parse("4"), "cancelled"), now=1.0)

    def each() -> dict[int, object]:
        found = {index: six.indexed.final(index)[1] for index in range(6)}
        return {index: outcome for index, outcome in found.items() if outcome is not None}

    assert dict(six.indexed.ends(Indices.parse("0-5"))) == each()
    assert sorted(each()) == [0, 4]
    assert [index for index, _ in six.indexed.ends(Indices.parse("1-3"))] == []
    six.end(1)
    six.begin(2, attempt=2)
    six.end(2)
    arrays.cancel(six.lab.fs, six.lab.lease, six.entry, Stop(None, "cancelled"), now=1.0)
    assert dict(six.indexed.ends(Indices.parse("0-5"))) == each()
    assert sorted(each()) == list(range(6))


def test_an_index_is_waited_for_by_its_journal(six: Running6) -> None:
    six.beat()
    awaited = Awaited(six.lab.reader, f"{six.id}_2", 1)
    assert awaited.look(0.0) == (1, None)
    six.begin(2)
    assert awaited.look(0.1) == (1, None)
    six.end(2, State.FAILED, code=7)
    attempt, outcome = awaited.look(0.2)
    assert attempt == 1 and outcome is not None and outcome.exit_code == 7


def test_an_index_that_the_array_has_not_is_not_found(six: Running6) -> None:
    with pytest.raises(NotFound, match="no index 6"):
        six.indexed.row(6)
    with pytest.raises(UsageError, match="one task, without indices"):
        Search(six.lab.reader).indexed(six.lab.finished())


def test_a_row_costs_one_small_read_for_each_journal_however_many_have_ended(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    entry, task = lab.task(array=Array("0-99999"), argv=("x", "{i}"))
    many = Running6(lab, Entry(entry.order, entry.id, entry.need, 1, count=100_000), task)
    journal = many.journal
    first_chunk = many.entry.of_chunk(many.chunk_of(0))
    assert chunks.take(lab.fs, lab.lease, [first_chunk], node=NODE, incarnation=INC)[0]
    for first in range(0, 20_000, 1_000):
        some = [Ended(index, 1, many.chunk_of(index), State.DONE, 0) for index in range(first, first + 1_000)]
        journal.write(begun={many.chunk_of(first): [(each.index, 1) for each in some]}, ended=some)
    many.beat()
    empty = Lab(tmp_path / "empty")
    empty.beat()
    for each in (lab, empty):
        each.read()
        each.fs.calls.clear()
        each.read()
    assert lab.fs.calls["names"] - empty.fs.calls["names"] <= 3
    lab.fs.calls.clear()
    assert counts(many.row) == "100,000: 80,000 wait, 20,000 done"
    assert lab.fs.calls["read_range"] <= 1
    assert many.indexed.row(12_345).state is State.DONE
    assert many.indexed.row(50_000).state is State.PENDING


def test_two_incarnations_of_one_runner_count_together(six: Running6) -> None:
    six.begin(0)
    six.end(0)
    root = six.lab.lease.array(six.id, 1)
    later = Journal(six.lab.fs, root, NODE, new_incarnation())
    later.write(ended=[Ended(1, 1, six.chunk_of(1), State.DONE, 0)])
    six.beat()
    assert six.row.array and six.row.array.counts[State.DONE] == 2
