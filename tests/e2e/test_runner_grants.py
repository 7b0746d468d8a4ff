"""What a runner was granted, with real runners: drivers that are slow or half dead, other vendors, memory limits."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leaseq.models import Need, State
from tests.e2e.harness import Node, environment_of
from tests.patience import wait_until

ONE_GPU, ONE_CPU = Need(gpus=1), Need(cpus=1)


def driver(node: Node, listing: str) -> str:
    """PATH with an nvidia-smi whose -L runs that."""
    program = node.path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncase $1 in -L) {listing};; *) exit 15;; esac\n")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def test_a_driver_that_is_slow_at_the_start_is_waited_for_by_the_tasks_that_need_it_alone(node: Node) -> None:
    path = driver(node, f"until [ -e {node.path}/warm ]; do sleep 0.1; done; echo 'GPU 0: A100 (UUID: GPU-a)'")
    node.start(PATH=path)
    wants = node.submit("env", "-0", need=ONE_GPU)
    assert node.result(node.submit("true", need=ONE_CPU), seconds=60).state is State.DONE

    def waits() -> bool:
        beat = node.beat()
        return beat is not None and not beat.gpus_known and beat.waiting.get(wants) == "GPUs not known yet"

    wait_until(waits, "the task to wait for its driver", seen=node.beat, seconds=60)
    (node.path / "warm").touch()
    assert environment_of(node.said_by(wants))["CUDA_VISIBLE_DEVICES"] == "0"
    wait_until(lambda: (beat := node.beat()) and beat.gpus == ("0",) and beat.gpus_known, "a GPU", seen=node.beat)


def test_a_driver_that_hangs_does_not_outlive_the_runner(node: Node) -> None:
    pid = node.path / "pid"
    runner = node.start(PATH=driver(node, f"echo $$ >{pid}; exec sleep 600"))
    hanging = wait_until(lambda: pid.exists() and pid.read_text().strip(), "nvidia-smi to run")
    assert os.path.exists(f"/proc/{hanging}")
    runner.terminate()
    assert runner.wait(60) == 0
    wait_until(lambda: not os.path.exists(f"/proc/{hanging}"), "nvidia-smi to end")


def test_a_lost_card_takes_no_other_tasks_card(node: Node) -> None:
    lines = "echo 'GPU 0: A100'; echo 'Unable to determine the device handle for gpu 0000:41:00.0'; echo 'GPU 2: A100'"
    node.start(PATH=driver(node, f"{lines}; exit 255"))
    tasks = [node.shell("env -0; sleep 1", need=ONE_GPU) for _ in range(2)]
    assert {environment_of(node.said_by(task))["CUDA_VISIBLE_DEVICES"] for task in tasks} == {"0", "2"}
    beat = node.beat()
    assert beat is not None
    assert "Unable to determine the device handle" in beat.note


def test_a_step_on_an_amd_node_books_and_binds_its_cards_as_any_other(node: Node) -> None:
    node.start(SLURM_JOB_ID="7", ROCR_VISIBLE_DEVICES="0,1", SLURM_GPUS_ON_NODE="2")
    tasks = [node.shell("env -0; sleep 1", need=ONE_GPU) for _ in range(2)]
    seen = [environment_of(node.said_by(task)) for task in tasks]
    assert {each["ROCR_VISIBLE_DEVICES"] for each in seen} == {"0", "1"}
    assert not any("CUDA_VISIBLE_DEVICES" in each for each in seen)
    none = environment_of(node.said_by(node.submit("env", "-0", need=ONE_CPU)))
    assert none["ROCR_VISIBLE_DEVICES"] == ""


def test_tasks_beside_each_other_have_slots_of_their_own_whatever_becomes_of_the_runner(node: Node) -> None:
    runner = node.start(SLURM_CPUS_ON_NODE="4")
    line = f"echo slot $LEASEQ_SLOT; until test -e {node.path}/gate; do sleep 0.02; done"
    first, second = node.shell(line, need=ONE_CPU), node.shell(line, need=ONE_CPU)
    node.printed(first, "slot 0")
    node.printed(second, "slot 1")
    node.kill(runner)
    node.start(SLURM_CPUS_ON_NODE="4")
    node.printed(node.shell(line, need=ONE_CPU), "slot 2")
    (node.path / "gate").touch()
    node.result(first)
    node.printed(node.shell(line), "slot 0")


# -- memory ------------------------------------------------------------------------------------------

LIMIT_MB = 300


@pytest.fixture
def limited() -> Iterator[Callable[[], None]]:
    """What makes a process join a control group of so much memory, version 1 or 2."""
    name = f"leaseq-test-{uuid.uuid4().hex[:8]}"
    for parent, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(parent) / name
        try:
            group.mkdir()
            (group / limit).write_text(str(LIMIT_MB << 20))
        except OSError:
            continue
        break
    else:
        pytest.skip("no control group with a memory limit can be made here (root, and a writable /sys/fs/cgroup)")

    def join() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))

    yield join
    wait_until(lambda: not (group / "cgroup.procs").read_text().split(), "the group to be empty")
    group.rmdir()


def test_a_groups_limit_is_the_room_and_a_task_that_the_kernel_ends_for_memory_says_so(
    limited: Callable[[], None], node: Node
) -> None:
    node.start(before=limited)
    beat = node.beat()
    assert beat is not None
    assert beat.mem_mb == LIMIT_MB
    grows = "x = bytearray(20 << 20)\nwhile True: x += bytearray(20 << 20)"
    outcome = node.result(node.submit("python3", "-c", grows), seconds=60)
    assert (outcome.state, outcome.signal) == (State.FAILED, 9)
    assert outcome.reason.startswith("out of memory: killed by the kernel (peak ")
    assert outcome.reason.endswith(f"limit {LIMIT_MB}M)")
    worker = node.result(node.shell(f"python3 -c '{grows}'; exit 3"), seconds=60)
    assert (worker.state, worker.exit_code) == (State.FAILED, 3)
    assert worker.reason.startswith("out of memory on its node while it ran: the kernel killed a process")
    killed = node.result(node.shell("kill -9 $$"))
    assert killed.reason == "signal 9", "nobody killed it for memory"
