"""The queue against its peers and the floor, side by side in one run: submit, start, throughput, memory.

A throughput is measured inside the queue: the first task notes when it ends, then N times `true`, and the last task
notes when it begins. Peers that are not installed are left out and named (Debian: task-spooler, nq, parallel;
PyPI: hyperqueue).
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import LEASEQ, ROOT, Row, home, median_ms, run, show, spawn_floor, wait_for, written

sys.path.insert(0, str(ROOT))

from leaseq.layout import Home, LeaseDir
from leaseq.models import Task
from leaseq.protocol import reports
from leaseq.protocol.tasks import read_outcome
from leaseq.verbs.access import Access
from leaseq.verbs.submit import Wanted, submit
from leaseq.world import SystemClock, SystemFs, hostname

TASKS = 1000
BATCH = 10_000
ARRAY = 50_000
SLEEPS = 600


def lease_of(env: dict[str, str]) -> LeaseDir:
    return Home(env["LEASEQ_HOME"]).lease(f"local:{hostname()}")


def stamps(directory: Path, count: int, command: str = "true") -> tuple[list[str], Path, Path]:
    """Lines of a task file: a stamp when the first ends, `count` times the command, a stamp when the last begins."""
    first, last = directory / "first", directory / "last"
    lines = [f"sleep 1; date +%s.%N >{first}", *[command] * count, f"date +%s.%N >{last}"]
    return lines, first, last


def rate(first: Path, last: Path, count: int, *, seconds: float = 300) -> float:
    wait_for(partial(written, last), seconds=seconds, what=f"{last}")
    return count / (float(last.read_text()) - float(first.read_text()))


def leaseq_rate(count: int, slots: int, command: str = "true") -> tuple[float, float]:
    """(tasks a second, milliseconds of processor that runner and keeper take for each)"""
    with home() as env, tempfile.TemporaryDirectory() as scratch:
        lines, first, last = stamps(Path(scratch), count, command)
        if slots > 1:
            # The stamps take the whole node, so nothing runs beside them.
            need = ["--cpus", "1"]
            run([*LEASEQ, "submit", "--no-start", "--", lines[0]], env=env)
            run([*LEASEQ, "submit", "--no-start", *need, "--file", "-"], env=env, text="\n".join(lines[1:-1]))
            run([*LEASEQ, "submit", "--no-start", "--", lines[-1]], env=env)
        else:
            run([*LEASEQ, "submit", "--no-start", "--file", "-"], env=env, text="\n".join(lines))
        run([*LEASEQ, "daemon", "start"], env=env)
        wait_for(first.exists, seconds=60, what=f"{first}")
        before = _processor_seconds(env)
        found = rate(first, last, count)
        return found, (_processor_seconds(env) - before) / count * 1000


def array_rate(count: int, slots: int) -> tuple[float, float]:
    """Of an array of `true` (indices a second from the first start to the last end, as `leaseq_rate`)."""
    with home() as env:
        need = ["--cpus", "1"] if slots > 1 else []
        words = [*LEASEQ, "submit", "--no-start", *need, "--array", f"0-{count - 1}", "--", "true"]
        task_id = run(words, env=env).split()[0]
        run([*LEASEQ, "daemon", "start"], env=env)
        before = _processor_seconds(env)
        lease, fs = lease_of(env), SystemFs(remote=False)
        wait_for(lambda: read_outcome(fs, lease, task_id, 1) is not None, seconds=600, what="its end", every=0.1)
        outcome = read_outcome(fs, lease, task_id, 1)
        assert outcome is not None and outcome.counts == {"DONE": count}, outcome
        last = max(each.ended for each in reports.indices(fs, lease, task_id, 1).ended.values())
        return count / (last - (outcome.started or 0.0)), (_processor_seconds(env) - before) / count * 1000


def parallel_rate(count: int, slots: int) -> float | None:
    if not shutil.which("parallel"):
        return None
    with tempfile.TemporaryDirectory() as scratch:
        lines, first, last = stamps(Path(scratch), count)
        env = {**os.environ, "HOME": scratch, "PARALLEL_HOME": scratch}
        (Path(scratch) / "will-cite").touch()
        run(["parallel", f"-j{slots}"], env=env, text="\n".join(lines) + "\n")
        return rate(first, last, count)


@contextmanager
def spooler(slots: int) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="tsp") as scratch:
        env = {**os.environ, "TS_SOCKET": f"{scratch}/socket", "TMPDIR": scratch, "TS_MAXFINISHED": "2000"}
        run(["tsp", "-S", str(slots)], env=env)
        yield env
        subprocess.run(["tsp", "-K"], env=env, check=False, capture_output=True)


def spooler_rate(count: int, slots: int) -> float | None:
    """task-spooler keeps a process per queued task and stops near 1,000 of them."""
    if not shutil.which("tsp"):
        return None
    with spooler(slots) as env, tempfile.TemporaryDirectory() as scratch:
        lines, first, last = stamps(Path(scratch), count)
        lines[0] = lines[0].replace("sleep 1", "sleep 4")
        for line in lines:
            # The stamps take every slot, so nothing runs beside them.
            words = ["-n", "true"] if line == "true" else ["-N", str(slots), "-n", "sh", "-c", line]
            run(["tsp", *words], env=env)
        return rate(first, last, count)


HYPERQUEUE = """
import sys, time
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

def run(client, count):
    job = Job()
    for _ in range(count):
        job.program(["true"], stdout=None, stderr=None)
    began = time.perf_counter()
    client.wait_for_jobs([client.submit(job)])
    return time.perf_counter() - began

with LocalCluster(worker_config=WorkerConfig(cores=int(sys.argv[2]))) as cluster:
    client, count = cluster.client(), int(sys.argv[1])
    one = sorted(run(client, 1) for _ in range(5))[2]
    print(one * 1000, count / run(client, count))
"""


def hyperqueue(count: int, slots: int) -> tuple[float, float] | tuple[None, None]:
    """(ms from submit to the end of one task, tasks a second), by its Python package: that holds no command."""
    if importlib.util.find_spec("hyperqueue") is None:
        return None, None
    with tempfile.TemporaryDirectory(prefix="hq") as scratch:
        argv = [sys.executable, "-c", HYPERQUEUE, str(count), str(slots)]
        one, rate = run(argv, env={**os.environ, "HOME": scratch}).split()[-2:]
        return float(one), float(rate)


def submitting() -> list[Row]:
    rows = []
    with home() as env:
        run([*LEASEQ, "submit", "--", "true"], env=env)
        ours = median_ms(lambda: run([*LEASEQ, "submit", "--", "true"], env=env), 15)
        rows.append(Row("one submit: leaseq", ours, "ms"))
        began = time.perf_counter()
        run([*LEASEQ, "submit", "--no-start", "--hold", "--file", "-"], env=env, text="true\n" * BATCH)
        taken = BATCH / (time.perf_counter() - began)
        rows.append(Row(f"batch of {BATCH:,}: leaseq", taken, "tasks/s", ">= 2,000, durable", taken >= 2000))
    if shutil.which("tsp"):
        with spooler(1) as env:
            rows.append(Row("one submit: task-spooler", median_ms(lambda: run(["tsp", "true"], env=env), 15), "ms"))
    if shutil.which("nq"):
        with tempfile.TemporaryDirectory() as scratch:
            env = {**os.environ, "NQDIR": scratch}
            rows.append(Row("one submit: nq", median_ms(lambda: run(["nq", "true"], env=env), 15), "ms"))
    return rows


def starting() -> list[Row]:
    """From the durable rename into the inbox to the task's first action, on an idle queue."""
    with home() as env, tempfile.TemporaryDirectory() as scratch:
        run([*LEASEQ, "wait", run([*LEASEQ, "submit", "--", "true"], env=env).strip()], env=env)
        lease, taken = lease_of(env), []
        access = Access(SystemFs(remote=False), Home(env["LEASEQ_HOME"]), SystemClock())
        for number in range(15):
            stamp = Path(scratch) / str(number)
            argv: tuple[str, ...] = (
                sys.executable,
                "-I",
                "-S",
                "-c",
                f"import time; open({str(stamp)!r}, 'w').write(str(time.time()))",
            )
            if shutil.which("date"):
                argv = ("sh", "-c", f"date +%s.%N >{stamp}")
            like = Task(id="", argv=(), cwd="/", submitted=0.0, env={"PATH": os.environ["PATH"]})
            submit(access, lease, Wanted(like, [(argv, False)]))
            began = time.time()
            wait_for(partial(written, stamp), seconds=20, what="action")
            taken.append((float(stamp.read_text()) - began) * 1000)
            time.sleep(0.05)
        middle = sorted(taken)[len(taken) // 2]
        rows = [Row("published to first action: leaseq", middle, "ms", "<= 10", middle <= 10)]
    if shutil.which("tsp"):
        with spooler(1) as env, tempfile.TemporaryDirectory() as scratch:
            stamp = Path(scratch) / "stamp"

            def once() -> None:
                stamp.unlink(missing_ok=True)
                run(["tsp", "-n", "sh", "-c", f"date +%s.%N >{stamp}"], env=env)
                wait_for(partial(written, stamp), seconds=20, what="action")

            rows.append(Row("whole path, submit to action: task-spooler", median_ms(once, 15), "ms"))
    return rows


HOPS = 9


def hops() -> list[Row]:
    """From the last act of a task to the first one of a task that waits for its end."""
    rows = []
    for beside in (False, True):
        with home() as env, tempfile.TemporaryDirectory() as scratch:
            run([*LEASEQ, "daemon", "start"], env=env)
            need = ["--cpus", "1", "--priority", "9"]
            if beside:
                run([*LEASEQ, "submit", "--cpus", "1", "--file", "-"], env=env, text="true\n" * BATCH)
            taken = sorted(hop(Path(scratch) / str(number), need, env) for number in range(HOPS))
            what = "a dependent's hop" + (f" beside a stream of {BATCH:,} true" if beside else "")
            rows.append(Row(what, taken[HOPS // 2], "ms", "<= 50", taken[HOPS // 2] <= 50, f"at most {taken[-1]:.0f}"))
    return rows


def hop(stem: Path, need: list[str], env: dict[str, str]) -> float:
    go, first, second = (Path(f"{stem}{end}") for end in (".go", ".1", ".2"))
    line = f"while [ ! -e {go} ]; do sleep 0.01; done; date +%s.%N >{first}"
    up = run([*LEASEQ, "submit", *need, "--", line], env=env).split()[-1]
    down = run([*LEASEQ, "submit", *need, "--after", up, "--", f"date +%s.%N >{second}"], env=env).split()[-1]
    go.touch()
    run([*LEASEQ, "wait", down], env=env)
    return (float(second.read_text()) - float(first.read_text())) * 1000


def throughput() -> list[Row]:
    floor = spawn_floor()
    rows = [Row("floor: spawn and wait /bin/true", floor, "/s")]
    for slots in (1, 2):
        plural = "s" if slots > 1 else ""
        parallel, (one, hq) = parallel_rate(TASKS, slots), hyperqueue(TASKS, slots)
        ours, taken = leaseq_rate(TASKS, slots)
        spooled = spooler_rate(900, slots)
        for name, value in (("parallel", parallel), ("HyperQueue", hq), ("task-spooler", spooled)):
            rows.append(
                Row(f"{TASKS:,} true, {slots} slot{plural}: {name}", value, "/s", note="" if value else "not installed")
            )
        if slots == 1:
            rows.append(Row("submit to end of one task, in one process: HyperQueue", one, "ms"))
        bars = [value for value in (parallel, hq) if value]
        met = all(ours > value for value in bars) if bars else None
        rows.append(
            Row(f"{TASKS:,} true, {slots} slot{plural}: leaseq", ours, "/s", "ahead of parallel and HyperQueue", met)
        )
        rows.append(Row(f"runner and keeper for each, {slots} slot{plural}", taken, "ms of processor"))
        indices, taken = array_rate(ARRAY, slots)
        least = None if spooled is None else indices >= spooled
        what = f"an array of {ARRAY:,} true, {slots} slot{plural}: leaseq"
        note = f"{indices / floor:.0%} of the floor"
        rows.append(Row(what, indices, "/s", "task-spooler's rate at least", least, note))
        rows.append(Row(f"runner and keeper for each index, {slots} slot{plural}", taken, "ms of processor"))
    rows += [two_slots("sleep 0.001"), two_slots("sleep 0.005")]
    rows.append(Row(f"{BATCH:,} true, 1 slot: leaseq", leaseq_rate(BATCH, 1)[0], "/s"))
    return rows


def two_slots(command: str) -> Row:
    """What a second slot brings to tasks that leave the processors some time; `true` leaves two of them none."""
    one, two = (leaseq_rate(SLEEPS, slots, command)[0] for slots in (1, 2))
    note = f"{one:.0f} and {two:.0f} /s"
    return Row(f"{SLEEPS} times {command}: two slots to one", two / one, "times", ">= 1.5", two >= 1.5 * one, note)


def memory() -> list[Row]:
    rows = []
    with home() as env:
        run([*LEASEQ, "wait", run([*LEASEQ, "submit", "--", "true"], env=env).strip()], env=env)
        rows.append(Row("runner and keeper, idle", _resident(env), "MB"))
        run([*LEASEQ, "submit", "--", "sleep", "600"], env=env)
        run([*LEASEQ, "submit", "--file", "-"], env=env, text="true\n" * BATCH)
        time.sleep(2)
        held = _resident(env, only="runner")
        rows.append(Row(f"runner with {BATCH:,} pending", held, "MB", "< 30", held < 30))
    return rows


def _resident(env: dict[str, str], *, only: str = "") -> float:
    total = 0.0
    for pid in _holders(env, only=only):
        status = Path(f"/proc/{pid}/status").read_text()
        total += int(status.split("VmRSS:")[1].split()[0]) / 1024
    return total


def _processor_seconds(env: dict[str, str]) -> float:
    """What runner and keeper have used, without what their children have."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in _holders(env)]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def _holders(env: dict[str, str], *, only: str = "") -> list[int]:
    """The pids of runner and keeper."""
    found = Path(env["LEASEQ_NODE_DIR"]).glob(f"*/*/*/{only or '*'}")
    return [json.loads(each.read_text())["pid"] for each in found if each.name in ("runner", "keeper")]


if __name__ == "__main__":
    show("throughput", submitting() + starting() + hops() + throughput() + memory())
