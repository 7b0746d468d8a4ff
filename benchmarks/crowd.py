"""Many runners on one inbox: renames that came too late, tasks a second, and what an idle lease of many nodes costs.

The nodes are simulated: every runner is a real process on this host that serves a node of its own, and takes the disk
for a file server that tells of no changes (LEASEQ_ASSUME_REMOTE), so that it polls as it does on NFS. Renames are
counted by strace, which stops a process at those calls alone (--seccomp-bpf).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import LEASEQ, ROOT, Row, home, run, show, wait_for
from operations import attach, count, detach

sys.path.insert(0, str(ROOT))

from leaseq.layout import Home, LeaseDir
from leaseq.models import Lease
from leaseq.protocol import files, records, terms
from leaseq.world import SystemFs

LEASE = "4711"
IDLE_SECONDS = 60
IDLE_NODES = 100


def lease_of(env: dict[str, str], nodes: list[str]) -> LeaseDir:
    """A lease with those nodes, without a runner."""
    fs, lease = SystemFs(remote=False), Home(env["LEASEQ_HOME"]).lease(LEASE)
    os.makedirs(Home(env["LEASEQ_HOME"]).runs, mode=0o700)
    os.chmod(env["LEASEQ_HOME"], 0o700)
    records.prepare(fs, lease)
    record = Lease(id=LEASE, kind="local", created=time.time(), nodes=tuple(nodes))
    files.replace_file(fs, lease.record, record.to_json())
    return lease


@contextmanager
def runners(env: dict[str, str], lease: LeaseDir, nodes: list[str], trace: Path | None = None) -> Iterator[None]:
    """A runner on each of the nodes; with a trace, their renames are written there."""
    tracer = ["strace", "-f", "--seccomp-bpf", "-s", "400", "-e", "trace=rename", "-o", str(trace)] if trace else []
    one = {**env, "SLURM_CPUS_ON_NODE": "1", "LEASEQ_ASSUME_REMOTE": "1"}
    line = "".join(f'"$@" --node {node} & ' for node in nodes) + "wait"
    argv = [*tracer, "sh", "-c", line, "sh", *LEASEQ, "_run", "--lease", LEASE]
    group = subprocess.Popen(argv, env=one, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        beats = Path(lease.heartbeats)
        wait_for(lambda: len(list(beats.glob("[!.]*.json"))) == len(nodes), seconds=240, what="runners")
        yield
    finally:
        os.killpg(group.pid, signal.SIGKILL)
        group.wait()


def claims(trace: Path) -> list[str]:
    """The results of all renames from the inbox into claimed/: `0`, or `-1` where the task was gone."""
    found, begun = [], dict[str, str]()
    for line in trace.read_text(errors="replace").splitlines():
        pid, _, call = line.partition(" ")
        if call.endswith("<unfinished ...>"):
            begun[pid] = call
            continue
        if "rename resumed>" in call:
            call = begun.pop(pid, "") + call
        if "/inbox/_any/" in call and "/claimed/" in call:
            found.append(call.rpartition(" = ")[2].split()[0])
    return found


def crowd(number: int, *, tasks: int, seconds: float) -> list[Row]:
    nodes = [f"n{n:02d}" for n in range(number)]
    with home() as env, tempfile.TemporaryDirectory() as scratch:
        lease, trace = lease_of(env, nodes), Path(scratch) / "trace"
        with runners(env, lease, nodes, trace):
            began = time.perf_counter()
            argv = [*LEASEQ, "submit", "--lease", LEASE, "--cpus", "1", "--no-start", "--file", "-"]
            run(argv, env=env, text=f"sleep {seconds}\n" * tasks)
            done = Path(lease.root) / "done"
            wait_for(lambda: sum(len(os.listdir(d)) for d in done.iterdir()) >= tasks, seconds=300, what="tasks")
            taken = time.perf_counter() - began
        results = claims(trace)
        won, late = results.count("0"), len(results) - results.count("0")
        assert won == tasks, f"{won} claims of {tasks} tasks were seen"
        ratio = late / won
        bar, met = ("<= 0.5 a claim", ratio <= 0.5) if number == 16 else ("", None)
        return [
            Row(f"renames too late, {number} runners on one inbox", ratio, "per claim", bar, met, f"{late} of {won}"),
            Row(
                f"tasks of {seconds} s, {number} runners",
                tasks / taken,
                "/s",
                note=f"ideal {number / seconds:.0f}; traced",
            ),
        ]


def idle() -> list[Row]:
    """One runner of a lease of 100 nodes with nothing to do; what it asks of the lease directory, times 100."""
    nodes = [f"n{n:03d}" for n in range(IDLE_NODES)]
    with home() as env, tempfile.TemporaryDirectory() as scratch:
        lease, trace = lease_of(env, nodes), Path(scratch) / "trace"
        with runners(env, lease, nodes[:1]):
            beat = terms.read_heartbeat(SystemFs(remote=False), lease, nodes[0])
            assert beat is not None
            # The first half minute after a start counts as busy.
            time.sleep(35)
            tracer = attach([beat.pid], trace)
            time.sleep(IDLE_SECONDS)
            detach(tracer)
        total = sum(count(trace, lease.root).values()) / IDLE_SECONDS * IDLE_NODES
        return [Row(f"idle lease of {IDLE_NODES} nodes (one runner times 100)", total, "calls/s", "<= 50", total <= 50)]


def main() -> None:
    show(
        "crowd",
        [*crowd(16, tasks=640, seconds=0.5), *crowd(64, tasks=640, seconds=3.0), *idle()],
    )


if __name__ == "__main__":
    main()
