"""What every verb works with: a home, its leases and tasks, and who keeps their allocations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.errors import LeaseqError, NotFound
from leaseq.layout import Home, LeaseDir
from leaseq.lease import homes, keeping, leases
from leaseq.models import Lease
from leaseq.protocol import allocs
from leaseq.protocol.allocs import Serving
from leaseq.world import Clock, Fs

if TYPE_CHECKING:
    # Not imported before it is needed: a submission reads no lease, and its start-up is what a person waits for.
    from leaseq.lease.base import Backend, LeaseState
    from leaseq.lease.host import LocalBackend, Started
    from leaseq.lease.lookup import Found, How, Of
    from leaseq.reading.snapshot import Reader


class Access:
    """A home, for verbs that act on it. Nothing is made or read before it is asked for."""

    def __init__(
        self,
        fs: Fs,
        home: Home,
        clock: Clock,
        *,
        news: leases.News | None = None,
        pause: Callable[[float], None] = time.sleep,
        readonly: bool = False,
    ) -> None:
        self.fs, self.home, self.clock = fs, home, clock
        self.readonly = readonly
        """True if looks leave everything as it is: what Slurm's news mean for a lease is left to others."""
        self.news = None if readonly else news
        """Told the id of a lease that became the default because it has started."""
        self.pause = pause
        """Passes so many seconds."""

    def make_home(self) -> None:
        """The home exists and is private; raises Refused."""
        homes.make_home(self.home)

    def lease(self, word: str, *, acts: bool = False) -> LeaseDir:
        """The lease that the word, or else the default, stands for; it may not exist yet if it is this host's.

        acts: it may have no record yet because the command that asked Slurm for it died.
        """
        homes.check_home(self.home)
        try:
            return self._lease(word)
        except NotFound:
            if not acts or self.readonly or not self._heal():
                raise
            return self._lease(word)

    def _heal(self) -> bool:
        from leaseq.lease.upkeep import heal_waiting

        return heal_waiting(self.fs, self.home, clock=self.clock)

    def _lease(self, word: str) -> LeaseDir:
        return self.home.lease(leases.resolve(self.fs, self.home, word, news=self.news))

    def record(self, lease: LeaseDir) -> Lease:
        """The lease's record; raises NotFound."""
        found = leases.read_record(self.fs, lease)
        if found is None:
            raise NotFound(f"there is no lease {lease.id} yet", hint="`leaseq submit -- COMMAND` makes the local one")
        # Slurm's leases get their nodes after their record.
        return found if found.nodes else replace(found, nodes=allocs.members(self.fs, lease, found))

    def reader(self, word: str, *, acts: bool = False) -> Reader:
        """Reads the lease that the word stands for. acts: what is known of it is done first."""
        lease = self.lease(word, acts=acts)
        if acts:
            self.keep_up(lease)
        return self.reader_of(lease)

    def reader_of(self, lease: LeaseDir) -> Reader:
        from leaseq.lease.view import reader_of

        return reader_of(self.fs, lease, self.clock)

    def keep_up(self, lease: LeaseDir) -> bool:
        """What Slurm's news mean for the lease is done; True if there were any. See `leaseq.lease.upkeep`."""
        if self.readonly or leases.is_own(lease.id):
            return False
        from leaseq.lease.upkeep import keep_up_for

        return keep_up_for(self.fs, self.home, lease, clock=self.clock)

    def learn(self, record: Lease) -> bool:
        """What Slurm's last answer means for the lease is done; True if it says something. Slurm is not asked."""
        if self.readonly or leases.is_own(record.id):
            return False
        from leaseq.lease.upkeep import learn_kept

        return learn_kept(self.fs, self.home, record, clock=self.clock)

    def find(
        self,
        selectors: Sequence[str],
        *,
        lease: str,
        acts: bool = False,
        indices: How | None = None,
        of: Of | None = None,
    ) -> Found:
        """The tasks that the selectors name, in whichever lease has them, or in that one if a word names it.

        acts: what is known of their leases is done first. indices: what becomes of those that are named; None: they are
        refused. of: which tasks of a group, a name or a state are meant; None: all. Raises NotFound if none names a
        task, and UsageError.
        """
        found = self._find(selectors, lease, indices, of)
        used = dict.fromkeys(each.reader.lease for each in found.tasks) if acts else {}
        news = [each for each in used if self.keep_up(each)]
        return self._find(selectors, lease, indices, of) if news else found

    def _find(self, selectors: Sequence[str], lease: str, indices: How | None, of: Of | None) -> Found:
        from leaseq.lease.lookup import EVERY, How, Lookup

        lookup = Lookup(self.fs, self.home, self.clock, first=self.lease(lease), restricted=bool(lease))
        return lookup.find(selectors, indices=indices or How.REFUSED, of=of or EVERY)

    def state(self, record: Lease) -> LeaseState:
        """The state of what gives the lease its nodes; never raises because an answer is late or missing."""
        from leaseq.lease.states import of_lease

        return of_lease(self.fs, self.home, self.clock, record)

    def release(self, record: Lease) -> bool:
        """All that gives the lease nodes is given back; False if it had ended before. Raises LeaseqError.

        If one of several cannot be given back the others are all the same, and it is told then. The newest goes first:
        it may wait for the end of another.
        """
        from leaseq.protocol import records, succession

        directory = self.home.lease(record.id)
        released = succession.is_kept(succession.names(self.fs, directory))
        if released:
            succession.stop(self.fs, directory, "released")
        known = leases.holding(self.fs, self.home, record)
        if released and all(each.ended is not None for each in known.allocs):
            records.mark_ended(self.fs, directory, ended=self.clock.now(), reason="released")
            return True
        problem = None
        for alloc in reversed(known.living):
            try:
                released = self.release_one(alloc) or released
            except LeaseqError as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return self._end_without_host(record) or released

    def _end_without_host(self, record: Lease) -> bool:
        """A lease of hosts that has none left has ended; True if it has now."""
        from leaseq.lease import joined

        if not record.is_of_hosts:
            return False
        directory = self.home.lease(record.id)
        return joined.end(self.fs, directory, clock=self.clock, reason="released")

    def release_one(self, alloc: Allocation) -> bool:
        """That allocation is given back; False if it had ended before. Raises LeaseqError."""
        return self._backend(alloc).release(alloc)

    def let_go(self, serving: Serving) -> str:
        """A node that nothing uses any more is given back; why not, if its allocation has it until it ends."""
        return self._backend(serving.alloc).let_go(serving.alloc, serving.host)

    def attach(self, record: Lease, node: str, argv: Sequence[str], *, tty: bool) -> list[str]:
        """The command line that runs argv on that node of the lease, in a terminal if `tty`. Raises LeaseqError."""
        serving = self.serving(record, node)
        return self._backend(serving.alloc).attach(serving.alloc, serving.host, argv, tty=tty)

    def serving(self, record: Lease, node: str) -> Serving:
        """What gives the lease that node; raises NotFound if that is not known."""
        found = allocs.serving(self.fs, self.home.lease(record.id), node)
        if found is None:
            raise NotFound(f"{node} is no node of lease {record.id} now", hint="`leaseq status` shows its nodes")
        return found

    def _backend(self, alloc: Allocation) -> Backend:
        return keeping.backend(alloc, fs=self.fs, home=self.home, clock=self.clock)

    def host(self, lease_id: str = "") -> LocalBackend:
        """Who keeps this host in its own lease, or in one that it shares with others."""
        from leaseq.lease.host import LocalBackend

        return LocalBackend(self.fs, self.home, clock=self.clock, lease_id=lease_id)

    def is_here(self, record: Lease, node: str) -> bool:
        """True if that node of the lease is this very host: what runs there can be looked at."""
        from leaseq.lease.joined import is_here

        serving = allocs.serving(self.fs, self.home.lease(record.id), node)
        return serving is not None and is_here(serving.alloc)

    def ensure(self, lease: LeaseDir, record: Lease | None = None) -> Started | str | None:
        """Somebody will run the lease's backlog: see `capacity.ensure`."""
        from leaseq.lease.capacity import ensure

        return ensure(self.fs, self.home, self.clock, lease, record)
