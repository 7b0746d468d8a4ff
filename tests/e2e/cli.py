"""The command line as a person uses it: real processes with a home of their own."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leaseq.dataclass import dataclass
from leaseq.world import process_start
from tests import forked
from tests.e2e.harness import ROOT, SECONDS_MAX, processes
from tests.patience import wait_until


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def id(self) -> str:
        """The one id on stdout."""
        assert self.code == 0, self
        (word,) = self.out.split()
        return word


class Box:
    """A home, a node-local directory and a working directory, and leaseq in them."""

    python = sys.executable

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = path / "h"
        self.work = path / "w"
        self.work.mkdir()
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CUDA_", "LEASEQ_", "SLURM_", "COLUMNS"))
        }
        self.environment = kept | {
            "LEASEQ_HOME": str(self.home),
            "LEASEQ_NODE_DIR": str(path / "n"),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
        }

    def popen(self, *words: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        place = {"cwd": options.pop("cwd", self.work), "env": {**self.environment, **(env or {})}}
        process: Any = subprocess.Popen([self.python, "-m", "leaseq", *words], **place, **options)
        assert isinstance(process, subprocess.Popen)
        return process

    def run(
        self,
        *words: str,
        code: int | None = None,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Said:
        """What the command said; code: the exit code it must have."""
        status, out, err = self._run(*words, input=input, env=env, **options)
        said = Said(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
        assert "Traceback" not in said.err, said
        if code is not None:
            assert said.code == code, said
        return said

    def _run(
        self, *words: str, input: bytes | None, env: Mapping[str, str] | None, **options: Any
    ) -> tuple[int, bytes, bytes]:
        if self.python != sys.executable or options.keys() - {"cwd"} or forked.matters_at_start(env or {}):
            return self._run_afresh(*words, input=input, env=env, **options)
        environment = {**self.environment, **(env or {})}
        return forked.run(words, environment, cwd=options.get("cwd", self.work), stdin=input)

    def _run_afresh(self, *words: str, input: bytes | None, **options: Any) -> tuple[int, bytes, bytes]:
        """(exit code, stdout, stderr) of a Python that starts for it."""
        if input is not None:
            options["stdin"] = subprocess.PIPE
        process = self.popen(*words, **options)
        try:
            out, err = process.communicate(input, timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"leaseq {words} does not end; it said {out!r} {err!r}") from None
        return process.returncode, out or b"", err or b""

    def submit(self, *command: str, options: tuple[str, ...] = ()) -> str:
        """The id of the submitted command."""
        return self.run("submit", *options, "--", *command).id

    def task(self, task_id: str) -> dict[str, Any]:
        """What `info --json` tells of it."""
        (task,) = self.run("info", task_id, "--json", code=0).json["tasks"]
        assert isinstance(task, dict)
        return task

    def clean(self) -> Said:
        """Every result is removed. A task that has ended may be claimed for a moment yet, and is spared then."""

        def claims() -> list[str]:
            return [path.name for path in self.home.glob("runs/*/claimed/*/[0-9]*")]

        wait_until(lambda: not claims(), "no task claimed", seen=claims)
        return self.run("clean", "--older-than", "0", code=0)

    def until(self, task_id: str, *states: str) -> dict[str, Any]:
        """What `info --json` tells of the task once it is in one of the states."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [self.task(task_id)]
            return found[0]["state"] in states

        wait_until(look, f"{task_id} to be {states}", seen=lambda: found)
        return found[0]

    @property
    def runner_pid(self) -> int:
        pid = self.run("daemon", "status", "--json").json["pid"]
        assert isinstance(pid, int)
        return pid

    def close(self) -> None:
        """Nothing of this home runs any more."""
        self.kill_all()

    def kill_all(self) -> None:
        """Every process of this home is killed, as when its host loses power."""
        marks = (f"LEASEQ_HOME={self.home}\0".encode(), f"LEASEQ_NODE_DIR={self.path / 'n'}\0".encode())

        def ours() -> list[int]:
            return processes(lambda environ: any(mark in environ for mark in marks))

        killed = set()
        for _ in range(3):
            for pid in ours():
                killed.add(pid)
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        wait_until(lambda: not ours(), "the end of every process of this home")
        # One that is ending has no environment any more, and is a process still.
        wait_until(lambda: not any(map(process_start, killed)), "the end of what was killed")


def on_terminal(box: Box, *words: str, columns: int = 60, **options: Any) -> str:
    """What the command writes on a terminal of that width."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = box.popen(*words, stdin=slave, stdout=slave, stderr=slave, env={"TERM": "xterm-256color"}, **options)
    os.close(slave)
    seen = b""
    while select.select([master], [], [], SECONDS_MAX)[0]:
        try:
            seen += os.read(master, 65536)
        except OSError:
            break
    process.wait(timeout=SECONDS_MAX)
    os.close(master)
    shown = seen.decode()
    assert "Traceback" not in shown, shown
    return shown
