"""How soon one client sees what another did. Each prints JSON with times by this guest's clock.

fresh.py start COUNT            [[id, when `submit` had returned]]; the tasks are short, the pauses differ
fresh.py end SECONDS...         [[id, when `wait` had returned]], of tasks of so many seconds, all waited for at once
fresh.py follow SECONDS...      [[what the task printed: the time, when `follow` showed it]]
fresh.py beats SECONDS          [[when a heartbeat was made by its node's clock, when it was read, its node]]
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from leaseq.layout import Home, default_home
from leaseq.monitor.reader import REFRESH_SECONDS
from leaseq.reading.snapshot import Reader
from leaseq.world import SystemClock, SystemFs

GUEST = "/mnt/leaseq/tests/nfs/guest"
LEASEQ = (sys.executable, "-m", "leaseq")


def pause(seconds: float) -> None:
    """Time has passed: what is measured must not fall into step with what polls."""
    threading.Event().wait(seconds)


def submit(*command: str) -> str:
    words = [*LEASEQ, "submit", "--cpus", "1", "--", *command]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def start(count: str) -> list[tuple[str, float]]:
    found = []
    dice = random.Random(1)
    for _ in range(int(count)):
        pause(dice.uniform(0.2, 2.0))
        found.append((submit(f"{GUEST}/work", "0", "0.1"), time.time()))
    return found


def end(*seconds: str) -> list[tuple[str, float]]:
    return [wait(submit(f"{GUEST}/work", "0", each)) for each in seconds]


def ends(*seconds: str) -> list[tuple[str, float]]:
    with ThreadPoolExecutor(len(seconds)) as pool:
        waits = [pool.submit(wait, submit(f"{GUEST}/work", "0", each)) for each in seconds]
        return [each.result() for each in waits]


def wait(task_id: str) -> tuple[str, float]:
    subprocess.run([*LEASEQ, "wait", task_id], check=True)
    return task_id, time.time()


def follow(*seconds: str) -> list[tuple[float, float]]:
    task_id = submit(f"{GUEST}/talk", *seconds)
    with subprocess.Popen([*LEASEQ, "follow", task_id], stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        return [(float(line), time.time()) for line in following.stdout]


def beats(seconds: str) -> list[tuple[float, float, str]]:
    """What a monitor would have seen, at its own pace."""
    lease = Home(default_home()).lease(os.environ["LEASEQ_LEASE"])
    reader = Reader(lease, SystemFs(remote=True), SystemClock())
    seen: dict[str, tuple[str, int]] = {}
    found = []
    deadline = time.monotonic() + float(seconds)
    while time.monotonic() < deadline:
        for node in reader.read(recent=0).nodes:
            beat = node.heartbeat
            if beat is not None and seen.get(beat.node) != (beat.incarnation, beat.counter):
                if beat.node in seen:
                    found.append((beat.time, time.time(), beat.node))
                seen[beat.node] = (beat.incarnation, beat.counter)
        pause(REFRESH_SECONDS)
    return found


if __name__ == "__main__":
    measures: dict[str, Callable[..., object]] = {
        "start": start,
        "end": end,
        "ends": ends,
        "follow": follow,
        "beats": beats,
    }
    print(json.dumps(measures[sys.argv[1]](*sys.argv[2:])))
