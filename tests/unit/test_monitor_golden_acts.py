"""Frames of menus, questions and banners: what can be done here and now, what it risks, what takes it back."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from leaseq.dataclass import replace
from leaseq.models import State
from leaseq.monitor import likes
from leaseq.monitor.arranging import arranged
from leaseq.monitor.deed import Undo
from leaseq.monitor.effects import Answer, Run
from leaseq.monitor.filters import Filter
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.outside import answered
from leaseq.monitor.press import press
from tests.unit import monitor_scenes as situations
from tests.unit.monitor_scenes import typed
from tests.unit.test_monitor_golden import check, drawn, utc

__all__ = ["utc"]

FIRST, SECOND = situations.task_id(20), situations.task_id(21)
INFO = {
    "argv": ["python", "train.py", "--model", "vit", "--note", "two words"],
    "shell": False,
    "cwd": "/home/ada/vit",
    "need": {"gpus": 2, "cpus": 8, "mem_mb": 65536, "time_seconds": 7200},
    "name": "vit",
    "group": "eval",
    "retries": 2,
    "on_lost": "",
    "requeue": False,
    "node": "",
    "state": "PENDING",
    "env_given": ["WANDB_MODE"],
}


def pressed(size: str, keys: str, *, task: str = FIRST, **choices: object) -> Scene:
    """The queue of a lease, after these keys."""
    scene = arranged(situations.scene(situations.queued(), Ui(task=task, **choices), size=size))  # type: ignore[arg-type]
    return typed(scene, *keys)


def stuck(size: str, keys: str) -> Scene:
    scene = arranged(situations.scene(situations.stuck_task(), Ui(filter=Filter.STUCK), size=size))
    return typed(scene, *keys)


def like(size: str) -> Scene:
    """The form is filled from what `info` has answered."""
    scene = pressed(size, "")
    (run,) = likes.one_like_it(scene).effects
    assert isinstance(run, Run)
    said = json.dumps({"tasks": [INFO]}, indent=1).split("\n")
    answer = Answer(run, 0, tuple(((line, ""),) for line in said))
    return replace(scene, ui=answered(scene.ui, answer, now=situations.WALL).ui)


def undone(size: str, verb: str, before: str) -> Scene:
    """`u` after that was done to the first that waits."""
    scene = pressed(size, "")
    undo = Undo("48213", verb, (FIRST,), before={FIRST: before}, made="7")
    if verb == "cancel":
        assert scene.data.lease.snapshot
        tasks = tuple(
            replace(task, state=State.CANCELLED) if task.id == FIRST else task
            for task in scene.data.lease.snapshot.tasks
        )
        shot = replace(scene.data.lease.snapshot, tasks=tasks)
        scene = replace(scene, data=situations.with_snapshot(scene.data, shot))
    scene = arranged(replace(scene, ui=replace(scene.ui, undos=(undo,))))
    return arranged(replace(scene, ui=press(scene, "u").ui))


VIEWS: dict[str, Callable[[str], Scene]] = {
    "menu-pending": lambda size: pressed(size, "m"),
    "menu-dependent": lambda size: pressed(size, "mG", task=SECOND),
    "menu-stuck": lambda size: stuck(size, "m"),
    "force": lambda size: stuck(size, "mB"),
    "priority": lambda size: pressed(size, "mp"),
    "pin": lambda size: pressed(size, "mn"),
    "like": like,
    "undo-held": lambda size: undone(size, "cancel", "held"),
    "undo-late": lambda size: undone(size, "set", "0"),
}


@pytest.mark.parametrize("size", situations.SIZES)
@pytest.mark.parametrize("name", VIEWS)
def test_what_can_be_done_looks_like_its_golden_frame(name: str, size: str) -> None:
    check(f"acts.{name}.{size}", drawn(VIEWS[name](size)))
