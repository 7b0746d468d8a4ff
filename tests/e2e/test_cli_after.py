"""Tasks that come after others, as they are typed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.cli import Box
from tests.patience import wait_until

NOW = ("--gpus", "0")


def after(box: Box, *words: str, options: tuple[str, ...] = ()) -> str:
    return box.submit(*words, options=(*NOW, *options))


def gate(box: Box, *, code: int = 0) -> tuple[str, Path]:
    """A task that ends once there is that file."""
    path = box.work / f"gate{len(list(box.work.iterdir()))}"
    line = f"while [ ! -e {path} ]; do sleep 0.01; done; exit {code}"
    return after(box, line), path


def state(box: Box, task_id: str) -> tuple[str, str]:
    task = box.task(task_id)
    return task["state"], task["reason"]


def test_a_task_starts_once_the_other_has_ended_well_and_at_once(box: Box) -> None:
    first, path = gate(box)
    second = after(box, "true", options=("--after", "last"))
    third = after(box, "true", options=("-d", f"afterok:{second}:{first}"))
    box.until(first, "RUNNING")
    assert state(box, second) == ("PENDING", f"Dependency: {first} RUNNING")
    assert box.task(third)["waits_for"] == sorted([f"ok:{first}", f"ok:{second}"])
    path.touch()
    for task in (third, second, first):
        box.run("wait", task, code=0)
    ends, begins = box.task(first)["ended"], box.task(second)["started"]
    assert begins - ends < 4, "a look each minute, or that of a wait, would take longer"


def test_what_can_never_start_is_cancelled_in_cascade_and_a_retry_brings_it_back(box: Box) -> None:
    flag = box.work / "flag"
    first = after(box, f"while [ ! -e {flag} ]; do sleep 0.01; done; exec test -s {flag}")
    second = after(box, "true", options=("--after", first))
    third = after(box, "true", options=("--after", second))
    whatever = after(box, "true", options=("--after", f"any:{third},notok:{first}"))
    flag.touch()
    assert box.run("wait", third, code=120).err == f"leaseq: {third} CANCELLED (Dependency: {second} CANCELLED): true\n"
    assert state(box, second) == ("CANCELLED", f"Dependency: {first} FAILED")
    box.run("wait", whatever, code=0)
    told = box.run("submit", *NOW, "--after", first, "--", "true", code=2).err
    assert "could never start" in told and f"leaseq retry {first}" in told
    refused = box.run("retry", second, code=2).err
    assert f"{second} comes after {first}, which is FAILED" in refused
    flag.write_text("well")
    said = box.run("retry", first, "--json", code=0).json
    assert (said["ids"], said["revived"]) == ([first], [second, third])
    box.run("wait", third, code=0)
    assert [box.task(each)["attempt"] for each in (first, second, third, whatever)] == [2, 2, 2, 1]


def test_a_retry_without_cascade_leaves_what_was_cancelled(box: Box) -> None:
    first = after(box, "false")
    box.run("wait", first, code=1)
    down = after(box, "true", options=("--after", f"any:{first}"))
    box.run("wait", down, code=0)
    flag, path = gate(box, code=1)
    cut = after(box, "true", options=("--after", flag))
    path.touch()
    box.run("wait", cut, code=120)
    assert box.run("retry", flag, "--no-cascade", "--json", code=0).json["revived"] == []
    assert state(box, cut)[0] == "CANCELLED"
    box.run("retry", cut, "--anyway", code=0)
    box.run("wait", cut, code=0)


def test_what_can_never_start_is_held_where_that_was_asked_for(box: Box) -> None:
    first, path = gate(box, code=1)
    kept = after(box, "true", options=("--after", first, "--on-dep", "hold"))
    path.touch()
    box.run("wait", first, code=1)
    wait_until(lambda: state(box, kept) == ("PENDING", "Held"), "it to be held")
    assert f"after:      {first}; held if that never comes" in box.run("info", kept, code=0).out
    box.run("release", kept, "--anyway", code=0)
    box.run("wait", kept, code=0)


def test_hold_release_and_cancel_of_a_task_that_waits(box: Box) -> None:
    first, path = gate(box)
    second, third = (after(box, "true", options=("--after", first)) for _ in range(2))
    box.run("hold", second, code=0)
    assert state(box, second) == ("PENDING", "Held")
    said = box.run("release", third, code=0).err
    assert f"{third} is not held: it waits for {first}" in said
    box.run("cancel", third, code=0)
    path.touch()
    box.run("wait", first, code=0)
    assert state(box, second) == ("PENDING", "Held")
    box.run("release", second, code=0)
    box.run("wait", second, code=0)
    assert state(box, third) == ("CANCELLED", "cancelled while pending")


def test_cancelling_all_that_is_pending_is_no_mistake_where_one_waits_for_the_other(box: Box) -> None:
    first = after(box, "true", options=("--hold",))
    second = after(box, "true", options=("--after", first))
    box.run("cancel", "--pending", code=0)
    assert {state(box, each)[0] for each in (first, second)} == {"CANCELLED"}


def test_a_key_stands_for_the_task_that_waits(box: Box) -> None:
    first, path = gate(box)
    second = after(box, "true", options=("--after", first, "--key", "k"))
    assert after(box, "true", options=("--after", first, "--key", "k")) == second
    edges = [name.name for name in box.home.glob("runs/*/edges/*")]
    assert [name.split(".")[3] for name in edges] == [second]
    path.touch()
    box.run("wait", second, code=0)


def test_a_task_that_runs_or_begins_lets_start_what_waits_for_that(box: Box) -> None:
    blocker, path = gate(box)
    box.until(blocker, "RUNNING")
    running = after(box, "true", options=("--after", f"start:{blocker}"))
    box.run("wait", running, code=0)
    path.touch()
    box.run("wait", blocker, code=0)
    held = after(box, "sleep 600", options=("--hold",))
    waits = after(box, "true", options=("--after", f"start:{held}"))
    box.run("release", held, code=0)
    box.run("wait", waits, "--timeout", "30", code=0)
    assert state(box, held)[0] == "RUNNING"
    box.run("cancel", held, code=0)


def test_a_task_waits_for_a_time(box: Box) -> None:
    began = time.time()
    task = after(box, "true", options=("--begin", "+2s"))
    assert box.task(task)["reason"].startswith("Begin: ")
    box.run("wait", task, "--timeout", "30", code=0)
    assert box.task(task)["started"] - began >= 1.5


@pytest.mark.parametrize(
    "options",
    [
        ("--after", "Tnosuchtask0"),
        ("--after", "nix:last"),
        ("--after", "ok:"),
        ("--after", "afterok:last"),
        ("-d", "afterok"),
        ("-d", "singleton"),
        ("-d", "aftercorr:last"),
        ("-d", "afterok:last?afterok:last"),
        ("-d", "after:last+5"),
        ("--begin", "25:00"),
        ("--begin", "tomorrow"),
        ("--begin", "2026-02-30"),
        ("--after", "last", "--on-dep", "nothing"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_and_nothing_is_queued(box: Box, options: tuple[str, ...]) -> None:
    task = after(box, "true")
    said = box.run("submit", *NOW, *options, "--", "true", code=2)
    assert said.out == "" and said.err.startswith("leaseq: ")
    assert [row["id"] for row in box.run("tasks", "--json", code=0).json["tasks"]] == [task]


def test_a_group_and_an_array_are_waited_for_as_a_whole(box: Box) -> None:
    members = [after(box, "true", options=("--hold", "-g", "eval")) for _ in range(2)]
    down = after(box, "true", options=("--after", "group:eval"))
    assert box.task(down)["waits_for"] == sorted(f"ok:{each}" for each in members)
    array = after(box, "test {i} != 1 -o -e ok", options=("-a", "0-2", "--after", down))
    collector = after(box, "true", options=("--after", "last"))
    box.run("release", "-g", "eval", code=0)
    box.run("wait", collector, code=120)
    (box.work / "ok").touch()
    assert box.run("retry", array, "--failed", "--json", code=0).json["revived"] == [collector]
    box.run("wait", collector, code=0)
    assert after(box, "true", options=("--after", "group:eval,any:group:eval")), "all of it has ended well"


def test_what_pending_tasks_come_after_is_set_anew_and_never_in_a_circle(box: Box) -> None:
    first, path = gate(box)
    held = after(box, "true", options=("--hold",))
    down = after(box, "true", options=("--after", held))
    told = box.run("set", down, "--after", f"{first},any:{held}", code=0)
    assert f"{down} is changed: after" in told.err and box.task(down)["waits_for"] == [f"any:{held}", f"ok:{first}"]
    assert box.task(down)["after"] == [f"ok:{first}", f"any:{held}"]
    refused = box.run("set", held, "--after", down, code=1).err
    assert f"{held} cannot come after {down}, which waits for {held}" in refused
    assert f"leaseq set {down} --after none" in refused
    assert "stands alone" in box.run("set", down, "--after", f"none,{first}", code=2).err
    box.run("set", down, "--after", "none", code=0)
    box.run("wait", down, "--timeout", "40", code=0)
    assert "has ended" in box.run("set", down, "--after", first).err
    path.touch()
    box.run("wait", first, code=0)


def test_an_index_is_waited_for_long_before_its_array_ends_and_its_retry_revives(box: Box) -> None:
    """The decider is a runner: a look each minute would take longer."""
    end, go, well = (box.work / name for name in ("end", "go", "well"))
    line = f"""
        until [ -e {go} ]; do sleep 0.01; done
        case {{i}} in 0) until [ -e {end} ]; do sleep 0.01; done;; 2) test -e {well};; esac"""
    array = after(box, line, options=("-a", "0-3", "-c", "1"))
    begins = after(box, "true", options=("--after", f"{array}_1", "--after", f"any:{array}_2,3"))
    cut = after(box, "true", options=("-d", f"afterok:{array}_2"))
    waits = after(box, "true", options=("--after", f"{array}_0"))
    go.touch()
    box.run("wait", begins, "--timeout", "40", code=0)
    assert box.run("wait", cut, "--timeout", "40", code=120).err.startswith(
        f"leaseq: {cut} CANCELLED (Dependency: {array}_2 FAILED)"
    )
    assert state(box, waits) == ("PENDING", f"Dependency: {array}_0 RUNNING")
    assert box.task(waits)["waits_for"] == [f"ok:{array}_0"]
    tree = [line.split()[0] for line in box.run("tasks", "--tree", code=0).out.splitlines()[1:]]
    assert tree[0] == array and {begins, cut, waits} == set(tree[1:])
    end.touch()
    box.run("wait", waits, code=0)
    box.run("wait", array, code=1)
    well.touch()
    assert box.run("retry", f"{array}_2", "--json", code=0).json["revived"] == [cut]
    box.run("wait", cut, "--timeout", "40", code=0)
    said = box.run("submit", *NOW, "--after", f"{array}_4", "--", "true", code=2).err
    assert f"{array} has no index 4: it has 0-3" in said


def test_a_tree_shows_each_task_below_what_it_comes_after(box: Box) -> None:
    first, path = gate(box)
    second = after(box, "echo", "two", options=("--after", first))
    third = after(box, "echo", "three", options=("--after", f"{first},{second}"))
    lines = box.run("tasks", "--tree", code=0).out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [first, second, third]
    assert [line.rpartition("└ ")[2] for line in lines[1:]] == ["echo two", "echo three"]
    assert lines[2].index("└") == lines[1].index("└") + 2
    path.touch()
    box.run("wait", third, code=0)
    again = box.run("tasks", "--tree", code=0).out.splitlines()[1:]
    assert [line.split()[0] for line in again] == [first, second, third]


def test_what_is_waited_for_is_not_cleaned_up(box: Box) -> None:
    first = after(box, "true")
    box.run("wait", first, code=0)
    (edges,) = box.home.glob("runs/*/edges")
    lease = edges.parent.name
    (edges / f"{first}.1.later.Tzzzzzzzzzzz.1.{lease}").touch()
    box.clean()
    assert box.task(first)["cleaned"] is False
    for path in edges.iterdir():
        path.unlink()
    box.clean()
    assert box.task(first)["cleaned"] is True
