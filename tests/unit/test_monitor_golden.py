"""Frames of named situations, as pictures in plain text. `make bless` accepts those of now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from leaseq.dataclass import replace
from leaseq.monitor.actions import cancel, release_lease, submit_form
from leaseq.monitor.arranging import arranged
from leaseq.monitor.data import Sought
from leaseq.monitor.filters import Filter
from leaseq.monitor.menus import task_menu
from leaseq.monitor.model import Message, Scene, Ui
from leaseq.monitor.overlays import Edit, Help, Output, Prompt
from leaseq.monitor.pane import Pane
from leaseq.monitor.press import press
from leaseq.monitor.text import width
from leaseq.monitor.view import Frame, frame, plain
from tests.unit import monitor_scenes as situations

GOLDEN = Path(__file__).parents[1] / "golden" / "monitor"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def drawn(scene: Scene) -> Frame:
    return frame(arranged(scene))


def check(name: str, picture: Frame) -> None:
    """The frame is the golden one, character by character."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("LEASEQ_BLESS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(plain(picture), encoding="utf-8")
    assert path.exists(), f"there is no {path}: look at the frame, then `make bless`"
    assert plain(picture) == path.read_text(encoding="utf-8"), f"{path} differs: look at it, then `make bless`"


@pytest.mark.parametrize("size", situations.SIZES)
@pytest.mark.parametrize("name", situations.SITUATIONS)
def test_a_situation_looks_like_its_golden_frame(name: str, size: str) -> None:
    check(f"{name}.{size}", drawn(situations.scene(situations.SITUATIONS[name](), size=size)))


def busy(size: str = "80x24", **choices: object) -> Scene:
    return situations.scene(situations.busy(), Ui(**choices), size=size)  # type: ignore[arg-type]


def overlaid(scene: Scene, overlay: object) -> Scene:
    return replace(scene, ui=replace(scene.ui, overlay=overlay))


def long_log() -> Scene:
    """The end of a long output is read, and the words that are looked for are not in it: they are still searched."""
    scene = busy(focus=Pane.LOGS, zoom=True, log_find="nan")
    log = situations.log(situations.task_id(10), situations.TRAINING, above=31 << 20)
    scene = arranged(replace(scene, data=replace(scene.data, log=log)))
    scene = replace(scene, ui=press(scene, "n").ui)
    assert scene.ui.seek
    sought = Sought(scene.ui.seek, come=12 << 20)
    return replace(scene, data=replace(scene.data, log=replace(log, sought=sought)))


def with_error(scene: Scene) -> Scene:
    """What the failed task wrote last is known."""
    errors = {(situations.task_id(70), 1): situations.TRACEBACK[-1]}
    return replace(scene, data=replace(scene.data, errors=errors))


def failed_log(size: str = "80x24") -> Scene:
    """A task that failed, whose output went on after its error."""
    scene = with_error(busy(size, task=situations.task_id(70), focus=Pane.LOGS))
    text = "\n".join([*(f"step {n}" for n in range(40)), *situations.TRACEBACK, *(f"cleaning {n}" for n in range(30))])
    log = situations.log(situations.task_id(70), text)
    err = tuple(
        replace(line, stream="err") if "cl" not in line.text and "step" not in line.text else line for line in log.lines
    )
    return replace(scene, data=replace(scene.data, log=replace(log, lines=err)))


def lease_detail(size: str) -> Scene:
    ui = Ui(focus=Pane.DETAIL, last_list=Pane.LEASES)
    return situations.scene(situations.several_jobs(), ui, size=size)


def gpu_detail(size: str, pane: Pane = Pane.NODES) -> Scene:
    """All of a node, or of its task that leaves a GPU idle."""
    ui = Ui(focus=Pane.DETAIL, last_list=pane, task=situations.task_id(11))
    return situations.scene(situations.gpu_truth(), ui, size=size)


VIEWS: dict[str, Callable[[], Scene]] = {
    "help": lambda: overlaid(busy("120x40"), Help()),
    "help.80x24": lambda: overlaid(busy(), Help()),
    "help.200x50": lambda: overlaid(busy("200x50"), Help()),
    "help.40x10": lambda: overlaid(busy("40x10"), Help()),
    "help-logs.80x24": lambda: overlaid(busy(focus=Pane.LOGS), Help(top=10)),
    "menu": lambda: overlaid(busy(), task_menu(busy())),
    "cancel": lambda: overlaid(busy(), cancel(busy())),
    "release": lambda: overlaid(busy(), release_lease(busy())),
    "form": lambda: overlaid(busy(), submit_form(busy())),
    "form.40x10": lambda: overlaid(busy("40x10"), submit_form(busy())),
    "answer": lambda: overlaid(busy(), Output("leaseq status", ((("lease 48213: 3 running", ""),),))),
    "prompt": lambda: replace(busy(text="eval"), ui=Ui(text="eval", overlay=Prompt("filter", Edit.of("eval")))),
    "message": lambda: busy(message=Message("T2vy0dxzha2z is being ended: TERM now, KILL if that is not enough")),
    "zoomed-logs": lambda: busy(zoom=True, focus=Pane.LOGS, wrap=True),
    "log-search": lambda: busy(
        task=situations.task_id(10), focus=Pane.LOGS, log_find="step  2225", follow=False, log_top=5000
    ),
    "failed-log": lambda: failed_log(),
    "long-log": lambda: long_log(),
    "node-detail": lambda: busy("120x40", focus=Pane.NODES, last_list=Pane.NODES),
    "lease-detail.80x24": lambda: lease_detail("80x24"),
    "lease-detail.120x40": lambda: lease_detail("120x40"),
    "lease-detail.200x50": lambda: lease_detail("200x50"),
    **{f"gpu-node.{size}": partial(gpu_detail, size) for size in situations.SIZES},
    **{f"gpu-task.{size}": partial(gpu_detail, size, Pane.TASKS) for size in situations.SIZES},
    "failed": lambda: with_error(busy(filter=Filter.FAILED)),
    "failed.120x40": lambda: with_error(busy("120x40", filter=Filter.FAILED)),
    "failed.200x50": lambda: with_error(busy("200x50", filter=Filter.FAILED)),
    "failed.40x10": lambda: with_error(busy("40x10", filter=Filter.FAILED)),
    "failed-log.120x40": lambda: failed_log("120x40"),
    "failed-log.200x50": lambda: failed_log("200x50"),
    "failed-log.40x10": lambda: failed_log("40x10"),
    "marked": lambda: busy(marks=frozenset({situations.task_id(20), situations.task_id(21)})),
    "read-only": lambda: busy("120x40", readonly=True, paused=True),
    "ascii": lambda: busy("120x40", ascii=True),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_looks_like_its_golden_frame(name: str) -> None:
    check(f"view.{name}", drawn(VIEWS[name]()))


@pytest.mark.parametrize("columns", [1, 2, 5, 11, 20, 39, 40, 59, 60, 61, 79, 80, 119, 120, 121, 300])
@pytest.mark.parametrize("lines", [1, 2, 3, 4, 7, 8, 13, 14, 19, 20, 24, 70])
@pytest.mark.parametrize("name", ["empty", "stuck-task", "wide-characters"])
def test_every_size_has_a_frame_of_exactly_that_size(name: str, columns: int, lines: int) -> None:
    base = situations.scene(situations.SITUATIONS[name]())
    for overlay in (None, Help(), task_menu(base), submit_form(base)):
        if isinstance(overlay, str):
            continue
        picture = drawn(overlaid(replace(base, columns=columns, lines=lines), overlay))
        assert len(picture) == lines
        assert {width(row) for row in picture} == {columns}


def test_ascii_frames_are_ascii() -> None:
    for name, make in situations.SITUATIONS.items():
        if name != "wide-characters":
            picture = plain(drawn(situations.scene(make(), Ui(ascii=True), size="120x40")))
            assert picture.isascii(), [c for c in picture if not c.isascii()]


def test_no_frame_holds_a_control_character() -> None:
    for size in situations.SIZES:
        for row in drawn(situations.scene(situations.hostile_log(), size=size)):
            for text, _ in row:
                assert text.isprintable(), repr(text)
