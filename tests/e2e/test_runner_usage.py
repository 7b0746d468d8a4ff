"""What running tasks and their GPUs use, from the heartbeat to what commands say."""

from __future__ import annotations

import json
import os
import sys

import pytest

from leaseq.heartbeat import Running
from leaseq.models import Need
from tests import forked
from tests.e2e.harness import Node, program
from tests.patience import wait_until

ONE = Need(cpus=1)


def running(node: Node, task: str) -> Running | None:
    beat = node.beat()
    return next((run for run in beat.running if run.id == task), None) if beat else None


def said(node: Node, *words: str) -> str:
    code, out, err = forked.run([*words, "--lease", node.lease_id], node.environment, cwd=node.path)
    assert code == 0, err
    return out.decode()


def test_a_heartbeat_tells_what_the_processes_of_each_task_use(node: Node) -> None:
    node.start()
    hold = "import time\nheld = b'x' * (64 << 20)\ntime.sleep(600)"
    busy = node.shell("while :; do :; done & wait", need=ONE)
    quiet = node.submit(sys.executable, "-c", hold, need=ONE)

    def told() -> bool:
        first, second = running(node, busy), running(node, quiet)
        if not first or not second or not first.cpus_used or not second.rss_mb:
            return False
        return first.cpus_used > 0.1 and second.rss_mb > 64 and second.cpus_used == 0.0

    wait_until(told, "one that computes, one that sleeps on 64 MiB", seen=node.beat)
    found = json.loads(said(node, "info", busy, "--json"))["tasks"][0]
    assert found["cpus_used"] > 0.1 and 0 < found["rss_mb"] < 64
    assert "0.0 CPUs, " in said(node, "info", quiet)


@pytest.mark.slow
def test_gpus_that_are_booked_and_idle_or_free_and_used_are_told(node: Node) -> None:
    rows = "0, GPU-a, Tesla, 0, 100, 40960, 31, 52.5\n1, GPU-b, Tesla, 30, 30000, 40960, 55, [N/A]\n"
    (node.path / "rows").write_text(rows)
    script = f"#!/bin/sh\ncase $1 in -L) echo 'GPU 0: Tesla'; echo 'GPU 1: Tesla';; *) cat {node.path}/rows;; esac\n"
    program(node.path / "bin" / "nvidia-smi", script)
    node.start(PATH=f"{node.path}/bin:{os.environ['PATH']}")
    node.submit("sleep", "600", need=Need(gpus=1))

    def told() -> bool:
        beat = node.beat()
        if beat is None or len(beat.gpu_use) < 2:
            return False
        first, second = beat.gpu_use
        return bool(first.idle_seconds) and second.stranger_mb == 30000.0 and second.idle_seconds is None

    wait_until(told, "GPU 0 idle and GPU 1 somebody else's", seen=node.beat)
    assert "GPU 1 is free, and 29G of it are used by no task here" in " ".join(said(node, "status").split())
    first, second = json.loads(said(node, "status", "--json"))["nodes"][0]["gpu_use"]
    assert (first["power_w"], second["power_w"], second["stranger_mb"]) == (52.5, None, 30000.0)
