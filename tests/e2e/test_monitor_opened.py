"""Views on a live lease, seen through a terminal emulator: opened, walked, gone on from, and left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.monitor_live import Live, select, selected
from tests.e2e.monitor_screen import Screen, on_terminal
from tests.e2e.test_monitor_keys import LEASEQ, live
from tests.e2e.test_monitor_slurm import Mock, mock
from tests.patience import wait_until

__all__ = ["live", "mock"]

FAILS = "echo index $LEASEQ_ARRAY_INDEX; test $LEASEQ_ARRAY_INDEX != 13 || { echo 'ValueError: bad seed' >&2; exit 3; }"


@pytest.fixture(scope="module")
def array(live: Live) -> str:
    """An array of which one index has failed, in a group with another task."""
    task = live.submit(FAILS, "--gpus", "0", "--name", "sweep", "-g", "eval", "--array", "0-29")
    other = live.submit("echo of the same group", "--gpus", "0", "--name", "beside", "-g", "eval")
    wait_until(lambda: "29 done, 1 failed" in live.state(task), "the array has ended", seen=lambda: live.state(task))
    live.until(other, "DONE")
    return task


@pytest.fixture(params=["80x24", "200x50"])
def screen(live: Live, array: str, request: pytest.FixtureRequest) -> Iterator[Screen]:
    columns, lines = map(int, request.param.split("x"))
    with on_terminal([*LEASEQ, "tui", "--refresh", "0.3"], live.env, columns=columns, lines=lines) as found:
        found.shows("long:")
        yield found


def test_an_array_unfolds_and_its_failed_index_is_two_keys_away(screen: Screen, array: str) -> None:
    select(screen, "sweep")
    screen.press("\r", "✗ 1 failed")
    screen.shows("✓ 29 done")
    screen.press("?", "in grid")
    screen.send("\x1b")
    screen.hides("in grid")
    screen.press("n", "▸13  ✗ FAILED  exit 3")
    screen.shows(f"logs {array[:8]}_13")
    screen.shows("ValueError: bad seed")
    screen.press("l", "▸14  ✓ DONE")
    screen.shows("index 14")
    screen.press("N", "▸13  ✗ FAILED  exit 3")
    screen.press("\r", f"detail {array}_13")
    screen.shows("last error ValueError: bad seed")
    screen.press("\x1b", "✓ 29 done")
    screen.shows("▸13  ✗ FAILED")
    screen.press("m", f"{array}_13")
    screen.send("\x1b")
    screen.send("\x03")
    screen.hides("✓ 29 done")
    screen.wait(lambda: "sweep" in selected(screen), "the array is selected as before")
    screen.send("q")
    assert screen.ended() == 0


def test_a_group_unfolds_and_its_array_within(screen: Screen, array: str) -> None:
    select(screen, "beside")
    screen.press("U", "group:eval · 2 tasks")
    screen.shows("of the same group")
    screen.press("g", f"▸{array[:8]}  ✗ FAILED")
    screen.press("\r", "30 indices")
    screen.press("\x1b", "group:eval · 2 tasks")
    screen.press("G", "✓ DONE")
    screen.press("\r", "of the same group")
    screen.shows("detail T")
    screen.send("\x1b\x1b")
    screen.shows("─ leases")
    screen.press("\x1b", "─ leases")


def test_a_timeline_shows_what_ran_and_goes_on_to_it(screen: Screen, array: str) -> None:
    select(screen, "broken")
    screen.press("T", "─ timeline")
    screen.shows("1 node")
    screen.shows("✗ FAILED")
    screen.press("?", "in timeline")
    screen.send("\x1b")
    screen.hides("in timeline")
    for _ in range(5):
        screen.send("+")
    screen.press("+", "this is the shortest time")
    screen.shows("timeline 5:00")
    screen.press(".", "this is now")
    screen.press("\r", "─ detail T")
    screen.press("\x1b", "─ timeline")
    screen.send("\x1b")
    screen.hides("─ timeline")
    screen.wait(lambda: "broken" in selected(screen), "the task is selected as before")


def test_a_timeline_of_a_slurm_lease_has_a_lane_for_each_gpu(mock: Mock) -> None:
    mock.leaseq("add", "--detach", "--name", "sweep", "--", "-N2", "-t", "60", "--gres=gpu:4")
    wide = mock.leaseq("submit", "--gpus", "2", "--name", "wide", "--", "echo words of wide; sleep 600")
    bad = mock.leaseq("submit", "--gpus", "1", "--name", "bad", "--", "echo 'KeyError: lr' >&2; sleep 2; exit 7")
    wait_until(lambda: "FAILED" in mock.leaseq("info", bad), "it has failed", seen=lambda: mock.leaseq("info", bad))
    wait_until(lambda: "RUNNING" in mock.leaseq("info", wide), "it runs", seen=lambda: mock.leaseq("info", wide))
    with on_terminal([*LEASEQ, "tui", "--refresh", "0.3"], mock.env, columns=120, lines=40) as screen:
        screen.shows("wide:")
        screen.press("T", "8 GPUs · row")
        screen.shows("booked")
        for _ in range(5):
            screen.send("+")
        screen.shows("timeline 5:00")
        screen.shows("words of wide")
        lanes = [line for line in screen.text.split("\n") if "▶" in line and ":" in line]
        assert len(lanes) == 2, screen.text
        screen.send("g")
        for row in range(1, 9):
            screen.shows(f"row {row} of 8")
            screen.read(1.0)
            if "✗ FAILED" in screen.text:
                break
            screen.send("j")
        screen.shows("KeyError: lr")
        screen.press("\r", "exit code  7")
        screen.press("\x03", "8 GPUs · row")
        screen.send("\x03")
        screen.hides("8 GPUs · row")
        screen.send("q")
        assert screen.ended() == 0


def test_dependencies_are_a_tree_to_walk_in(screen: Screen, live: Live) -> None:
    first = live.submit("echo the first; sleep 600", "--gpus", "0", "--name", "first")
    second = live.submit("echo second", "--gpus", "0", "--name", "second", "--after", first)
    third = live.submit("echo third", "--gpus", "0", "--name", "third", "--after", f"{first},{second}")
    live.until(first, "RUNNING")
    try:
        screen.shows(third[:8])
        select(screen, second[:8])
        screen.press("D", "─ dependencies")
        screen.shows(f"└─ ○ {second[:8]}")
        screen.shows(f"   └─ ○ {third[:8]}")
        screen.shows(f"{second[:8]} PENDING: after {first[:8]} RUNNING")
        screen.press("?", "in dependencies")
        screen.send("\x1b")
        screen.hides("in dependencies")
        screen.press("h", "the first")
        screen.press("l", f"{second[:8]} PENDING: after")
        screen.press("j", f"{third[:8]} PENDING: after {first[:8]} RUNNING, {second[:8]} PENDING")
        screen.press("hh", f"{first[:8]} RUNNING: after nothing")
        screen.press("\r", f"detail {first}")
        screen.press("\x1b", "─ dependencies")
        screen.send("\x03")
        screen.hides("─ dependencies")
        screen.wait(lambda: second[:8] in selected(screen), "the task is selected as before")
    finally:
        live.leaseq("cancel", first, second, third)
        live.until(first, "CANCELLED")


def test_allocations_of_a_lease_say_what_is_next_and_go_on_to_what_ran(mock: Mock) -> None:
    mock.leaseq("add", "--detach", "--name", "sweep", "--keep", "3h", "--", "-N1", "-t", "60", "--gres=gpu:1")
    task = mock.leaseq("submit", "--gpus", "1", "--name", "wide", "--", "echo words of wide; sleep 600")
    wait_until(lambda: "RUNNING" in mock.leaseq("info", task), "it runs", seen=lambda: mock.leaseq("info", task))
    with on_terminal([*LEASEQ, "tui", "--refresh", "0.3"], mock.env, columns=120, lines=40) as screen:
        screen.shows("wide:")
        screen.press("J", "allocations 1 sweep · ")
        screen.shows("RUNNING")
        screen.shows("one job follows the other")
        screen.shows("GPU-H")
        screen.press("?", "in allocations")
        screen.send("\x1b")
        screen.hides("in allocations")
        screen.press("G", "allocations 1 sweep")
        screen.wait(lambda: "reading" not in screen.text, "its hours are read")
        screen.press("\r", "─ timeline")
        screen.shows("1 GPU · row 1 of 1")
        screen.press("\x1b", "allocations 1 sweep")
        screen.send("\x1b")
        screen.hides("allocations 1 sweep")
        screen.send("q")
        assert screen.ended() == 0
