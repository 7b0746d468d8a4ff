"""The monitor calls: its title, bells and notifications, and what it keeps of what was done in it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from leaseq import config
from leaseq.config import NOTIFY_ON, Config
from leaseq.dataclass import replace
from leaseq.errors import UsageError
from leaseq.lease.base import LeaseState
from leaseq.models import State
from leaseq.monitor import calls, doings
from leaseq.monitor.arranging import arranged
from leaseq.monitor.calls import Caller, Calling, calling, news, notification, title_of
from leaseq.monitor.effects import Answer, Foreground, Run, Watch
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.outside import answered
from leaseq.monitor.overlays import Output
from leaseq.monitor.press import press
from tests.unit import monitor_scenes as situations
from tests.unit.monitor_scenes import NOW, WALL


def busy(**choices: object) -> Scene:
    return arranged(situations.scene(situations.busy(), Ui(**choices), size="120x40"))  # type: ignore[arg-type]


def later(scene: Scene, *, left: float | None = None, **counts: int) -> Scene:
    """The scene with other totals, and with so much of the lease's time left."""
    shot = scene.data.lease.snapshot
    assert shot
    totals = {**shot.totals, **{State[word]: number for word, number in counts.items()}}
    scene = replace(scene, data=situations.with_snapshot(scene.data, replace(shot, totals=totals)))
    if left is None:
        return scene
    rows = tuple(replace(row, left_seconds=left) if row.id == "48213" else row for row in scene.data.leases.rows)
    leases = replace(scene.data.leases, rows=rows, at=NOW)
    return replace(scene, data=replace(scene.data, leases=leases))


def happened(before: Scene, after: Scene, *on: str) -> list[str]:
    return news(calls.known(before), after, on or NOTIFY_ON)


def test_the_title_is_numbers() -> None:
    assert title_of(busy()) == "leaseq 3▶ 14 pending 4✗"
    assert title_of(busy(ascii=True)) == "leaseq 3R 14 pending 4F"
    assert title_of(later(busy(), PENDING=0, FAILED=0, TIMEOUT=0)) == "leaseq 3▶"


def test_a_task_that_fails_is_called_with_its_name() -> None:
    assert happened(busy(), later(busy(), FAILED=4)) == [
        "1 task failed: T7jxw8m6 python train.py --model vit-h --batch 512"
    ]
    assert happened(busy(), later(busy(), FAILED=4), "starts") == []
    assert happened(busy(), busy()) == []
    assert happened(busy(), later(busy(), FAILED=2)) == []


def test_a_lease_that_starts_is_called_whichever_is_looked_at() -> None:
    scene = busy()
    rows = tuple(
        replace(row, state=LeaseState("RUNNING")) if row.id == "48377" else row for row in scene.data.leases.rows
    )
    started = replace(scene, data=replace(scene.data, leases=replace(scene.data.leases, rows=rows)))
    assert happened(scene, started) == ["lease 48377 big has started"]
    assert happened(started, started) == []


def test_a_lease_that_is_about_to_end_is_called_once() -> None:
    soon = later(busy(), left=500.0)
    assert happened(busy(), soon) == ["lease 48213 ends in 8 min"]
    assert happened(soon, later(busy(), left=400.0)) == []
    elsewhere = replace(
        soon, data=replace(soon.data, lease_id="48377", lease=replace(soon.data.lease, left_seconds=None))
    )
    assert happened(busy(), elsewhere) == ["lease 48213 ends in 8 min"]


def test_an_empty_queue_is_called_when_the_last_task_has_ended() -> None:
    last = later(busy(), PENDING=0)
    assert happened(busy(), last) == []
    assert happened(last, later(busy(), PENDING=0, RUNNING=0)) == ["the queue of lease 48213 is empty"]


def test_of_another_lease_nothing_is_said_to_have_happened() -> None:
    other = later(busy(), FAILED=90, PENDING=0, RUNNING=0)
    other = replace(other, data=replace(other.data, lease_id="48377"))
    assert happened(busy(), other) == []


@pytest.mark.parametrize(
    ("how", "written"),
    [
        (Calling(notify="bell"), "\x07"),
        (Calling(notify="osc9"), "\x1b]9;leaseq: a; b\x07"),
        (Calling(notify="osc777"), "\x1b]777;notify;leaseq;a; b\x07"),
        (Calling(notify="osc9", wrapped=True), "\x1bPtmux;\x1b\x1b]9;leaseq: a; b\x07\x1b\\"),
        (Calling(notify="off"), ""),
    ],
)
def test_each_kind_of_notification_is_its_own_sequence(how: Calling, written: str) -> None:
    assert notification(how, ["a", "b"]) == written
    assert notification(how, []) == ""


def test_a_name_cannot_write_to_the_terminal() -> None:
    said = notification(Calling(notify="osc9"), ["evil \x07\x1b]0;title\x9c"])
    assert said.count("\x1b") == 1 and said.count("\x07") == 1 and "\x9c" not in said


INSIDE, OUTSIDE = {"TMUX": "/tmp/tmux"}, {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("settings", "environment", "made"),
    [
        ({}, OUTSIDE, (True, "bell", False)),
        ({"monitor_title": "off", "monitor_notify": "osc9"}, OUTSIDE, (False, "osc9", False)),
        ({}, INSIDE, (False, "bell", True)),
        ({"monitor_notify": "osc777"}, INSIDE, (False, "off", True)),
        ({"monitor_notify": "osc777", "monitor_in_tmux": "pass"}, INSIDE, (True, "osc777", True)),
        ({}, {"TERM": "screen-256color"}, (False, "bell", True)),
        ({"monitor_notify": "osc9"}, {"TERM": "linux"}, (False, "off", False)),
    ],
)
def test_inside_tmux_nothing_but_the_bell_is_sent_unless_it_is_passed_on(
    settings: dict[str, Any], environment: dict[str, str], made: tuple[bool, str, bool]
) -> None:
    found = calling(Config(**settings), environment)
    assert (found.title, found.notify, found.wrapped) == made


def test_a_title_is_written_when_it_changes_and_when_the_terminal_is_entered_again() -> None:
    caller, scene = Caller(Calling(notify="bell", on=NOTIFY_ON)), busy()
    title = "\x1b]2;leaseq 3▶ 14 pending 4✗\x07"
    assert caller.look(scene, fresh=True) == title
    assert caller.look(scene, fresh=False) == ""
    assert caller.look(scene, fresh=True) == title
    assert caller.look(later(scene, FAILED=4), fresh=False) == "\x1b]2;leaseq 3▶ 14 pending 5✗\x07\x07"
    quiet = Caller(Calling(title=False, notify="off", on=NOTIFY_ON))
    assert quiet.look(scene, fresh=True) + quiet.look(later(scene, FAILED=4), fresh=False) == ""


def test_what_was_so_before_the_first_look_is_not_called() -> None:
    caller = Caller(Calling(title=False, on=NOTIFY_ON))
    reading = replace(busy(), data=replace(busy().data, lease=replace(busy().data.lease, snapshot=None)))
    assert caller.look(reading, fresh=True) == ""
    assert caller.look(later(busy(), FAILED=400), fresh=False) == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("monitor_title: yes", "must be `on` or `off`"),
        ("monitor_notify: beep", "must be `bell`, `osc9`, `osc777` or `off`"),
        ("monitor_notify_on: failed, won", "'won' is nothing to call for"),
        ("monitor_in_tmux: on", "must be `off` or `pass`"),
    ],
)
def test_settings_that_mean_nothing_are_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        config.parse(text, path="config.yaml")
    assert problem in caught.value.message


def test_what_is_called_for_may_be_a_list_or_a_line() -> None:
    assert config.parse("monitor_notify_on: failed, empty", path="").monitor_notify_on == ("failed", "empty")
    assert config.parse("monitor_notify_on: [ends]", path="").monitor_notify_on == ("ends",)
    assert config.parse("monitor_notify_on: []", path="").monitor_notify_on == ()


# -- what was done here --------------------------------------------------------------------------------


def shown(scene: Scene) -> list[str]:
    overlay = press(scene, "L").ui.overlay
    assert isinstance(overlay, Output)
    return ["".join(text for text, _ in line) for line in overlay.lines]


def test_what_was_done_is_listed_with_its_time_and_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    scene = busy()
    assert shown(scene) == ["nothing yet: what keys and : have run stands here"]
    ui = answered(scene.ui, Answer(Run(("hold", "T1")), 0, ((("leaseq: T1 is held", ""),),)), now=WALL).ui
    ui = answered(ui, Answer(Run(("cancel", "T2")), 2, ((("no task T2", ""),),)), now=WALL + 9).ui
    assert shown(replace(scene, ui=ui)) == [
        "08:10:09  leaseq cancel T2",
        "    no task T2",
        "    ended with 2",
        "08:10:00  leaseq hold T1",
        "    T1 is held",
    ]


def test_a_long_answer_and_very_many_commands_are_cut() -> None:
    ui = Ui()
    for n in range(doings.KEPT + 5):
        ui = doings.noted(ui, WALL, str(n), answer="\n".join(map(str, range(9))))
    assert len(ui.doings) == doings.KEPT
    assert (ui.doings[0].line, ui.doings[-1].line) == ("5", str(doings.KEPT + 4))
    assert ui.doings[0].answer == ("0", "1", "2", "… 6 more lines")


class There:
    """What is outside, as far as these effects ask."""

    def now(self) -> float:
        return WALL

    def in_front(self, words: tuple[str, ...], *, pause: bool) -> str:
        return "leaseq shell ended with 3"

    def watch(self, lease: str) -> None:
        pass


def test_a_shell_is_among_them_and_another_lease_forgets_nothing() -> None:
    there: Any = There()
    ui = Foreground(("shell",)).do(there, Ui())
    ui = Watch("48377").do(there, ui)
    assert [(each.line, each.code, each.answer) for each in ui.doings] == [
        ("leaseq shell", 1, ("leaseq shell ended with 3",))
    ]
