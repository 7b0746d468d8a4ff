"""The port Procs: what a runner asks of its node's keeper, and what it learns."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from leaseq.errors import Unavailable
from leaseq.models import Why
from leaseq.node import record
from leaseq.node.members import Members, WindowFiles
from leaseq.node.nodedir import NodeDir, write_local
from leaseq.node.orphans import Orphans
from leaseq.node.record import Rec, keys_in
from leaseq.node.request import StartRequest
from leaseq.node.sweep import ended_children, kill_all, processes_of
from leaseq.node.window import Window, WindowRequest
from leaseq.world import boot_id, process_start

_KEEPER = (sys.executable, "-X", "utf8", "-m", "leaseq.node.keeper")
END_SECONDS_MAX = 10.0
"""How long a process may take to die of KILL; one that hangs in a dead file system does not die at all."""


class Procs(Protocol):
    """The processes of one node. An attempt's key is `ID.ATTEMPT`."""

    def born(self, incarnation: str) -> None:
        """From now on this incarnation is known to have started in this boot with these records."""
        ...

    def knows(self, incarnation: str) -> bool:
        """True if that incarnation started in this boot, so that a missing record means: never started."""
        ...

    def start(self, key: str, request: StartRequest) -> None:
        """The keeper will start the attempt, unless its record exists."""
        ...

    @property
    def knows_windows(self) -> bool:
        """True if the keeper knows what a window is."""
        ...

    def start_window(self, request: WindowRequest) -> str:
        """The keeper will start these attempts, one after the other: see `window`. The window's name."""
        ...

    def window(self, name: str) -> Window | None:
        """What is known of the window; None as long as the keeper does not have it."""
        ...

    def is_done(self, name: str) -> bool:
        """True if nothing of the window runs any more, nor will: its room is free, however its attempts ended."""
        ...

    def leave_window(self, name: str, keys: Collection[str]) -> None:
        """The window is over, and has been read: it is still to tell of these, until they are forgotten."""
        ...

    def find_windows(self) -> None:
        """What windows of earlier runners tell is known by `record`; what no keeper has of them will never begin."""
        ...

    def stop(self, key: str, *, why: Why, grace: float) -> None:
        """The attempt is being ended: TERM, the grace in seconds, KILL, over all its processes."""
        ...

    def signal(self, key: str, number: int, *, to: str, warning: bool = False) -> None:
        """The attempt's processes are sent the signal. to: `all`, or `leader`, the outermost that handle it."""
        ...

    def record(self, key: str) -> Rec | None:
        """What is known of the attempt; None if it never began here."""
        ...

    def void(self, key: str) -> bool:
        """True if the attempt had not begun, and now never will."""
        ...

    def forget(self, key: str) -> None:
        """The record is gone. Only after the attempt's outcome is durable."""
        ...

    def end_now(self, key: str) -> None:
        """No process of the attempt is alive: for one that no keeper watches any more."""
        ...

    def attempts(self) -> list[str]:
        """Attempts that have a record, or of which a window tells."""
        ...

    def given(self, key: str) -> tuple[str, ...] | None:
        """The GPU tokens that the attempt was given; None if its record does not say."""
        ...

    def same_boot(self, rec: Rec) -> bool:
        """True if the record was begun in this boot of the node."""
        ...

    def reap(self) -> None:
        """Orphans that came to this process were waited for, and their status recorded."""
        ...

    def ensure(self) -> None:
        """A keeper is alive."""
        ...


class KeeperProcs:
    """The real Procs: files in the node-local directory, read and written by a keeper process."""

    def __init__(self, directory: NodeDir, incarnation: str, *, step_grace_seconds: float | None = None) -> None:
        self.directory = directory
        self.incarnation = incarnation
        self.step_grace_seconds = step_grace_seconds
        self.numbers = itertools.count(1)
        self.child: subprocess.Popen[bytes] | None = None
        self.orphans = Orphans(directory, of_step=step_grace_seconds is not None)
        self.members = Members(WindowFiles(directory))
        self.knows_windows = False

    def born(self, incarnation: str) -> None:
        # An older leaseq, which knows of no windows, cannot tell from their absence in rec/ what never began.
        write_local(f"{self.directory.born}/{incarnation}", f"{boot_id()} windows".encode())

    def knows(self, incarnation: str) -> bool:
        try:
            with open(f"{self.directory.born}/{incarnation}", encoding="ascii") as file:
                return file.read().partition(" ")[0] == boot_id()
        except OSError:
            return False

    def _ask(self, name: str, body: Mapping[str, Any]) -> None:
        write_local(f"{self.directory.ask}/{name}", json.dumps(body).encode())

    def _numbered(self, between: str = "") -> str:
        # Two threads ask: next() on a count is one step of the interpreter.
        return f"{self.incarnation}{between}{next(self.numbers)}"

    def start(self, key: str, request: StartRequest) -> None:
        self._ask(f"start-{key}", {**request.to_json(), "boot": boot_id()})

    def start_window(self, request: WindowRequest) -> str:
        name = "w" + self._numbered(".")
        self.members.add(name, [each.key for each in request.places])
        self._ask(f"window-{name}", {**request.to_json(), "boot": boot_id()})
        return name

    def window(self, name: str) -> Window | None:
        return self.members.read(name)

    def is_done(self, name: str) -> bool:
        return self.members.records.is_done(name)

    def leave_window(self, name: str, keys: Collection[str]) -> None:
        self.members.leave(name, keys)

    def find_windows(self) -> None:
        self.members.find()

    def stop(self, key: str, *, why: Why, grace: float) -> None:
        self._ask(f"stop-{key}-{self._numbered()}", {"why": why.value, "grace": grace})

    def signal(self, key: str, number: int, *, to: str, warning: bool = False) -> None:
        self._ask(f"signal-{key}-{self._numbered()}", {"signal": number, "to": to, "warning": warning})

    def end_lease(self, *, grace: float) -> None:
        """Every attempt is being ended, and none begins: the lease ends."""
        self.orphans.lease_ends = True
        self._ask(f"end-{self._numbered()}", {"grace": grace, "incarnation": self.incarnation})

    def record(self, key: str) -> Rec | None:
        return self.orphans.seen(key, record.read(f"{self.directory.rec}/{key}") or self.members.record(key))

    def void(self, key: str) -> bool:
        if key in self.members:
            return False
        fd = record.begin(f"{self.directory.rec}/{key}", {"e": "void"})
        if fd is None:
            return False
        os.close(fd)
        _remove(f"{self.directory.ask}/start-{key}")
        return True

    def forget(self, key: str) -> None:
        if self.members.forget(key):
            return
        # The request first: a keeper that has it in hand, but not the record, finds it withdrawn.
        _remove(f"{self.directory.ask}/start-{key}")
        _remove(f"{self.directory.rec}/{key}")

    def end_now(self, key: str) -> None:
        deadline = time.monotonic() + END_SECONDS_MAX
        while kill_all(processes_of(key, (0, 0))) and time.monotonic() < deadline:
            time.sleep(0.02)

    def attempts(self) -> list[str]:
        return sorted({*keys_in(self.directory.rec), *self.members})

    def given(self, key: str) -> tuple[str, ...] | None:
        rec = self.record(key)
        return rec.gpus if rec else None

    def same_boot(self, rec: Rec) -> bool:
        return rec.boot == boot_id()

    def reap(self) -> None:
        """If the keeper was killed, its tasks come to this process, a subreaper, with their true status."""
        for pid, status, usage in ended_children():
            if self.child and pid == self.child.pid:
                self.child.returncode = status
                self.child = None
                continue
            self.orphans.ended(pid, status, usage)
        self.orphans.settle()

    def ensure(self) -> None:
        keeper = self.directory.alive("keeper")
        self.knows_windows = keeper is None or keeper.windows
        if keeper:
            return
        grace = [] if self.step_grace_seconds is None else [str(self.step_grace_seconds)]
        with open(self.directory.log, "ab", opener=_private) as log:
            self.child = subprocess.Popen(
                [*_KEEPER, self.directory.root, self.incarnation, *grace],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",  # `-m` looks for modules there first: not in what a user keeps beside a script
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        deadline = time.monotonic() + 30
        while not self.directory.alive("keeper"):
            if process_start(self.child.pid) == 0 or time.monotonic() > deadline:
                raise Unavailable("the keeper of this node's tasks does not start", hint=f"see {self.directory.log}")
            time.sleep(0.002)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except (FileNotFoundError, IsADirectoryError):
        pass  # a directory was never a request or a record of ours


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
