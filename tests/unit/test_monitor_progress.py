"""The monitor says how far tasks are, and when the queue is empty."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from leaseq.dataclass import replace
from leaseq.layout import Home
from leaseq.models import State
from leaseq.monitor.ahead import ahead, moment
from leaseq.monitor.arranging import arranged
from leaseq.monitor.detail import content
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.panes import how_far
from leaseq.monitor.reader import Readers
from leaseq.monitor.theme import waited
from leaseq.monitor.view import frame, plain
from leaseq.monitor.wants import want
from leaseq.reading.forecast import Forecast
from leaseq.reading.views import ArrayView, Progress, TaskView
from leaseq.world import SystemClock, SystemFs
from tests.patience import wait_until
from tests.unit import monitor_scenes as situations
from tests.unit.monitor_scenes import WALL

RUNS = TaskView("T00000000001", 1, State.RUNNING, name="vit", command="python train.py")


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()


def busy(size: str = "120x40", **choices: object) -> Scene:
    return arranged(situations.scene(situations.busy(), Ui(**choices), size=size))  # type: ignore[arg-type]


def test_a_cell_has_the_time_left_if_there_is_room_for_it() -> None:
    task = replace(RUNS, progress=Progress(0.437, 72.0))
    assert (how_far(task, 60), how_far(task, 20)) == ("43 % · 1:12 left ", "43 %")
    part = replace(RUNS, progress=Progress(0.437, part="epoch 3"))
    assert (how_far(part, 60), how_far(part, 20)) == ("43 % of epoch 3 ", "43 % of part")
    assert how_far(RUNS, 60) == ""


def test_an_array_has_a_bar_where_there_is_room_for_it() -> None:
    array = replace(RUNS, array=ArrayView(20, {State.RUNNING: 2, State.DONE: 9}, mean_seconds=30.0))
    assert (how_far(array, 60), how_far(array, 20)) == ("████░░░░░░", "")
    assert how_far(replace(array, state=State.DONE), 60) == ""


def detail(task: TaskView, columns: int) -> str:
    scene = busy("200x50")
    assert scene.data.lease.snapshot
    shot = replace(scene.data.lease.snapshot, tasks=(task,))
    scene = replace(situations.scene(situations.with_snapshot(scene.data, shot), size="200x50"), room=20)
    rows = ["".join(text for text, _ in row) for row in content(scene, columns)]
    return next((row for row in rows if row.startswith(" progress")), "")


def test_the_detail_has_a_bar_and_words() -> None:
    array = replace(RUNS, array=ArrayView(20, {State.RUNNING: 2, State.DONE: 10}, mean_seconds=30.0))
    assert detail(array, 80) == " progress   ██████████░░░░░░░░░░ 50 % · 4 a minute · about 2 min left"
    assert detail(array, 50) == " progress   50 % · 4 a minute · about 2 min left"
    assert detail(replace(array, state=State.DONE), 80) == ""
    assert detail(RUNS, 80) == ""


def test_only_running_tasks_in_sight_are_read() -> None:
    scene = busy("80x24")
    shown = want(scene).running
    assert shown == tuple((row.id, row.attempt) for row in scene.tasks if row.state is State.RUNNING)
    many = arranged(situations.scene(situations.many_tasks(), size="80x24"))
    assert 0 < len(want(many).running) <= many.room + 1


def test_what_no_longer_runs_is_not_said_to_be_far() -> None:
    scene = busy()
    first = scene.tasks[0]
    assert scene.data.lease.snapshot and scene.data.progress[first.id] == first.progress
    ended = tuple(
        replace(row, state=State.DONE) if row.id == first.id else row for row in scene.data.lease.snapshot.tasks
    )
    later = replace(
        scene, data=situations.with_snapshot(scene.data, replace(scene.data.lease.snapshot, tasks=ended)), room=40
    )
    assert [row.progress for row in later.tasks if row.id == first.id] == [None]


def with_forecast(found: Forecast | None) -> Scene:
    scene = busy()
    return replace(scene, data=replace(scene.data, lease=replace(scene.data.lease, ahead=found)))


def test_the_title_says_when_the_queue_is_empty_and_what_will_not_fit() -> None:
    assert ahead(with_forecast(Forecast(14, 600.0, 1))) == "queue empty about 08:20, 1 task will not fit"
    assert ahead(with_forecast(Forecast(14, 600.0, 3)), short=True) == "queue empty ~08:20, 3 will not fit"
    assert ahead(with_forecast(Forecast(14, 600.0))) == "queue empty about 08:20"
    assert ahead(with_forecast(Forecast(14))) == ""
    assert ahead(with_forecast(None)) == ""


def test_the_words_stand_in_the_lease_s_title_or_in_that_of_the_tasks() -> None:
    wide, narrow = plain(frame(busy("200x50"))).split("\n"), plain(frame(busy("80x24"))).split("\n")
    assert "queue empty about" in wide[0] and not any("queue empty" in line for line in wide[1:])
    assert "queue empty" not in narrow[0] and "queue empty ~12:20, 5 will not fit" in narrow[1]


def test_a_time_far_away_is_said_with_its_day() -> None:
    assert moment(WALL + 100, WALL) == "08:12"
    assert moment(WALL + 2 * 86400, WALL) == "Thu 08:10"
    assert moment(WALL + 30 * 86400, WALL) == "2025-08-14"


def test_readers_tell_only_of_what_has_changed(tmp_path: Path) -> None:
    home = Home(str(tmp_path))
    log = Path(home.lease("1").log("T00000000001", 1, "err"))
    log.parent.mkdir(parents=True)
    log.write_text("step 1/100\n")
    news = threading.Event()
    readers = Readers(SystemFs(remote=False), home, SystemClock(), lease="1", wake=news.set, refresh=0.01)
    asked = replace(want(Scene(readers.data, Ui())), lease_id="1", running=(("T00000000001", 1),))
    readers.want(asked)
    threading.Thread(target=readers._run_progress, daemon=True).start()
    wait_until(lambda: readers.data.progress.get("T00000000001") == Progress(0.01), "the first line")
    known = readers.data.progress
    news.clear()
    assert not news.wait(0.2) and readers.data.progress is known
    log.write_text("step 1/100\nstep 2/100\n")
    wait_until(lambda: readers.data.progress.get("T00000000001") == Progress(0.02), "the second line")
    assert news.is_set()
    readers.want(replace(asked, paused=True))


def test_a_waiting_task_has_no_clock_that_ticks() -> None:
    assert [waited(each) for each in (None, 0.0, 59.9, 60.0, 119.0, 880.0, 7199.0, 7200.0)] == [
        "", "<1m", "<1m", "1m", "1m", "14m", "119m", "2h"
    ]  # fmt: skip
    scene = busy("80x24")
    later = replace(scene, now=scene.now + 1, wall=scene.wall + 1)
    changed = [one for one, two in zip(frame(scene), frame(later), strict=True) if one != two]
    assert not [row for row in changed if any("○PD" in text for text, _ in row)]
