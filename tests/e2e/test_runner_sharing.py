"""Several tasks on one node: who runs beside whom, who goes first, and which GPUs each sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.models import ALL_GPUS, Need, State
from tests.e2e.harness import Node, a_node, environment_of
from tests.patience import wait_until

GPUS = ("2", "5", "GPU-8932f937-d72c", "MIG-7")


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node of 8 CPUs, 1000 MiB and four GPUs, each named in another way."""
    with a_node(SLURM_CPUS_ON_NODE="8", SLURM_MEM_PER_NODE="1000", CUDA_VISIBLE_DEVICES=",".join(GPUS)) as made:
        made.start()
        yield made


class Gate:
    """Tasks that run until the gate is opened."""

    def __init__(self, node: Node, name: str) -> None:
        self.node, self.file = node, node.path / f"gate-{name}"

    def task(self, need: Need, **more: object) -> str:
        line = f"echo began; env -0 >&2; until test -e {self.file}; do sleep 0.02; done"
        return self.node.shell(line, need=need, **more)

    def open(self, *tasks: str) -> None:
        self.file.touch()
        for task in tasks:
            assert self.node.result(task).state is State.DONE


def seen_by(node: Node, task: str) -> dict[str, str]:
    node.printed(task, "began")
    wait_until(lambda: b"CUDA_DEVICE_ORDER" in node.out(task, stream="err"), "the task's environment")
    return dict(environment_of(node.out(task, stream="err").decode()))


def waits(node: Node, task: str, reason: str) -> None:
    """The task is pending, and the heartbeat says why."""

    def look() -> bool:
        beat = node.beat()
        return beat is not None and beat.waiting.get(task) == reason

    wait_until(look, f"{task} to wait for {reason}", seen=lambda: (node.beat(), node.everything()))
    assert node.outcome(task) is None
    assert not node.out(task)


def test_concurrent_tasks_see_disjoint_parts_of_the_grant(node: Node) -> None:
    gate = Gate(node, "gpus")
    tasks = [gate.task(Need(gpus=1)), gate.task(Need(gpus=2)), gate.task(Need(gpus=1))]
    seen = [seen_by(node, task) for task in tasks]
    tokens = [part for each in seen for part in each["CUDA_VISIBLE_DEVICES"].split(",")]
    assert sorted(tokens) == sorted(GPUS)
    assert all(each["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID" for each in seen)
    assert all(each["LEASEQ_GPUS"] == each["CUDA_VISIBLE_DEVICES"] for each in seen)
    late = gate.task(Need(gpus=1))
    waits(node, late, "GPU: needs 1, 0 free")
    gate.open(*tasks, late)
    assert all(node.result(task).gpus for task in tasks)


def test_a_task_that_wants_no_gpu_sees_none(node: Node) -> None:
    said = environment_of(node.said_by(node.submit("env", "-0", need=Need(gpus=0))))
    assert said["CUDA_VISIBLE_DEVICES"] == ""


def test_a_task_that_names_cpus_only_sees_no_gpu(node: Node) -> None:
    said = environment_of(node.said_by(node.submit("env", "-0", need=Need(cpus=1))))
    assert said["CUDA_VISIBLE_DEVICES"] == ""


def test_a_task_that_wants_all_gpus_sees_all(node: Node) -> None:
    said = environment_of(node.said_by(node.submit("env", "-0", need=Need(gpus=ALL_GPUS))))
    assert said["CUDA_VISIBLE_DEVICES"] == ",".join(GPUS)


def test_a_task_that_names_nothing_runs_alone_and_sees_everything(node: Node) -> None:
    gate, after = Gate(node, "alone"), Gate(node, "after")
    alone = gate.task(Need())
    assert seen_by(node, alone)["CUDA_VISIBLE_DEVICES"] == ",".join(GPUS)
    second, small = after.task(Need()), after.task(Need(cpus=1))
    wait_until(lambda: (beat := node.beat()) and beat.running and beat.free_cpus == 0, "a full node")
    assert not node.out(second) and not node.out(small)
    gate.open(alone)
    node.printed(second, "began")
    assert not node.out(small), "the second runs alone, too"
    after.open(second, small)


def test_tasks_are_packed_by_cpus_and_by_memory(node: Node) -> None:
    gate = Gate(node, "packed")
    by_cpu = [gate.task(Need(cpus=3)) for _ in range(3)]
    for task in by_cpu[:2]:
        node.printed(task, "began")
    waits(node, by_cpu[2], "CPUs: needs 3, 2 free")
    gate.open(*by_cpu)
    gate = Gate(node, "memory")
    by_memory = [gate.task(Need(mem_mb=400)) for _ in range(3)]
    for task in by_memory[:2]:
        node.printed(task, "began")
    waits(node, by_memory[2], "Memory: needs 400M, 200M free")
    gate.open(*by_memory)


def test_a_blocked_head_keeps_its_reservation_and_the_unrelated_pass(node: Node) -> None:
    gate, head_gate = Gate(node, "first"), Gate(node, "head")
    first = gate.task(Need(gpus=2, cpus=1))
    node.printed(first, "began")
    head = head_gate.task(Need(gpus=3, cpus=1))
    rival = gate.task(Need(gpus=1, cpus=1))
    unrelated = node.submit("true", need=Need(gpus=0, cpus=1))
    assert node.result(unrelated).state is State.DONE
    waits(node, head, "GPU: needs 3, 2 free")
    waits(node, rival, f"Behind: {head}")
    gate.file.touch()
    node.printed(head, "began")
    head_gate.open(first, head, rival)
    head_outcome, rival_outcome = node.result(head), node.result(rival)
    assert head_outcome.started and rival_outcome.started
    assert head_outcome.started <= rival_outcome.started


def test_priority_goes_before_submission(node: Node) -> None:
    gate = Gate(node, "priority")
    blocker = gate.task(Need())
    node.printed(blocker, "began")
    tasks = {priority: node.submit("true", priority=priority) for priority in (-5, 0, 7, 3)}
    gate.open(blocker)
    started = {priority: node.result(task).started or 0.0 for priority, task in tasks.items()}
    assert sorted(started, key=lambda priority: started[priority]) == [7, 3, 0, -5]


def test_a_need_this_node_can_never_meet_waits_and_blocks_nobody(node: Node) -> None:
    task = node.submit("true", need=Need(gpus=5))
    waits(node, task, "Resources: needs 5 GPUs, the node has 4")
    assert node.result(node.submit("true")).state is State.DONE
    node.cancel(task)
    assert node.result(task).state is State.CANCELLED


def test_sixty_four_tasks_run_at_once(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASEQ_NODE_DIR", str(short_path / "n"))
    wide = Node(short_path, SLURM_CPUS_ON_NODE="64")
    try:
        line = f"until test -e {short_path}/go; do sleep 0.3; done"
        tasks = [
            wide.submit("sh", "-c", f"echo >{short_path}/on.{n}; {line}", need=Need(cpus=1), durable=False)
            for n in range(65)
        ]
        wide.start()
        wait_until(lambda: len(list(short_path.glob("on.*"))) == 64, "64 tasks", seen=wide.everything)
        wait_until(lambda: (beat := wide.beat()) and len(beat.running) == 64 and beat.free_cpus == 0, "the heartbeat")
        (short_path / "go").touch()
        assert [wide.result(task).state for task in tasks] == [State.DONE] * 65
    finally:
        wide.close()
