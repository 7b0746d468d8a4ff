"""What the monitor shows of GPUs and of processes, on a terminal: a heartbeat is on the disk, and is looked at."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.heartbeat import GpuUse, Heartbeat, Running
from leaseq.layout import Home, LeaseDir
from leaseq.models import Need
from leaseq.protocol import records
from leaseq.world import SystemFs
from tests import forked
from tests.build import make_entry, make_task
from tests.e2e.monitor_screen import on_terminal

ROOT = Path(__file__).parents[2]
TUI = [sys.executable, "-m", "leaseq", "tui", "--refresh", "0.3"]
NODE, OWNER = "far", "abcdefghjk"


@pytest.fixture
def env(short_path: Path) -> Iterator[dict[str, str]]:
    """A lease whose one node has just reported: GPU 0 is booked and idle, GPU 1 free and used, GPU 2 free and hot."""
    made = {name: value for name, value in os.environ.items() if not name.startswith(("LEASEQ_", "SLURM_"))}
    made |= {"LEASEQ_HOME": str(short_path / "home"), "LEASEQ_NODE_DIR": str(short_path / "node")}
    made |= {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
    made.pop("TMUX", None)
    made.pop("NO_COLOR", None)
    assert forked.run(["submit", "--no-start", "--hold", "--", "true"], made, cwd=ROOT)[0] == 0
    home = Home(made["LEASEQ_HOME"])
    lease = home.lease(os.listdir(home.runs)[0])
    reports(lease)
    yield made


def reports(lease: LeaseDir) -> None:
    fs, need = SystemFs(remote=False), Need(gpus=1, cpus=8)
    records.prepare_node(fs, lease, NODE)
    task = make_task(name="idler", need=need)
    Path(f"{lease.claimed(NODE)}/{make_entry(task.id, need=need, owner=OWNER)}").write_bytes(task.to_json())
    run = Running(task.id, 1, ("0",), 8, 0, 4711, time.time(), 900.0, "idler", "train", cpus_used=3.94, rss_mb=12345.0)
    uses = (
        GpuUse("0", "GPU-a", "A100", 0.0, 22528.0, 81920.0, 57.0, 61.0, idle_seconds=430.0),
        GpuUse("1", "GPU-b", "A100", 31.0, 30720.0, 81920.0, 55.0, 122.0, stranger_mb=30720.0),
        GpuUse("2", "GPU-c", "A100", 0.0, 4.0, 81920.0, 91.0, None),
    )
    tokens = ("0", "1", "2")
    beat = Heartbeat(lease.id, NODE, OWNER, 1, time.time(), 60.0, "far", "boot", 1, cpus=64, free_cpus=56)
    told = {"gpus": tokens, "free_gpus": tokens[1:], "running": (run,), "gpu_use": uses, "mem_used_mb": 20480}
    Path(lease.heartbeat(NODE)).write_bytes(Heartbeat(**{**vars(beat), **told}).to_json())


def test_marks_of_gpus_and_what_tasks_use_are_on_the_screen_at_every_size(env: dict[str, str]) -> None:
    with on_terminal(TUI, env, columns=200, lines=50) as screen:
        screen.shows("(GPU idle 7m) idler")
        for words in ("! 0 ", "  0%  22G 57° ", "! 1 ", " 31%  30G 55° other", " 91! free", "1/3G!"):
            screen.shows(words)
        for words in ("uses       3.9 CPUs, 12G memory", "unused GPU 0: at 0 % for 7 min", " 61W "):
            screen.shows(words)
        screen.resize(80, 24)
        screen.shows("1/3G!")
        screen.shows("(GPU idle 7m)")
        screen.resize(40, 10)
        screen.shows("(GPU idle")


def test_the_marks_are_there_without_colour_and_in_ascii(env: dict[str, str]) -> None:
    with on_terminal([*TUI, "--ascii"], env | {"NO_COLOR": "1"}, columns=200, lines=50) as screen:
        screen.shows("(GPU idle 7m) idler")
        screen.shows(" 30G 55  other")
        screen.shows("1/3G!")
        screen.send("h?")
        screen.shows("has left at 0 % for five minutes")


def test_status_says_it_in_words(env: dict[str, str]) -> None:
    code, out, err = forked.run(["status"], env, cwd=ROOT)
    assert code == 0, err
    said = " ".join(out.decode().split())
    assert "GPU 0 is booked, and at 0 % for 7 min; GPU 1 is free, and 30G of it are used by no task here" in said
