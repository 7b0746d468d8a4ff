"""The monitor and its terminal: sizes, stops, ends of every kind, a dead runner, a file system that hangs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.monitor_screen import Screen, on_terminal

ROOT = Path(__file__).parents[2]
LEASEQ = [sys.executable, "-m", "leaseq"]
TUI = [*LEASEQ, "tui", "--refresh", "0.3"]

HUNG = """
import os, sys, time
from leaseq.layout import Home
from leaseq.monitor.main import Monitor, Options
from leaseq.world import SystemClock, SystemFs

class Hanging(SystemFs):
    "A file system whose server has gone away as long as a file exists."
    def names(self, directory):
        while os.path.exists(sys.argv[2]):
            time.sleep(0.05)
        return super().names(directory)

clock = SystemClock()
home = Home(sys.argv[1])
sys.exit(Monitor(Hanging(remote=False), home, clock, Options(os.listdir(home.runs)[0], refresh=0.2)).run())
"""
CRASH = """
import os, sys
from leaseq.layout import Home
from leaseq.monitor.main import Monitor, Options
from leaseq.world import SystemClock, SystemFs

class Broken(SystemFs):
    def names(self, directory):
        if os.path.exists(sys.argv[2]):
            raise RuntimeError("a bug in a thread")
        return super().names(directory)

home = Home(sys.argv[1])
Monitor(Broken(remote=False), home, SystemClock(), Options(os.listdir(home.runs)[0], refresh=0.2)).run()
"""


def leaseq(env: dict[str, str], *words: str, code: int = 0) -> str:
    done = subprocess.run([*LEASEQ, *words], env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return (done.stdout + done.stderr).strip()


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A local lease with a task that runs and talks."""
    root = tmp_path_factory.mktemp("lease")
    made = {name: value for name, value in os.environ.items() if not name.startswith(("LEASEQ_", "SLURM_"))}
    made |= {"LEASEQ_HOME": str(root / "home"), "LEASEQ_NODE_DIR": str(root / "node"), "PYTHONPATH": str(ROOT)}
    made |= {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "TMUX"):
        made.pop(name, None)
    leaseq(made, "submit", "--gpus", "0", "--name", "talker", "--", "echo first words; sleep 600")
    yield made
    leaseq(made, "daemon", "stop", "--kill")


def restored(screen: Screen) -> None:
    """The terminal is as the program found it."""
    now = termios.tcgetattr(screen.fd)
    assert now[:4] == screen.before[:4]
    tail = bytes(screen.raw)
    pairs = ((b"?1049h", b"?1049l"), (b"?25l", b"?25h"), (b"?1000h", b"?1000l"), (b"?7l", b"?7h"))
    for on, off in (*pairs, (b"\x1b[22;2t", b"\x1b[23;2t"), (b"\x1b]2;", b"\x1b[23;2t")):
        assert tail.rfind(off) > tail.rfind(on), off
    assert tail.count(b"\x1b[22;2t") == tail.count(b"\x1b[23;2t")


def test_it_fits_every_size_it_is_given_while_it_runs(env: dict[str, str]) -> None:
    with on_terminal(TUI, env, columns=80, lines=24) as screen:
        screen.shows("first words")
        for columns, lines in ((200, 50), (40, 10), (120, 40), (20, 5), (80, 24)):
            screen.resize(columns, lines)
            screen.wait(partial(_fits, screen, columns, lines), f"{columns}x{lines}")
        screen.shows("first words")
        rows = screen.text.split("\n")
        assert rows[1].startswith("┌─ leases") and rows[22].startswith("└"), screen.text
        assert not any(row.count("┌─ leases") for row in rows[2:]), "rubbish of an older size"


def test_words_are_looked_for_in_all_that_wait_and_what_is_not_listed_is_counted(
    env: dict[str, str], tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("".join(f"python run.py --seed {number}x\n" for number in range(700)))
    own = env | {"LEASEQ_HOME": str(tmp_path / "home"), "LEASEQ_NODE_DIR": str(tmp_path / "node")}
    leaseq(own, "submit", "--hold", "--file", str(lines))
    with on_terminal(TUI, own, columns=120, lines=40) as screen:
        screen.shows("more pending: F lists them")
        screen.press("FFF", "100 of 700")
        screen.shows("… 600 more: G reads on")
        screen.send("/seed 650x\r")
        screen.shows("--seed 650x")
        screen.shows("1 of 700 · /seed 650x")
        screen.hides("searched")


def test_a_long_output_is_searched_from_its_end_to_its_first_line(env: dict[str, str]) -> None:
    words = "seq -f 'line %.0f of many, each of which has some words, so that few of them are a megabyte' 30000"
    task = leaseq(env, "submit", "--gpus", "0", "--name", "writer", "--", words).split()[0]
    leaseq(env, "wait", task)
    with on_terminal(TUI, env, columns=120, lines=40) as screen:
        screen.send("/writer\r")
        screen.shows("· follow · 2.")
        screen.press("z", "line 30000 of many")
        screen.send("/line 7777 of\r")
        screen.shows("▸line 7777 of many")
        screen.shows("25 % of 2.")
        screen.shows("/line 7777 of 1/1")
        screen.shows("line 7776 of many")
        screen.press("g", " line 1 of many")
        screen.shows("· 0 % of 2.")
        screen.press("\x1b[6~", "line 50 of many")
        screen.press("G", "line 30000 of many")
        screen.send("/\x15nowhere at all\r")
        screen.shows("no line has nowhere at all")
        screen.send("/\x15line 2 of\r")
        screen.shows("▸line 2 of many")
        screen.press("n", "round from the top")
        screen.shows("▸line 2 of many")


def test_a_failed_task_is_shown_at_its_error_whatever_it_wrote_afterwards(env: dict[str, str]) -> None:
    command = "seq 200; echo 'RuntimeError: CUDA out of memory'; seq -f 'cleaning %g' 300; exit 3"
    task = leaseq(env, "submit", "--gpus", "0", "--name", "fails", "--", command).split()[0]
    leaseq(env, "wait", task, code=3)
    with on_terminal(TUI, env) as screen:
        screen.send("/fails\r")
        screen.shows("▸RuntimeError: CUDA out of memory")
        screen.shows("*paused*")
        screen.wait(lambda: re.search("✗F .* RuntimeError: ", screen.text), "its last error in the list")
        screen.press("G", "▸RuntimeError: CUDA out of memory")


def _fits(screen: Screen, columns: int, lines: int) -> bool:
    return len(screen.text.split("\n")) == lines and _full(screen, columns)


def _full(screen: Screen, columns: int) -> bool:
    """A frame of that width stands: its widest row reaches the last column."""
    return any(len(line.rstrip()) >= columns - 3 for line in screen.display.display)


@pytest.mark.parametrize("end", ["q", "ctrl-c", "TERM", "HUP"])
def test_the_terminal_is_as_it_was_after_any_end(env: dict[str, str], end: str) -> None:
    with on_terminal(TUI, env) as screen:
        screen.shows("first words")
        if end in ("q", "ctrl-c"):
            screen.send("q" if end == "q" else "\x03")
        else:
            os.kill(screen.process.pid, getattr(signal, f"SIG{end}"))
        code = screen.ended()
        assert code == {"q": 0, "ctrl-c": 130, "TERM": 143, "HUP": 129}[end]
        restored(screen)


def test_the_terminal_is_as_it_was_after_a_crash_and_the_crash_is_told(env: dict[str, str], tmp_path: Path) -> None:
    bug = tmp_path / "bug"
    with on_terminal([sys.executable, "-c", CRASH, env["LEASEQ_HOME"], str(bug)], env) as screen:
        screen.shows("first words")
        bug.touch()
        assert screen.ended() == 1
        restored(screen)
        assert b"RuntimeError: a bug in a thread" in screen.raw


def test_ctrl_z_gives_the_shell_its_terminal_and_fg_brings_the_monitor_back(env: dict[str, str]) -> None:
    with on_terminal(["bash", "--norc", "--noprofile", "-i"], {**env, "PS1": "prompt> "}) as screen:
        screen.shows("prompt>")
        screen.send(f"{' '.join(TUI)}\r")
        screen.shows("first words")
        screen.send("\x1a")
        screen.shows("Stopped")
        screen.hides("┌─ leases")
        screen.send("echo typed-$((20+3))\r")
        screen.shows("typed-23")
        screen.send("fg\r")
        screen.shows("┌─ leases")
        screen.shows("first words")
        screen.press("?", "in tasks")
        screen.send("qq")
        screen.hides("┌─ leases")
        screen.shows("prompt>")
        screen.send("echo still-$((1+1))\r")
        screen.shows("still-2")


def test_a_runner_killed_while_watched_is_seen_as_down_and_its_task_as_stuck(
    env: dict[str, str], tmp_path: Path
) -> None:
    own = {**env, "LEASEQ_HOME": str(tmp_path / "home"), "LEASEQ_NODE_DIR": str(tmp_path / "node")}
    leaseq(own, "submit", "--name", "orphan", "--", "echo alone; sleep 600")
    (pid,) = map(int, re.findall(r"process (\d+)", leaseq(own, "daemon", "status"))[:1])
    try:
        with on_terminal(TUI, own) as screen:
            screen.shows("●R")
            os.kill(pid, signal.SIGKILL)
            screen.shows("!ST")
            screen.shows("1 task stuck")
            screen.shows("DOWN")
            screen.press("\r", "start this host's runner")
            screen.send("\x1b:daemon start\r")
            screen.shows("●R")
            screen.hides("stuck")
    finally:
        leaseq(own, "daemon", "stop", "--kill")


def test_a_file_system_that_hangs_makes_ages_grow_and_keys_still_work(env: dict[str, str], tmp_path: Path) -> None:
    flag = tmp_path / "hangs"
    with on_terminal([sys.executable, "-c", HUNG, env["LEASEQ_HOME"], str(flag)], env) as screen:
        screen.shows("first words")
        flag.touch()
        screen.ages(4)
        began = time.monotonic()
        screen.press("?", "in tasks")
        assert time.monotonic() - began < 2
        screen.send("q")
        screen.press("F", "tasks All")
        screen.shows("file system not answering for 1")
        flag.unlink()
        screen.hides("not answering")
        flag.touch()
        screen.send("R")
        screen.shows("file system not answering for 1")
        screen.send("q")
        assert screen.ended(5) == 0
        restored(screen)
        flag.unlink()


def test_the_mouse_selects_scrolls_and_opens(env: dict[str, str]) -> None:
    leaseq(env, "submit", "--gpus", "0", "--name", "clicked", "--", "seq -f 'row %g' 500")
    with on_terminal(TUI, env) as screen:
        screen.shows("clicked:")
        y = next(n for n, line in enumerate(screen.text.split("\n")) if "clicked:" in line)
        click = f"\x1b[<0;40;{y + 1}M\x1b[<0;40;{y + 1}m"
        screen.press(click, "row 500")
        screen.press("\x1b[<64;10;18M" * 3, "· *paused*")
        screen.hides("row 500")
        screen.press("\x1b[<65;10;18M" * 4, "row 500")
        screen.press(click, "whole output in a pager")
        screen.send("\x1b[<0;1;1M")
        screen.hides("whole output in a pager")
        foot = screen.text.split("\n")[-1]
        screen.press(f"\x1b[<0;{foot.index('? help') + 1};24M", "in tasks")


def test_read_only_changes_nothing_and_says_so(env: dict[str, str]) -> None:
    with on_terminal([*TUI, "--readonly"], env, columns=120) as screen:
        screen.shows("first words")
        screen.shows("read-only")
        for key in "cxnas":
            screen.press(key, "nothing is changed from here")
            screen.send("R")
            screen.hides("nothing is changed from here")
        assert " c cancel" not in screen.text
        screen.send(":cancel --all\r")
        screen.shows("`cancel` is not run")
        screen.send(":lease ls\r")
        screen.shows("local:")
        assert "RUNNING" in leaseq(env, "tasks", "--state", "running", "--json")


def test_no_color_gives_a_monitor_without_colours_that_works(env: dict[str, str]) -> None:
    with on_terminal(TUI, {**env, "NO_COLOR": "1"}) as screen:
        screen.shows("first words")
        screen.press("F", "tasks All")
        screen.press("\x1b[B", "tasks All")
        for line in screen.display.buffer.values():
            for x in range(80):
                assert line[x].fg == "default" and line[x].bg == "default"
        assert any(line[x].reverse for line in screen.display.buffer.values() for x in range(80))


def test_ascii_needs_no_other_characters(env: dict[str, str]) -> None:
    with on_terminal([*TUI, "--ascii"], env) as screen:
        screen.shows("first words")
        assert bytes(screen.raw).isascii()


def test_it_refuses_politely_where_it_cannot_draw(env: dict[str, str]) -> None:
    said = leaseq(env, "tui", code=2)
    assert "needs a terminal" in said and "leaseq status" in said
    for kind in ("dumb", ""):
        with on_terminal(TUI, {**env, "TERM": kind}) as screen:
            assert screen.ended() == 2
            assert b"leaseq status" in screen.raw and b"\x1b[" not in screen.raw


def test_one_frame_for_scripts_has_the_asked_size_and_no_sequences(env: dict[str, str]) -> None:
    frame = subprocess.run(
        [*LEASEQ, "tui", "--once", "--size", "100x30"], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert len(frame.splitlines()) == 30 and "talker" in frame and "first words" in frame
    assert "\x1b" not in frame


@pytest.mark.parametrize(
    "words", [("--size", "0x0"), ("--size", "big"), ("--refresh", "0"), ("--refresh", "x"), ("what",)]
)
def test_a_wrong_option_is_told(env: dict[str, str], words: tuple[str, ...]) -> None:
    assert "leaseq:" in leaseq(env, "tui", "--once", *words, code=2)


def test_it_says_how_many_run_in_the_title_and_calls_if_one_fails(env: dict[str, str], tmp_path: Path) -> None:
    own = env | {"LEASEQ_HOME": str(tmp_path / "home"), "LEASEQ_NODE_DIR": str(tmp_path / "node")}
    ready = tmp_path / "ready"
    task = f"until [ -e {ready} ]; do sleep 0.05; done; exit 3"
    leaseq(own, "submit", "--gpus", "0", "--name", "doomed", "--", task)
    (tmp_path / "home" / "config.yaml").write_text("monitor_notify: osc9\n")
    try:
        with on_terminal(TUI, {**own, "TMUX": ""}, columns=80, lines=24) as screen:
            screen.shows("doomed")
            screen.wait(lambda: b"\x1b]2;leaseq 1\xe2\x96\xb6\x07" in screen.raw, "the title")
            ready.touch()
            screen.wait(lambda: b"\x1b]2;leaseq 0\xe2\x96\xb6 1\xe2\x9c\x97\x07" in screen.raw, "the other title")
            screen.wait(lambda: b"\x1b]9;leaseq: 1 task failed: T" in screen.raw, "the call")
            screen.press("L", "nothing yet")
            screen.send("\x1b")
            screen.press(":hold last\r", "only a pending task can be held")
            screen.press("L", "leaseq hold last")
            screen.send("q")
            screen.send("q")
            assert screen.ended() == 0
            restored(screen)
    finally:
        leaseq(own, "daemon", "stop", "--kill")


def test_settings_that_mean_nothing_end_it_before_the_terminal_is_touched(env: dict[str, str], tmp_path: Path) -> None:
    own = env | {"LEASEQ_HOME": str(tmp_path / "home")}
    leaseq(own, "submit", "--no-start", "--", "true")
    (tmp_path / "home" / "config.yaml").write_text("monitor_notify: gong\n")
    with on_terminal(TUI, own) as screen:
        assert screen.ended() == 2
        assert b"monitor_notify must be" in screen.raw and b"?1049h" not in screen.raw
