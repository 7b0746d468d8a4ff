"""What keys and menus do to queues, what takes it back, where the cursor goes: from a scene to commands."""

from __future__ import annotations

import pytest

from leaseq.dataclass import replace
from leaseq.models import State
from leaseq.monitor import changing, clipboard, going, likes
from leaseq.monitor.arranging import arranged
from leaseq.monitor.deed import Undo
from leaseq.monitor.effects import Answer, Copy, Run, Watch
from leaseq.monitor.filters import Filter
from leaseq.monitor.menus import task_menu
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.outside import answered
from leaseq.monitor.overlays import Confirm, Menu
from leaseq.monitor.press import press
from leaseq.monitor.undo import KEPT, last
from leaseq.reading.views import ArrayView, TaskView
from leaseq.reading.waits import Wait
from leaseq.upstream import Upstream
from tests.unit import monitor_scenes as situations

FIRST, SECOND = situations.task_id(20), situations.task_id(21)
LEASE = "48213"


def queue(task: str = FIRST, **choices: object) -> Scene:
    return arranged(situations.scene(situations.queued(), Ui(task=task, **choices), size="120x40"))  # type: ignore[arg-type]


def with_task(scene: Scene, task_id: str, **fields: object) -> Scene:
    """The scene in which that task is otherwise."""
    shot = scene.data.lease.snapshot
    assert shot
    tasks = tuple(replace(task, **fields) if task.id == task_id else task for task in shot.tasks)  # type: ignore[arg-type]
    return Scene(
        situations.with_snapshot(scene.data, replace(shot, tasks=tasks)), scene.ui, 120, 40, scene.now, scene.wall
    )


def after(scene: Scene, run: Run, *, code: int = 0) -> Scene:
    """The scene once that command has ended."""
    answer = Answer(run, code, ((("leaseq: it is so", ""),),))
    return replace(scene, ui=answered(scene.ui, answer, now=situations.WALL).ui)


def ran(scene: Scene, keys: str) -> tuple[Scene, Run]:
    """The scene after these keys, and the one command that they ran."""
    effects: tuple[object, ...] = ()
    for key in keys:
        step = press(scene, key)
        scene, effects = replace(scene, ui=step.ui), step.effects
    (run,) = effects
    assert isinstance(run, Run)
    return scene, run


# -- undo --------------------------------------------------------------------------------------------


def test_each_is_taken_back_by_its_own_command() -> None:
    done = {
        ("cancel", ""): ("retry", "--lease", LEASE, FIRST),
        ("hold", ""): ("release", "--lease", LEASE, FIRST),
        ("release", ""): ("hold", "--lease", LEASE, FIRST),
        ("set", "3"): ("set", "--lease", LEASE, "--priority", "3", FIRST),
        ("move", "gpu-node-01"): ("move", "--node", "gpu-node-01", FIRST),
        ("move", "_any"): ("move", "--node", "any", FIRST),
    }
    for (verb, before), words in done.items():
        scene = queue()
        made = {"set": "5", "move": "_any"}.get(verb, "")
        if verb == "cancel":
            scene = with_task(scene, FIRST, state=State.CANCELLED)
        undo = Undo(LEASE, verb, (FIRST,), before={FIRST: before}, made=made)
        scene = replace(scene, ui=replace(scene.ui, undos=(undo,)))
        scene, run = ran(scene, "u")
        assert run.words == words
        assert after(scene, run).ui.message.text == f"undone: {run.undoes}: it is so"  # type: ignore[union-attr]
        assert last(scene) is None


def test_pausing_is_taken_back_of_the_lease_and_of_a_group() -> None:
    for group, more in (("", ()), ("eval", ("-g", "eval"))):
        for verb, back in (("pause", "resume"), ("resume", "pause")):
            scene = queue(undos=(Undo(LEASE, verb, group=group),))
            assert ran(scene, "u")[1].words == (back, "--lease", LEASE, *more)


def test_several_come_back_to_what_each_of_them_was() -> None:
    before = {FIRST: "5", SECOND: "0", situations.task_id(22): "5"}
    scene = queue(undos=(Undo(LEASE, "set", tuple(before), before=before, made="9"),))
    for task in before:
        scene = with_task(scene, task, place=None)
    words = [run.words for run in press(scene, "u").effects if isinstance(run, Run)]
    assert words == [
        ("set", "--lease", LEASE, "--priority", "5", FIRST, situations.task_id(22)),
        ("set", "--lease", LEASE, "--priority", "0", SECOND),
    ]


@pytest.mark.parametrize(
    ("verb", "fields", "why"),
    [
        ("hold", {"state": State.RUNNING}, "is RUNNING by now"),
        ("set", {}, "was changed again since"),
        ("move", {"node": "gpu-node-02"}, "was changed again since"),
        ("cancel", {"state": State.DONE}, "is DONE by now"),
        ("cancel", {"state": State.CANCELLED, "started": 1.0}, "had started: what it did is lost; m, a runs it again"),
    ],
)
def test_what_went_on_since_cannot_be_undone(verb: str, fields: dict[str, object], why: str) -> None:
    scene = with_task(queue(), FIRST, **fields)
    undo = Undo(LEASE, verb, (FIRST,), before={FIRST: "gpu-node-01"}, made="9")
    step = press(replace(scene, ui=replace(scene.ui, undos=(undo,))), "u")
    assert step.effects == ()
    assert step.ui.message
    assert step.ui.message.text.startswith("cannot be undone any more: ")
    assert step.ui.message.text.endswith(f"{FIRST[:8]} {why}")
    assert step.ui.undos == ()


def test_what_was_read_before_it_was_done_is_not_taken_for_what_happened_since() -> None:
    for verb, before in (("cancel", ""), ("set", "5"), ("move", "_any")):
        scene = queue(undos=(Undo(LEASE, verb, (FIRST,), before={FIRST: before}, made="9"),))
        assert ran(scene, "u")[1].words[-1] == FIRST


def test_only_what_was_done_is_undone_the_last_first_and_in_its_lease() -> None:
    scene, run = ran(queue(), "mt")
    assert run.words == ("hold", "--lease", LEASE, FIRST)
    assert after(scene, run, code=1).ui.undos == ()
    scene = after(scene, run)
    assert scene.ui.message and scene.ui.message.text == "it is so (u: undo)"
    other = Undo("77", "pause")
    scene = replace(scene, ui=replace(scene.ui, undos=(*scene.ui.undos, other)))
    assert ran(scene, "u")[1].words[0] == "release"
    assert press(replace(scene, ui=replace(scene.ui, undos=(other,))), "u").effects == ()
    for _ in range(KEPT + 5):
        scene = after(scene, run)
    assert len(scene.ui.undos) == KEPT


def test_a_cancel_remembers_what_had_not_started_and_says_that_it_can_be_undone() -> None:
    asked = press(queue(marks=frozenset({FIRST, situations.task_id(10)})), "c").ui.overlay
    assert isinstance(asked, Confirm)
    assert asked.undo == Undo(LEASE, "cancel", (FIRST,), before={FIRST: ""})
    assert any("u brings it back" in line for line in asked.lines)
    asked = press(queue(situations.task_id(10)), "c").ui.overlay
    assert isinstance(asked, Confirm)
    assert asked.undo is None


# -- what is changed ---------------------------------------------------------------------------------


def test_a_priority_that_is_typed_is_the_commands_to_judge() -> None:
    scene = queue()
    for key in "mp":
        scene = replace(scene, ui=press(scene, key).ui)
    scene, run = ran(scene, ["backspace", *"-70", "enter"])  # type: ignore[arg-type]
    assert run.words == ("set", "--lease", LEASE, "--priority", "-70", FIRST)
    assert run.undo and (run.undo.before, run.undo.made) == ({FIRST: "5"}, "-70")


def test_an_array_is_not_changed_as_a_whole_and_not_copied_into_the_form() -> None:
    scene = with_task(queue(), FIRST, array=ArrayView(8))
    menu = task_menu(scene)
    assert isinstance(menu, Menu)
    whys = {item.key: item.why_not for item in menu.items}
    assert whys["p"] == "an array is not changed as a whole"
    assert whys["S"] == "an array: r submits it again"


def test_a_task_is_pinned_to_the_nodes_that_there_are_and_freed() -> None:
    menu = changing.pins(queue()).ui.overlay
    assert isinstance(menu, Menu)
    assert [item.label for item in menu.items] == ["gpu-node-01", "gpu-node-02"]
    (run,) = menu.items[1].act(queue()).effects
    assert isinstance(run, Run)
    assert run.words == ("move", "--node", "gpu-node-02", FIRST)
    pinned = with_task(queue(), FIRST, node="gpu-node-02")
    menu = changing.pins(pinned).ui.overlay
    assert isinstance(menu, Menu)
    assert [item.label for item in menu.items] == ["any node: whichever has room first", "gpu-node-01"]
    (run,) = menu.items[0].act(pinned).effects
    assert isinstance(run, Run)
    assert (run.words, run.undo and run.undo.before) == (("move", "--node", "any", FIRST), {FIRST: "gpu-node-02"})


# -- where the cursor goes ---------------------------------------------------------------------------


def waiting(*ups: Wait) -> TaskView:
    return replace(situations.pending(90, "x"), waits=ups)


def test_one_goes_to_what_is_waited_for_wherever_it_is() -> None:
    scene = queue(filter=Filter.DONE, text="nothing")
    step = going.to(scene, FIRST)
    assert (step.ui.task, step.ui.filter, step.ui.text, step.effects) == (FIRST, Filter.ALL, "", ())
    unread = going.to(scene, "T000000000zz")
    assert (unread.ui.text, unread.ui.filter) == ("T000000000zz", Filter.ALL)
    step = going.to(scene, "T000000000zz", "77")
    assert step.effects == (Watch("77", "T000000000zz"),)


def test_a_time_is_no_task_and_an_index_is_its_array() -> None:
    begin, index = Upstream("begin", "1752567000", 1, LEASE), Upstream("ok", f"{FIRST}_17", 1, LEASE)
    far = Wait(Upstream("any", SECOND, 1, "77"), elsewhere=True)
    task = waiting(Wait(begin), Wait(index, "RUNNING"), far)
    assert going.ups(task) == [(FIRST, ""), (SECOND, "77")]
    assert [task for task, _ in going.downs(queue(), queue().tasks[3])] == [SECOND]


# -- the clipboard -----------------------------------------------------------------------------------


def test_what_no_terminal_would_take_is_not_said_to_be_copied() -> None:
    assert clipboard.verdict("x", {"TERM": "xterm-256color"}) == (True, "")
    assert clipboard.verdict("x", {"TERM": "linux"}) == (False, "a text console has no clipboard")
    assert clipboard.verdict("x" * 80_000, {"TERM": "xterm"}) == (False, "it is longer than what terminals take")
    sent, remark = clipboard.verdict("x", {"TERM": "screen-256color"})
    assert sent
    assert "set-clipboard on" in remark


def test_a_command_of_which_only_its_line_of_history_is_left_is_copied_as_that_and_fills_no_form() -> None:
    scene = queue()
    for act in (likes.copy_command, likes.one_like_it):
        (run,) = act(scene).effects
        assert isinstance(run, Run)
        assert run.words == ("info", "--lease", LEASE, "--json", FIRST)
        step = answered(scene.ui, Answer(run, 0, ((('{"tasks": [{"id": "x"}]}', ""),),)), now=situations.WALL)
        if act is likes.copy_command:
            assert step.effects == (Copy(scene.chosen[0].command),)
        else:
            assert step.ui.overlay is None
            assert step.ui.message and "is not known any more" in step.ui.message.text
        assert step.ui.doings == ()
