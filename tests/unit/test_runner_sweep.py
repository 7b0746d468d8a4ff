"""Signals to the processes of a task."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from leaseq.node.sweep import Process, kill_all, send
from leaseq.world import process_start
from tests.patience import wait_until


def process(pid: int) -> Process:
    return pid, process_start(pid)


def test_a_shell_gets_a_signal_before_its_program_and_does_not_go_on_with_its_next_line(tmp_path: Path) -> None:
    mark, ready = tmp_path / "mark", tmp_path / "ready"
    line = f"sh -c 'echo $$ >{ready}; exec sleep 300'; : >{mark}"
    shell = subprocess.Popen(["bash", "-c", line])
    program = wait_until(lambda: ready.exists() and ready.read_text().strip(), "the program")
    long_gone = (os.getpid(), 1)
    members = [process(int(program)), *[long_gone] * 20_000, process(shell.pid)]
    send(members, signal.SIGUSR1)
    assert shell.wait() == -signal.SIGUSR1 and not mark.exists()
    kill_all(members)
