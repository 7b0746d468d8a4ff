"""Every key of the table does what its help says, on a live lease, seen through a terminal emulator."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from leaseq.monitor.keymap import TABLE
from tests.e2e.monitor_live import Live, environment, select, selected
from tests.e2e.monitor_screen import Screen, on_terminal

LEASEQ = [sys.executable, "-m", "leaseq"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    made = Live(environment(tmp_path_factory.mktemp("lease")))
    made.submit("seq -f 'line %g of output' 300; printf 'to stderr\\n' >&2; sleep 600", "--gpus", "0", "--name", "long")
    made.until("last", "RUNNING")
    made.submit("echo finished", "--gpus", "0", "--name", "short")
    made.until("last", "DONE")
    made.submit("exit 3", "--gpus", "0", "--name", "broken")
    made.until("last", "FAILED")
    yield made
    made.leaseq("daemon", "stop", "--kill")


@pytest.fixture
def screen(live: Live) -> Iterator[Screen]:
    with on_terminal([*LEASEQ, "tui", "--refresh", "0.3"], live.env, columns=110, lines=30) as found:
        found.shows("long:")
        found.shows("line 300 of output")
        yield found


def moves_down_and_up(screen: Screen, live: Live) -> None:
    screen.wait(lambda: "long" in selected(screen), "the running task selected")
    for down, up in (("j", "k"), ("\x1b[B", "\x1b[A"), ("G", "g"), ("\x1b[F", "\x1b[H"), ("\x04", "\x15")):
        screen.send(down)
        screen.wait(lambda: selected(screen) and "long" not in selected(screen), f"{down!r} moves")
        screen.send(up)
        screen.wait(lambda: "long" in selected(screen), f"{up!r} moves back")


def pages_a_log(screen: Screen, live: Live) -> None:
    screen.press("z", "line 280 of output")
    screen.press("\x1b[5~", "line 250 of output")
    screen.press("g", "line 1 of output")
    screen.press("\x1b[6~", "line 30 of output")
    screen.press("G", "line 300 of output")
    screen.press("k", "· *paused*")
    screen.press("j", "· follow")


def goes_through_the_panes(screen: Screen, live: Live) -> None:
    screen.send("\t")
    screen.press("?", "in detail")
    screen.send("\x1b")
    screen.hides("in detail")
    screen.send("\x1b[Z")
    screen.press("?", "in tasks")
    screen.send("\x1b")
    screen.hides("in tasks")


def goes_left_and_right(screen: Screen, live: Live) -> None:
    for left, right in (("h", "l"), ("\x1b[D", "\x1b[C")):
        screen.send(left)
        screen.press("?", "in nodes")
        screen.send("\x1b")
        screen.hides("in nodes")
        screen.send(right)
        screen.press("?", "in tasks")
        screen.send("\x1b")
        screen.hides("in tasks")


def opens_menus(screen: Screen, live: Live) -> None:
    screen.press("\r", "whole output in a pager")
    screen.send("\x1b")
    screen.hides("whole output in a pager")
    screen.send("h")
    screen.shows("s shell")
    screen.press("\r", "shell on")
    screen.press("f", "· on ")
    screen.send("\x1b\x1b[Z\x1b[Z")
    screen.shows("Enter jobs")
    screen.press("\r", "─ allocations")
    screen.press("\x1b", "line 300 of output")


def acts_from_the_menu(screen: Screen, live: Live) -> None:
    screen.press("\r", "details")
    screen.press("i", "bash -c")
    screen.send("\x1b")
    screen.hides("bash -c")
    screen.press("\r", "view logs")
    screen.send("v")
    screen.shows("line 275 of output")


def cancels(screen: Screen, live: Live) -> None:
    task = live.submit("sleep 555", "--gpus", "0", "--name", "doomed")
    screen.shows("doomed:")
    select(screen, "doomed")
    screen.press("c", "ends 1 running task")
    screen.press("n", "nothing was done")
    screen.press("c", "ends 1 running task")
    screen.press("y", "is being ended")
    live.until(task, "CANCELLED")


def redoes(screen: Screen, live: Live) -> None:
    before = live.leaseq("tasks", "--no-header").count("broken")
    select(screen, "broken")
    screen.send("r")
    screen.wait(lambda: live.leaseq("tasks", "--no-header").count("broken") > before, "a second broken task")


def marks_several(screen: Screen, live: Live) -> None:
    pair = [live.submit("sleep 444", "--gpus", "0", "--name", "pair") for _ in range(2)]
    live.until(pair[0], "RUNNING")
    live.until(pair[1], "RUNNING", "CPUs: needs")
    # Now they stand beside each other, and stay there.
    rows = re.compile("●.*pair:.*\n.*[●○].*pair:")
    screen.wait(lambda: rows.search(screen.text), "two tasks of a pair, the first of them running")
    select(screen, "pair")
    screen.press(" ", "1 marked")
    screen.press(" ", "2 marked")
    screen.press("c", "cancel 2 tasks")
    screen.press("y", "is being ended")


def adds_a_task(screen: Screen, live: Live) -> None:
    screen.press("a", "submit to")
    screen.send("echo 'from the form'\t0\t\t\t\tformed")
    screen.shows("--name formed -- 'echo")
    screen.send("\r")
    screen.shows("formed:")
    live.until("last", "DONE")


def cycles_filters(screen: Screen, live: Live) -> None:
    for word in ("All", "Running", "Pending", "Done", "Went wrong", "Cancelled", "Stuck", "Recent"):
        screen.press("F", f"tasks {word}")
    screen.press("F", "tasks All")


def filters_by_number(screen: Screen, live: Live) -> None:
    words = ("Recent", "All", "Running", "Pending", "Done", "Went wrong", "Cancelled", "Stuck")
    for number, word in reversed(list(enumerate(words, 1))):
        screen.press(str(number), f"tasks {word}")


def closes_windows_by_ctrl_c(screen: Screen, live: Live) -> None:
    screen.press("a", "submit to")
    screen.send("echo 'typed and kept'")
    screen.shows("-- 'echo")
    screen.send("\x03")
    screen.hides("submit to local")
    screen.press("a", "echo 'typed and kept'")
    screen.send("\x1b")
    screen.hides("submit to local")
    screen.send("\x03")
    assert screen.ended() == 130


def filters_by_words(screen: Screen, live: Live) -> None:
    screen.send("/")
    screen.send("shor")
    screen.shows("· /shor")
    screen.hides("long:")
    screen.send("\r")
    screen.shows("· /shor")
    screen.press("\x1b", "long:")
    screen.press("/", "find")
    screen.send("name:broken state:f")
    screen.shows("broken:")
    screen.hides("long:")
    screen.press("aild", "'state:faild': there is no such state; one of")
    screen.press("\x7fed\r", "broken:")
    screen.press("\x1b", "long:")


def finds_in_output(screen: Screen, live: Live) -> None:
    screen.send("z")
    screen.send("/")
    screen.send("line 9")
    screen.send("\r")
    screen.shows("/line 9 11/11")
    screen.shows("▸line 99 of output")
    screen.press("N", "▸line 98 of output")
    screen.send("NNNNNNN")
    screen.shows("▸line 91 of output")
    screen.press("n", "▸line 92 of output")
    screen.shows("/line 9 4/11")


def zooms_the_log(screen: Screen, live: Live) -> None:
    screen.send("z")
    screen.hides("─ tasks")
    screen.press("\r", "─ tasks")


def holds_the_log(screen: Screen, live: Live) -> None:
    screen.press("f", "· *paused*")
    screen.press("f", "· follow")


def changes_the_stream(screen: Screen, live: Live) -> None:
    screen.send("zg")
    screen.shows("▏to stderr")
    screen.shows("── stdout ─")
    screen.send("Gz")
    screen.press("e", "· stdout · follow")
    screen.press("e", "· stderr · follow")
    screen.shows("to stderr")
    screen.hides("line 300 of output")
    screen.press("e", "line 300 of output")


def goes_to_errors(screen: Screen, live: Live) -> None:
    words = "echo KeyError: one; seq 100; echo KeyError: two; seq 100; exit 1"
    live.submit(words, "--gpus", "0", "--name", "errs")
    screen.shows("errs:")
    select(screen, "errs")
    screen.shows("▸KeyError: two")
    screen.press("[", "▸KeyError: one")
    screen.press("]", "▸KeyError: two")


def shows_earlier_attempts(screen: Screen, live: Live) -> None:
    task = live.submit("echo attempt-$LEASEQ_ATTEMPT-said; exit 4", "--gpus", "0", "--name", "again", "--retries", "1")
    live.until(task, "FAILED")
    screen.shows("again:")
    select(screen, "again")
    screen.shows("attempt 2 of 2")
    screen.shows("attempt-2-said")
    screen.press("<", "attempt-1-said")
    screen.press("<", "attempt 1 is the first")
    screen.press(">", "attempt-2-said")


def tells_when_lines_came(screen: Screen, live: Live) -> None:
    live.submit("echo before; sleep 2; echo later; sleep 30", "--gpus", "0", "--name", "slow")
    screen.shows("slow:")
    select(screen, "slow")
    screen.send("t")
    screen.wait(lambda: re.search(r"\d\d:\d\d:\d\d later", screen.text), "the time at which a line came")


def wraps_lines(screen: Screen, live: Live) -> None:
    live.submit(f"printf '{'x' * 150}END\\n'", "--gpus", "0", "--name", "wide")
    screen.shows("wide:")
    select(screen, "wide")
    screen.shows("xxxx")
    assert "xEND" not in screen.text.replace("xEND\\n", "")
    screen.press("w", "xEND")


def opens_a_pager(screen: Screen, live: Live) -> None:
    screen.send("o")
    screen.shows("line 1 of output")
    screen.hides("─ tasks")
    screen.press("q", "─ tasks")


def opens_a_shell_and_comes_back(screen: Screen, live: Live) -> None:
    screen.send("s")
    screen.hides("─ tasks")
    os.umask(mask := os.umask(0o077))
    screen.send("echo in-$LEASEQ_LEASE-$((40+2))-$(umask)-; exit\r")
    answer = f"-42-{mask:04o}-".encode()
    screen.wait(lambda: b"in-local:" in screen.raw and answer in screen.raw, "the shell's answer")
    screen.shows("─ tasks")


def asks_before_a_release(screen: Screen, live: Live) -> None:
    screen.press("x", "stops this host's runner, ends")
    screen.press("n", "nothing was done")


def asks_for_a_lease(screen: Screen, live: Live) -> None:
    screen.press("n", "new Slurm lease")
    screen.send("\tgpu\t2")
    screen.shows("leaseq add --detach -- --partition=gpu --nodes=2")
    screen.send("\x10")
    screen.shows("#SBATCH")
    screen.press("\x1b", "new Slurm lease")


def sorts(screen: Screen, live: Live) -> None:
    screen.press(".", "STATE▾")
    screen.press(".", "ID▾")
    screen.press(",", "STATE▾")


def copies_the_id(screen: Screen, live: Live) -> None:
    screen.press("y", "copied T")
    task = screen.text.split("copied ")[1].split()[0]
    screen.wait(lambda: b"\x1b]52;c;" + base64.b64encode(task.encode()) in screen.raw, "the id in the clipboard")


def runs_a_command(screen: Screen, live: Live) -> None:
    screen.send(":")
    screen.send("lease ls\r")
    screen.shows("ALIVE")
    screen.send(":")
    screen.send("lease re")
    screen.press("\t", ":lease release")
    screen.send("\x15")
    screen.press("\x1b[A", ":lease ls")
    screen.send("\x15nonsense\r")
    screen.shows("is not a leaseq command")


def undoes(screen: Screen, live: Live) -> None:
    task = live.submit("echo undone", "--gpus", "0", "--hold", "--name", "waits")
    screen.shows("waits:")
    select(screen, "waits")
    screen.press("c", "takes 1 pending task off the queue; u brings it back")
    screen.press("n", "nothing was done")
    screen.press("u", "nothing was done here that can be undone")
    screen.press("m", "let it start")
    screen.press("t", "is released (u: undo)")
    live.until(task, "DONE")
    screen.press("u", "cannot be undone any more: release of")


def lists_what_was_done(screen: Screen, live: Live) -> None:
    screen.press(":hold nothing\r", "no task")
    screen.press("L", "leaseq hold nothing")
    screen.send("\x1b")
    screen.hides("what was done here")


def reads_anew(screen: Screen, live: Live) -> None:
    with on_terminal([*LEASEQ, "tui", "--refresh", "600"], live.env) as slow:
        slow.shows("long:")
        slow.send("FF")
        slow.shows("tasks Running")
        live.until(live.submit("echo unread", "--gpus", "0", "--name", "unread"), "DONE")
        slow.send("R")
        slow.press("F" * 6, "unread:")


def pauses(screen: Screen, live: Live) -> None:
    screen.press("p", "paused")
    task = live.submit("echo unseen", "--gpus", "0", "--name", "unseen")
    live.until(task, "DONE")
    screen.ages(2)
    assert "unseen:" not in screen.text
    screen.press("p", "unseen:")


def escapes(screen: Screen, live: Live) -> None:
    screen.press(" ", "1 marked")
    screen.send("\x1b")
    screen.hides("1 marked")


def helps(screen: Screen, live: Live) -> None:
    screen.press("?", "in tasks")
    screen.send("q")
    screen.hides("in tasks")


def quits(screen: Screen, live: Live) -> None:
    screen.send("q")
    assert screen.ended() == 0


TRIED: dict[Callable[[Screen, Live], None], str] = {
    moves_down_and_up: "j ↓|k ↑|g Home|G End|PgDn ^F ^D|PgUp ^B ^U",
    pages_a_log: "z",
    goes_through_the_panes: "Tab|Shift-Tab",
    goes_left_and_right: "l →|h ←",
    opens_menus: "Enter",
    acts_from_the_menu: "Enter",
    cancels: "c",
    redoes: "r",
    marks_several: "Space",
    adds_a_task: "a",
    cycles_filters: "F",
    filters_by_number: "1-8",
    closes_windows_by_ctrl_c: "^C",
    filters_by_words: "/",
    finds_in_output: "/|n|N",
    zooms_the_log: "z|Enter",
    holds_the_log: "f",
    changes_the_stream: "e",
    goes_to_errors: "[|]",
    shows_earlier_attempts: "<|>",
    tells_when_lines_came: "t",
    wraps_lines: "w",
    opens_a_pager: "o",
    opens_a_shell_and_comes_back: "s",
    asks_before_a_release: "x",
    asks_for_a_lease: "n",
    sorts: ",|.",
    copies_the_id: "y",
    runs_a_command: ":",
    lists_what_was_done: "L",
    undoes: "u",
    reads_anew: "R",
    pauses: "p",
    escapes: "Esc",
    helps: "?",
    quits: "q",
}


IN_VIEWS = {"m", "U", "T", "+", "-", "0", "D", "J"}
"""Tried in `test_monitor_opened`."""


@pytest.mark.parametrize("tried", TRIED, ids=lambda tried: tried.__name__)
def test_a_key_does_what_its_help_says(tried: Callable[[Screen, Live], None], screen: Screen, live: Live) -> None:
    tried(screen, live)


def test_every_key_of_the_table_is_tried() -> None:
    tried = {label for labels in TRIED.values() for label in labels.split("|")}
    assert {key.label for key in TABLE} == tried | IN_VIEWS
