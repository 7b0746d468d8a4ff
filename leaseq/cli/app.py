"""What every command works with: access to the home, through a file system with a watchdog, and the output."""

from __future__ import annotations

import os
from collections.abc import Sequence

from leaseq.cli.output import Output
from leaseq.cli.watched import WatchedFs
from leaseq.commands import readonly
from leaseq.errors import LeaseqError
from leaseq.layout import Home, default_home
from leaseq.lease import leases
from leaseq.verbs.access import Access
from leaseq.world import Clock, Fs, SystemClock, SystemFs, is_remote


class App:
    """One run of the command line. Nothing is created before a command asks for it."""

    def __init__(self, *, umask: int) -> None:
        self.umask = umask
        """The user's umask; this process itself makes private files only."""
        self.home = Home(default_home())
        self.clock: Clock = SystemClock()
        self.fs: Fs = WatchedFs(SystemFs(remote=is_remote(self.home.root), owner=os.getuid()))
        self.access = Access(self.fs, self.home, self.clock, news=self.tell_of_choice, readonly=readonly())
        self.out = Output()

    def tell_of_choice(self, lease_id: str) -> None:
        """A lease has become the default, and that is said."""
        record = leases.read_record(self.fs, self.home.lease(lease_id))
        called = leases.called(record) if record else lease_id
        self.out.talk(f"leaseq: default lease is now {called}, which has started")

    def tell(self, problems: Sequence[LeaseqError]) -> int:
        """Each problem is said on stderr; the exit code for them all, 0 if there is none."""
        for problem in problems:
            self.out.talk(f"leaseq: {problem.message}")
        return max((problem.exit_code for problem in problems), default=0)
