"""Several hosts that share a home: each is a UTS namespace with its own name and its own node-local directory."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.cli import Box
from tests.patience import PATIENCE_SECONDS

NAMES = ("unshare", "--uts"), ("unshare", "--user", "--map-root-user", "--uts")
NAMED = 'hostname "$0" && exec "$@"'


@functools.cache
def namespace() -> tuple[str, ...]:
    """What is typed before a command that is to run on another host; empty if this one lets nobody do that."""
    for words in NAMES:
        try:
            done = subprocess.run(
                [*words, "sh", "-c", NAMED, "probe", "true"], capture_output=True, timeout=PATIENCE_SECONDS
            )
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

    @property
    def before(self) -> tuple[str, ...]:
        """What is typed before a command that is to run on this host."""
        return (*namespace(), "sh", "-c", NAMED, self.name)

    def popen(self, *words: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        place = {"cwd": options.pop("cwd", self.work), "env": {**self.environment, **(env or {})}}
        line = [*self.before, self.python, "-m", "leaseq", *words]
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


class Twin(BoxOn):
    """Another machine that is called gpu2: it has a machine id of its own."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        self.name = "gpu2"
        self.machine = path / name / "machine-id"
        self.machine.write_text("0123456789abcdef0123456789abcdef\n")

    @property
    def before(self) -> tuple[str, ...]:
        bound = f"mount --bind {self.machine} /etc/machine-id && {NAMED}"
        return ("unshare", "--uts", "--mount", "sh", "-c", bound, self.name)

    def works(self) -> bool:
        """True if this process may do that."""
        return subprocess.run([*self.before, "true"], capture_output=True, timeout=PATIENCE_SECONDS).returncode == 0
