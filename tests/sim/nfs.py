"""One file server and its clients, each with caches that are as stale as NFSv4 was measured to be.

* A name that a client did not find stays absent for that client for 10 to 60 s, unless it opens the directory by path
  (a listing and every read do): until then rename, link and unlink of it fail with ENOENT.
* A file that another client replaced a moment ago may be read as it was, if somebody holds the old one open.
* A server that restarts keeps every call waiting, and forgets what it has answered: some calls that were under way
  are repeated, and are told that they failed although they were done.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random
from typing import Any, NoReturn

from leaseq.layout import LeaseDir
from tests.faults import LOST_REPLY, Died, Fault, FaultFs
from tests.memoryfs import Change, Disk, Inode, MemoryFs
from tests.sim.scheduler import Process, Scheduler

ABSENT_SECONDS = (10.0, 60.0)
STALE_SECONDS_MAX = 8.5
STALE_CHANCE = 0.3
CALL_SECONDS = 0.002
SLOW_CALL_CHANCE = 0.03
SLOW_CALL_SECONDS = 1.5
REPEATED_CHANCE = 0.25
DONE_ALL_THE_SAME_CHANCE = 0.3
"""How often a soft mount that gave up waiting had a call that was done."""


class Server(Disk):
    """The disk of the server, and since when it answers again."""

    def __init__(self, scheduler: Scheduler, lease: LeaseDir) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.heartbeats = lease.heartbeats
        self.silent_until = 0.0
        self.repeats: set[str] = set()
        """Clients whose next change is repeated after the restart."""
        self.replaced: dict[str, tuple[Inode, float, str]] = {}
        """The file that was last replaced at a path, when, and by which client."""

    def restart(self, seconds: float, clients: list[str], chance: Random) -> None:
        self.silent_until = max(self.silent_until, self.scheduler.now + seconds)
        self.repeats = {name for name in clients if chance.random() < REPEATED_CHANCE}

    def change(self, names: Change) -> None:
        super().change(names)
        if all(path.startswith(self.heartbeats + "/") for path in names):
            # Never synced, and worth nothing after a loss of power: kept out of the changes that one may undo.
            for path, inode in self.unsynced.pop().items():
                if inode is None:
                    self.stable[self.heartbeats].pop(path.rpartition("/")[2], None)
                else:
                    self.stable[self.heartbeats][path.rpartition("/")[2]] = inode


class Client(MemoryFs):
    """The kernel of one host: what all its processes see of the server."""

    def __init__(self, server: Server, name: str, chance: Random) -> None:
        super().__init__(server)
        self.server = server
        self.name = name
        self.chance = chance
        self.cut_until = 0.0
        """Until when nothing it asks reaches the server."""
        self._absent_until: dict[str, float] = {}

    def forget(self) -> None:
        """As after a reboot."""
        self._absent = {}

    def rename(self, source: str, target: str) -> None:
        directory, _, name = target.rpartition("/")
        old = self.disk.live.get(directory, {}).get(name)
        super().rename(source, target)
        if old is not None:
            self.server.replaced[target] = (old, self.disk.seconds, self.name)

    def _called(self, operation: str, *paths: str) -> None:
        self.disk.seconds = self.server.scheduler.now
        super()._called(operation, *paths)

    def _known(self, path: str) -> Inode:
        if self._absent_until.get(path, 0.0) <= self.disk.seconds:
            self._exists(path)
        try:
            return super()._known(path)
        except FileNotFoundError:
            self._absent_until.setdefault(path, 0.0)
            if self._absent_until[path] <= self.disk.seconds:
                self._absent_until[path] = self.disk.seconds + self.chance.uniform(*ABSENT_SECONDS)
            raise

    def _open(self, path: str) -> Inode:
        inode = super()._open(path)
        if path in self.server.replaced:
            old, when, by = self.server.replaced[path]
            fresh = by == self.name or self.disk.seconds - when > STALE_SECONDS_MAX
            if not fresh and self.chance.random() < STALE_CHANCE:
                return old
        return inode


class ActorFs(FaultFs):
    """The file system of one process: each call takes time, lets others act before it, and may fail as planned."""

    def __init__(self, scheduler: Scheduler, process: Process, client: Client, chance: Random, faults: list[Fault]):
        super().__init__(client, *faults)
        self.scheduler = scheduler
        self.process = process
        self.client = client
        self.chance = chance
        self.trouble: Callable[[str], int] = _none
        """The error that the client's mount gives for an operation now, or 0."""
        self.log: Callable[..., None] = _no_log
        self.struck: Callable[[Fault], None] = _no_log
        self.appended: Callable[[str], None] = _no_log
        """Called with the path of a file to which this process has added something."""

    def _call(self, operation: str, *args: Any, **options: Any) -> Any:
        scheduler, client, server = self.scheduler, self.client, self.client.server
        slow = self.chance.random() < SLOW_CALL_CHANCE
        scheduler.pause(self.chance.expovariate(1 / (SLOW_CALL_SECONDS if slow else CALL_SECONDS)))
        while (wait := max(server.silent_until, client.cut_until) - scheduler.now) > 0:
            scheduler.pause(wait + self.chance.random())
        self.log(operation, *args)
        result = super()._call(operation, *args, **options)
        if client.name in server.repeats and operation in LOST_REPLY:
            server.repeats.discard(client.name)
            raise OSError(LOST_REPLY[operation], "the server repeated it", args[0])
        return result

    def _perform(self, operation: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What the mount makes of the call, unless what happened meanwhile was the end of this process."""
        if self.process.dead:
            raise Died
        error = self.trouble(operation)
        if not error or (error == errno.EIO and self.chance.random() < DONE_ALL_THE_SAME_CHANCE):
            result = super()._perform(operation, args, options)
            if operation == "append" and args[1]:
                self.appended(args[0])
        if error:
            raise OSError(error, "the mount is in trouble", args[0])
        return result

    def _strike(self, fault: Fault, operation: str, perform: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        self.log(f"-- {fault}")
        self.struck(fault)
        return super()._strike(fault, operation, perform, args)

    def _die(self) -> NoReturn:
        self.scheduler.kill(self.process)
        raise Died


def _none(operation: str) -> int:
    return 0


def _no_log(*what: object) -> None:
    pass
