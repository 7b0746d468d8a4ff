"""What is opened over the lists: what each view shows at every size, where its cursor goes, what Enter goes on to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import pytest

from leaseq.dataclass import replace
from leaseq.indices import Indices
from leaseq.lease.kept import Kept
from leaseq.models import State
from leaseq.monitor import grid
from leaseq.monitor.arranging import arranged
from leaseq.monitor.data import Books, Forest, Seen
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.mouse import moved as moused
from leaseq.monitor.moves import Mouse
from leaseq.monitor.pane import Pane
from leaseq.monitor.press import press
from leaseq.monitor.stage import laid_out
from leaseq.monitor.text import width
from leaseq.monitor.timeline import window
from leaseq.monitor.view import frame, plain
from leaseq.monitor.viewing import Viewing
from leaseq.monitor.wants import Look, want
from leaseq.protocol.marks import CODES
from leaseq.protocol.succession import How
from leaseq.reading.timeline import Board, Story
from leaseq.reading.tree import Branch
from leaseq.reading.unfolding import Unfolded
from leaseq.reading.usage import Held, Run, Stay
from leaseq.reading.views import ArrayView, TaskView
from tests.unit import monitor_scenes as situations
from tests.unit.monitor_scenes import typed
from tests.unit.test_monitor_golden import check, drawn, utc

__all__ = ["utc"]

ARRAY = situations.task_id(15)


def text(scene: Scene) -> str:
    return plain(drawn(scene))


# -- grids -------------------------------------------------------------------------------------------------


def states(size: int, *, done: int, running: int, bad: int = 0, every: int = 17) -> bytes:
    """So many indices of which the first are done, every few of them failed, the next run, and the others wait."""
    found = bytearray([CODES[State.PENDING]]) * size
    found[:done] = bytes([CODES[State.DONE]]) * done
    for place in list(range(7, done, every))[: bad or None]:
        found[place] = CODES[State.FAILED]
    found[done : done + running] = bytes([CODES[State.RUNNING]]) * running
    return bytes(found)


def index_row(index: int, state: State, **more: object) -> TaskView:
    values = {"lr": f"{1 + index % 3}e-4", "seed": str(index)}
    return TaskView(f"{ARRAY}_{index}", 1, state, values=values, command="python sweep.py", **more)  # type: ignore[arg-type]


def unfolded(size: str, count: int = 120, *, first: int = 0, of: bytes = b"", **choices: object) -> Scene:
    """An array whose indices are shown, the cursor on the first that failed."""
    of = of or states(count, done=count * 2 // 3, running=3)
    body = Unfolded(ARRAY, of, Indices([range(first, first + len(of))]))
    failed = index_row(
        first + 7,
        State.FAILED,
        node="gpu-node-02",
        gpus=("3",),
        exit_code=1,
        elapsed_seconds=38.0,
        started=situations.WALL,
    )
    counts = body.counts()
    row = TaskView(
        ARRAY, 1, State.RUNNING, name="lr-sweep", command="python sweep.py", array=ArrayView(len(of), counts)
    )
    data = situations.busy()
    assert data.lease.snapshot
    shot = replace(data.lease.snapshot, tasks=(row, *data.lease.snapshot.tasks))
    seen = Seen("grid", ARRAY, body, {failed.id: failed})
    errors = {(failed.id, 1): situations.TRACEBACK[-1]}
    log = situations.log(failed.id, "\n".join(("epoch 1", *situations.TRACEBACK)))
    data = replace(situations.with_snapshot(data, shot), seen=seen, errors=errors, log=log)
    view = Viewing(Pane.GRID, ARRAY, place=7, task=ARRAY)
    ui = Ui(**{"focus": Pane.GRID, "last_list": Pane.GRID, "view": view, "task": failed.id, **choices})  # type: ignore[arg-type]
    return arranged(situations.scene(data, ui, size=size))


def million(size: str, **choices: object) -> Scene:
    of = states(1_000_000, done=620_000, running=512, bad=40, every=9973)
    return unfolded(size, of=of, **choices)  # type: ignore[arg-type]


def of_group(size: str) -> Scene:
    """The tasks of a group, an array among them."""
    data = situations.busy()
    assert data.lease.snapshot
    rows = [replace(row, group="eval") for row in data.lease.snapshot.tasks]
    rows.sort(key=lambda row: row.submitted or 0.0)
    body = Unfolded("", bytes(CODES[row.state] for row in rows), rows=tuple(rows), recent=5000)
    data = replace(data, seen=Seen("grid", "group:eval", body, {row.id: row for row in rows}))
    view = Viewing(Pane.GRID, "group:eval", task=situations.task_id(70))
    ui = Ui(focus=Pane.GRID, last_list=Pane.GRID, view=view, task=situations.task_id(70))
    return arranged(situations.scene(data, ui, size=size))


# -- timelines ---------------------------------------------------------------------------------------------


def ran(
    number: int,
    node: str,
    gpus: str,
    began: float,
    seconds: float,
    state: State = State.DONE,
    name: str = "",
    **more: object,
) -> Run:
    """began: hours before now."""
    start = situations.WALL - began * 3600
    command = f"python {name or 'train'}.py --seed {number}"
    return Run(
        node, start, seconds, tuple(gpus), situations.task_id(number), 1, state, name, "", command, start - 60
    )._replace(**more)  # type: ignore[arg-type]


def story(
    runs: Sequence[Run],
    *,
    hours: float = 9.0,
    heard: float | None = None,
    since: float = 0.0,
    node: str = "",
    gpus: str = "0123",
) -> Story:
    """Two nodes of four GPUs each, or that node, held for so many hours."""
    begin = situations.WALL - hours * 3600
    nodes = (node,) if node else ("gpu-node-01", "gpu-node-02")
    stays = [Stay("48213", each, begin, inf, heard or inf, tuple(gpus)) for each in nodes]
    board = Board()
    board.add(run for run in runs if run.state.ended)
    going = [run._replace(seconds=inf) for run in runs if not run.state.ended]
    return Story(board.lanes(stays, going), since)


FOLDS = (State.DONE, State.DONE, State.FAILED, State.DONE)


def usual_runs() -> list[Run]:
    now = State.RUNNING
    return [
        ran(10, "gpu-node-01", "01", 2.01, 7234.0, now, "vit-l"),
        ran(11, "gpu-node-01", "2", 0.84, 3021.0, now, "resnet50"),
        ran(12, "gpu-node-02", "0123", 0.15, 512.0, now),
        ran(70, "gpu-node-02", "0", 2.2, 1400.0, State.FAILED, "vit-h"),
        ran(71, "gpu-node-01", "01", 4.5, 7200.0, State.TIMEOUT, "search"),
        *(ran(300 + n, "gpu-node-02", "1", 5.0 - n * 0.02, 60.0, name="eval") for n in range(120)),
        *(
            ran(500 + n, "gpu-node-02", "2", 5.0 - n, 2400.0, State.FAILED if n == 2 else State.DONE, "fold")
            for n in range(4)
        ),
        ran(600, "gpu-node-02", "", 3.0, 3600.0, name="copy"),
    ]


def timeline_scene(size: str, runs: Sequence[Run] | None = None, view: Viewing | None = None, **more: object) -> Scene:
    data = situations.busy()
    body = story(usual_runs() if runs is None else runs, **more)  # type: ignore[arg-type]
    data = replace(data, seen=Seen("timeline", "48213", body))
    view = view or Viewing(Pane.TIMELINE, "48213")
    ui = Ui(focus=Pane.TIMELINE, last_list=Pane.TIMELINE, view=view, task=situations.task_id(10))
    return arranged(situations.scene(data, ui, size=size))


def without_gpus(size: str) -> Scene:
    """A node without GPUs: a slot for each of what ran side by side."""
    runs = [ran(n, "atlas", "", 5 - n / 3, 2400.0, State.LOST if n == 4 else State.DONE, f"fit-{n}") for n in range(12)]
    body = story(runs, hours=5, heard=situations.WALL - 1800, node="atlas", gpus="")
    data = replace(situations.one_lease(), seen=Seen("timeline", "local:atlas", body))
    ui = Ui(focus=Pane.TIMELINE, last_list=Pane.TIMELINE, view=Viewing(Pane.TIMELINE, "local:atlas"))
    return arranged(situations.scene(data, ui, size=size))


def chain() -> list[TaskView]:
    """Folds after a preparation, one of which failed, and what waits for them all."""
    prep = situations.ended(800, State.DONE, "gpu-node-01", "python prep.py", ago=900, took=300, name="prep")
    fold = situations.ended(801, State.DONE, "gpu-node-01", "python fold.py 1", ago=200, took=600, name="fold-1")
    bad = situations.ended(802, State.FAILED, "gpu-node-02", "python fold.py 2", ago=700, took=90, exit_code=1)
    runs = situations.running(803, "gpu-node-02", ("1",), "python fold.py 3", 412.0, "fold-3")
    join = situations.pending(810, "python join.py --all", reason="Dependency: T RUNNING", name="join")
    report = situations.pending(811, "python report.py", reason="Dependency: T PENDING")
    other = situations.running(820, "gpu-node-01", ("2",), "make data", 63.0)
    more = situations.pending(821, "make plots", reason="Dependency: T RUNNING")
    return [prep, fold, bad, runs, join, report, other, more]


def forest(size: str, **choices: object) -> Scene:
    prep, fold, bad, runs, join, report, other, more = chain()
    folds = (fold.id, bad.id, runs.id)
    branches = (
        Branch(prep),
        Branch(fold, (False,), (prep.id,)),
        Branch(bad, (False,), (prep.id,)),
        Branch(runs, (True,), (prep.id,)),
        Branch(join, (True, True), folds),
        Branch(report, (True, True, True), (join.id, "Tgone0000000")),
        Branch(other),
        Branch(more, (True,), (other.id,)),
    )
    rows = {each.row.id: each.row for each in branches}
    data = replace(situations.busy(), seen=Seen("dependencies", "48213", Forest(branches, 0, 200), rows))
    view = Viewing(Pane.TREE, "48213", task=situations.task_id(10))
    ui = Ui(**{"focus": Pane.TREE, "last_list": Pane.TREE, "view": view, "task": report.id, **choices})  # type: ignore[arg-type]
    return arranged(situations.scene(data, ui, size=size))


def jobs_scene(size: str) -> Scene:
    """A lease that is kept: a job that runs, one that waits, two that have ended."""
    data = situations.several_jobs()
    row = data.leases.rows[0]
    now = situations.WALL
    hours = {"48213": (12.0, 10.5, 24.0, 21.75), "48102": (16.0, 4.0, 64.0, 9.5), "47990": (16.0, 16.0, None, None)}
    held = tuple(
        Held(
            alloc,
            now - ago,
            None if ago < 20000 else now - ago + 28800,
            ("gpu-node-01", "gpu-node-02"),
            *hours[alloc.id],
        )
        for (alloc, _), ago in zip((*row.ended, row.allocs[0]), (99000, 33000, 17300), strict=True)
    )
    how = How("", seconds=3 * 86400, overlap_minutes=15)
    waits, state = row.allocs[1]
    row = replace(row, kept=Kept(how, until=now + 86400, asked="w1"))
    row = replace(row, allocs=(row.allocs[0], (replace(waits, token="w1"), state)))
    rows = (row, *data.leases.rows[1:])
    data = replace(data, leases=replace(data.leases, rows=rows), seen=Seen("allocations", row.id, Books(held)))
    ui = Ui(
        focus=Pane.JOBS, last_list=Pane.JOBS, view=Viewing(Pane.JOBS, row.id, at="48213", task=situations.task_id(10))
    )
    return arranged(situations.scene(data, ui, size=size))


VIEWS: dict[str, Callable[[str], Scene]] = {
    "grid": unfolded,
    "grid-million": million,
    "grid-group": of_group,
    "timeline": timeline_scene,
    "timeline-slots": without_gpus,
    "tree": forest,
    "jobs": jobs_scene,
}


@pytest.mark.parametrize("size", situations.SIZES)
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_looks_like_its_golden_frame(name: str, size: str) -> None:
    check(f"view.{name}.{size}", drawn(VIEWS[name](size)))


@pytest.mark.parametrize("name", ["grid", "timeline", "tree", "jobs"])
def test_the_help_of_a_view_has_its_keys_and_signs(name: str) -> None:
    scene = VIEWS[name]("120x40")
    check(f"view.help-{name}", drawn(typed(scene, "?")))


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_in_ascii_without_colour_says_the_same(name: str) -> None:
    scene = VIEWS[name]("120x40")
    lettered = replace(scene, ui=replace(scene.ui, ascii=True))
    check(f"view.{name}.ascii", drawn(lettered))
    assert text(lettered).isascii()


@pytest.mark.parametrize("columns", [1, 2, 5, 20, 39, 60, 79, 120, 161, 300])
@pytest.mark.parametrize("lines", [1, 3, 5, 8, 13, 14, 24, 70])
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_a_frame_of_exactly_the_size_of_the_terminal(name: str, columns: int, lines: int) -> None:
    picture = drawn(replace(VIEWS[name]("80x24"), columns=columns, lines=lines))
    assert len(picture) == lines
    assert {width(row) for row in picture} == {columns}


@pytest.mark.parametrize("size", situations.SIZES)
@pytest.mark.parametrize("count", [1, 9, 10, 11, 119, 120, 5000, 1_000_000, 3_999_999])
def test_every_index_has_a_cell_that_is_in_the_pane(size: str, count: int) -> None:
    scene = unfolded(size, of=states(count, done=count // 2, running=1))
    rect = laid_out(scene).panes[Pane.GRID]
    body, view = grid.unfolded(scene), scene.ui.view
    assert body is not None and view is not None
    made = grid.shape(body, view, rect.width, rect.height)
    assert made.cells * made.each >= count > (made.cells - 1) * made.each
    assert -(-made.cells // made.across) <= max(1, rect.height - 1 - made.told)
    shown = "".join(part for row in grid.rows(scene, rect.width, rect.height)[1 : -made.told] for part, _ in row)
    assert sum(sign in "✓✗●○⊗◉◐" for sign in shown) == made.cells
    done = count // 2 - len(range(7, count // 2, 17))
    assert f"✓ {done:,} done" in text(scene) or f"✓{done:,}" in text(scene) or count < 2


def test_a_cell_of_many_shows_the_one_that_failed_and_counts_them() -> None:
    scene = million("80x24")
    assert "40 failed" in text(scene) and "2,000 a cell" in text(scene)
    assert text(scene).count("⊗") == 40
    assert "▸8000 … 9999: 1,999 done, 1 failed" in text(typed(scene, "g", "n"))


def test_enter_divides_a_cell_until_it_is_an_index_and_esc_goes_back() -> None:
    scene = typed(million("80x24"), "g")
    assert scene.ui.task == ""
    spans = []
    while scene.ui.task == "":
        scene = typed(scene, "enter")
        assert scene.ui.view
        spans.append((scene.ui.view.first, scene.ui.view.last))
    assert spans == [(0, 2000), (0, 5)]
    assert scene.ui.task == f"{ARRAY}_0" and want(scene).look == Look("48213", "grid", ARRAY, f"{ARRAY}_0")
    back = typed(scene, "esc", "esc")
    assert back.ui.view and back.ui.view.last == 0
    gone = typed(back, "esc")
    assert gone.ui.view is None and gone.task and gone.task.id == ARRAY and gone.ui.focus is Pane.TASKS


def test_enter_on_an_index_shows_its_detail_over_its_output() -> None:
    scene = typed(unfolded("80x24"), "enter")
    assert set(laid_out(scene).panes) == {Pane.DETAIL, Pane.LOGS}
    assert scene.task and scene.task.id == f"{ARRAY}_7" and want(scene).task == scene.task.id
    assert "FAILED (exit 1)" in text(scene) and "CUDA out of memory" in text(scene)
    back = typed(scene, "esc")
    assert back.ui.focus is Pane.GRID and back.ui.task == f"{ARRAY}_7"


def test_the_cursor_goes_by_cells_and_rows_and_stays_within() -> None:
    scene = unfolded("80x24", 95)
    at = [scene.ui.view.place if scene.ui.view else -1]
    for key in ("l", "j", "j", "j", "h", "k", "G", "l", "g", "h", "k"):
        scene = typed(scene, key)
        assert scene.ui.view
        at.append(scene.ui.view.place)
    assert at == [7, 8, 38, 68, 94, 93, 63, 94, 94, 0, 0, 0]
    assert scene.ui.task == f"{ARRAY}_0"


def test_n_goes_from_one_that_went_wrong_to_the_next() -> None:
    scene = unfolded("80x24")
    found = []
    for key in ("n", "n", "N", "N", "N"):
        scene = typed(scene, key)
        found.append(scene.ui.task.partition("_")[2])
    assert found == ["24", "41", "24", "7", "7"]
    assert scene.ui.message and scene.ui.message.text == "none went wrong before this one"


def test_a_group_keeps_its_cursor_on_the_task_when_others_come() -> None:
    scene = of_group("80x24")
    body = scene.data.seen.body
    assert isinstance(body, Unfolded) and scene.task and scene.task.state is State.FAILED
    rows = (situations.ended(5, State.DONE, "gpu-node-01", "old", ago=9000, took=5), *body.rows)
    more = Unfolded("", bytes(CODES[row.state] for row in rows), rows=rows)
    later = arranged(replace(scene, data=replace(scene.data, seen=replace(scene.data.seen, body=more))))
    assert later.ui.task == scene.ui.task and later.ui.view and scene.ui.view
    assert later.ui.view.place == scene.ui.view.place + 1


def test_an_array_in_a_group_is_unfolded_from_there() -> None:
    scene = of_group("80x24")
    body = scene.data.seen.body
    assert isinstance(body, Unfolded)
    row = replace(body.rows[0], array=ArrayView(5), id=ARRAY)
    seen = Seen("grid", "group:eval", replace(body, rows=(row, *body.rows[1:])), {ARRAY: row})
    scene = typed(replace(scene, data=replace(scene.data, seen=seen)), "g", "enter")
    assert scene.ui.view and scene.ui.view.of == ARRAY
    assert "reading" in text(scene)


def test_what_has_no_grid_says_why() -> None:
    whole = unfolded("80x24")
    for body, said in (
        (Unfolded(ARRAY, too_many=9_000_000), "9,000,000 indices: a grid has 4,194,304 at most"),
        (Unfolded(ARRAY, every=Indices([range(9)]), fraction=0.436), "reading … 43 % of what its nodes have written"),
        (None, "reading …"),
    ):
        scene = arranged(replace(whole, data=replace(whole.data, seen=replace(whole.data.seen, body=body))))
        assert said in text(scene)
    failed = replace(whole.data, seen=Seen("grid", ARRAY, failure="no such file"))
    assert "no such file" in text(replace(whole, data=failed))


def test_keys_of_the_list_act_on_the_index_and_never_on_what_was_marked_under_the_view() -> None:
    scene = unfolded("80x24", marks=frozenset({situations.task_id(20)}))
    assert [task.id for task in scene.chosen] == [f"{ARRAY}_7"]
    asked = press(replace(scene, data=replace(scene.data)), "r")
    assert [effect.words for effect in asked.effects] == [("redo", "--lease", "48213", f"{ARRAY}_7")]  # type: ignore[attr-defined]


def test_ctrl_c_leaves_a_view_and_quits_only_from_the_lists() -> None:
    step = press(unfolded("80x24"), "ctrl-c")
    assert step.effects == () and step.ui.view is None
    assert press(arranged(replace(unfolded("80x24"), ui=step.ui)), "ctrl-c").effects


def test_a_click_is_on_the_cell_that_is_there_and_a_second_one_opens_it() -> None:
    scene = unfolded("80x24")
    rows = plain(frame(scene)).split("\n")
    y = next(n for n, row in enumerate(rows) if "   0 ✓" in row)
    x = [n for n, sign in enumerate(rows[y]) if sign == "✗"][1]
    once = moused(scene, Mouse("press", x, y))
    assert once.ui.task == f"{ARRAY}_24"
    scene = arranged(replace(scene, ui=once.ui))
    again = moused(scene, Mouse("press", x, y))
    assert again.ui.view == once.ui.view  # nothing is known of that index yet
    outside = moused(scene, Mouse("press", 70, y))
    assert outside.ui.task == f"{ARRAY}_24"


def lane_of(scene: Scene, title: str) -> str:
    """What is drawn of that lane."""
    return next(line.partition(f"{title} ")[2] for line in text(scene).split("\n") if f"{title} " in line)


def test_a_timeline_begins_on_what_was_selected_and_shows_its_output() -> None:
    scene = timeline_scene("120x40")
    assert scene.ui.view and scene.ui.view.at == "gpu-node-01:0:0" and scene.task
    assert (scene.task.id, scene.ui.log_attempt, want(scene).task) == (
        situations.task_id(10),
        1,
        situations.task_id(10),
    )
    assert want(scene).look == Look("48213", "timeline", "48213", "", 20700)
    assert "vit-l━" in lane_of(scene, "gpu-node-01:1") and "▶" in lane_of(scene, "gpu-node-01:1")
    assert "search━" in lane_of(scene, "gpu-node-01:0") and "◷" in lane_of(scene, "gpu-node-01:0")
    assert "···" in lane_of(scene, "gpu-node-01:3") and "fold━" in lane_of(scene, "gpu-node-02:2")
    assert "copy━" in text(scene)


def test_a_view_begins_on_the_first_task_of_the_list_if_none_was_selected() -> None:
    scene = typed(arranged(situations.scene(situations.busy())), "T")
    assert scene.ui.task == situations.task_id(10) and want(scene).task == situations.task_id(10)


def test_the_cursor_walks_lanes_and_what_ran_in_them() -> None:
    scene = typed(timeline_scene("120x40"), "h")
    assert scene.ui.task == situations.task_id(71)
    scene = typed(scene, "j")
    assert scene.ui.task == situations.task_id(71) and scene.ui.view and scene.ui.view.at == "gpu-node-01:1:0"
    scene = typed(scene, "h")
    assert scene.ui.message and scene.ui.message.text == "nothing earlier is read of this row"
    scene = typed(scene, "l", "j")
    assert scene.ui.task == situations.task_id(11)
    scene = typed(scene, "j")
    assert scene.ui.task == "" and "gpu-node-01:3: nothing ran here in this time" in text(scene)
    assert typed(scene, "G").ui.task == situations.task_id(600)
    assert typed(scene, "g").ui.view.at == "gpu-node-01:0:0"  # type: ignore[union-attr]


def test_the_window_is_scrolled_zoomed_and_brought_back_to_now() -> None:
    scene = timeline_scene("120x40")
    assert "02:30 to 08:30" in text(scene)
    scene = typed(scene, ",")
    assert "23:30 to 05:30" in text(scene)
    assert scene.ui.view and scene.ui.view.last and want(scene).look.back >= 30600  # type: ignore[union-attr]
    scene = typed(scene, "0", "+")
    assert "06:20 to 08:20" in text(scene)
    for _ in range(9):
        scene = typed(scene, "-")
    assert scene.ui.message and scene.ui.message.text == "this is the longest time"
    for _ in range(12):
        scene = typed(scene, "+")
    assert scene.ui.message and scene.ui.message.text == "this is the shortest time"
    scene = typed(scene, "0", ".")
    assert scene.ui.message and scene.ui.message.text == "this is now"


def test_what_is_not_heard_of_yet_is_not_left() -> None:
    scene = timeline_scene("120x40", [])
    assert scene.ui.task == situations.task_id(10) and "not known to have run then" in text(scene)
    seen = replace(scene.data.seen, body=story(usual_runs()))
    later = arranged(replace(scene, data=replace(scene.data, seen=seen)))
    assert later.ui.view and later.ui.view.at == "gpu-node-01:0:0"
    nearer = typed(later, "+", "+")
    assert nearer.ui.view and nearer.ui.view.last == 0, "what runs is looked at up to now"


def test_going_to_what_ran_before_the_window_moves_the_window() -> None:
    view = Viewing(Pane.TIMELINE, "48213", first=3600)
    scene = timeline_scene("120x40", view=view)
    assert "search" not in lane_of(scene, "gpu-node-01:0")
    scene = typed(scene, "h")
    assert scene.ui.task == situations.task_id(71) and "search" in lane_of(scene, "gpu-node-01:0")
    back = typed(scene, "l")
    assert back.ui.task == situations.task_id(10) and "▶" in lane_of(back, "gpu-node-01:0")


def test_what_is_not_read_is_said() -> None:
    scene = timeline_scene("120x40", since=situations.WALL - 2 * 3600)
    assert "not all is read before 06:10" in text(scene)
    assert "no node was ever heard of" in text(
        replace(scene, data=replace(scene.data, seen=Seen("timeline", "48213", Story((), 0.0))))
    )
    assert "reading …" in text(replace(scene, data=replace(scene.data, seen=Seen())))


def test_down_is_not_idle_and_what_was_not_held_is_blank() -> None:
    scene = timeline_scene("120x40", [], hours=3.0, heard=situations.WALL - 3600)
    lane = lane_of(scene, "gpu-node-01:0")
    held = lane.rstrip(" │")
    assert held.strip().count("!") > held.count("·") / 3 and held.startswith(" " * 30)
    assert "idle 65 %" in text(scene) and "down 34 %" in text(scene)


def test_several_in_one_column_are_a_mark_and_one_of_them_can_be_chosen() -> None:
    scene = timeline_scene("80x24")
    scene = typed(scene, *"jjjjj", "h", "h")
    assert scene.ui.task.startswith("T") and "eval" in text(scene)
    assert set(lane_of(scene, "gpu-node-02:1").strip(" │")) & {"▒", "█"}
    narrow = typed(scene, "+", "+", "+", "+")
    assert "eval" in lane_of(narrow, "gpu-node-02:1")


def test_a_click_in_a_lane_is_on_what_ran_there_then() -> None:
    scene = timeline_scene("120x40")
    lines = plain(frame(scene)).split("\n")
    y = next(n for n, line in enumerate(lines) if "gpu-node-02:2" in line)
    x = lines[y].index("fold") + 1
    step = moused(scene, Mouse("press", x, y))
    assert step.ui.task == situations.task_id(500)
    assert step.ui.view and step.ui.view.at == "gpu-node-02:2:0"


def test_enter_on_a_bar_shows_the_attempt_that_ran_there() -> None:
    runs = [
        ran(70, "gpu-node-02", "0", 2.2, 1400.0, State.FAILED, attempt=1),
        ran(70, "gpu-node-02", "1", 1.2, 100.0, attempt=2),
    ]
    scene = timeline_scene("120x40", runs)
    data = scene.data
    assert data.lease.snapshot
    tasks = tuple(
        replace(row, attempt=2) if row.id == situations.task_id(70) else row for row in data.lease.snapshot.tasks
    )
    shot = replace(data.lease.snapshot, tasks=tasks)
    scene = typed(replace(scene, data=situations.with_snapshot(data, shot)), "G", "k", "k", "k")
    assert (scene.ui.task, want(scene).attempt) == (situations.task_id(70), 1)
    one = typed(scene, "enter")
    assert (
        (one.ui.task, want(one).attempt) == (situations.task_id(70), 1)
        and one.ui.view
        and one.ui.view.pane is Pane.DETAIL
    )
    assert typed(one, "esc").ui.view.at == "gpu-node-02:0:0"  # type: ignore[union-attr]


# -- dependencies ------------------------------------------------------------------------------------------


def test_the_tree_keeps_its_cursor_on_the_task_and_says_what_that_comes_after() -> None:
    scene = forest("120x40")
    assert scene.ui.view and scene.ui.view.place == 5 and want(scene).task == scene.ui.task
    join = situations.task_id(810)[:8]
    assert f"PENDING: after {join} PENDING, Tgone000 not read" in text(scene)
    body = scene.data.seen.body
    assert isinstance(body, Forest)
    fewer = replace(scene.data.seen, body=Forest(body.branches[1:]))
    later = arranged(replace(scene, data=replace(scene.data, seen=fewer)))
    assert later.ui.task == scene.ui.task and later.ui.view and later.ui.view.place == 4


def test_the_cursor_of_the_tree_goes_down_up_to_what_is_waited_for_and_back() -> None:
    scene = forest("80x24")
    found = []
    for key in ("h", "h", "h", "l", "j", "G", "k", "g"):
        scene = typed(scene, key)
        assert scene.ui.view
        found.append(scene.ui.view.place)
    assert found == [4, 3, 0, 1, 2, 7, 6, 0]
    one = typed(scene, "j", "enter")
    assert one.ui.view and one.ui.view.pane is Pane.DETAIL and one.ui.task == situations.task_id(801)
    back = typed(one, "esc")
    assert back.ui.view and back.ui.view.pane is Pane.TREE and back.ui.task == situations.task_id(801)
    gone = typed(back, "esc")
    assert gone.ui.view is None and gone.ui.task == situations.task_id(10)


def test_a_lease_without_dependencies_says_so_and_of_which_tasks() -> None:
    scene = forest("80x24")
    bare = replace(scene.data.seen, body=Forest((), 300, 200), rows={})
    shown = text(arranged(replace(scene, data=replace(scene.data, seen=bare))))
    assert "no task comes after another one" in shown
    assert "of the first 300 pending and the last 200 that ended" in shown


def test_a_click_in_the_tree_selects_and_a_second_one_opens() -> None:
    scene = forest("80x24")
    rect = laid_out(scene).panes[Pane.TREE]
    once = moused(scene, Mouse("press", rect.x + 5, rect.y + 1))
    assert once.ui.task == situations.task_id(801)
    again = moused(arranged(replace(scene, ui=once.ui)), Mouse("press", rect.x + 5, rect.y + 1))
    assert again.ui.view and again.ui.view.pane is Pane.DETAIL


# -- allocations -------------------------------------------------------------------------------------------


def test_allocations_say_what_is_next_first_and_what_each_used() -> None:
    shown = text(jobs_scene("120x40"))
    jobs = [line.split()[1] for line in shown.split("\n") if line.startswith("│ 4")]
    assert jobs == ["48377", "48213", "48102", "47990"]
    assert "one job follows the other, up to 15 min before its end" in shown
    assert "next 48377 pending (Priority, about 12:40)" in shown


def test_enter_on_an_allocation_shows_what_ran_while_it_was_held() -> None:
    scene = typed(jobs_scene("120x40"), "j")
    assert scene.ui.view and scene.ui.view.at == "48102"
    opened = typed(scene, "enter")
    assert opened.ui.view and (opened.ui.view.pane, opened.ui.view.first) == (Pane.TIMELINE, 12 * 3600)
    since, until = window(opened.ui.view, situations.WALL)
    begin = situations.WALL - 33000
    assert since <= begin and until >= begin + 28800
    assert typed(opened, "esc").ui.view == scene.ui.view


def test_a_view_of_allocations_has_the_whole_screen() -> None:
    scene = jobs_scene("200x50")
    assert set(laid_out(scene).panes) == {Pane.JOBS}
    said = typed(scene, "tab").ui.message
    assert said and said.text == "there is no other pane: Esc goes back"


def test_enter_on_the_lease_that_is_looked_at_shows_its_allocations() -> None:
    scene = arranged(situations.scene(situations.several_jobs(), Ui(focus=Pane.LEASES)))
    opened = typed(scene, "enter")
    assert opened.ui.view and (opened.ui.view.pane, opened.ui.view.of) == (Pane.JOBS, "48213")
    assert typed(opened, "esc").ui.focus is Pane.LEASES


def test_the_output_of_a_task_that_is_shown_alone_gives_the_screen_back_to_it() -> None:
    scene = typed(unfolded("80x24"), "enter", "z")
    assert set(laid_out(scene).panes) == {Pane.LOGS}
    back = typed(scene, "z")
    assert set(laid_out(back).panes) == {Pane.DETAIL, Pane.LOGS} and back.ui.task == f"{ARRAY}_7"
    assert typed(back, "esc").ui.focus is Pane.GRID


def test_a_filter_leads_from_a_view_to_the_list() -> None:
    for key in ("F", "/", "3"):
        scene = typed(unfolded("200x50"), "tab", key)
        assert scene.ui.view is None and scene.ui.focus is Pane.TASKS


def test_a_shell_from_a_view_is_on_the_node_of_what_the_cursor_is_on() -> None:
    for scene, words in (
        (unfolded("80x24"), ("shell", "--lease", "48213", "--node", "gpu-node-02")),
        (jobs_scene("80x24"), ("shell", "--lease", "48213")),
    ):
        assert [effect.words for effect in press(scene, "s").effects] == [words]  # type: ignore[attr-defined]
