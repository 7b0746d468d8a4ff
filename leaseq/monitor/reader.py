"""What reads: seven threads that post immutable values, so that a file system that hangs only makes them old.

lease    the lease directory of the watched lease
leases   the list of leases, and what Slurm said of them
log      the end of the selected task's output
progress how far the running tasks in sight are, by their output
past     what the ended allocations had of the lease whose detail is shown; of each once
errors   the last errors of failed tasks that are in sight; of each once
view     what an open view shows
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from leaseq.dataclass import replace
from leaseq.errors import LeaseqError, Malformed
from leaseq.layout import Home
from leaseq.lease.kinds import is_borrowed
from leaseq.lease.view import LeaseView, look_at_all, reader_of
from leaseq.monitor.data import Data, Leases, Log, Past, Watched, said_of, with_errors, with_history, with_seen
from leaseq.monitor.logwatch import LogWatch
from leaseq.monitor.wants import Want
from leaseq.protocol import allocs
from leaseq.reading.forecast import EVENTS, forecast, indexed
from leaseq.reading.snapshot import Reader
from leaseq.reading.usage import nodes_of
from leaseq.reading.views import Progress
from leaseq.world import Clock, Fs

if TYPE_CHECKING:
    from leaseq.reading.tails import Tails

REFRESH_SECONDS = 2.0
COST_FACTOR = 20.0
"""A read that takes a second is not made more often than every twenty."""
PAUSE_SECONDS_MAX = 60.0
"""One that has hung is made again after so long: what is shown is not to be older for it."""
LEASES_SECONDS = 10.0
LOG_SECONDS = 0.5
QUIET_LOG_SECONDS = 2.0
QUIET_AFTER = 20
ENDED_SHOWN = 3


class LeaseWatch:
    """Reads one lease again and again."""

    def __init__(self, fs: Fs, home: Home, clock: Clock) -> None:
        self.fs, self.home, self.clock = fs, home, clock
        self._reader: Reader | None = None

    def read(self, want: Want, before: Watched) -> Watched:
        """The lease as it is now; raises OSError, LeaseqError."""
        if self._reader is None or self._reader.lease.id != want.lease_id:
            self._reader = reader_of(self.fs, self.home.lease(want.lease_id), self.clock)
        lease = self._reader.lease
        snapshot = self._reader.read(recent=want.recent, pending=want.pending)
        borrowed = snapshot.lease is not None and is_borrowed(snapshot.lease)
        left = allocs.time_left(self.fs, lease) if borrowed else None
        silent = borrowed and any(view.heartbeat is None for view in snapshot.nodes)
        notes = allocs.notes_of(self.fs, lease) if silent else {}
        ends = bool(snapshot.end or (snapshot.lease and snapshot.lease.ended))
        events = [] if ends else self._reader.histories.known(EVENTS)
        arrays = indexed(snapshot.tasks)
        ahead = None if ends else forecast(snapshot.totals, events, left=left, nodes=snapshot.nodes, arrays=arrays)
        found = Watched(snapshot, self.clock.monotonic(), left_seconds=left, notes=notes, ahead=ahead)
        return with_history(found, before)


def rank(row: LeaseView) -> tuple[bool, int]:
    """Leases that run stand first, then those that wait, this host's, and those that have ended."""
    words = ("RUNNING", "PENDING")
    return row.word == "ENDED", words.index(row.word) if row.is_borrowed and row.word in words else len(words)


class LeasesWatch:
    """Reads which leases there are, and asks Slurm as seldom as all of a user's commands together may."""

    def __init__(self, fs: Fs, home: Home, clock: Clock) -> None:
        self.fs, self.home, self.clock = fs, home, clock

    def read(self, watched: str) -> Leases:
        """The leases as they are known now, with that one even if it has ended; raises OSError, LeaseqError."""
        looked = look_at_all(self.fs, self.home, clock=self.clock)
        active = [each for each in looked.views if each.word != "ENDED" or each.id == watched]
        ended = [each for each in looked.views if each not in active][:ENDED_SHOWN]
        rows = sorted([*active, *ended], key=rank)
        return Leases(tuple(rows), self.clock.monotonic(), looked.age_seconds, looked.failure)


class ProgressWatch:
    """Reads how far running tasks are, from the ends of their outputs."""

    def __init__(self, fs: Fs, home: Home, own: re.Pattern[str] | None) -> None:
        self.fs, self.home, self.own = fs, home, own
        self._tails: Tails | None = None

    def read(self, want: Want) -> dict[str, Progress]:
        """By id, of those that say so."""
        from leaseq.reading.tails import Tails  # not before the first frame

        if self._tails is None or self._tails.lease.id != want.lease_id:
            self._tails = Tails(self.fs, self.home.lease(want.lease_id), self.own)
        return self._tails.look(want.running)


def read_past(fs: Fs, home: Home, data: Data, lease_id: str) -> Past:
    """The nodes that the ended allocations of the lease had, of those of which that is not known yet."""
    row = next((row for row in data.leases.rows if row.id == lease_id), None)
    fresh = [each for each, _ in row.ended if (lease_id, each.id) not in data.had] if row else []
    return {(lease_id, each.id): nodes_of(fs, home.lease(lease_id), each) for each in fresh}


def read_errors(fs: Fs, home: Home, clock: Clock, data: Data, want: Want) -> dict[tuple[str, int], str]:
    """The last errors of the failed attempts that are in sight, of those of which they are not known yet."""
    fresh = [key for key in want.failures if key not in data.errors]
    if not fresh:
        return {}
    from leaseq.reading.last_error import error_of

    reader = Reader(home.lease(want.lease_id), fs, clock)
    return {key: error_of(reader, *key) for key in fresh}


class Readers:
    """The threads and what they have read. `wake` is called, from any of them, whenever that is something new."""

    def __init__(
        self,
        fs: Fs,
        home: Home,
        clock: Clock,
        *,
        lease: str,
        wake: Callable[[], None],
        refresh: float = REFRESH_SECONDS,
        progress: re.Pattern[str] | None = None,
    ) -> None:
        """progress: the expression of the settings."""
        self.fs, self.home, self.clock, self.refresh_seconds = fs, home, clock, refresh
        self.progress = progress
        self.data = Data(lease_id=lease)
        self.crash: BaseException | None = None
        self._want = Want(lease)
        self._wake = wake
        self._lock = threading.Lock()
        names = ("lease", "leases", "log", "progress", "past", "errors", "view")
        self._changed = {name: threading.Event() for name in names}
        self.slowness = 1.0
        """How much slower than asked everything is read, while nobody looks."""

    def start(self) -> None:
        runs = (
            self._run_lease,
            self._run_leases,
            self._run_log,
            self._run_progress,
            self._run_past,
            self._run_errors,
            self._run_view,
        )
        for name, run in zip(self._changed, runs, strict=True):
            threading.Thread(target=self._guarded, args=(run,), daemon=True, name=name).start()

    def want(self, want: Want) -> None:
        """What is to be read from now on."""
        old, self._want = self._want, want
        if want == old:
            return
        if (want.lease_id, want.recent, want.pending, want.paused) != (
            old.lease_id,
            old.recent,
            old.pending,
            old.paused,
        ):
            self._changed["lease"].set()
        if (want.lease_id, *want.log) != (old.lease_id, *old.log):
            self._changed["log"].set()
        if set(want.running) - set(old.running) or want.lease_id != old.lease_id:
            self._changed["progress"].set()
        if want.past_of != old.past_of:
            self._changed["past"].set()
        if (want.lease_id, want.failures) != (old.lease_id, old.failures):
            self._changed["errors"].set()
        if want.look != old.look:
            self._changed["view"].set()

    def watch(self, lease: str) -> None:
        """Another lease is read from now on; nothing is known of it yet."""
        with self._lock:
            self.data = Data(lease, leases=self.data.leases, had=self.data.had)

    def refresh(self) -> None:
        """Everything is read again, now."""
        for event in self._changed.values():
            event.set()

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:
            # A bug in a thread must not end in a monitor that stands still: the main thread raises it.
            self.crash = error
            self._wake()

    def _post(self, change: Callable[[Data], Data], *, lease_id: str = "", tell: bool = True) -> None:
        """One part of the data is another; none is if it was read of a lease that is no longer looked at."""
        with self._lock:
            if lease_id in ("", self.data.lease_id):
                self.data = change(self.data)
        if tell:
            self._wake()

    def _run_lease(self) -> None:
        watch, event = LeaseWatch(self.fs, self.home, self.clock), self._changed["lease"]
        while True:
            event.clear()
            began = self.clock.monotonic()
            if not self._want.paused:
                self._read_lease(watch, self._want, began)
            cost = self.clock.monotonic() - began
            event.wait(max(self.refresh_seconds * self.slowness, min(PAUSE_SECONDS_MAX, COST_FACTOR * cost)))

    def _read_lease(self, watch: LeaseWatch, want: Want, began: float) -> None:
        self._post(lambda data: replace(data, lease=replace(data.lease, since=began)), tell=False)
        try:
            found = watch.read(want, self.data.lease)
        except (OSError, LeaseqError, Malformed) as error:
            said = said_of(error)
            self._post(lambda data: replace(data, lease=replace(data.lease, failure=said, since=None)))
        else:
            self._post(lambda data: replace(data, lease=found), lease_id=want.lease_id)

    def _run_leases(self) -> None:
        watch, event = LeasesWatch(self.fs, self.home, self.clock), self._changed["leases"]
        while True:
            event.clear()
            if not self._want.paused:
                self._read_leases(watch)
            event.wait(LEASES_SECONDS * self.slowness)

    def _read_leases(self, watch: LeasesWatch) -> None:
        try:
            found = watch.read(self.data.lease_id)
        except (OSError, LeaseqError, Malformed) as error:
            said = said_of(error)
            self._post(lambda data: replace(data, leases=replace(data.leases, failure=said)))
        else:
            self._post(lambda data: replace(data, leases=found))
            self._changed["past"].set()

    def _run_log(self) -> None:
        watch, event = LogWatch(self.fs, self.home, self.clock), self._changed["log"]
        while True:
            event.clear()
            want = self._want
            if want.task and not want.paused:
                self._read_log(watch, want)
            if watch.searching and want.task and not want.paused:
                continue
            quiet = watch.quiet > QUIET_AFTER
            event.wait((QUIET_LOG_SECONDS if quiet else LOG_SECONDS) * self.slowness if want.task else None)

    def _read_log(self, watch: LogWatch, want: Want) -> None:
        began = self.clock.monotonic()
        self._post(lambda data: replace(data, log=replace(data.log, since=began)), tell=False)
        try:
            log = watch.read(want)
        except (OSError, LeaseqError) as error:
            log = Log(want.task, want.attempt, want.stream, note=said_of(error), at=began)
        self._post(lambda data: replace(data, log=log or replace(data.log, since=None)), tell=log is not None)

    def _run_progress(self) -> None:
        watch, event = ProgressWatch(self.fs, self.home, self.progress), self._changed["progress"]
        while True:
            event.clear()
            want, began = self._want, self.clock.monotonic()
            if want.running and not want.paused:
                self._read_progress(watch, want)
            cost = self.clock.monotonic() - began
            pause = max(self.refresh_seconds * self.slowness, COST_FACTOR * cost)
            event.wait(pause if want.running else None)

    def _read_progress(self, watch: ProgressWatch, want: Want) -> None:
        found = watch.read(want)
        if found != self.data.progress:
            self._post(lambda data: replace(data, progress=found), lease_id=want.lease_id)

    def _run_past(self) -> None:
        event = self._changed["past"]
        while True:
            event.wait()
            event.clear()
            if self._want.past_of and not self._want.paused:
                self._read_past(self._want.past_of)

    def _read_past(self, lease_id: str) -> None:
        found = read_past(self.fs, self.home, self.data, lease_id)
        if found:
            self._post(lambda data: replace(data, had={**data.had, **found}))

    def _run_errors(self) -> None:
        event = self._changed["errors"]
        while True:
            event.wait()
            event.clear()
            want = self._want
            found = {} if want.paused else read_errors(self.fs, self.home, self.clock, self.data, want)
            if found:
                self._post(partial(with_errors, found=found), lease_id=want.lease_id)

    def _run_view(self) -> None:
        event = self._changed["view"]
        event.wait()
        from leaseq.monitor.viewwatch import ViewWatch  # not before a view is opened

        watch = ViewWatch(self.fs, self.home, self.clock)
        while True:
            event.clear()
            look, began = self._want.look, self.clock.monotonic()
            if look is not None and not self._want.paused:
                found = watch.read(look, self.data)
                if found != self.data.seen:
                    self._post(partial(with_seen, found=found), lease_id=look.lease_id)
            cost = self.clock.monotonic() - began
            pause = max(self.refresh_seconds * self.slowness, min(PAUSE_SECONDS_MAX, COST_FACTOR * cost))
            event.wait(None if look is None else 0.01 if watch.reading else pause)


def read_once(fs: Fs, home: Home, clock: Clock, want: Want, *, own: re.Pattern[str] | None = None) -> Data:
    """Everything, read now and in this thread; raises OSError, LeaseqError."""
    leases = LeasesWatch(fs, home, clock).read(want.lease_id)
    lease = LeaseWatch(fs, home, clock).read(want, Watched())
    log = LogWatch(fs, home, clock).read(want) if want.task else None
    progress = ProgressWatch(fs, home, own).read(want) if want.running else {}
    errors = read_errors(fs, home, clock, Data(), want)
    return Data(want.lease_id, lease, leases, log or Log(), progress, errors=errors)
