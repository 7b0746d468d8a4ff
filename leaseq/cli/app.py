"""What every command works with: access to the home, through a file system with a watchdog, and the output."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, cast

from leaseq.cli.output import Output
from leaseq.errors import LeaseqError
from leaseq.layout import Home, default_home
from leaseq.lease import leases
from leaseq.verbs.access import Access
from leaseq.world import Clock, Fs, SystemClock, SystemFs, is_remote

SLOW_SECONDS = 12.0
"""A server restart stalls every call for up to 70 s; a person should not wonder for that long."""


class Watched:
    """A file system that tells on stderr when a call does not return.

    A call on a hung mount cannot be interrupted (state D, no signal handler runs); a thread can still talk.
    """

    def __init__(self, fs: Fs, *, slow_seconds: float = SLOW_SECONDS) -> None:
        self._fs = fs
        self._slow = slow_seconds
        self._since: float | None = None
        self._watching = False

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._fs, name)
        if not callable(call):
            return call

        def watched(*args: object, **options: object) -> object:
            if not self._watching:
                self._watching = True
                with contextlib.suppress(
                    RuntimeError
                ):  # at the limit of processes; a command does without its watchdog
                    threading.Thread(target=self._watch, daemon=True, name="watchdog").start()
            self._since = time.monotonic()
            try:
                return call(*args, **options)
            finally:
                self._since = None

        setattr(self, name, watched)
        return watched

    def _watch(self) -> None:
        told = False
        while True:
            time.sleep(self._slow / 4 if not told else 1.0)
            since = self._since
            if since is None:
                told = False
            elif time.monotonic() - since >= self._slow and (not told or int(time.monotonic() - since) % 15 == 0):
                told = True
                waited = time.monotonic() - since
                print(
                    f"leaseq: file system not answering for {waited:.0f} s; still trying", file=sys.stderr, flush=True
                )


class App:
    """One run of the command line. Nothing is created before a command asks for it."""

    def __init__(self, *, umask: int) -> None:
        self.umask = umask
        """The user's umask; this process itself makes private files only."""
        self.home = Home(default_home())
        self.clock: Clock = SystemClock()
        self.fs: Fs = cast(Fs, Watched(SystemFs(remote=is_remote(self.home.root), owner=os.getuid())))
        self.access = Access(self.fs, self.home, self.clock, news=self.tell_of_choice)
        self.out = Output()

    def tell_of_choice(self, lease_id: str) -> None:
        """A lease has become the default, and that is told."""
        record = leases.read_record(self.fs, self.home.lease(lease_id))
        called = leases.called(record) if record else lease_id
        self.out.talk(f"leaseq: default lease is now {called}, which has started")

    def tell(self, problems: Sequence[LeaseqError]) -> int:
        """Each problem is told on stderr; the exit code for them all, 0 where there is none."""
        for problem in problems:
            self.out.talk(f"leaseq: {problem.message}")
        return max((problem.exit_code for problem in problems), default=0)
