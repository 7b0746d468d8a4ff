"""An array in one row: its counts, how long the rest takes, and both in few letters."""

from __future__ import annotations

from leaseq.cli.rows import short_cause, short_id, short_reason, task_json
from leaseq.models import State
from leaseq.reading.views import ArrayView, TaskView

COUNTS = {State.RUNNING: 3, State.DONE: 8, State.FAILED: 1}


def row(array: ArrayView, state: State = State.RUNNING, reason: str = "") -> TaskView:
    return TaskView("T00000000001", 1, state, reason, array=array)


def test_an_array_says_how_many_are_in_each_state() -> None:
    assert str(ArrayView(12, COUNTS)) == "12: 3 run, 8 done, 1 failed"
    assert str(ArrayView(50_000, {State.DONE: 1_000})) == "50,000: 49,000 wait, 1,000 done"
    assert str(ArrayView(2)) == "2: 2 wait"


def test_what_is_left_goes_by_those_that_have_ended_and_by_how_many_run() -> None:
    array = ArrayView(100, {State.RUNNING: 4, State.DONE: 46}, mean_seconds=60.0)
    assert array.left_seconds == 60.0 * (50 + 2) / 4
    assert ArrayView(100, {State.DONE: 46}, mean_seconds=60.0).left_seconds is None
    assert ArrayView(100, {State.RUNNING: 4}).left_seconds is None


def test_the_row_has_the_counts_the_time_left_and_why_nothing_runs() -> None:
    assert short_reason(row(ArrayView(12, COUNTS, mean_seconds=60.0))) == "12: 3 run, 8 done, 1 failed, 30 s left"
    assert short_reason(row(ArrayView(12), State.PENDING, "Queued: next")) == "12: 12 wait, Queued: next"
    assert short_reason(row(ArrayView(12, {State.DONE: 12}), State.DONE)) == "12: 12 done"


def test_in_a_narrow_column_it_is_how_many_are_done_and_how_many_failed() -> None:
    assert short_cause("12: 3 run, 8 done, 1 failed, 30 s left") == "8/12 1F"
    assert short_cause("50,000: 49,000 wait, 1,000 done") == "1,000/50,000"
    assert short_cause("2: 2 wait, Queued: next") == "0/2"
    assert short_id("T0123456789a_17") == "T0123456_17"


def test_the_document_of_an_array_has_each_state() -> None:
    said = task_json(row(ArrayView(12, COUNTS)))["array"]
    assert isinstance(said, dict)
    assert (said["size"], said["counts"]["DONE"], said["counts"]["PENDING"]) == (12, 8, 0)
    assert (said["throttle"], said["max_fails"]) == (None, None)
    assert task_json(TaskView("T00000000001", 1, State.DONE))["array"] is None


def test_a_bar_a_rate_and_an_end_come_from_the_indices_that_have_ended() -> None:
    array = ArrayView(100, {State.RUNNING: 4, State.DONE: 40, State.FAILED: 6}, mean_seconds=60.0)
    assert (array.fraction, array.per_second) == (0.46, 4 / 60)
    assert array.pace == "46 % · 4 a minute · about 13 min left"
    assert ArrayView(100, {State.DONE: 46}).pace == "46 %"
    assert (ArrayView(100).fraction, ArrayView(100).per_second, ArrayView(100).pace) == (None, None, "")
    said = task_json(row(array))["array"]
    assert isinstance(said, dict) and (said["fraction"], said["per_second"]) == (0.46, 4 / 60)
