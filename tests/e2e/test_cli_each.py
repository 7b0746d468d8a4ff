"""Arrays that wait index by index for another array, as they are typed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.e2e.cli import Box
from tests.patience import wait_until

NOW = ("--gpus", "0", "--cpus", "1")


def array(box: Box, line: str, *options: str, indices: str = "0-3") -> str:
    return box.submit(line, options=(*NOW, "-a", indices, *options))


def gates(box: Box, *, indices: str = "0-3") -> tuple[str, Path]:
    """An array each of whose indices ends once there is a file of its number."""
    path = box.work / f"gate{len(list(box.work.iterdir()))}"
    path.mkdir()
    return array(box, f"while [ ! -e {path}/{{i}} ]; do sleep 0.01; done", indices=indices), path


def states(box: Box, task_id: str) -> list[str]:
    rows = box.run("tasks", task_id, "--json", code=0).json["tasks"]
    return [f"{row['state']} {row['reason']}".strip() for row in rows]


def _says(told: Path, index: str) -> bool:
    return told.exists() and index in told.read_text().split()


def test_each_index_starts_once_that_index_of_the_other_array_ended_well(box: Box) -> None:
    first, path = gates(box, indices="1,5")
    told = box.work / "told"
    second = array(box, f"echo {{i}} >> {told}", "--after", "each:last", indices="1,5")
    wait_until(lambda: states(box, first)[0] == "RUNNING", "the first index to run")
    task = box.task(second)
    assert (task["state"], task["waits_for"]) == ("PENDING", [f"each:{first}"])
    assert f"Dependency: each:{first} RUNNING" in task["reason"]
    assert states(box, second)[0] == f"PENDING Dependency: {first}_1 RUNNING"
    assert f"waits for:  {first}_1 RUNNING" in box.run("info", f"{second}_1", code=0).out
    assert "waits for others: Dependency" in box.run("why", second, code=0).out
    for index in ("5", "1"):
        (path / index).touch()
        wait_until(partial(_says, told, index), f"index {index} to run")
        assert index == told.read_text().split()[-1]
        box.run("wait", f"{second}_{index}", code=0)
    box.run("wait", first, second, code=0)
    assert told.read_text().split() == ["5", "1"]
    assert not list(box.home.glob("runs/*/edges/*"))
    assert second in box.run("tasks", "--tree", "--all", code=0).out


def test_an_index_that_fails_cancels_its_own_and_a_retry_brings_just_those_back(box: Box) -> None:
    flag = box.work / "flag"
    first = array(box, f"test -e {flag} || test {{i}} -lt 2")
    second = array(box, "echo {i}", "-d", f"aftercorr:{first}")
    third = array(box, "echo {i}", "--after", f"each:{second}")
    last = box.submit("true", options=(*NOW, "--after", f"any:{third}"))
    box.run("wait", third, code=120)
    box.run("wait", last, code=0)
    assert states(box, second) == [
        "DONE",
        "DONE",
        f"CANCELLED Dependency: {first}_2 FAILED",
        f"CANCELLED Dependency: {first}_3 FAILED",
    ]
    assert states(box, third)[2:] == [f"CANCELLED Dependency: {second}_{index} CANCELLED" for index in (2, 3)]
    assert "none of these is DONE there" in box.run("retry", f"{second}_2", code=2).err
    flag.touch()
    said = box.run("retry", f"{first}_2", "--json", code=0).json
    assert (said["ids"], said["revived"]) == ([first], [second, third])
    box.run("wait", third, code=120)
    assert states(box, third) == ["DONE"] * 3 + [f"CANCELLED Dependency: {second}_3 CANCELLED"]
    assert box.run("retry", first, "--failed", "--json", code=0).json["revived"] == [second, third]
    box.run("wait", first, second, third, code=0)
    assert box.run("tasks", third, "--json", code=0).json["tasks"][3]["attempt"] == 3


def test_an_index_that_was_kept_and_is_cancelled_keeps_its_array_no_more(box: Box) -> None:
    go = box.work / "go"
    first = array(box, "sleep 0.2; test {i} = 0", indices="0-1")
    second = array(
        box, f"while [ ! -e {go} ]; do sleep 0.01; done", "--after", f"each:{first}", "--on-dep", "hold", indices="0-1"
    )
    box.run("wait", first, code=1)
    wait_until(lambda: states(box, second)[0] == "RUNNING", "the index to run whose own ended well")
    box.run("cancel", f"{second}_1", code=0)
    go.touch()
    box.run("wait", second, code=120)
    assert [each.split()[0] for each in states(box, second)] == ["DONE", "CANCELLED"]


def test_a_retry_without_cascade_leaves_the_cancelled_ones(box: Box) -> None:
    flag = box.work / "flag"
    first = array(box, f"test -e {flag}", "--hold", indices="0-1")
    held = array(box, "true", "--after", f"each:{first}", indices="0-1")  # once all had failed, it would be refused
    box.run("release", first, code=0)
    box.run("wait", held, code=120)
    flag.touch()
    assert box.run("retry", first, "--no-cascade", "--json", code=0).json["revived"] == []
    box.run("wait", first, code=0)
    assert {each.split()[0] for each in states(box, held)} == {"CANCELLED"}
    box.run("retry", held, code=0)
    box.run("wait", held, code=0)


def test_what_was_retried_while_the_other_goes_on_comes_back_once_that_has_ended(box: Box) -> None:
    flag, path = box.work / "flag", box.work / "go"
    first = array(box, f"test -e {flag} || test {{i}} -gt 0", indices="0-1")
    line = f"test {{i}} = 0 || while [ ! -e {path} ]; do sleep 0.01; done"
    second = array(box, line, "--after", f"each:{first}", indices="0-1")
    box.run("wait", first, code=1)
    wait_until(lambda: states(box, second) == [f"CANCELLED Dependency: {first}_0 FAILED", "RUNNING"], "it to run")
    flag.touch()
    box.run("retry", first, code=0)
    box.run("wait", first, code=0)
    assert states(box, second)[1] == "RUNNING"
    path.touch()
    wait_until(lambda: states(box, second) == ["DONE", "DONE"], "both to be done")
    assert [row["attempt"] for row in box.run("tasks", second, "--json", code=0).json["tasks"]] == [2, 1]


def test_an_index_that_could_never_start_waits_on_where_that_was_asked_for(box: Box) -> None:
    flag = box.work / "flag"
    first = array(box, f"test -e {flag} || test {{i}} -gt 0", indices="0-1")
    second = array(box, "true", "--after", f"each:{first}", "--on-dep", "hold", indices="0-1")
    box.run("wait", first, code=1)
    wait_until(lambda: states(box, second)[1] == "DONE", "the other one to be done")
    assert states(box, second)[0] == f"PENDING Dependency: {first}_0 FAILED"
    flag.touch()
    assert box.run("retry", first, "--json", code=0).json["revived"] == []
    box.run("wait", second, code=0)


def test_an_index_that_never_will_start_is_cancelled_also_while_the_node_is_full(box: Box) -> None:
    first = array(box, "test {i} -gt 0", indices="0-1")
    box.run("wait", first, code=1)
    blocker = box.submit("sleep", "600")  # alone on its node
    box.until(blocker, "RUNNING")
    second = array(box, "true", "--after", f"each:{first}", indices="0-1")
    wait_until(lambda: states(box, second)[0] == f"CANCELLED Dependency: {first}_0 FAILED", "it to be cancelled")
    assert states(box, second)[1].startswith("PENDING")
    box.run("cancel", blocker, code=0)
    box.run("wait", second, code=120)
    assert states(box, second)[1] == "DONE"


def test_what_waits_index_by_index_is_held_released_and_cancelled(box: Box) -> None:
    first, path = gates(box)
    second, third = (array(box, "true", "--after", f"each:{first}") for _ in range(2))
    box.run("hold", second, code=0)
    assert box.task(second)["reason"].endswith("Held")
    box.run("cancel", third, code=0)
    assert box.task(third)["state"] == "CANCELLED"
    box.run("release", second, code=0)
    assert states(box, second)[3].startswith("PENDING Dependency")
    box.run("release", second, "--anyway", code=0)
    assert "not held" in box.run("release", second, "--anyway").err
    assert box.task(second)["waits_for"] == []
    for index in range(4):
        (path / str(index)).touch()
    box.run("wait", first, second, code=0)


def test_all_of_it_and_another_task_may_be_waited_for_too(box: Box) -> None:
    first, path = gates(box, indices="0-1")
    gate, opened = box.work / "opened", box.work / "ran"
    other = box.submit(f"while [ ! -e {gate} ]; do sleep 0.01; done", options=NOW)
    second = array(box, f"echo {{i}} >> {opened}", "--after", f"each:{first},any:{other}", indices="0-1")
    (path / "0").touch()
    box.run("wait", f"{first}_0", code=0)
    assert box.task(second)["reason"].startswith("Dependency: ")
    gate.touch()
    box.run("wait", f"{second}_0", code=0)
    assert opened.read_text().split() == ["0"]
    (path / "1").touch()
    box.run("wait", second, code=0)


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (("-a", "0-4", "--after", "each:{first}"), "has the indices 0-3, and this array 0-4", "-a 0-3"),
        (("--after", "each:{first}"), "one task without indices", "--after {first}"),
        (("-a", "0-3", "--after", "each:{one}"), "one task, without indices", "--after {one}"),
        (("-a", "0-3", "--after", "each:{first}_1"), "as a whole index by index", "each:{first}"),
        (("-a", "0-3", "--after", "each:any:{first}"), "and for nothing else", "each:{first}"),
        (("-a", "0-3", "--after", "any:each:{first}"), "each", ""),
        (("-a", "0-3", "--after", "each:"), "after which task?", "each:T3k9"),
        (("-a", "0-3", "--after", "each:Tnothere"), "Tnothere", ""),
        (("-a", "0-3", "--after", "aftercorr:{first}"), "Slurm's word", "--dependency"),
        (("-a", "0-3", "-d", "aftercorr"), "after which task?", "aftercorr:ID"),
        (("-a", "0-3", "--after", "each:{cancelled}"), "could never start", "leaseq retry"),
    ],
)
def test_what_cannot_be_waited_for_index_by_index_is_refused(
    box: Box, words: tuple[str, ...], said: str, hint: str
) -> None:
    first = array(box, "true", "--hold", "--no-start")
    one = box.submit("true", options=(*NOW, "--hold", "--no-start"))
    cancelled = array(box, "true", "--hold", "--no-start")
    box.run("cancel", cancelled, code=0)
    names = {"first": first, "one": one, "cancelled": cancelled}
    before = box.run("tasks", "--json", code=0).json["tasks"]
    done = box.run("submit", *NOW, "--no-start", *(word.format(**names) for word in words), "--", "true", code=2)
    assert said.format(**names) in done.err and hint.format(**names) in done.err
    assert len(box.run("tasks", "--json", code=0).json["tasks"]) == len(before)
