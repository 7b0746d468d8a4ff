"""A local lease with a runner, as the monitor's tests look at it on a terminal."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from leaseq.dataclass import dataclass
from tests import forked
from tests.e2e.monitor_screen import Screen
from tests.patience import wait_until

ROOT = Path(__file__).parents[2]


@dataclass
class Live:
    """A local lease with a runner, and what was submitted to it."""

    env: dict[str, str]

    def leaseq(self, *words: str) -> str:
        code, out, err = forked.run(words, self.env, cwd=ROOT)
        assert code == 0, (words, out, err)
        return out.decode().strip()

    def submit(self, command: str, *options: str) -> str:
        return self.leaseq("submit", *options, "--", command)

    def state(self, task: str) -> str:
        return self.leaseq("info", task)

    def until(self, task: str, *words: str) -> None:
        wait_until(
            lambda: any(word in self.state(task) for word in words), f"{task} in {words}", seen=lambda: self.state(task)
        )


def environment(root: Path) -> dict[str, str]:
    """That of a person whose home and node directory are below the root, on a terminal that is no tmux."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LEASEQ_", "SLURM_"))}
    env |= {"LEASEQ_HOME": str(root / "home"), "LEASEQ_NODE_DIR": str(root / "node"), "PYTHONPATH": str(ROOT)}
    env |= {"PAGER": "less", "LC_ALL": "C.UTF-8", "SHELL": "/bin/bash", "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "LESS", "TMUX"):
        env.pop(name, None)
    return env


def selected(screen: Screen) -> str:
    """The text of the row shown in reverse."""
    for y, line in screen.display.buffer.items():
        inside = "".join(line[x].data for x in range(screen.display.columns) if line[x].reverse)
        if inside.strip() and y < screen.display.lines - 1:
            return inside
    return ""


def select(screen: Screen, word: str) -> None:
    """The cursor of the task list is on the task with that word."""
    screen.send("g")
    for _ in range(20):
        screen.read()
        here = selected(screen)
        if word in here:
            return
        screen.send("j")
        # A key pressed before the last one is seen would go too far.
        screen.wait(partial(_elsewhere, screen, here), "the cursor to move")
    raise AssertionError(f"no task {word!r} to select\n{screen.text}")


def _elsewhere(screen: Screen, line: str) -> bool:
    return selected(screen) != line
