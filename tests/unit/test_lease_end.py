"""When the end of a lease is near, for its keeper and its runner; and which ends of tasks may be of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from leaseq.layout import LeaseDir
from leaseq.node.lease_end import NEWS_SECONDS, LeaseEnd, may_be_of_it
from leaseq.node.nodedir import NodeDir, write_local
from leaseq.room import Room
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Options


def serve(directory: Path, incarnation: str) -> None:
    me = {"pid": os.getpid(), "pid_start": 1, "boot": "b", "incarnation": incarnation}
    write_local(f"{directory}/runner", json.dumps(me).encode())


def serving(directory: Path) -> Callable[[], object]:
    return lambda: NodeDir(str(directory)).holder("runner")


def test_the_end_is_near_for_the_runner_of_then_and_for_no_longer_than_slurm_may_take(tmp_path: Path) -> None:
    clock = [100.0]
    end = LeaseEnd(serving(tmp_path), monotonic=lambda: clock[0])
    serve(tmp_path, "aaaaaaaaaa")
    assert not end.is_near
    end.tell()
    assert end.is_near
    clock[0] += NEWS_SECONDS - 0.1
    assert end.is_near
    clock[0] += 0.2
    assert not end.is_near


def test_a_runner_that_has_begun_since_has_a_lease(tmp_path: Path) -> None:
    end = LeaseEnd(serving(tmp_path))
    serve(tmp_path, "aaaaaaaaaa")
    end.tell()
    serve(tmp_path, "bbbbbbbbbb")
    assert not end.is_near


@pytest.mark.parametrize(
    ("status", "doubted"),
    [
        (signal.SIGTERM, True),
        (signal.SIGKILL, True),
        (143 << 8, True),
        (137 << 8, True),
        (75 << 8, True),
        (None, True),
        (0, False),
        (1 << 8, False),
        (signal.SIGSEGV, False),
        (signal.SIGINT, False),
    ],
)
def test_an_end_is_doubted_that_slurm_may_have_made(status: int | None, doubted: bool) -> None:
    assert may_be_of_it({"e": "gone"} if status is None else {"e": "exit", "status": status}) is doubted


def test_a_runner_that_was_told_of_the_end_claims_again_if_the_lease_goes_on() -> None:
    state = NodeState(LeaseDir("1", "/home/runs/1"), "n1", Options(capacity=Room(1, 1, ())), now=0.0)
    assert not state.waits_for_the_end(0.0)
    state.hear_of_the_end(10.0)
    assert state.waits_for_the_end(10.0) and "none starts" in state.note
    assert state.wait(10.0) <= NEWS_SECONDS
    assert not state.waits_for_the_end(10.0 + NEWS_SECONDS) and not state.note
