"""leaseq from Python: many calls of `map` queued and collected, many futures, a result of a gigabyte, a joblib call.

Processor time is what counts on a busy machine: of this process, and of the runner, the keeper and the tasks.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import ROOT, Row, home, show
from throughput import _holders

sys.path.insert(0, str(ROOT))

import leaseq

CALLS, FUTURES, BYTES = 50_000, 500, 10**9
SECONDS_MAX = 60.0


@contextmanager
def here() -> Iterator[dict[str, str]]:
    """This process is in a fresh home, of which a runner is alive."""
    with home() as env:
        os.environ.update({name: env[name] for name in ("LEASEQ_HOME", "LEASEQ_NODE_DIR", "PYTHONPATH")})
        leaseq.wait(leaseq.submit("true", cpus=1))
        yield env


def used(env: dict[str, str]) -> float:
    """The processor seconds of runner and keeper, and of the tasks that have ended."""
    found = 0.0
    for pid in _holders(env):
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            found += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
    return found / os.sysconf("SC_CLK_TCK")


def mapped() -> list[Row]:
    with here() as env, leaseq.Executor(cpus=1) as executor:
        began, before, own = time.monotonic(), used(env), time.process_time()
        values = executor.map(abs, range(-CALLS, 0))
        queued, queued_own = time.monotonic() - began, time.process_time() - own
        assert sum(values) == CALLS * (CALLS + 1) // 2
        whole, own = time.monotonic() - began, time.process_time() - own
        rest = used(env) - before
    what = f"map of {CALLS:,} calls"
    return [
        Row(f"{what}: queued", queued, "s", note=f"{queued_own:.2f} s of processor"),
        Row(f"{what}: queued and collected", whole, "s", f"below {SECONDS_MAX:.0f} s", whole < SECONDS_MAX),
        Row(f"{what}: processor of the program", own, "s"),
        Row(f"{what}: processor of runner, keeper and tasks", rest, "s"),
    ]


def futures() -> list[Row]:
    with here() as env, leaseq.Executor(cpus=1) as executor:
        began, before, own = time.monotonic(), used(env), time.process_time()
        waiting = [executor.submit(abs, -number) for number in range(FUTURES)]
        queued = time.monotonic() - began
        assert [each.result() for each in waiting] == list(range(FUTURES))
        whole, own, rest = time.monotonic() - began, time.process_time() - own, used(env) - before
    what = f"{FUTURES} futures"
    return [
        Row(f"{what}: queued", queued, "s"),
        Row(f"{what}: queued and collected", whole, "s"),
        Row(f"{what}: processor of the program", own / FUTURES * 1000, "ms each"),
        Row(f"{what}: processor of runner, keeper and tasks", rest / FUTURES * 1000, "ms each"),
    ]


def large() -> list[Row]:
    with here(), leaseq.Executor(cpus=1) as executor:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.monotonic()
        assert len(executor.submit(bytes, BYTES).result()) == BYTES
        whole = time.monotonic() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / BYTES
    return [
        Row("a result of 1 GB", whole, "s"),
        Row("a result of 1 GB: memory of the program", grown, "times its size"),
    ]


if __name__ == "__main__":
    show("futures", mapped() + futures() + large())
