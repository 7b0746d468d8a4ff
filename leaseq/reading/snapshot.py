"""One bounded read of a lease directory as an immutable Snapshot.

What a read costs depends on what is pending, claimed and asked for, never on how much is finished: finished
tasks are counted by the totals that every line of history carries, and listed from the end of the history.
What is seen where, and which sighting of a task counts, is in `sightings`. Files that vanish or do not parse are rows
and notes, not errors.
"""

from __future__ import annotations

from collections.abc import Callable

from leaseq.dataclass import replace
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.models import Lease, State, Task
from leaseq.names import Entry, attempt_of, need_of
from leaseq.protocol import groups
from leaseq.protocol.records import read_lease
from leaseq.protocol.tasks import read_task
from leaseq.reading.arrays import Directories
from leaseq.reading.ended import Ended
from leaseq.reading.health import Runners
from leaseq.reading.merge import Merge
from leaseq.reading.selectors import Query
from leaseq.reading.sightings import Listing, Memory, list_all
from leaseq.reading.views import News, Snapshot, TaskView
from leaseq.world import Clock, Fs

RETRIED_READS_MAX = 1000
SPECS_MAX = 5000


class Reader:
    """Reads one lease again and again; each read costs what changed since the last."""

    def __init__(self, lease: LeaseDir, fs: Fs, clock: Clock, *, news: Callable[[], News] = News) -> None:
        """news: asked if a runner is missed that the lease had, or that holds tasks."""
        self.lease = lease
        self.news = news
        self.fs = fs
        self.clock = clock
        self._specs: dict[tuple[str, int, str], Task | str] = {}
        self._counted: dict[tuple[str, int], str] = {}
        self._pending: Memory = {}
        self.runners = Runners(lease, fs, clock, news)
        self.histories = Ended(lease, fs)
        self.arrays = Directories(fs, lease)

    def read(self, *, recent: int = 100, pending: int | None = 100) -> Snapshot:
        """The lease now: every claimed task, the first `pending` pending ones (None: all), the `recent` last ended."""
        listing = self.listing()
        self.arrays.look()
        nodes = self.runners.nodes(listing)
        ended = self.histories.newest(listing, recent)
        limits = groups.limits_seen(self.fs, self.lease)
        live = Merge(self.spec, listing, nodes, ended, limits=limits, arrays=self.arrays)
        rows = live.claimed() + live.pending(pending) + live.ended(recent)
        return Snapshot(
            lease_id=self.lease.id,
            lease=self._record(listing),
            taken=self.clock.now(),
            nodes=tuple(nodes[name] for name in sorted(nodes)),
            tasks=tuple(rows),
            totals=live.totals(self.histories.totals(), self._retried(live, listing)),
            notes=tuple(dict.fromkeys(listing.notes)),
            end="" if any(view.health.serving for view in nodes.values()) else self.news().end,
            limits=limits,
        )

    def rows_of(self, query: Query, *, recent: int) -> list[TaskView]:
        """The tasks that the query asks for, in the order of submission; of the ended the `recent` last are looked at.

        Of a group, only its own files are read.
        """
        listing = self.listing()
        self.arrays.look()
        nodes = self.runners.nodes(listing)
        ended = self.histories.newest(listing, recent)
        asked = listing.of_group(query.value) if query.kind == "group" else listing
        limits = groups.limits_seen(self.fs, self.lease)
        live = Merge(
            self.spec,
            asked,
            nodes,
            ended,
            queue=listing.pending,
            limits=limits,
            arrays=self.arrays,
        )
        rows = live.claimed() + live.pending(None) + live.ended(recent)
        return sorted((row for row in rows if query.names(row)), key=lambda row: row.submitted or 0.0)

    def listing(self) -> Listing:
        """Every task file that is pending, claimed, lost or waiting to be booked, by names alone."""
        return list_all(self.fs, self.lease, self._pending)

    def _record(self, listing: Listing) -> Lease | None:
        try:
            return read_lease(self.fs, self.lease)
        except FileNotFoundError:
            return None
        except (Malformed, PermissionError) as error:
            listing.notes.append(f"lease.json: {error}")
            return None

    def _retried(self, live: Merge, listing: Listing) -> list[str]:
        """The states in which the histories count tasks that are not over: `retry` has queued them again."""
        later = live.later_attempts()
        new = [key for key in later if key not in self._counted]
        self._counted = {key: self._counted[key] for key in later if key in self._counted}
        if len(new) > RETRIED_READS_MAX:
            listing.notes.append(f"{len(new) - RETRIED_READS_MAX} later attempts were not read: some may count twice")
        for key in new[:RETRIED_READS_MAX]:
            task = self.spec(key[0], later[key])
            if isinstance(task, Task):
                self._counted[key] = task.retried.get(self.lease.id, "")
        return [word for word in self._counted.values() if word in State.__members__]

    def spec(self, task_id: str, path: str) -> Task | str:
        """The task in that file without its environment, read once; or why there is none to show."""
        name = path.rpartition("/")[2]
        key = task_id, attempt_of(name), need_of(name)
        known = self._specs.get(key)
        if isinstance(known, Task):
            return known
        try:
            task = read_task(self.fs, path, Entry.parse(name))
        except FileNotFoundError:
            return ""
        except (Malformed, PermissionError) as error:
            return f"(unreadable: {error})"
        while len(self._specs) >= SPECS_MAX:
            del self._specs[next(iter(self._specs))]
        self._specs[key] = replace(task, env={})
        return self._specs[key]
