"""Arrays on a real node: every index runs once, whoever is killed, and the array has one outcome."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from leaseq.indices import Indices
from leaseq.models import Array, Need, State
from leaseq.names import Entry
from leaseq.node import window
from leaseq.protocol import arrays, reports, tasks
from leaseq.protocol.facts import Ended
from leaseq.protocol.plan import Plan
from leaseq.protocol.stops import Stop
from leaseq.protocol.tasks import Claim
from tests.e2e.harness import Node
from tests.patience import wait_until

ONE = Need(cpus=1)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.close()


def told(node: Node, task_id: str) -> dict[int, Ended]:
    """How each index ended, as far as the journals tell."""
    return reports.indices(node.fs, node.lease, task_id, 1).ended


def counts(node: Node, task_id: str) -> dict[str, int]:
    return dict(node.result(task_id).counts)


def test_each_index_runs_once_with_its_values_and_its_own_logs(node: Node) -> None:
    node.start()
    array = Array("0-5", ({"lr": ("1", "2", "3")}, {"seed": "7..8"}))
    line = "echo {i} {lr} {seed} $LEASEQ_ARRAY_INDEX $LEASEQ_ARRAY_SIZE $LEASEQ_PARAM_LR $LEASEQ_TASK_ID"
    task_id = node.shell(line, array=array, need=ONE)
    outcome = node.result(task_id)
    assert (outcome.state, outcome.counts, outcome.reason) == (State.DONE, {"DONE": 6}, "")
    said = [node.out(f"{task_id}_{index}").decode() for index in range(6)]
    assert said == [
        f"{index} {index // 2 + 1} {index % 2 + 7} {index} 6 {index // 2 + 1} {task_id}_{index}\n" for index in range(6)
    ]


def test_an_array_of_many_runs_beside_itself_and_leaves_only_its_journal(node: Node, tmp_path: Path) -> None:
    node.start()
    task_id = node.shell("echo {i} >>" + str(tmp_path / "ran"), array=Array("0-1099"), need=ONE)
    assert counts(node, task_id) == {"DONE": 1100}
    assert sorted(map(int, (tmp_path / "ran").read_text().split())) == list(range(1100))
    assert len(told(node, task_id)) == 1100
    wait_until(lambda: not node.fs.names(node.lease.claimed("_array")), "the array's claim to go")
    left = {name[0] for name in node.fs.names(node.lease.array(task_id, 1).root)}
    assert left == {"o", "i"}
    assert node.fs.names(node.lease.claimed(node.name)) == node.fs.names(node.lease.inbox("_any")) == []


def test_indices_that_fail_are_tried_again_and_counted_once(node: Node, tmp_path: Path) -> None:
    node.start()
    line = f"echo $LEASEQ_ATTEMPT >>{tmp_path}/a{{i}}; test {{i}} != 2 && test {{i}} != 3 -o $LEASEQ_ATTEMPT = 2"
    task_id = node.shell(line, array=Array("0-4"), need=ONE, retries=1)
    outcome = node.result(task_id)
    assert (outcome.state, outcome.counts, outcome.last_attempt) == (State.FAILED, {"DONE": 4, "FAILED": 1}, 2)
    assert outcome.reason == "1 FAILED of 5"
    assert [(tmp_path / f"a{index}").read_text().split() for index in range(5)] == [
        ["1"],
        ["1"],
        ["1", "2"],
        ["1", "2"],
        ["1"],
    ]
    assert told(node, task_id)[2].exit_code == 1


def test_a_killed_runner_costs_no_index(node: Node, tmp_path: Path) -> None:
    runner = node.start()
    line = f"echo {{i}} >>{tmp_path}/ran; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; exit {{i}}"
    task_id = node.shell(line, array=Array("0-3"), need=ONE)
    wait_until(lambda: (tmp_path / "ran").exists(), "an index to run")
    node.kill(runner)
    (tmp_path / "go").touch()
    node.start()
    assert counts(node, task_id) == {"DONE": 1, "FAILED": 3}
    assert sorted((tmp_path / "ran").read_text().split()) == list("0123")
    assert {index: end.exit_code for index, end in told(node, task_id).items()} == {0: 0, 1: 1, 2: 2, 3: 3}


def _take_away(node: Node, line: str, go: Path) -> str:
    """An array of six of whose chunks somebody took the first away, which runs; the id."""
    node.start()
    task_id = node.shell(line, array=Array("0-5"), need=Need())
    node.printed(f"{task_id}_0", "0")
    (name,) = (each for each in node.fs.names(node.lease.claimed(node.name)) if Entry.parse(each).chunk == 0)
    assert arrays.give_up(node.fs, node.lease, Claim(Entry.parse(name), node.name), reason="NodeDown")
    go.touch()
    return task_id


def test_a_runner_takes_a_chunk_again_of_which_it_was_overruled_and_starts_nothing_twice(
    node: Node, tmp_path: Path
) -> None:
    line = f"echo {{i}}; echo {{i}} >>{tmp_path}/ran; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    task_id = _take_away(node, line, tmp_path / "go")
    outcome = node.result(task_id)
    assert (outcome.counts, told(node, task_id)[0].reason) == ({"LOST": 1, "DONE": 5}, "NodeDown")
    assert sorted((tmp_path / "ran").read_text().split()) == list("012345")


def test_killed_runners_and_keepers_start_nothing_twice(node: Node, tmp_path: Path) -> None:
    def ran_more_than(number: int) -> bool:
        return (tmp_path / "ran").exists() and len((tmp_path / "ran").read_text().split()) > number

    task_id = node.shell(f"echo {{i}} >>{tmp_path}/ran; sleep 0.05", array=Array("0-39"), need=ONE)
    for number in range(3):
        runner = node.start()
        wait_until(
            partial(ran_more_than, 8 * number),
            "more indices to run",
        )
        if number == 1:
            node.kill_keeper()
        node.kill(runner)
    node.start()
    outcome = node.result(task_id)
    ran = (tmp_path / "ran").read_text().split()
    assert len(ran) == len(set(ran)), "an index ran twice"
    assert sum(outcome.counts.values()) == 40
    assert outcome.counts.get("LOST", 0) <= 2 * 8


def test_a_cancelled_array_ends_what_runs_and_starts_nothing_more(node: Node, tmp_path: Path) -> None:
    node.start()
    task_id = node.shell(f"echo {{i}} >>{tmp_path}/ran; sleep 600", array=Array("0-999"), need=ONE)
    wait_until(lambda: (tmp_path / "ran").exists(), "an index to run")
    entry = pending(node, task_id)
    arrays.cancel(node.fs, node.lease, entry, Stop(None, "cancelled"), now=1.0)
    outcome = node.result(task_id)
    assert (outcome.state, outcome.counts) == (State.CANCELLED, {"CANCELLED": 1000})
    ran = len((tmp_path / "ran").read_text().split())
    assert ran <= 2 * (node.beat() or pytest.fail("no heartbeat")).cpus


def pending(node: Node, task_id: str) -> Entry:
    """The array's entry, which is pending."""
    (entry,) = (each for each in map(Entry.parse, node.fs.names(node.lease.inbox("_any"))) if each.id == task_id)
    return entry


def test_some_indices_are_cancelled_and_the_others_run(node: Node, tmp_path: Path) -> None:
    node.start()
    line = f"echo {{i}} >>{tmp_path}/ran; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    task_id = node.shell(line, array=Array("0-9"), need=Need())
    wait_until(lambda: (tmp_path / "ran").exists(), "an index to run")
    stop = Stop(Indices.parse("0,3-5"), "cancelled")
    arrays.cancel(node.fs, node.lease, pending(node, task_id), stop, now=1.0)
    wait_until(lambda: 0 in told(node, task_id), "what runs to be ended")
    (tmp_path / "go").touch()
    outcome = node.result(task_id)
    assert (outcome.state, outcome.counts) == (State.CANCELLED, {"CANCELLED": 4, "DONE": 6})
    assert [index for index, end in told(node, task_id).items() if end.state is State.CANCELLED] == [0, 3, 4, 5]


def test_a_drained_runner_gives_its_chunks_back(node: Node, tmp_path: Path) -> None:
    node.start()
    line = f"echo {{i}} >>{tmp_path}/ran; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    task_id = node.shell(line, array=Array("0-1023"), need=Need())
    wait_until(lambda: (tmp_path / "ran").exists(), "an index to run")
    node.ask("drain")
    wait_until(lambda: (beat := node.beat()) and beat.state == "draining", "the runner to drain")
    (tmp_path / "go").touch()
    wait_until(lambda: not node.fs.names(node.lease.claimed(node.name)), "the chunk to be given back")
    assert len((tmp_path / "ran").read_text().split()) == 1
    node.ask("resume")
    assert counts(node, task_id) == {"DONE": 1024}
    assert len((tmp_path / "ran").read_text().split()) == 1024


def test_an_array_whose_record_means_nothing_has_failed(node: Node) -> None:
    node.start()
    task_id = node.submit("true", array=Array("0-9", ({"lr": ("1", "2")},)))
    outcome = node.result(task_id)
    assert (outcome.state, outcome.counts) == (State.FAILED, {"FAILED": 10})
    assert "malformed: index 9 of 2 combinations" in outcome.reason
    assert any(task_id in name for name in node.fs.names(node.lease.evidence))


def test_a_task_of_higher_priority_goes_before_the_rest_of_an_array(node: Node, tmp_path: Path) -> None:
    node.start()
    line = f"echo {{i}} >>{tmp_path}/ran; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    task_id = node.shell(line, array=Array("0-5"), need=Need())
    wait_until(lambda: (tmp_path / "ran").exists(), "an index to run")
    urgent = node.shell(f"echo urgent >>{tmp_path}/ran", priority=9)
    wait_until(lambda: (beat := node.beat()) and urgent in beat.waiting, "the runner to know of it")
    (tmp_path / "go").touch()
    node.result(task_id)
    ran = (tmp_path / "ran").read_text().split()
    assert "urgent" in ran[:3]


COUNTED = "echo + >>{where}/count; sleep 0.15; echo - >>{where}/count"


def _most_at_once(path: Path) -> int:
    most = now = 0
    for sign in path.read_text().split():
        now += 1 if sign == "+" else -1
        most = max(most, now)
    return most


def test_no_more_run_at_once_than_the_throttle_says(node: Node, tmp_path: Path) -> None:
    node.start()
    cpus = (node.beat() or pytest.fail("no heartbeat")).cpus
    task_id = node.shell(COUNTED.format(where=tmp_path), array=Array("0-7", throttle=1), need=Need(cpus=0))
    assert counts(node, task_id) == {"DONE": 8}, told(node, task_id)
    assert _most_at_once(tmp_path / "count") == 1, cpus


def test_the_throttle_of_a_running_array_can_be_changed(node: Node, tmp_path: Path) -> None:
    node.start()
    line = COUNTED.format(where=tmp_path)
    task_id = node.shell(line, array=Array("0-11", throttle=1), need=Need(cpus=0))
    wait_until(lambda: (tmp_path / "count").exists(), "an index to run")
    arrays.set_throttle(node.fs, node.lease, pending(node, task_id), 3)
    assert counts(node, task_id) == {"DONE": 12}
    assert _most_at_once(tmp_path / "count") in (2, 3)


def test_nothing_more_starts_once_as_many_have_failed_as_are_allowed(node: Node, tmp_path: Path) -> None:
    node.start()
    line = f"echo {{i}} >>{tmp_path}/ran; sleep 0.1; exit $(({{i}} % 2))"
    task_id = node.shell(line, array=Array("0-199", max_fails=3), need=Need())
    outcome = node.result(task_id)
    assert outcome.state is State.FAILED
    assert 3 <= outcome.counts["FAILED"] <= 6, outcome.counts
    assert sum(outcome.counts.values()) == 200
    assert outcome.counts["CANCELLED"] >= 200 - 12
    assert outcome.reason.startswith("MaxFails: 3 failed: ")


def test_an_array_whose_first_indices_fail_at_once_is_held_with_the_reason(node: Node, tmp_path: Path) -> None:
    node.start()
    line = f"echo {{i}} >>{tmp_path}/ran; test -e {tmp_path}/mended || exit 3"
    task_id = node.shell(line, array=Array("0-79"), need=Need())
    held = wait_until(lambda: node.fs.names(node.lease.held("_any")), "the array to be held", seen=node.everything)
    why = reports.held_because(node.fs, node.lease, task_id, 1)
    assert why == "its first 3 indices failed within a second with exit code 3"
    wait_until(lambda: not node.fs.names(node.lease.claimed(node.name)), "its chunks to be given back")
    assert len((tmp_path / "ran").read_text().split()) <= 5
    (tmp_path / "mended").touch()
    held = node.fs.names(node.lease.held("_any"))
    for name in held:
        tasks.move_pending(node.fs, node.lease.held("_any"), name, node.lease.inbox("_any"))
    outcome = node.result(task_id)
    assert outcome.counts["DONE"] >= 75
    assert sum(outcome.counts.values()) == 80


# -- quick indices, which the keeper runs by itself ------------------------------------------------------------------


def windows_of(node: Node) -> list[str]:
    return window.windows_in(node.directory.rec)


def test_quick_indices_are_handed_over_together_and_one_that_takes_long_goes_on_alone(
    node: Node, tmp_path: Path
) -> None:
    node.start()
    (tmp_path / "ran").touch()
    line = f"echo {{i}} >>{tmp_path}/ran; test {{i}} != 90 || exec sleep 600"
    task_id = node.shell(line, array=Array("0-299"), need=ONE)
    wait_until(lambda: windows_of(node), "a window")
    wait_until(lambda: node.record(f"{task_id}_90"), "the long one to have a record of its own")
    wait_until(lambda: len(told(node, task_id)) == 299, "all others to end")
    assert node.running(f"{task_id}_90").pid
    assert wait_until(lambda: windows_of(node) == [], "what windows said to be forgotten")
    closed = Entry.parse(node.fs.names(node.lease.claimed("_array"))[0])
    arrays.cancel(node.fs, node.lease, closed.pending(), Stop(Indices.parse("90"), "cancelled"), now=1.0)
    assert node.result(task_id).counts == {"DONE": 299, "CANCELLED": 1}
    assert sorted(map(int, (tmp_path / "ran").read_text().split())) == list(range(300))
    plan, numbers = Plan(300), {end.chunk for end in told(node, task_id).values()}
    assert numbers & set(plan.groups), "no group of chunks was taken as a whole"
    assert sorted(place for number in numbers for place in plan.span(number)) == list(range(300))


@pytest.mark.parametrize("who", ["runner", "keeper", "both"])
def test_whoever_is_killed_amid_windows_no_index_runs_twice_and_each_end_is_told(
    node: Node, tmp_path: Path, who: str
) -> None:
    runner = node.start()
    task_id = node.shell(f"echo {{i}} >>{tmp_path}/ran", array=Array("0-399"), need=ONE)
    for _ in range(2):
        wait_until(lambda: windows_of(node) or node.outcome(task_id), "a window")
        if who != "runner":
            node.kill_keeper()
        if who != "keeper":
            node.kill(runner)
            runner = node.start()
    outcome = node.result(task_id)
    ran = (tmp_path / "ran").read_text().split()
    assert len(ran) == len(set(ran)), "an index ran twice"
    ends = told(node, task_id)
    assert sum(outcome.counts.values()) == len(ends) == 400
    lost = [index for index, end in ends.items() if end.state is State.LOST]
    assert {str(index) for index in ends} - set(map(str, lost)) <= set(ran)
    # A keeper that is killed just as it starts a process has not noted which it is.
    assert not lost or who != "runner"
    assert len(lost) <= 2 * 8
