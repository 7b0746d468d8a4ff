"""What ran lately: the same as the whole story tells, read from the ends of files, and no further back than asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from pathlib import Path

import pytest

from leaseq.dataclass import replace
from leaseq.heartbeat import Running
from leaseq.models import Array, State
from leaseq.names import Entry
from leaseq.protocol.facts import Ended
from leaseq.reading import lately
from leaseq.reading.lately import Recorder, with_arrays
from leaseq.reading.report import ms, report
from leaseq.reading.timeline import Board, Lane, Story, axis, marks, ticks
from leaseq.reading.usage import Run, Stay, runs
from tests.unit.test_array_reading import Running6
from tests.unit.test_snapshot import NODE, Lab


def lab_with_an_array(tmp_path: Path) -> tuple[Lab, Running6]:
    lab = Lab(tmp_path)
    entry, task = lab.task(array=Array("0-5"), argv=("x", "{i}"), name="sweep")
    return lab, Running6(lab, Entry(entry.order, entry.id, entry.need, 1, count=6), task)


def ended(lab: Lab, number: int) -> str:
    return lab.finished(started=number * 100.0, ended=number * 100.0 + 50, elapsed_seconds=50.0, gpus=("0",))


def by_id(found: Story) -> dict[str, Run]:
    return {run.id: run for lane in found.lanes for run in lane.bars}


def test_what_ran_lately_is_what_the_whole_story_tells(tmp_path: Path) -> None:
    lab, six = lab_with_an_array(tmp_path)
    ids = [ended(lab, number) for number in range(3)]
    six.begin(0, 1)
    six.end(0)
    lab.beat(running=(Running(f"{six.id}_1", 1, ("1",), started=500.0, elapsed_seconds=7.0, name="sweep"),))
    views = lab.read().nodes
    found = Recorder(lab.reader).look(views, (), 0.0)
    whole = runs(lab.fs, lab.lease, [view.heartbeat for view in views if view.heartbeat])
    told = {(run.id, run.attempt): run for run in with_arrays(lab.reader, list(whole), {})}
    assert set(by_id(found)) == {each for each, _ in told} == {*ids, f"{six.id}_0", f"{six.id}_1"}
    for each, run in by_id(found).items():
        seconds = inf if run.state is State.RUNNING else told[each, 1].seconds
        assert run == told[each, 1]._replace(seconds=seconds)
    assert found.since == 0.0 and by_id(found)[f"{six.id}_0"].name == "sweep"


def test_what_ended_before_is_not_among_it(tmp_path: Path) -> None:
    lab, _ = lab_with_an_array(tmp_path)
    ids = [ended(lab, number) for number in range(5)]
    found = Recorder(lab.reader).look((), (), 320.0)
    assert [lane.between(ms(320), ms(1e6)) for lane in found.lanes] == [tuple(by_id(found)[each] for each in ids[3:])]


def test_another_look_reads_what_was_added_and_what_did_not_change_is_the_same(tmp_path: Path) -> None:
    lab, six = lab_with_an_array(tmp_path)
    ended(lab, 1)
    for index in range(6):
        six.begin(index)
        six.end(index)
    six.finish()
    recorder = Recorder(lab.reader)
    first = recorder.look((), (), 0.0)
    assert len(by_id(first)) == 7
    lab.fs.calls.clear()
    again = recorder.look((), (), 0.0)
    assert again is first
    assert not lab.fs.calls.get("read") and lab.fs.calls["read_range"] == 2
    new = ended(lab, 9)
    later = recorder.look((), (), 0.0)
    assert new in by_id(later) and later.lanes[0].bars[:-1] == first.lanes[0].bars
    lab.fs.calls.clear()
    fresh = Recorder(lab.reader).look((), (), 1e9)
    assert not by_id(fresh).keys() & {f"{six.id}_{index}" for index in range(6)}
    assert lab.fs.calls["read_range"] <= 3, "of the array's journal the end is looked at"


def test_of_too_much_the_newest_is_read_and_from_when_on_that_is_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lately, "LINES_MAX", 300)
    lab = Lab(tmp_path)
    entry, task = lab.task(array=Array("0-9999"), argv=("x", "{i}"))
    many = Running6(lab, Entry(entry.order, entry.id, entry.need, 1, count=10_000), task)
    for index in range(2000):
        end = Ended(index, 1, many.chunk_of(index), State.DONE, 0, started=index * 10.0, elapsed_seconds=9.0)
        many.journal.write(ended=[replace(end, ended=index * 10.0 + 9)])
    found = Recorder(lab.reader).look((), (), 0.0)
    assert 0 < found.since < 20_000 and len(by_id(found)) < 300
    within = [index for index in range(2000) if index * 10.0 + 9 >= found.since]
    assert by_id(found).keys() >= {f"{many.id}_{index}" for index in within}


# -- lanes ---------------------------------------------------------------------------------------------


def run(began: float, seconds: float, *gpus: str) -> Run:
    state = State.RUNNING if seconds == inf else State.DONE
    return Run(NODE, began, seconds, gpus, f"T{began:011.0f}", 1, state)


def lanes(stay: Stay, ran: Sequence[Run]) -> tuple[Lane, ...]:
    board = Board()
    board.add(ran)
    return board.lanes([stay], ())


def test_a_lane_is_a_gpu_and_what_ran_without_one_has_slots() -> None:
    stay = Stay("1", NODE, 0.0, 100.0, 100.0, ("0", "1", "10", "2"))
    ran = [run(0, 50, "0", "1"), run(60, 10, "0"), run(10, 30), run(20, 30), run(45, 10)]
    found = lanes(stay, ran)
    assert [lane.title for lane in found] == [f"{NODE}:{n}" for n in ("0", "1", "2", "10")] + [NODE, f"{NODE} 2"]
    assert [[each.began for each in lane.bars] for lane in found] == [[0, 60], [0], [], [], [10, 45], [20]]
    for lane in found:
        assert all(one.began + one.seconds <= other.began for one, other in pairwise(lane.bars))


def test_a_lane_to_which_nothing_came_stays_the_same_value() -> None:
    stay, board = Stay("1", NODE, 0.0, inf, inf, ("0", "1")), Board()
    going = [run(80, inf, "0")]
    board.add([run(0, 50, "0", "1")])
    first = board.lanes([stay], going)
    again = board.lanes([stay], [run(80, inf, "0")])
    assert all(one is other for one, other in zip(first, again, strict=True))
    board.add([run(60, 5, "1"), run(60, 5, "1")])
    second = board.lanes([stay], going)
    assert second[0] is first[0] and second[1] is not first[1] and len(second[1].bars) == 2
    board.add([run(80, 9, "0")])
    assert [each.seconds for each in board.lanes([stay], going)[0].bars] == [50, 9]


def test_parts_and_marks_are_those_of_the_report() -> None:
    stay = Stay("1", NODE, 0.0, 80.0, 70.0, ("0",))
    ran = [run(10, 20, "0"), run(35, 5, "0")]
    (lane,) = lanes(stay, ran)
    parts = lane.parts(0, ms(100), ms(100))
    told = report({"": ([stay], ran)}, since=0, until=ms(100))
    (part,) = [each for each in told.parts if each.gpu]
    assert [each._replace(gpu="0") for each in parts] == [part]
    bounds = [ms(10 * n) for n in range(11)]
    assert marks(parts, [], bounds) == [*"idle busy busy part idle idle idle down none none".split()]
    assert marks(parts, [(ms(10), ms(20))], bounds)[1] == "bad"


def test_what_runs_has_come_as_far_as_now() -> None:
    (lane,) = lanes(Stay("1", NODE, 0.0, inf, inf, ("0",)), [run(10, inf, "0")])
    (part,) = lane.parts(0, ms(100), ms(60))
    assert (part.held, part.busy, part.idle) == ((0, ms(60)), ((ms(10), ms(60)),), ((0, ms(10)),))


def test_an_axis_has_round_times_that_do_not_touch() -> None:
    for hours in (0.1, 1, 6, 48, 24 * 9):
        for columns in (10, 33, 80, 190):
            line = axis(ms(1e9), ms(1e9 + hours * 3600), columns)
            assert len(line) <= columns and (line.split() or columns < 20)
            times = [word for _, word in ticks(ms(1e9), ms(1e9 + hours * 3600), most=max(1, columns // 9))]
            assert all(word in times for word in line.split()[:-1])
