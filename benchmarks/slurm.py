"""A lease against bare Slurm in the same allocation, on a real Slurm of three nodes on this host (tests/contract).

Tasks a second against `srun --overlap -N1 -n1 true` one by one and eight at a time; from sbatch's answer to the
first task against a bare batch script; `leaseq shell` against `srun --pty`; squeue calls with the monitor open.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench import ROOT, Row, run, show, wait_for, written

sys.path.insert(0, str(ROOT))

from tests.contract.real_slurm import RealCluster, Unavailable, require_available

MAIN = [sys.executable, "-E", str(ROOT / "leaseq" / "__main__.py")]
TASKS = 3000
STEPS = 60
TIMES = 5
MONITOR_SECONDS = 100.0
PROMPT = "# "


def main() -> None:
    try:
        require_available("cgroup")
    except Unavailable as reason:
        sys.exit(f"slurm: {reason}")
    with (
        tempfile.TemporaryDirectory(prefix="lqb") as name,
        RealCluster(Path(name) / "c", proctrack="cgroup") as cluster,
    ):
        env = {**cluster.env, "LEASEQ_HOME": f"{cluster.shared}/home", "PS1": PROMPT, "SHELL": "/bin/sh"}
        show("slurm", measure(env, Path(cluster.shared)))


def measure(env: dict[str, str], shared: Path) -> list[Row]:
    rows = [*first_task(env, shared)]
    lease = run([*MAIN, "add", "--detach", "-N3", "--exclusive", "-t", "60"], env=env).strip()
    beats = Path(env["LEASEQ_HOME"]) / "runs" / lease / "hb"
    wait_for(lambda: len(list(beats.glob("*.json"))) == 3, seconds=60, what="three runners")
    rows += throughput(env, shared, lease)
    rows += shells(env, lease)
    rows += monitor(env, shared)
    run(["scancel", lease], env=env)
    return rows


# -- throughput --------------------------------------------------------------------------------------


def throughput(env: dict[str, str], shared: Path, lease: str) -> list[Row]:
    step = ["srun", f"--jobid={lease}", "--overlap", "-N1", "-n1", "true"]
    one = rate(lambda: [run(step, env=env) for _ in range(STEPS)], STEPS)
    with ThreadPoolExecutor(8) as pool:
        eight = rate(lambda: list(pool.map(lambda _: run(step, env=env), range(STEPS * 3))), STEPS * 3)
    stamps = shared / "stamps"
    lines = "\n".join(["date +%s.%N >>" + str(stamps), *["true"] * TASKS, "date +%s.%N >>" + str(stamps)])
    ids = run([*MAIN, "submit", "--cpus", "1", "--file", "-"], env=env, text=lines).split()
    run([*MAIN, "wait", *ids[-1:]], env=env)
    done = Path(env["LEASEQ_HOME"]) / "runs" / lease / "done"
    wait_for(lambda: sum(len(os.listdir(each)) for each in done.iterdir()) >= TASKS + 2, seconds=120, what="all tasks")
    first, last = sorted(float(line) for line in stamps.read_text().split())
    ours = TASKS / (last - first)
    return [
        Row("srun --overlap -N1 -n1 true, one by one", one, "/s"),
        Row("the same, 8 at a time", eight, "/s"),
        Row(
            "tasks through a lease of 3 nodes",
            ours,
            "/s",
            ">= 15 x one by one",
            ours >= 15 * one,
            f"{ours / one:.1f} x",
        ),
        Row("", ours / eight, "x 8", ">= 6 x eight at a time", ours >= 6 * eight),
    ]


def rate(action: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    action()
    return count / (time.perf_counter() - began)


# -- the first task ----------------------------------------------------------------------------------


def first_task(env: dict[str, str], shared: Path) -> list[Row]:
    bare, leased = [], []
    script = shared / "bare.sh"
    for number in range(TIMES):
        stamp = shared / f"bare{number}"
        script.write_text(f"#!/bin/sh\ndate +%s.%N >{stamp}\n")
        run(["sbatch", "-N2", "-o", "/dev/null", str(script)], env=env)
        bare.append(wait_stamp(stamp, time.time()))
    for number in range(TIMES):
        stamp = shared / f"leased{number}"
        lease = run([*MAIN, "add", "--detach", "-N2"], env=env).strip()
        asked = (Path(env["LEASEQ_HOME"]) / "runs" / lease / "lease.json").stat().st_mtime
        run([*MAIN, "submit", "--", "sh", "-c", f"date +%s.%N >{stamp}"], env=env)
        leased.append(wait_stamp(stamp, asked))
        run(["scancel", lease], env=env)
    more = statistics.median(leased) - statistics.median(bare)
    return [
        Row("sbatch to the first line of a bare script", statistics.median(bare), "s"),
        Row(
            "sbatch to a lease's first task", statistics.median(leased), "s", "<= 2 s more", more <= 2, f"{more:+.2f} s"
        ),
    ]


def wait_stamp(stamp: Path, since: float) -> float:
    wait_for(partial(written, stamp), seconds=60, what=str(stamp))
    return float(stamp.read_text()) - since


# -- shells ------------------------------------------------------------------------------------------


def shells(env: dict[str, str], lease: str) -> list[Row]:
    bare_argv = ["srun", f"--jobid={lease}", "--overlap", "-N1", "-n1", "-w", "node1", "--pty", "/bin/sh"]
    bare = statistics.median(prompt_ms(bare_argv, env) for _ in range(TIMES))
    new = statistics.median(prompt_ms([*MAIN, "shell", "--session", f"s{n}"], env) for n in range(TIMES))
    again = statistics.median(prompt_ms([*MAIN, "shell", "--session", "s0"], env) for _ in range(TIMES))
    return [
        Row("srun --pty to its prompt", bare, "ms"),
        Row("leaseq shell, a new session", new, "ms", "<= 300 ms more", new - bare <= 300, f"{new - bare:+.0f} ms"),
        Row(
            "leaseq shell, back into one", again, "ms", "<= 300 ms more", again - bare <= 300, f"{again - bare:+.0f} ms"
        ),
    ]


def prompt_ms(argv: list[str], env: dict[str, str]) -> float:
    """From the command to the prompt on its terminal; the terminal is then lost."""
    began = time.perf_counter()
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, {**env, "TERM": "xterm"})
    seen = b""
    while PROMPT.encode() not in seen:
        if not select.select([fd], [], [], 30)[0]:
            raise TimeoutError(f"{argv}: {seen!r}")
        seen += os.read(fd, 65536)
    taken = (time.perf_counter() - began) * 1000
    os.close(fd)
    os.waitpid(pid, 0)
    return taken


# -- politeness --------------------------------------------------------------------------------------


def monitor(env: dict[str, str], shared: Path) -> list[Row]:
    """squeue calls while the monitor is open and a person lists leases every ten seconds."""
    wrapped = shared / "bin"
    wrapped.mkdir()
    (wrapped / "squeue").write_text(f'#!/bin/sh\ndate +%s.%N >>{wrapped}/calls\nexec {shutil.which("squeue")} "$@"\n')
    (wrapped / "squeue").chmod(0o755)
    (wrapped / "calls").touch()
    counted = {**env, "PATH": f"{wrapped}:{env['PATH']}", "TERM": "xterm-256color"}
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(MAIN[0], [*MAIN, "tui"], counted)
    until = time.monotonic() + MONITOR_SECONDS
    listed = 0.0
    while time.monotonic() < until:
        if select.select([fd], [], [], 0.5)[0]:
            os.read(fd, 65536)
        if time.monotonic() - listed > 10:
            listed = time.monotonic()
            subprocess.run([*MAIN, "lease", "ls"], env=counted, capture_output=True, check=True)
    os.close(fd)
    os.waitpid(pid, 0)
    stamps = [float(line) for line in (wrapped / "calls").read_text().split()]
    hourly = (len(stamps) - 1) * 3600 / (stamps[-1] - stamps[0])
    note = f"{len(stamps)} calls in {stamps[-1] - stamps[0]:.0f} s"
    return [Row("squeue calls with the monitor open", hourly, "/h", "<= 120", hourly <= 120, note)]


if __name__ == "__main__":
    main()
