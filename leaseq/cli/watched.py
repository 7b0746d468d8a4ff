"""The shared file system, with somebody who says so when it does not answer."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from leaseq.world import Fs

SLOW_SECONDS = 12.0
"""A server restart stalls every call for up to 70 s; a person should not wonder for that long."""
AGAIN_SECONDS = 15
"""How often it is said once more."""
P = ParamSpec("P")
T = TypeVar("T")


class WatchedFs:
    """A file system that says on stderr when a call does not return.

    A call on a hung mount cannot be interrupted (state D, no signal handler runs); a thread can still talk.
    """

    def __init__(self, fs: Fs, *, slow_seconds: float = SLOW_SECONDS) -> None:
        self._fs = fs
        self.remote = fs.remote
        self._slow = slow_seconds
        self._since: float | None = None
        self._watching = False

    def names(self, directory: str) -> list[str]:
        return self._call(self._fs.names, directory)

    def read(self, path: str) -> bytes:
        return self._call(self._fs.read, path)

    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        return self._call(self._fs.read_range, path, offset, length)

    def create(self, path: str, data: bytes, *, durable: bool = True) -> None:
        self._call(self._fs.create, path, data, durable=durable)

    def append(self, path: str, data: bytes) -> None:
        self._call(self._fs.append, path, data)

    def rename(self, source: str, target: str) -> None:
        self._call(self._fs.rename, source, target)

    def link(self, source: str, target: str) -> None:
        self._call(self._fs.link, source, target)

    def unlink(self, path: str) -> None:
        self._call(self._fs.unlink, path)

    def mkdir(self, path: str) -> None:
        self._call(self._fs.mkdir, path)

    def remove_tree(self, directory: str) -> None:
        self._call(self._fs.remove_tree, directory)

    def sync(self, path: str) -> None:
        self._call(self._fs.sync, path)

    def sync_dir(self, directory: str) -> None:
        self._call(self._fs.sync_dir, directory)

    def older(self, directory: str, *, seconds: float, hidden: bool) -> list[str]:
        return self._call(self._fs.older, directory, seconds=seconds, hidden=hidden)

    def age(self, path: str, probe_directory: str) -> float:
        return self._call(self._fs.age, path, probe_directory)

    def _call(self, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        if not self._watching:
            self._watching = True
            # At the limit of processes a command does without its watchdog.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._watch, daemon=True, name="watchdog").start()
        self._since = time.monotonic()
        try:
            return call(*args, **options)
        finally:
            self._since = None

    def _watch(self) -> None:
        told = False
        while True:
            time.sleep(self._slow / 4 if not told else 1.0)
            since = self._since
            if since is None:
                told = False
                continue
            waited = time.monotonic() - since
            if waited >= self._slow and (not told or int(waited) % AGAIN_SECONDS == 0):
                told = True
                said = f"leaseq: file system not answering for {waited:.0f} s; still trying"
                print(said, file=sys.stderr, flush=True)
