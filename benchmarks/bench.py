"""What every benchmark shares: a row of results, timing, a fresh home, and the floor of this machine."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "out"
LEASEQ = [sys.executable, "-m", "leaseq"]


@dataclass(frozen=True)
class Row:
    """One measured figure. `bar` says what it should be, `met` whether it is; None where there is no bar."""

    what: str
    value: float | None
    unit: str
    bar: str = ""
    met: bool | None = None
    note: str = ""


def show(title: str, rows: list[Row]) -> None:
    """The rows are on the screen and in benchmarks/out/TITLE.json."""
    print(f"\n{title}\n{'-' * len(title)}")
    width = max(len(row.what) for row in rows)
    for row in rows:
        value = "-" if row.value is None else f"{row.value:,.4g}" if row.value < 1000 else f"{row.value:,.0f}"
        verdict = {True: "met", False: "MISSED", None: ""}[row.met]
        print(f"{row.what:<{width}}  {value:>9} {row.unit:<15} {row.bar:<34} {verdict:<7}{row.note}".rstrip())
    OUT.mkdir(exist_ok=True)
    machine = {"machine": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()}
    (OUT / f"{title}.json").write_text(json.dumps({**machine, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def median_ms(action: Callable[[], object], times: int) -> float:
    """The median time of the action in milliseconds; one more run before them is not counted."""
    action()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def children_seconds() -> float:
    """The processor time of all children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(argv: list[str], *, env: dict[str, str], text: str | None = None) -> str:
    """The standard output of a command that succeeded."""
    done = subprocess.run(argv, env=env, input=text, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{argv}: exit code {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def quietly(argv: list[str], *, env: dict[str, str]) -> None:
    """A command has succeeded, and nobody has read what it printed."""
    subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


@contextmanager
def home() -> Iterator[dict[str, str]]:
    """An environment with a fresh LEASEQ_HOME on the disk of the temporary directory; its runner is ended after."""
    root = Path(tempfile.mkdtemp(prefix="lqb"))
    env = {**os.environ, "LEASEQ_HOME": f"{root}/home", "LEASEQ_NODE_DIR": f"{root}/node", "PYTHONPATH": str(ROOT)}
    try:
        yield env
    finally:
        subprocess.run([*LEASEQ, "daemon", "stop", "--kill"], env=env, capture_output=True, check=False, timeout=60)
        shutil.rmtree(root, ignore_errors=True)


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str, every: float = 0.0005) -> None:
    """The condition holds; raises where it does not in time. every: how long not to look, and to take no processor."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(every)


def written(stamp: Path) -> bool:
    """A command has written into that file."""
    return stamp.exists() and bool(stamp.read_text().strip())


def spawn_floor() -> float:
    """How many /bin/true a second this machine can spawn and wait for, one after the other."""
    count = 300
    began = time.perf_counter()
    for _ in range(count):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
    return count / (time.perf_counter() - began)
