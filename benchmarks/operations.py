"""File-system operations in the lease directory, counted by strace: per submit, per task, per idle second.

An operation is a system call that names a file under LEASEQ_HOME, or that lists or syncs one: open, stat, access,
rename, link, unlink, mkdir, getdents, fsync. Reading, writing and closing an open file is not counted. Only calls
that succeeded count.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from bench import LEASEQ, Row, home, run, show, wait_for
from throughput import lease_of

from leaseq.protocol import reports
from leaseq.protocol.tasks import read_outcome
from leaseq.world import SystemFs

CALLS = "open,openat,stat,lstat,newfstatat,statx,access,faccessat2,rename,link,unlink,mkdir,getdents64,fsync,fdatasync"
TASKS = 200
ARRAY = 50_000
ARRAY_SECONDS = 20
SHORT_ARRAYS = (500, 3000)
IDLE_SECONDS = 30


def count(trace: Path, root: str) -> Counter[str]:
    """Calls in a strace -y output that touch the root."""
    found: Counter[str] = Counter()
    for line in trace.read_text(errors="replace").splitlines():
        match = re.match(r"(?:\d+\s+)?([a-z0-9_]+)\((.*)\)\s+= (-?\d+)", line)
        if match and root in match[2] and int(match[3]) >= 0 and not _by_descriptor(match[1], match[2]):
            found[match[1]] += 1
    return found


def _by_descriptor(call: str, arguments: str) -> bool:
    """fstat of an open file asks the file system for nothing new."""
    return call in ("newfstatat", "statx") and "AT_EMPTY_PATH" in arguments


def attach(pids: list[int], trace: Path) -> subprocess.Popen[bytes]:
    argv = ["strace", "-f", "-y", "-s", "300", "-e", f"trace={CALLS}", "-o", str(trace)]
    tracer = subprocess.Popen([*argv, *[word for pid in pids for word in ("-p", str(pid))]], stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    tracer.stderr.readline()
    return tracer


def detach(tracer: subprocess.Popen[bytes]) -> None:
    tracer.send_signal(signal.SIGINT)
    tracer.wait()


def holders(env: dict[str, str]) -> list[int]:
    found = [path for path in Path(env["LEASEQ_NODE_DIR"]).glob("*/*/*/*") if path.name in ("runner", "keeper")]
    return [json.loads(path.read_text())["pid"] for path in found]


def main() -> None:
    rows = []
    with home() as env, tempfile.TemporaryDirectory() as scratch:
        trace, root = Path(scratch) / "trace", env["LEASEQ_HOME"]
        run([*LEASEQ, "wait", run([*LEASEQ, "submit", "--", "true"], env=env).strip()], env=env)
        argv = ["strace", "-f", "-y", "-s", "300", "-e", f"trace={CALLS}", "-o", str(trace)]
        run([*argv, *LEASEQ, "submit", "--", "true"], env=env)
        rows.append(_row("per submit", count(trace, root), "calls", 8))
        run([*LEASEQ, "submit", "--", "sleep 3"], env=env)
        lines = run([*LEASEQ, "submit", "--file", "-"], env=env, text="true\n" * TASKS)
        tracer = attach([_runner(env)], trace)  # the keeper makes the two logs of each, and nothing else
        last = lines.split()[-1]
        run([*LEASEQ, "wait", last], env=env)
        time.sleep(1)
        detach(tracer)
        per_task = {call: number / TASKS for call, number in count(trace, root).items()}
        rows.append(_row("per task run, 1 slot, logs apart", per_task, "calls", 10))
        time.sleep(2)
        tracer = attach(holders(env), trace)
        time.sleep(IDLE_SECONDS)
        detach(tracer)
        idle = {call: number / IDLE_SECONDS for call, number in count(trace, root).items()}
        rows.append(_row("idle local runner", idle, "calls/s", 2))
        rows += [_of_a_whole_array(env, trace, root, size) for size in SHORT_ARRAYS]
        rows.append(_of_an_index(env, trace, root))
    show("operations", rows)


def _of_a_whole_array(env: dict[str, str], trace: Path, root: str, size: int) -> Row:
    """What the runner asks for each index of a short array, from its first look at it until it is over."""
    tracer = attach([_runner(env)], trace)
    task_id = run([*LEASEQ, "submit", "--array", f"0-{size - 1}", "--", "true"], env=env).split()[0]
    lease, fs = lease_of(env), SystemFs(remote=False)
    wait_for(lambda: read_outcome(fs, lease, task_id, 1) is not None, seconds=120, what=f"the end of {task_id}")
    time.sleep(1)  # what follows its outcome
    detach(tracer)
    each = {call: number / size for call, number in count(trace, root).items()}
    return _row(f"per index of an array of {size:,}, whole, logs apart", each, "calls", 0.5)


def _runner(env: dict[str, str]) -> int:
    return int(json.loads(next(Path(env["LEASEQ_NODE_DIR"]).glob("*/*/*/runner")).read_text())["pid"])


def _of_an_index(env: dict[str, str], trace: Path, root: str) -> Row:
    """What the runner asks for each index of a long array, while it runs for a while; the two logs are the keeper's."""
    task_id = run([*LEASEQ, "submit", "--array", f"0-{ARRAY - 1}", "--", "true"], env=env).split()[0]
    time.sleep(2)  # by then it is known that they are quick
    tracer, before = attach([_runner(env)], trace), _ended(env, task_id)
    time.sleep(ARRAY_SECONDS)
    ended = _ended(env, task_id) - before
    detach(tracer)
    each = {call: number / ended for call, number in count(trace, root).items()}
    return _row(f"per index of an array of {ARRAY:,}, logs apart", each, "calls", 0.5)


def _ended(env: dict[str, str], task_id: str) -> int:
    return reports.look(SystemFs(remote=False), lease_of(env), task_id, 1)[0].all_ended


def _row(what: str, calls: Mapping[str, float], unit: str, most: float) -> Row:
    """All of these calls together, and each kind of them in the note."""
    total = sum(calls.values())
    words = " ".join(f"{call}:{number:.3g}" for call, number in sorted(calls.items(), key=lambda pair: -pair[1]))
    return Row(what, total, unit, f"<= {most}", total <= most, words)


if __name__ == "__main__":
    if not any((Path(directory) / "strace").exists() for directory in ("/usr/bin", "/bin", "/usr/local/bin")):
        sys.exit("operations: strace is not installed")
    main()
