"""What the monitor makes of what it knows, and of keys: pure, so every state is built by name."""

from __future__ import annotations

import time

import pytest

from leaseq.dataclass import replace
from leaseq.models import State
from leaseq.monitor import actions, effects, menus, moves
from leaseq.monitor.arranging import arranged
from leaseq.monitor.banners import banner
from leaseq.monitor.completing import completed
from leaseq.monitor.data import Data, Index, Log, Sought, Watched, with_history
from leaseq.monitor.detail import content
from leaseq.monitor.effects import Step
from leaseq.monitor.filters import STATES, Filter, filtered, in_states
from leaseq.monitor.help import help_rows
from leaseq.monitor.keymap import TABLE, always
from leaseq.monitor.logs import logs, title
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.overlays import Confirm, Edit, Form, Help, Item, Menu, Prompt
from leaseq.monitor.pane import VIEWS, Pane
from leaseq.monitor.panes import leases_shown, tasks, why
from leaseq.monitor.press import LAST, hints, press
from leaseq.monitor.reader import rank
from leaseq.monitor.text import width
from leaseq.monitor.theme import codes
from leaseq.monitor.view import COUNTS
from leaseq.monitor.viewing import Viewing
from leaseq.monitor.wants import want
from leaseq.reading.views import ArrayView, TaskView
from tests.unit import monitor_scenes as situations
from tests.unit.monitor_scenes import typed


def busy(**choices: object) -> Scene:
    return arranged(situations.scene(situations.busy(), Ui(**choices), size="120x40"))  # type: ignore[arg-type]


def with_tasks(scene: Scene, tasks: tuple[object, ...]) -> Scene:
    assert scene.data.lease.snapshot
    shot = replace(scene.data.lease.snapshot, tasks=tasks, totals=situations.counted(tasks))  # type: ignore[arg-type]
    return arranged(replace(scene, data=situations.with_snapshot(scene.data, shot)))


# -- selections --------------------------------------------------------------------------------------


def test_the_selection_stays_on_its_task_when_others_come_and_go() -> None:
    scene = typed(busy(), "j", "j", "j", "j")
    chosen = scene.task
    assert chosen and scene.data.lease.snapshot
    tasks = scene.data.lease.snapshot.tasks
    later = with_tasks(scene, (situations.running(900, "gpu-node-01", ("3",), "new", 1.0), *tasks[1:]))
    assert later.task and later.task.id == chosen.id


def test_when_the_selected_task_is_gone_its_neighbour_is_selected_and_its_log_is_followed() -> None:
    scene = typed(busy(), "j", "j")
    scene = arranged(replace(scene, ui=replace(scene.ui, follow=False)))
    assert scene.task and scene.data.lease.snapshot
    rest = tuple(task for task in scene.data.lease.snapshot.tasks if scene.task and task.id != scene.task.id)
    later = with_tasks(scene, rest)
    assert later.task_place == scene.task_place
    assert later.task and later.task.id != scene.task.id and later.ui.follow


def test_the_cursor_is_always_in_sight() -> None:
    scene = arranged(situations.scene(situations.many_tasks()))
    for stroke, place in (("G", len(scene.tasks) - 1), ("g", 0), ("pgdn", 9), ("k", 8)):
        scene = typed(scene, stroke)
        assert scene.task_place == place
        assert scene.ui.tops[Pane.TASKS] <= place < scene.ui.tops[Pane.TASKS] + 10


def test_going_to_the_end_of_what_is_read_asks_for_more_within_bounds() -> None:
    scene = arranged(situations.scene(situations.many_tasks(), Ui(filter=Filter.PENDING)))
    assert scene.unread == 9900
    for _ in range(12):
        scene = typed(scene, "G")
    assert want(scene).pending == 2000


def test_marks_of_tasks_that_are_gone_are_dropped() -> None:
    scene = busy(marks=frozenset({situations.task_id(20), "Tgone0000000"}))
    assert scene.ui.marks == {situations.task_id(20)}


# -- filters -----------------------------------------------------------------------------------------


def test_recent_shows_what_runs_then_what_comes_next_then_what_ended() -> None:
    states = [task.state for task in busy().tasks]
    assert states[:3] == [State.RUNNING] * 3
    assert states.index(State.PENDING) < states.index(State.DONE)


@pytest.mark.parametrize(("size", "pending", "more"), [("40x10", 5, 9), ("80x24", 5, 9), ("200x50", 12, 2)])
def test_recent_has_as_many_that_wait_as_there_is_room_for_and_says_how_many_more(
    size: str, pending: int, more: int
) -> None:
    scene = arranged(situations.scene(situations.busy(), size=size))
    assert [task.state for task in scene.tasks].count(State.PENDING) == pending
    assert scene.more == f"… {more} more pending: F lists them"


def test_what_is_counted_and_not_listed_is_told() -> None:
    scene = arranged(situations.scene(situations.many_tasks(), Ui(filter=Filter.PENDING)))
    assert scene.listed == (100, 10_000) and scene.more == "… 9,900 more: G reads on"
    searched = arranged(replace(scene, ui=replace(scene.ui, filter=Filter.ALL, text="seed 511")))
    assert (want(searched).pending, want(searched).recent) == (None, 10_000)
    assert searched.listed == (1, 110_924) and searched.more == "… 110,312 more are being searched"


def test_an_array_counts_as_its_indices() -> None:
    array = ArrayView(1000, {State.DONE: 90, State.FAILED: 7, State.RUNNING: 3})
    rows = [TaskView("T1", 1, State.RUNNING, array=array), TaskView("T2", 1, State.PENDING)]
    for states, count in (({State.PENDING}, 901), ({State.DONE, State.FAILED}, 97), (set(State), 1001)):
        assert in_states(rows, states) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [("eval", 6), ("EVAL run03", 1), ("!eval", 6), ("gpu-node-02 !eval", 2), ("timeout", 1), ("CA", 1)],
)
def test_words_filter_tasks(text: str, count: int) -> None:
    found = busy(filter=Filter.ALL, text=text).tasks
    if text.startswith("!"):
        assert all("eval" not in task.command for task in found)
    else:
        assert len(found) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("name:vit-l", 1),
        ("name:vit", 0),
        ("group:eval", 2),
        ("!group:eval", 24),
        ("state:failed", 1),
        ("state:F gpu-node-02", 1),
        ("day:2025-07-15", 26),
        ("day:today state:timeout", 1),
        ("day:yesterday", 0),
        ("day:2025-07-14 eval", 0),
        ("state:nosuch", 0),
        ("!state:nosuch", 0),
        ("cuda:0", 0),
    ],
)
def test_words_with_a_colon_filter_as_commands_understand_them(text: str, count: int) -> None:
    scene = busy(filter=Filter.ALL, text=text)
    assert scene.data.lease.snapshot
    rows = [
        replace(row, group="eval") if "run00" in row.command or "run01" in row.command else row
        for row in scene.data.lease.snapshot.tasks
    ]
    assert len(with_tasks(scene, tuple(rows)).tasks) == count


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("state:faild", "'state:faild': there is no such state; one of pending"),
        ("vit !state:faild", "there is no such state"),
        ("day:2025-13-40", "'day:2025-13-40': there is no such day; day:2026-11-28"),
        ("day:2025-2-3", "there is no such day"),
        ("name:", "which name?"),
        ("nam:vit", "nam: is looked for as it stands; did you mean name:?"),
        ("cuda:0", "matches /cuda:0"),
    ],
)
def test_a_word_with_a_colon_that_means_nothing_says_so(text: str, said: str) -> None:
    shown = tasks(busy(filter=Filter.ALL, text=text), 200, 10)
    assert said in "".join(part for row in shown for part, _ in row)


def test_a_task_is_on_each_day_on_which_it_ran() -> None:
    long = TaskView("T1", 1, State.RUNNING, started=situations.WALL - 86400, elapsed_seconds=86400.0)
    cancelled = TaskView("T2", 1, State.CANCELLED, submitted=situations.WALL - 2 * 86400, ended=situations.WALL)
    for day, ids in (("today", ["T1", "T2"]), ("yesterday", ["T1"]), ("2025-07-13", ["T2"]), ("2025-07-12", [])):
        found = filtered([long, cancelled], Filter.ALL, text=f"day:{day}", now=situations.WALL)
        assert [row.id for row in found] == ids


def test_esc_drops_a_filter_that_is_being_typed_and_enter_keeps_it() -> None:
    scene = typed(busy(), "/", "e", "v")
    assert scene.ui.text == "ev" and isinstance(scene.ui.overlay, Prompt)
    assert typed(scene, "esc").ui.text == ""
    kept = typed(scene, "enter")
    assert kept.ui.text == "ev" and kept.ui.overlay is None
    assert typed(kept, "esc").ui.text == ""


def test_every_sort_orders_and_the_last_leads_back_to_the_queue() -> None:
    scene = busy()
    first = [task.id for task in scene.tasks]
    for _ in range(7):
        scene = typed(scene, ".")
        assert sorted(task.id for task in scene.tasks) == sorted(first)
    assert [task.id for task in scene.tasks] == first


# -- keys --------------------------------------------------------------------------------------------


def test_no_two_keys_of_a_pane_are_the_same() -> None:
    for pane in Pane:
        names = [name for key in TABLE if pane in key.panes and key.when is always for name in key.keys]
        assert len(names) == len(set(names)), pane


@pytest.mark.parametrize("columns", [30, 70, 150])
def test_every_key_and_sign_is_in_the_help_of_its_panes(columns: int) -> None:
    for pane in Pane:
        rows = help_rows(busy(focus=pane, overlay=Help()), columns)
        assert all(width(row) <= columns for row in rows)
        words = " ".join("".join(text for text, _ in row) for row in rows).split()
        here = [key for key in TABLE if pane in key.panes]
        assert all(set(f"{key.label} {key.help}".split()) <= set(words) for key in here)
        text = " ".join(words)
        assert all(f"{state.glyph} {state.code} {state.name}" in text for state in State)
        elsewhere = {key.help for key in TABLE} - {key.help for key in here}
        assert columns < 150 or not any(each in text for each in elsewhere)


def test_hints_are_keys_that_work_now_and_always_fit() -> None:
    for columns in (20, 40, 80, 200):
        for pane in Pane:
            shown = hints(replace(busy(focus=pane), columns=columns), columns)
            assert [name for _, _, name in shown[-2:]] == list(LAST)
            assert sum(len(label) + len(word) + 3 for label, word, _ in shown) <= max(columns, 16)
            for _, _, name in shown:
                key = next(key for key in TABLE if name in key.keys and pane in key.panes)
                assert not key.refusal(busy(focus=pane))


def test_an_unknown_key_says_where_the_keys_are() -> None:
    message = typed(busy(), "Z").ui.message
    assert message and "? lists the keys" in message.text


def test_read_only_refuses_every_key_that_changes_and_hints_at_none() -> None:
    for pane in Pane:
        scene = busy(focus=pane, readonly=True)
        for key in TABLE:
            if key.changes and pane in key.panes:
                step = press(scene, key.keys[0])
                assert step.effects == () and step.ui.overlay is None
                assert step.ui.message and step.ui.message.text.startswith("read-only")
        names = {name for _, _, name in hints(scene, 300)}
        assert not names & {key.keys[0] for key in TABLE if key.changes and key.keys[0] != "n"}


def test_read_only_refuses_commands_that_change_and_menu_lines_too() -> None:
    for line in ("cancel last", "submit -- true", "lease release 1", "daemon stop", "clean", "shell"):
        assert isinstance(actions.typed(line, readonly=True), str), line
    for line in ("status", "leaseq tasks --all", "lease ls", "info last", "help"):
        assert isinstance(actions.typed(line, readonly=True), effects.Run), line
    menu = menus.task_menu(busy(readonly=True))
    assert isinstance(menu, Menu)
    assert [item.key for item in menu.items if not item.why_not] == ["v", "i", "w", "o", "y", "Y"]


def test_a_command_that_needs_the_terminal_gets_it() -> None:
    for line in ("shell", "follow last", "add -p gpu", "wait last"):
        assert isinstance(actions.typed(line, readonly=False), effects.Foreground), line
    for line in ("add --detach -p gpu", "add --dry-run", "tasks"):
        assert isinstance(actions.typed(line, readonly=False), effects.Run), line
    assert actions.typed("'open", readonly=False) == "quotes do not match: No closing quotation"


# -- consequences ------------------------------------------------------------------------------------


def test_a_release_names_nodes_running_and_pending_tasks() -> None:
    asked = actions.release_lease(busy())
    assert isinstance(asked, Confirm)
    assert " ".join(asked.lines) == "releases 2 nodes, ends 3 running tasks; 14 pending tasks stay queued"
    assert asked.then == ("lease", "release", "48213", "--yes")


def test_a_lease_that_waits_in_slurm_is_said_to_hold_nothing() -> None:
    asked = actions.release_lease(busy(lease="48377", focus=Pane.LEASES))
    assert isinstance(asked, Confirm) and "holds no node yet" in asked.lines[0] and "48377" in asked.then


def test_a_cancel_of_marked_tasks_counts_running_and_pending_ones() -> None:
    marks = frozenset({situations.task_id(10), situations.task_id(20), situations.task_id(21), situations.task_id(60)})
    asked = actions.cancel(busy(marks=marks))
    assert isinstance(asked, Confirm)
    assert "ends 1 running task" in asked.lines[0] and "2:00:" in asked.lines[1]
    assert "takes 2 pending tasks off the queue" in asked.lines[2]
    assert len(asked.then) == 6, "the one that has ended is not asked for"


def test_nothing_happens_without_a_yes() -> None:
    scene = typed(busy(), "c")
    assert isinstance(scene.ui.overlay, Confirm)
    for stroke in ("n", "esc", "enter", "x", " "):
        assert press(scene, stroke).effects == ()
    (effect,) = press(scene, "y").effects
    assert isinstance(effect, effects.Run) and effect.words[0] == "cancel"


def test_a_form_makes_the_command_line_a_person_would_type() -> None:
    scene = typed(busy(), "a", *"python train.py --lr 1", "tab", "2", "tab", "tab", *"8G", "tab", *"2h")
    step = press(scene, "enter")
    (effect,) = step.effects
    assert isinstance(effect, effects.Run)
    assert effects.command_line(effect.words) == (
        "leaseq submit --lease 48213 --gpus 2 --mem 8G --time 2h -- 'python train.py --lr 1'"
    )
    assert step.ui.overlay is None


@pytest.mark.parametrize("close", ["esc", "ctrl-c"])
def test_what_was_typed_into_a_form_is_there_when_it_is_opened_again(close: str) -> None:
    scene = typed(busy(), "a", *"python train.py", "tab", "2", close)
    assert scene.ui.overlay is None and scene.ui.message and "a brings it back" in scene.ui.message.text
    again = typed(scene, "a")
    assert isinstance(again.ui.overlay, Form) and again.ui.overlay.at == 1
    assert (again.ui.overlay.value("command"), again.ui.overlay.value("GPUs")) == ("python train.py", "2")
    done = typed(again, "enter", "a")
    assert isinstance(done.ui.overlay, Form) and done.ui.overlay.value("command") == ""
    empty = typed(busy(), "a", close)
    assert not empty.ui.drafts and empty.ui.message is None


def test_ctrl_c_closes_what_is_open_and_quits_only_if_nothing_is() -> None:
    for keys in ("?", "enter", ":", "/", "a", "n", "c", "L"):
        scene = typed(busy(), keys)
        step = press(scene, "ctrl-c")
        assert scene.ui.overlay and step.ui.overlay is None and step.effects == ()
    (quit,) = press(busy(), "ctrl-c").effects
    assert quit == effects.Quit(130)


def test_lines_that_were_typed_come_back() -> None:
    def line(scene: Scene) -> str:
        assert isinstance(scene.ui.overlay, Prompt)
        return scene.ui.overlay.edit.text

    scene = typed(busy(), ":", *"status", "enter", ":", *"tasks -a", "ctrl-c", ":", *"lea")
    assert [line(typed(scene, *["up"] * n)) for n in range(4)] == ["lea", "tasks -a", "status", "status"]
    assert line(typed(scene, "up", "up", "down", "down")) == "lea"
    assert line(typed(scene, "up", *"x")) == "tasks -ax"
    found = typed(busy(focus=Pane.LOGS), "/", *"epoch", "enter", "esc", "/", "up")
    assert line(found) == found.ui.log_find == "epoch"


def test_tab_asks_for_what_may_stand_there_and_puts_it_in() -> None:
    scene = typed(busy(), ":", *"lease re")
    assert press(scene, "tab").effects == (effects.Complete("lease re"),)
    one = completed(scene.ui, "lease re", ("release",))
    assert isinstance(one.overlay, Prompt) and one.overlay.edit == Edit("lease release ", 14)
    several = completed(typed(busy(), ":", *"ca").ui, "ca", ("cancel", "cat"))
    assert isinstance(several.overlay, Prompt) and several.overlay.edit.text == "ca"
    assert several.message and several.message.text == "cancel  cat"
    assert completed(scene.ui, "lease", ("lease",)) == scene.ui, "it was typed on meanwhile"
    none = completed(scene.ui, "lease re", ())
    assert none.message and none.message.text == "nothing can be completed here"


def test_every_filter_has_a_number_and_lists_its_states_alone() -> None:
    for number, wanted in enumerate(Filter, 1):
        scene = typed(busy(), str(number))
        assert scene.ui.filter is wanted and scene.ui.focus is Pane.TASKS
        if wanted in STATES:
            assert {row.state for row in scene.tasks} <= STATES[wanted]
    assert [row.state for row in typed(busy(), "7").tasks] == [State.CANCELLED]


def test_every_state_is_counted_above_in_the_words_of_status() -> None:
    assert dict(COUNTS) == {(state,): state.name.lower() for state in State}


def test_a_form_without_a_command_says_so_and_stays() -> None:
    scene = typed(busy(), "a", "enter")
    assert isinstance(scene.ui.overlay, Form) and scene.ui.overlay.trouble == "which command?"


def test_a_new_lease_hands_options_on_to_sbatch_as_typed() -> None:
    scene = typed(busy(), "n", *"big", "tab", *"gpu", "tab", "2", "tab", *"4:00:00", "tab", *"a100:4", "tab", "tab")
    scene = typed(scene, *"--qos=high --comment='two words'")
    assert isinstance(scene.ui.overlay, Form)
    assert actions.form_words(scene.ui.overlay) == (
        *("add", "--detach", "--profile", "big", "--", "--partition=gpu", "--nodes=2", "--time=4:00:00"),
        *("--gres=gpu:a100:4", "--qos=high", "--comment=two words"),
    )


@pytest.mark.parametrize(
    ("strokes", "text"),
    [("abc", "abc"), (("a", "b", "left", "c"), "acb"), (("a", "b", "home", "delete"), "b"), (("a", "backspace"), "")],
)
def test_a_line_is_edited_as_in_a_shell(strokes: tuple[str, ...], text: str) -> None:
    edit: Edit | None = Edit()
    for stroke in strokes:
        assert edit
        edit = edit.key(stroke)
    assert edit and edit.text == text
    assert Edit.of("one two  three").key("ctrl-w") == Edit("one two  ", 9)
    assert Edit.of("x").key("f12") is None


# -- what is told ------------------------------------------------------------------------------------


def test_a_clock_runs_on_between_two_reads_only_for_what_surely_runs() -> None:
    scene = busy()
    task = scene.tasks[0]
    later = replace(scene, now=scene.now + 60)
    assert later.elapsed(task) == (scene.elapsed(task) or 0) + 60
    stuck = replace(task, state=State.STUCK)
    assert later.elapsed(stuck) == scene.elapsed(stuck)


def test_a_held_lease_that_does_nothing_is_called_idle() -> None:
    data = situations.busy()
    assert data.lease.snapshot
    nodes = tuple(situations.node(name, idle=2040.0) for name in ("gpu-node-01", "gpu-node-02"))
    shot = replace(data.lease.snapshot, nodes=nodes, tasks=(), totals={})
    data = situations.with_snapshot(data, shot)
    scene = situations.scene(data)
    assert banner(scene) == "no task for 34 min, 2 nodes held. x releases the lease"
    local = replace(data, leases=replace(data.leases, rows=(replace(situations.SWEEP, lease=situations.LOCAL.lease),)))
    assert banner(situations.scene(local)) == ""


def test_a_read_that_does_not_come_back_is_told_with_its_age() -> None:
    data = situations.busy()
    scene = situations.scene(replace(data, lease=replace(data.lease, since=situations.NOW - 12.4)))
    assert banner(scene) == "file system not answering for 12 s: it is asked until it does; q quits"


def test_gpu_history_grows_with_heartbeats_not_with_reads() -> None:
    lease = situations.busy().lease
    assert lease.snapshot
    once = with_history(lease, Watched())
    again = with_history(lease, once)
    assert again.gpus == once.gpus
    beat = lease.snapshot.nodes[0].heartbeat
    assert beat
    newer = replace(lease.snapshot.nodes[0], heartbeat=replace(beat, counter=beat.counter + 1))
    later = replace(lease, snapshot=replace(lease.snapshot, nodes=(newer, lease.snapshot.nodes[1])))
    grown = with_history(later, once)
    assert len(grown.gpus["gpu-node-01", "0"]) == len(once.gpus["gpu-node-01", "0"]) + 1
    assert grown.gpus["gpu-node-02", "0"] == once.gpus["gpu-node-02", "0"]


def test_a_pending_task_that_was_tried_before_shows_what_the_last_attempt_said() -> None:
    task = replace(situations.pending(1, "x"), attempt=3)
    scene = with_tasks(arranged(situations.scene(situations.one_lease())), (task,))
    assert want(scene).attempt == 2


def test_scrolling_a_log_up_holds_it_and_down_to_its_end_follows_again() -> None:
    scene = busy(focus=Pane.LOGS)
    up = typed(scene, "k", "k")
    assert not up.ui.follow
    assert typed(up, "j", "j").ui.follow
    top = typed(scene, "g")
    assert top.ui.log_top == 0 and not top.ui.follow


def with_log(scene: Scene, text: str) -> Scene:
    """The selected task has written this."""
    assert scene.task
    return arranged(replace(scene, data=replace(scene.data, log=situations.log(scene.task.id, text))))


def long_log(above: int, **choices: object) -> Scene:
    """The end of a long output is read."""
    scene = busy(focus=Pane.LOGS, **choices)
    assert scene.task
    log = situations.log(scene.task.id, "\n".join(f"line {n}" for n in range(5000)), above=above)
    return arranged(replace(scene, data=replace(scene.data, log=log)))


def test_the_first_line_of_a_long_log_is_read_for_g_and_its_end_for_capital_g() -> None:
    scene = long_log(above=10**9)
    assert want(scene).log_top is None
    top = typed(scene, "g")
    assert want(top).log_top == 0 and not top.ui.follow
    assert want(typed(top, "G")).log_top is None
    up = typed(scene, *["pgup"] * 3)
    assert (want(up).log_top or 0) > 10**9 and want(up).log_top == want(typed(up, "k")).log_top, (
        "one line more is no other part of it"
    )


def test_words_that_are_not_in_what_is_read_are_searched_and_never_said_to_be_nowhere() -> None:
    scene = typed(long_log(above=10**6), "/", *"needle", "enter")
    seek = scene.ui.seek
    assert seek and seek.text == "needle" and seek.back and want(scene).seek == seek and want(scene).find == "needle"
    assert scene.ui.message and scene.ui.message.text.startswith("searching…")
    log = scene.data.log
    later = arranged(replace(scene, data=replace(scene.data, log=replace(log, sought=Sought(seek, come=5 << 20)))))
    assert later.ui.message and later.ui.message.text.startswith("searching… 5.0M of ")
    stopped = typed(later, "esc")
    assert stopped.ui.seek is None and stopped.ui.message and stopped.ui.message.text == "the search was stopped"
    found = arranged(replace(scene, data=replace(scene.data, log=replace(log, sought=Sought(seek, 77, done=True)))))
    assert (found.ui.log_top, found.ui.log_mark, found.ui.follow, found.ui.seek) == (77, 77, False, None)
    none = arranged(replace(scene, data=replace(scene.data, log=replace(log, sought=Sought(seek, done=True)))))
    assert none.ui.message and none.ui.message.text == "no line has needle" and none.ui.follow


def test_words_that_are_read_are_gone_to_at_once_with_lines_before_them_in_sight() -> None:
    scene = typed(long_log(above=10**6), "/", *"line 4321", "enter")
    assert scene.ui.seek is None and not scene.ui.follow
    rows = ["".join(text for text, _ in row).rstrip() for row in logs(scene, 100, 18)]
    assert "▸line 4321" in rows and rows.index("▸line 4321") > 2
    typing = typed(long_log(above=10**6), "/", *"line 4321")
    assert want(typing).find == "" and want(typed(typing, "enter")).find == "line 4321"


def test_matches_are_numbered_if_all_are_counted() -> None:
    scene = with_log(busy(focus=Pane.LOGS), "a1\nb\na2\nb\na3")
    lines = scene.data.log.lines
    index = Index("a", (lines[0].at, lines[2].at, lines[4].at))
    scene = arranged(replace(scene, data=replace(scene.data, log=replace(scene.data.log, index=index))))
    scene = typed(scene, "/", "a", "enter")
    assert "/a 3/3" in title(scene, 100, 4)
    up = typed(scene, "N")
    assert "/a 2/3" in title(up, 100, 4)
    assert "/a 3/3" in title(typed(up, "N", "N"), 100, 4), "round from the end"
    part = replace(scene.data.log, index=replace(index, begin=10))
    assert "/a 3+" in title(replace(scene, data=replace(scene.data, log=part)), 100, 4)


def test_a_log_that_is_not_followed_says_so_and_what_has_come_since() -> None:
    scene = with_log(busy(focus=Pane.LOGS), "\n".join(f"line {n}" for n in range(100)))
    assert " · follow · " in title(scene, 100, 10)
    held = typed(scene, "f")
    assert " · *paused* · " in title(held, 100, 10) and "new" not in title(held, 100, 10)
    more = with_log(held, "\n".join(f"line {n}" for n in range(112)))
    assert "12 new below" in title(more, 100, 10)
    assert " · follow · " in title(typed(more, "G"), 100, 10)


def failed(text: str) -> Scene:
    """A task has failed, and has written this."""
    scene = busy(filter=Filter.FAILED, task=situations.task_id(70), focus=Pane.LOGS)
    return with_log(scene, text)


def test_the_output_of_a_failed_task_is_opened_at_its_last_error() -> None:
    text = "\n".join([*("step" for _ in range(50)), *situations.TRACEBACK, *("cleaning" for _ in range(50))])
    scene = failed(text)
    rows = ["".join(text for text, _ in row).rstrip() for row in logs(scene, 100, 18)]
    assert f"▸{situations.TRACEBACK[-1]}" in rows and f" {situations.TRACEBACK[0]}" in rows
    assert typed(scene, "G").ui.follow, "it is gone to once"
    near = failed("\n".join(["step"] * 50 + list(situations.TRACEBACK)))
    assert near.ui.follow and near.ui.log_mark == near.data.log.lines[-1].at
    assert failed("step\nstep").ui.log_mark is None


def test_a_key_waits_for_no_search() -> None:
    scene = busy(focus=Pane.LOGS)
    assert scene.task
    log = situations.log(scene.task.id, "\n".join(f"error without a colon {n}" for n in range(40_000)))
    scene = arranged(replace(scene, data=replace(scene.data, log=log)))
    began = time.process_time()
    for stroke in ("[", "]"):
        assert typed(scene, stroke).ui.seek
    assert time.process_time() - began < 0.5


def test_an_error_is_gone_to_only_once_its_output_is_on_the_screen() -> None:
    scene = situations.scene(situations.busy(), Ui(filter=Filter.FAILED, task=situations.task_id(70)), size="40x10")
    log = situations.log(situations.task_id(70), "ValueError: x\nbye")
    scene = arranged(replace(scene, data=replace(scene.data, log=log)))
    assert scene.ui.follow and scene.ui.log_mark is None
    shown = typed(scene, "z")
    assert shown.ui.follow and shown.ui.log_mark == 0, "all of it fits: there is nowhere to go"


def test_errors_are_gone_to_one_after_the_other() -> None:
    scene = with_log(busy(focus=Pane.LOGS), "\n".join(["ok", "KeyError: 1", *["ok"] * 90, "KeyError: 2", *["ok"] * 90]))
    lines = scene.data.log.lines
    last = typed(scene, "[")
    assert last.ui.log_mark == lines[92].at
    assert typed(last, "[").ui.log_mark == lines[1].at
    assert typed(last, "[", "]").ui.log_mark == lines[92].at
    none = typed(with_log(scene, "ok\nok"), "[")
    assert none.ui.message and none.ui.message.text.startswith("searching…")


def test_the_output_of_earlier_attempts_can_be_seen() -> None:
    scene = busy()
    assert scene.data.lease.snapshot
    task = replace(situations.running(1, "gpu-node-01", ("0",), "x", 5.0), attempt=3)
    scene = with_tasks(scene, (task,))
    assert want(scene).attempt == 3
    before = typed(scene, "<")
    assert want(before).attempt == 2 and "attempt 2 of 3" in title(before)
    first = typed(before, "<", "<")
    assert want(first).attempt == 1 and first.ui.message and first.ui.message.text == "attempt 1 is the first"
    assert want(typed(first, ">", ">")).attempt == 3


def test_an_empty_stream_of_an_ended_task_is_not_called_unwritten_yet() -> None:
    scene = busy(filter=Filter.FAILED, task=situations.task_id(70), stream="out")
    log = Log(situations.task_id(70), 1, "out", note="nothing written yet")
    (row,) = logs(arranged(replace(scene, data=replace(scene.data, log=log))), 80, 5)
    assert "it wrote nothing to stdout: e shows the other stream" in "".join(text for text, _ in row)


def test_an_empty_monitor_takes_every_key() -> None:
    for size in situations.SIZES:
        for pane in Pane:
            view = Viewing(pane, "local:x") if pane in VIEWS else None
            scene = arranged(situations.scene(Data("local:x"), Ui(focus=pane, view=view), size=size))
            for key in TABLE:
                for name in key.keys:
                    press(scene, name)


def test_every_key_can_follow_every_key() -> None:
    names = [name for key in TABLE for name in key.keys if name not in ("q", "ctrl-c")]
    for data in (situations.busy(), situations.empty()):
        scene = arranged(situations.scene(data))
        for first in names:
            after = arranged(replace(scene, ui=press(scene, first).ui))
            for second in [*names, "y", "left", "backspace", "ä"]:
                press(after, second)


def test_sideways_reaches_every_pane_and_comes_back() -> None:
    scene = busy()
    assert moves.sideways(scene, 1).focus is Pane.DETAIL
    assert moves.sideways(replace(scene, ui=moves.sideways(scene, 1)), -1).focus is Pane.TASKS
    assert moves.sideways(scene, -1).focus in (Pane.NODES, Pane.LEASES)


def with_array(**counts: int) -> Scene:
    """A busy lease whose first task is an array of twelve."""
    scene = busy()
    assert scene.data.lease.snapshot
    first, *rest = scene.data.lease.snapshot.tasks
    array = ArrayView(12, {State[word]: number for word, number in counts.items()}, mean_seconds=60.0)
    first = replace(first, array=array, gpus=(), name="grid", command="python train.py --lr {lr}")
    return with_tasks(replace(scene, ui=replace(scene.ui, task=first.id)), (first, *rest))


def test_an_array_shows_its_counts_and_how_long_the_rest_takes_as_far_as_there_is_room() -> None:
    scene = with_array(RUNNING=3, DONE=8, FAILED=1)
    assert scene.task is not None and scene.task.array is not None
    assert why(scene.task) == "12: 3 run, 8 done, 1 failed, 30 s left"
    wide, narrow = ("".join(text for text, _ in tasks(scene, columns, 10)[1]) for columns in (160, 80))
    assert "(12: 3 run, 8 done, 1 failed, 30 s left) grid: python train.py" in wide
    assert "(8/12 1F) grid: lr={lr}" in narrow
    array = replace(scene.task.array, throttle=3, max_fails=2)
    (limits,) = ("".join(text for text, _ in row) for row in _limits_of(scene, array))
    assert "at most 3 at once, none starts once 2 indices failed" in limits


def _limits_of(scene: Scene, array: ArrayView) -> list[list[tuple[str, str]]]:
    """What the detail says of how many may run."""
    assert scene.task
    rows = content(with_tasks(scene, (replace(scene.task, array=array),)), 100)
    return [row for row in rows if row and row[0][0].startswith(" limits")]


def test_the_menu_of_an_array_lists_its_indices_and_it_has_no_output_of_its_own() -> None:
    scene = with_array(RUNNING=3)
    assert want(scene).task == ""
    menu = menus.task_menu(scene)
    assert isinstance(menu, Menu)
    refused = {item.key: item.why_not for item in menu.items}
    assert refused["v"] == refused["o"] == "each index has its own" and refused["e"] == ""
    step = next(item for item in menu.items if item.key == "e").act(scene)
    assert isinstance(step, Step) and scene.task
    (run,) = step.effects
    assert run == effects.Run(("tasks", "--lease", "48213", scene.task.id, "--values"), whole=True)
    assert "each index has its own output" in "".join(text for text, _ in logs(scene, 100, 5)[0])


# -- room for the command ------------------------------------------------------------------------------


def titles(scene: Scene, columns: int = 100) -> str:
    return "".join(text for text, _ in tasks(scene, columns, 10)[0])


def test_no_column_of_the_list_stands_there_for_nothing() -> None:
    assert "GPU" in titles(busy()) and "NODE" in titles(busy())
    alone = arranged(situations.scene(situations.one_lease(), size="120x40"))
    assert "NODE" not in titles(alone)
    bare = with_tasks(alone, tuple(replace(task, gpus=(), need=None) for task in alone.tasks))
    assert "GPU" not in titles(bare) and "COMMAND" in titles(bare)


def test_the_lease_that_is_looked_at_is_in_sight_however_far_the_list_is_scrolled() -> None:
    scene = busy()
    rows = tuple(situations.lease_row(str(n), "slurm", word="PENDING") for n in range(9))
    data = replace(scene.data, leases=replace(scene.data.leases, rows=(*scene.data.leases.rows, *rows)))
    scene = replace(scene, data=data, ui=replace(scene.ui, lease="8", tops={Pane.LEASES: 8}))
    shown = [row.id for row in leases_shown(scene, 4)]
    assert shown == ["48213", "6", "7", "8"]
    first = replace(scene, ui=replace(scene.ui, lease="5", tops={Pane.LEASES: 8}))
    assert [row.id for row in leases_shown(first, 4)] == ["5", "6", "7", "48213"]
    assert [row.id for row in leases_shown(scene, 1)] == ["5"]


def test_leases_that_run_stand_before_those_that_wait_and_this_host_and_what_has_ended() -> None:
    made = [
        situations.lease_row("9", "slurm", word="ENDED"),
        situations.LOCAL,
        situations.QUEUED,
        situations.lease_row("8", "slurm", word="SUSPENDED"),
        situations.SWEEP,
    ]
    assert [row.id for row in sorted(made, key=rank)] == ["48213", "48377", "local:atlas", "8", "9"]


def test_the_pane_with_the_focus_is_seen_without_colour() -> None:
    assert codes("focused", mono=True) != codes("bold", mono=True)


def test_the_menu_of_a_task_that_went_wrong_says_why_and_runs_it_again_under_its_id() -> None:
    def lines(state: State) -> tuple[Scene, str, dict[str, Item]]:
        task = next(task.id for task in busy().tasks if task.state is state)
        scene = busy(task=task)
        menu = menus.task_menu(scene)
        assert isinstance(menu, Menu) and scene.chosen[0].id == task
        return scene, task, {item.key: item for item in menu.items}

    scene, task, items = lines(State.FAILED)
    (why,), (again,) = items["w"].act(scene).effects, items["a"].act(scene).effects
    assert isinstance(why, effects.Run) and (why.words[0], why.words[-1], why.whole) == ("triage", task, True)
    assert isinstance(again, effects.Run) and (again.words[0], again.words[-1]) == ("retry", task)
    scene, task, items = lines(State.PENDING)
    (why,) = items["w"].act(scene).effects
    assert isinstance(why, effects.Run) and (why.words[0], why.words[-1]) == ("why", task)
    assert "a" not in items
    _, _, items = lines(State.RUNNING)
    assert items["a"].why_not == "it has not gone wrong"
