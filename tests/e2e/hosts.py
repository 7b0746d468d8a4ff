"""Several hosts that share a home: each is a UTS namespace with its own name and its own node-local directory."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.cli import Box

NAMES = ("unshare", "--uts"), ("unshare", "--user", "--map-root-user", "--uts")
NAMED = 'hostname "$0" && exec "$@"'


@functools.cache
def namespace() -> tuple[str, ...]:
    """What is typed before a command that is to run on another host; empty if this one lets nobody do that."""
    for words in NAMES:
        try:
            done = subprocess.run([*words, "sh", "-c", NAMED, "probe", "true"], capture_output=True, timeout=60)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return words
    return ()


class BoxOn(Box):
    """leaseq on a host of that name, with the home of all of them."""

    def __init__(self, path: Path, name: str) -> None:
        (path / name).mkdir()
        super().__init__(path / name)
        self.name, self.home = name, path / "h"
        self.environment["LEASEQ_HOME"] = str(self.home)

    def popen(self, *words: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        place = {"cwd": options.pop("cwd", self.work), "env": {**self.environment, **(env or {})}}
        line = [*namespace(), "sh", "-c", NAMED, self.name, self.python, "-m", "leaseq", *words]
        process: Any = subprocess.Popen(line, **place, **options)
        assert isinstance(process, subprocess.Popen)
        return process

    def _run(
        self, *words: str, input: bytes | None, env: Mapping[str, str] | None, **options: Any
    ) -> tuple[int, bytes, bytes]:
        return self._run_afresh(*words, input=input, env=env, **options)  # a fork of this process would be on this host

    def join(self, lease: str = "lab") -> str:
        """The host serves the lease; its id."""
        lease_id = self.run("daemon", "start", "--lease", lease, "--json", code=0).json["lease"]
        assert isinstance(lease_id, str)
        return lease_id

    def kill_runner(self) -> None:
        """Its runner is dead, as after `kill -9`; its keeper goes on."""
        os.kill(self.runner_pid, 9)
