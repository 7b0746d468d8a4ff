"""Makes a home as this version leaves it: `python -m tests.upgrade.make DIRECTORY`.

What it made is kept in tests/fixtures/v1 and never made again over itself: later versions load what this one wrote.
Every place of a lease holds something. Ids, times and incarnations are fixed: the same version makes the same bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from leaseq.heartbeat import GpuUse, Heartbeat, Running
from leaseq.layout import Home, LeaseDir
from leaseq.lease.slurm.answer import Queue
from leaseq.lease.slurm.text import Row
from leaseq.models import ANY, Lease, Need, Outcome, State, Task
from leaseq.names import Entry, order
from leaseq.node import record
from leaseq.protocol import files, history, keys, records, requests, tasks, terms
from leaseq.protocol.tasks import Claim
from leaseq.world import SystemFs
from tests.crash.actors import decide_and_book

EPOCH = 1_700_000_000.0
OLD, NEW = "0123456789", "abcdefghjk"
"""Incarnations of the runner that is gone, and of a command."""
BOOT = "11111111-2222-3333-4444-555555555555/4026531836"
LOCAL, NODE = "local:vm", "vm"
FS = SystemFs(remote=False)
NAMES = (
    "any",
    "pinned",
    "held",
    "ended",
    "rebooted",
    "cancelling",
    "done",
    "failed",
    "retried",
    "lost",
    "booked",
    "keyed",
)
IDS = {
    name: f"T{number:02d}{name[:8].translate(str.maketrans('iolu', '1001')):0<9}" for number, name in enumerate(NAMES)
}


def task_of(name: str, **more: object) -> tuple[Entry, Task]:
    """The task of that name, with the name of its pending file."""
    number = NAMES.index(name)
    need = Need(gpus=0, cpus=1, mem_mb=64, time_seconds=3600) if number % 3 else Need()
    fields: dict[str, object] = {
        "id": IDS[name],
        "argv": ("sh", "-c", f"echo {name} \udcff"),
        "cwd": "/",
        "submitted": EPOCH + number,
        "need": need,
        "env": {"PATH": "/usr/bin:/bin", "TOKEN": "x" * 9},
        "name": name,
        "user": "somebody",
        "host": "login",
        **more,
    }
    entry = Entry(order(priority=number % 3, micros=int(1e6 * (EPOCH + number)), sequence=number), IDS[name], need, 1)
    return entry, Task(**fields)  # type: ignore[arg-type]


def local_lease(home: Home) -> LeaseDir:
    """This host's lease, with a task in every place."""
    lease = home.lease(LOCAL)
    records.prepare(FS, lease)
    records.prepare_node(FS, lease, NODE)
    made = Lease(id=LOCAL, kind="local", created=EPOCH, user="somebody", host=NODE, nodes=(NODE,), version="0.1")
    files.replace_file(FS, lease.record, made.to_json())
    tasks.publish(FS, lease.inbox(ANY), *task_of("any"))
    tasks.publish(FS, lease.inbox(NODE), *task_of("pinned", node=NODE))
    tasks.publish(FS, lease.held(ANY), *task_of("held"))
    keys.publish_once(FS, lease, "k" * 40, lease.inbox(ANY), *task_of("keyed", key="again"))
    for name in ("ended", "rebooted"):
        _claim(lease, name)
    _claim(lease, "cancelling", node="_cli", incarnation=NEW)
    outcomes = [
        finish(lease, "done", State.DONE, exit_code=0),
        finish(lease, "failed", State.FAILED, exit_code=3),
        finish(lease, "retried", State.FAILED, exit_code=1, requeued="retry"),
        finish(lease, "lost", State.LOST, reason="the node was rebooted"),
    ]
    totals: dict[str, int] = {}
    for outcome in outcomes:
        if not outcome.requeued:
            totals[outcome.state.name] = totals.get(outcome.state.name, 0) + 1
        history.record_events(FS, lease, NODE, [history.event_of(outcome, dict(totals))])
    task = task_of("booked")[1]
    cancelled = Outcome(task, 1, State.CANCELLED, incarnation=NEW, reason="cancelled while pending", ended=EPOCH + 90)
    decide_and_book(FS, lease, _as_then(cancelled))
    terms.beat(FS, lease, heartbeat())
    requests.ask(FS, lease, NODE, "resume", {})
    FS.create(f"{lease.evidence}/strange.{NEW}.reason", b"not a task's file name\n")
    for stream, said in (("out", b"done \xff\x1b[31mred\x1b[0m\n"), ("err", b"")):
        FS.create(lease.log(IDS["done"], 1, stream), said)
    return lease


def _claim(lease: LeaseDir, name: str, *, node: str = NODE, incarnation: str = OLD) -> Claim:
    entry, task = task_of(name, retries=1 if name == "retried" else 0)
    tasks.publish(FS, lease.inbox(ANY), entry, task)
    claim = tasks.claim(FS, lease, lease.inbox(ANY), entry, node=node, incarnation=incarnation)
    assert claim is not None
    return claim


def finish(lease: LeaseDir, name: str, state: State, **more: object) -> Outcome:
    """The claimed task has that outcome, and is settled."""
    claim, task = _claim(lease, name), task_of(name, retries=1 if name == "retried" else 0)[1]
    fields: dict[str, object] = {
        "node": NODE, "incarnation": OLD, "started": EPOCH + 50, "ended": EPOCH + 60, "elapsed_seconds": 10.0,
        "gpus": ("0",), "pid": 4242, "max_rss_mb": 12.5, "cpu_seconds": 0.25, **more,
    }  # fmt: skip
    outcome = _as_then(Outcome(task, 1, state, **fields))  # type: ignore[arg-type]
    decided = tasks.decide_all(FS, lease, [outcome])[0]
    tasks.settle(FS, lease, claim, decided)
    return decided


def _as_then(outcome: Outcome) -> Outcome:
    """The outcome as the first leaseq wrote it: a task's environment ended with the task."""
    return tasks.without_env(outcome)


def heartbeat() -> Heartbeat:
    running = Running(id=IDS["rebooted"], attempt=1, pid=77, started=EPOCH + 70, name="rebooted", command="sh -c ...")
    return Heartbeat(
        lease=LOCAL, node=NODE, incarnation=OLD, counter=12, time=EPOCH + 99, interval_seconds=5.0, host="gone",
        boot=BOOT, pid=4141, pid_start=99, version="0.1", started=EPOCH, cpus=4, mem_mb=8192, gpus=("0",), free_cpus=3,
        free_mem_mb=8128, running=(running,), totals={"DONE": 1}, waiting={IDS["any"]: "Slots"}, load=0.5,
        mem_used_mb=1024, gpu_use=(GpuUse("0", "GPU-1", "a card", 50.0, 100.0, 1000.0, 40.0),), ends=EPOCH + 9999,
    )  # fmt: skip


def slurm_lease(home: Home, job: str, *, ended: float | None) -> Lease:
    """A lease that is a Slurm job, as far as its record and the lease script's files go."""
    lease = home.lease(job)
    records.prepare(FS, lease)
    FS.mkdir(lease.own.notes)
    extra = {"token": NEW, "options": {"gpus": "2"}, "python": "/usr/bin/python3", "main": "/opt/leaseq/__main__.py"}
    made = Lease(
        id=job, kind="slurm", created=EPOCH, user="somebody", host="login", name="night", argv=("-N2", "--gpus=2"),
        cwd="/", ended=ended, end_reason="TIMEOUT" if ended else "", version="0.1", extra=extra,
    )  # fmt: skip
    files.replace_file(FS, lease.record, made.to_json())
    FS.create(lease.own.node_names, b"n1\nn2\n")
    FS.create(lease.own.ends, b"3600\n")
    FS.create(f"{lease.own.notes}/n2", b"12:00 no python here\n")
    return made


def node_records(directory: str) -> None:
    """The node-local directory of the runner that is gone: one attempt that ended, one of an earlier boot."""
    for part in ("ask", "rec", "born"):
        Path(directory, part).mkdir(parents=True)
    Path(directory, "born", OLD).write_text(BOOT)
    Path(directory, "runner").write_text(json.dumps({"pid": 4141, "pid_start": 99, "boot": BOOT, "incarnation": OLD}))
    begin: dict[str, object] = {"e": "begin", "boot": BOOT, "gpus": ["0"], "limit": None, "grace": 10.0}
    spawn: dict[str, object] = {"e": "spawn", "pid": 77, "start": 5, "t": EPOCH + 70, "m": 1000.0}
    over: dict[str, object] = {"e": "exit", "status": 7 << 8, "t": EPOCH + 80, "elapsed": 10.0, "rss": 2048, "cpu": 0.5}
    for name, facts in (("ended", (begin, spawn, over)), ("rebooted", (begin, spawn))):
        Path(directory, "rec", f"{IDS[name]}.1").write_bytes(b"".join(record.line(each) for each in facts))


def make(directory: Path) -> None:
    """The directory holds `home/` and `node/` as this version writes them."""
    home = Home(str(directory / "home"))
    for path in (directory, directory / "home", directory / "home/runs", directory / "home/cache"):
        FS.mkdir(str(path))
    local_lease(home)
    slurm_lease(home, "42", ended=None)
    ended = slurm_lease(home, "41", ended=EPOCH + 500)
    index = {"v": 1, "default": "42", "leases": {"41": ended.as_record()}}
    files.replace_file(FS, home.index, json.dumps(index).encode() + b"\n")
    row = Row(id="42", state="RUNNING", left_seconds=3000.0, nodes="n[1-2]", node_count=2, name="leaseq")
    FS.create(f"{home.cache}/squeue.json", Queue({"42": row}, {}).to_json())
    FS.create(home.config, b"slurm_poll_seconds: 60\nprofiles:\n  gpu:\n    slurm: {partition: gpu, time: 4:00:00}\n")
    node_records(str(directory / "node"))


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute())
