"""Each line of the menus, and what takes it back, on live leases, seen through a terminal emulator."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.monitor_live import Live, environment, select, selected
from tests.e2e.monitor_screen import Screen, on_terminal
from tests.patience import wait_until

TUI = [sys.executable, "-m", "leaseq", "tui", "--refresh", "0.3"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    made = Live(environment(tmp_path_factory.mktemp("lease")))
    made.submit("echo there; sleep 600", "--gpus", "0", "--name", "long")
    made.until("last", "RUNNING")
    yield made
    made.leaseq("daemon", "stop", "--kill")


@contextmanager
def looking(live: Live, *words: str, **size: int) -> Iterator[Screen]:
    with on_terminal([*TUI, *words], live.env, **{"columns": 130, "lines": 36, **size}) as screen:
        yield screen


@pytest.fixture
def screen(live: Live) -> Iterator[Screen]:
    with looking(live) as found:
        found.shows("long:")
        yield found


def held(live: Live, name: str, *options: str) -> str:
    """A task that waits until it is let go."""
    return live.submit(f"echo {name} ran", "--gpus", "0", "--hold", "--name", name, *options)


def on(screen: Screen, name: str) -> None:
    """The cursor is on the task of that name."""
    screen.shows(f"{name}:")
    select(screen, f"{name}:")


def known(live: Live, task: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(live.leaseq("info", task, "--json"))["tasks"][0]
    return found


def priority(live: Live, task: str) -> int:
    """As the name of the task's file says it."""
    return 500 - int(os.path.basename(str(known(live, task)["file"]))[:3])


# -- changed, and changed back -----------------------------------------------------------------------


def test_a_priority_is_typed_and_taken_back(screen: Screen, live: Live) -> None:
    task = held(live, "prio", "--priority", "3")
    on(screen, "prio")
    screen.press("m", "change its priority")
    screen.press("p", f"priority of {task[:8]}, -499 to 499: 3")
    screen.send("\x157\r")
    screen.shows(f"{task} is changed: priority (u: undo)")
    assert priority(live, task) == 7
    screen.press("u", f"undone: priority of {task[:8]}: {task} is changed: priority")
    assert priority(live, task) == 3
    screen.press("u", "nothing was done")
    screen.press("mp", "-499 to 499: 3")
    screen.send("\x15nine\r")
    screen.shows("nine")
    assert priority(live, task) == 3


def test_a_hold_is_taken_back_and_a_release_before_it_starts(screen: Screen, live: Live) -> None:
    task = held(live, "hold", "--begin", "+12h")
    on(screen, "hold")
    screen.press("m", "let it start")
    screen.press("t", f"{task} is released (u: undo)")
    screen.press("u", f"undone: release of {task[:8]}: {task} is held")
    screen.wait(lambda: "Held" in selected(screen), "it to be held")
    live.leaseq("release", task)
    screen.wait(lambda: "Held" not in selected(screen), "it to wait for its time")
    screen.press("m", "t  hold")
    screen.press("t", f"{task} is held (u: undo)")
    screen.press("u", f"undone: hold of {task[:8]}: {task} is released")


def test_a_cancel_of_a_task_that_waited_is_taken_back_and_one_that_ran_is_not(screen: Screen, live: Live) -> None:
    task = live.submit("echo back again", "--gpus", "0", "--begin", "+12h", "--name", "gone")
    on(screen, "gone")
    screen.press("c", "takes 1 pending task off the queue; u brings it back")
    screen.press("y", f"{task} is cancelled; it had not started (u: undo)")
    screen.press("u", f"undone: cancel of {task[:8]}")
    live.until(task, "Begin:", "DONE")
    doomed = live.submit("sleep 500", "--gpus", "0", "--name", "doomed")
    on(screen, "doomed")
    live.until(doomed, "RUNNING")
    screen.wait(lambda: "RUNNING" in selected(screen), "it to run")
    screen.press("c", "ends 1 running task")
    screen.press("y", f"{doomed} is being ended")
    live.until(doomed, "CANCELLED")
    screen.press("u", "nothing was done")


def test_a_held_task_that_is_cancelled_comes_back_after_a_question_for_it_comes_back_free(
    screen: Screen, live: Live
) -> None:
    task = held(live, "kept")
    on(screen, "kept")
    screen.press("c", "u brings it back")
    screen.press("y", "it had not started (u: undo)")
    screen.press("u", "it was held, and is queued again free")
    screen.press("n", "nothing was done")
    assert known(live, task)["state"] == "CANCELLED"


def test_what_has_gone_on_since_cannot_be_undone_and_it_says_so(screen: Screen, live: Live) -> None:
    task = held(live, "late")
    on(screen, "late")
    screen.press("m", "let it start")
    screen.press("t", f"{task} is released (u: undo)")
    live.until(task, "DONE")
    screen.wait(lambda: "DONE" in selected(screen), "it to be done")
    screen.press("u", f"cannot be undone any more: release of {task[:8]}: {task[:8]} is DONE by now")
    again = held(live, "twice")
    on(screen, "twice")
    screen.press("mp", "-499 to 499: 0")
    screen.send("\x155\r")
    screen.shows("is changed: priority (u: undo)")
    live.leaseq("set", again, "--priority", "9")
    wait_until(lambda: priority(live, again) == 9, "the other change")
    screen.send("R")
    screen.press("m", "change its priority")
    screen.press("p", "-499 to 499: 9")
    screen.send("\x1b")
    screen.hides("-499 to 499")
    screen.press("u", f"cannot be undone any more: priority of {again[:8]}: {again[:8]} was changed again since")
    assert priority(live, again) == 9


def test_a_task_is_pinned_and_unpinned(screen: Screen, live: Live) -> None:
    task = held(live, "pin")
    node = os.uname().nodename.split(".")[0]
    on(screen, "pin")
    screen.press("m", "n  pin it to a node")
    screen.press("n", f"which node runs {task[:8]}?")
    screen.send("1")
    screen.shows("(u: undo)")
    wait_until(lambda: known(live, task)["node"] == node, "the pin")
    screen.press("m", "pin it to another node, or to none")
    screen.press("n", "any node: whichever has room first")
    screen.send("a")
    wait_until(lambda: known(live, task)["node"] == "", "no pin")
    screen.shows("(u: undo)")
    screen.press("u", f"undone: pin of {task[:8]}")
    wait_until(lambda: known(live, task)["node"] == node, "the pin back")


def test_a_group_and_the_lease_are_paused_and_go_on(screen: Screen, live: Live) -> None:
    held(live, "grouped", "-g", "eval")
    on(screen, "grouped")
    screen.press("m", "pause group eval")
    screen.press("g", "paused: eval. :resume -g eval lets it start again")
    screen.shows("(u: undo)")
    screen.press("m", "resume group eval")
    screen.press("g", "(u: undo)")
    screen.hides("paused: eval")
    screen.press("u", "undone: resume of group eval")
    screen.shows("paused: eval.")
    screen.send(":resume -g eval\r")
    screen.hides("paused: eval.")
    screen.press("m", "pause the lease")
    screen.press("P", "(u: undo)")
    screen.shows("paused: nothing starts. :resume lets it start again")
    screen.press("u", "undone: pause of the lease")
    screen.hides("paused: nothing starts")


# -- going, copying, submitting ----------------------------------------------------------------------


def test_the_cursor_goes_to_what_waits_for_a_task_and_to_what_it_waits_for(screen: Screen, live: Live) -> None:
    first = held(live, "first")
    live.submit("echo second", "--gpus", "0", "--after", first, "--name", "second")
    live.submit("echo third", "--gpus", "0", "--after", first, "--name", "third")
    screen.shows("third:")
    on(screen, "second")
    screen.press("m", "go to what it waits for")
    screen.send("<")
    screen.wait(lambda: "first:" in selected(screen), "the cursor on the first")
    screen.press("m", "go to what waits for it")
    screen.press(">", f"these wait for {first[:8]}")
    screen.shows("PENDING third")
    screen.send(next(key for key in "12" if f"{key}  " in row_with(screen, "PENDING third")))
    screen.wait(lambda: "third:" in selected(screen), "the cursor on the third")
    live.leaseq("cancel", first)


def row_with(screen: Screen, words: str) -> str:
    return next(row for row in screen.text.split("\n") if words in row)


def test_a_form_is_filled_from_a_task_and_submits_one_like_it(screen: Screen, live: Live, tmp_path: Path) -> None:
    options = ("--gpus", "0", "--cpus", "1", "--mem", "64M", "--time", "90s", "--name", "model", "-g", "eval")
    live.leaseq("submit", *options, "--retries", "2", "--cwd", str(tmp_path), "--", "echo", "two  words")
    on(screen, "model")
    screen.press("m", "submit one like it")
    screen.press("S", "submit to")
    for words in ("echo 'two  words'", "64M", "90s", "model", "--group eval --retries 2"):
        screen.shows(words)
    screen.send("\t\t\t\t\t\x15copy\r")
    screen.shows("copy:")
    live.until("last", "DONE")
    assert live.leaseq("logs", "last") == "two  words"
    copy = known(live, "last")
    assert (copy["name"], copy["group"], copy["retries"], copy["cwd"]) == ("copy", "eval", 2, str(tmp_path))
    assert copy["need"] == {"gpus": 0, "cpus": 1, "mem_mb": 64, "time_seconds": 90}


def clip(screen: Screen, text: str) -> None:
    """The text was sent to the terminal's clipboard."""
    sent = b"\x1b]52;c;" + base64.b64encode(text.encode())
    screen.wait(lambda: sent in screen.raw, f"{text!r} in the clipboard")


def test_the_whole_command_is_copied_however_long_and_the_id(screen: Screen, live: Live) -> None:
    words = " ".join(f"word{n}" for n in range(200))
    task = live.submit(f"echo {words}; sleep 600", "--gpus", "0", "--name", "wordy")
    live.until(task, "RUNNING")
    on(screen, "wordy")
    screen.press("m", "copy command")
    screen.send("Y")
    screen.shows("copied echo word0")
    clip(screen, f"echo {words}; sleep 600")
    screen.press("my", f"copied {task}")
    clip(screen, task)
    live.leaseq("cancel", task)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_inside_tmux_it_says_copied_only_if_tmux_lets_it_through(live: Live, tmp_path: Path) -> None:
    tmux = ["tmux", "-S", str(tmp_path / "s"), "-f", "/dev/null"]

    def pane() -> str:
        return subprocess.run([*tmux, "capture-pane", "-p"], env=live.env, capture_output=True, text=True).stdout

    start = [*tmux, "new-session", "-d", "-x", "120", "-y", "30", *TUI]
    subprocess.run(start, env=live.env, check=True)
    try:
        wait_until(lambda: "long:" in pane(), "the monitor in tmux", seen=pane)
        for setting, said in (("external", "not copied: tmux keeps it back: `tmux set -s"), ("on", "copied T")):
            subprocess.run([*tmux, "set", "-s", "set-clipboard", setting], env=live.env, check=True)
            subprocess.run([*tmux, "send-keys", "y"], env=live.env, check=True)
            wait_until(lambda: said in pane(), said, seen=pane)  # noqa: B023
        shown = subprocess.run([*tmux, "show-buffer"], env=live.env, capture_output=True, text=True).stdout
        assert re.fullmatch(r"T[0-9a-z]{11}", shown), shown
    finally:
        subprocess.run([*tmux, "kill-server"], env=live.env, check=True)


def test_a_failed_task_is_explained_run_again_and_submitted_again_from_its_menu(screen: Screen, live: Live) -> None:
    task = live.submit("echo ModuleNotFoundError: No module named x >&2; exit 3", "--gpus", "0", "--name", "broken")
    live.until(task, "FAILED")
    on(screen, "broken")
    screen.press("m", "what went wrong, and what to try")
    for key, window in (("w", "─ leaseq triage"), ("i", "─ leaseq info")):
        screen.press(f"m{key}", window)
        screen.send("\x1b")
        screen.hides(window)
    screen.press("m", "retry: run it again, same id")
    screen.send("a")
    live.until(task, "(attempt 2", "attempt 2")
    live.until(task, "FAILED")
    before = live.leaseq("tasks", "--no-header").count("broken")
    screen.wait(
        lambda: "FAILED" in selected(screen) and re.search(r"attempt +2\b", screen.text), "it to have failed again"
    )
    screen.press("m", "redo: submit it again")
    screen.send("r")
    wait_until(lambda: live.leaseq("tasks", "--no-header").count("broken") > before, "a second broken task")


def test_a_running_task_is_looked_into_from_its_menu(screen: Screen, live: Live) -> None:
    on(screen, "long")
    screen.press("m", "how long it may take yet")
    screen.press("w", "─ leaseq why")
    screen.send("\x1b")
    screen.hides("─ leaseq why")
    screen.press("m", "view logs")
    screen.send("v")
    screen.hides("─ tasks")
    screen.press("z", "─ tasks")
    screen.press("m", "shell on")
    screen.send("s")
    screen.hides("─ tasks")
    screen.send("exit\r")
    screen.shows("─ tasks")
    screen.press("m", "c  cancel")
    screen.press("c", "ends 1 running task")
    screen.press("n", "nothing was done")


def test_the_output_opens_in_the_pager(screen: Screen, live: Live) -> None:
    on(screen, "long")
    screen.press("m", "whole output in a pager")
    screen.send("o")
    screen.hides("─ tasks")
    screen.shows("there")
    screen.press("q", "─ tasks")


def test_a_read_only_monitor_offers_what_only_looks(live: Live) -> None:
    held(live, "still")
    with looking(live, "--readonly") as screen:
        on(screen, "still")
        screen.press("m", "change its priority  (read-only)")
        screen.press("p", "change its priority: read-only")
        screen.send("\x1b")
        screen.hides("copy command")
        screen.press("u", "read-only: nothing is changed from here")


# -- what nobody runs any more -----------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path, short_path: Path) -> Iterator[Live]:
    """A lease of its own, whose runner may die."""
    made = Live(environment(short_path))
    yield made
    made.leaseq("daemon", "stop", "--kill")


def kill_runner(live: Live) -> None:
    pid = json.loads(live.leaseq("daemon", "status", "--json"))["pid"]
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def stuck(alone: Live) -> str:
    """A running task whose runner is gone."""
    task = alone.submit("echo began; sleep 600", "--gpus", "0", "--name", "orphan")
    alone.until(task, "RUNNING")
    kill_runner(alone)
    return task


def test_a_task_stuck_here_goes_on_once_its_runner_is_started_from_its_menu(alone: Live, stuck: str) -> None:
    with looking(alone) as screen:
        screen.shows("1 task stuck on")
        screen.shows("8 lists it, m on one: what to do")
        screen.press("\t", "m, d starts this host's, and it goes on")
        screen.send("8")
        screen.shows("tasks Stuck")
        screen.press("m", "start this host's runner: it goes on, or is told how it ended")
        screen.shows("recover by force: it may run twice")
        screen.press("b", "first d: it may still run")
        screen.press("d", "this host's runner runs")
        screen.hides("1 task stuck on")
        alone.until(stuck, "RUNNING")


def test_recovering_by_force_says_what_it_risks_before(alone: Live, stuck: str) -> None:
    with looking(alone) as screen:
        screen.shows("1 task stuck on")
        screen.send("8")
        screen.press("m", "recover by force: it may run twice")
        screen.press("B", "it runs twice at once")
        screen.press("n", "nothing was done")
        screen.press("m", "recover by force")
        screen.press("B", "it runs twice at once")
        screen.send("y")
        wait_until(lambda: "attempt 2" in alone.state(stuck) or known(alone, stuck)["attempt"] == 2, "a second attempt")


def test_pending_tasks_without_a_runner_are_told_with_the_command_that_helps(alone: Live) -> None:
    task = held(alone, "waits")
    alone.leaseq("daemon", "stop")
    with looking(alone) as screen:
        screen.shows("no runner takes the pending task. :daemon start starts this host's")
        screen.send("h")
        screen.press("\r", "start this host's runner")
        screen.send("\x1b")
        screen.send(":daemon start\r")
        screen.hides("no runner takes")
    assert known(alone, task)["state"] == "PENDING"
