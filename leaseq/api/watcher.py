"""One thread that learns of the ends of all tasks that have a future in this process.

It reads what is added to the histories of their leases, and what waits in `booking/` to come into one. That costs the
same however many tasks are waited for. Of arrays it looks at the ends of their journals, and reads them if they have
grown. A history may miss an end for a while, and a task may be moved to another lease: so now and then the names of
all that has not ended are listed, and what is not among them is looked for by itself.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Iterable
from functools import partial
from typing import Protocol

from leaseq.api import home
from leaseq.errors import NotFound
from leaseq.indices import Indices
from leaseq.lease.lookup import How
from leaseq.models import Outcome
from leaseq.names import histories_in, ids_in, parse_id
from leaseq.reading.find import Search, remembered_outcome
from leaseq.reading.history import added
from leaseq.reading.sightings import names_in
from leaseq.reading.snapshot import Reader
from leaseq.reading.waiting import Advice, final_outcome, pauses
from leaseq.verbs.access import Access
from leaseq.verbs.wait import look_after

SWEEP_SECONDS = 10.0
"""How often what has not ended is listed."""
LOOKS = 5
"""An array is looked at so seldom that looking takes a part of the time that is no greater than 1 in so many."""
log = logging.getLogger("leaseq")


class Watched(Protocol):
    """What is told how a task has ended."""

    id: str
    lease: str
    attempt: int
    """The first one of which it is to be told the end."""

    def done(self) -> bool: ...

    def settle(self, reader: Reader, outcome: Outcome) -> None: ...


class Watcher:
    """The thread, which lives while something is watched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[tuple[str, str], LeaseWatch] = {}
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, watched: Watched, access: Access | None = None) -> None:
        """It will be told how its task ends; if that may have ended before, `look_at` looks."""
        access = access or home.access()
        key = access.home.root, watched.lease
        with self._lock:
            if key not in self._leases:
                self._leases[key] = LeaseWatch(access, watched.lease)
            self._leases[key].add(watched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="leaseq watcher")
                self._thread.start()
        self._news.set()

    def look_at(self, watched: Watched) -> None:
        """It is told now if its task has ended."""
        lease = self._of(watched)
        if lease is not None:
            lease.look_at(watched.id, lease.access.reader_of(lease.lease))  # the thread's own reader is no other's

    def forget(self, watched: Watched) -> None:
        """Nothing is waited for: its task was never queued."""
        if lease := self._of(watched):
            lease.remove(watched)

    def _of(self, watched: Watched) -> LeaseWatch | None:
        """The lease in which it is watched; None if everything of it has been told."""
        with self._lock:
            return self._leases.get((home.access().home.root, watched.lease))

    def _run(self) -> None:
        pause = pauses(home.access().fs)
        while True:
            with self._lock:
                leases = [lease for lease in self._leases.values() if lease.watched()]
                if not leases:
                    self._leases.clear()
                    self._thread = None
                    return
            news = False
            for lease in leases:
                try:
                    news = lease.look() or news
                except Exception as error:  # whatever it is: who waits is not to wait for a thread that has ended
                    lease.complain(error)
                for moved in lease.moved():
                    self.watch(moved, lease.access)
            if news or self._news.is_set():
                self._news.clear()
                pause = pauses(home.access().fs)
            self._news.wait(next(pause))


class LeaseWatch:
    """What is watched of one lease."""

    def __init__(self, access: Access, lease_id: str) -> None:
        self.access = access
        self.lease = access.home.lease(lease_id)
        self.reader: Reader = access.reader_of(self.lease)
        self._lock = threading.Lock()
        self._tasks: dict[str, list[Watched]] = {}
        self._indexed: set[str] = set()
        """Those of them of which indices are watched."""
        self._moved: list[Watched] = []
        self._offsets = {path: self._size(path) for path in self._histories()}
        self._booked = set(names_in(access.fs, self.lease.booking))
        now = access.clock.monotonic()
        self._swept, self._complained = now, ""
        self._arrays: dict[str, float] = {}
        self._advice = Advice(self.reader, upkeep=partial(look_after, access), last_look=now)

    # -- what is watched -------------------------------------------------------------------------------------------

    def add(self, watched: Watched) -> None:
        with self._lock:
            task_id, index = parse_id(watched.id)
            self._tasks.setdefault(task_id, []).append(watched)
            if index is not None:
                self._indexed.add(task_id)

    def remove(self, watched: Watched) -> None:
        with self._lock:
            task_id = parse_id(watched.id)[0]
            left = [each for each in self._tasks.pop(task_id, []) if each is not watched]
            if left:
                self._tasks[task_id] = left

    def watched(self) -> bool:
        """True if anything may be waited for."""
        return bool(self._tasks)

    def _forget_done(self, task_ids: Iterable[str]) -> None:
        """Of those tasks nothing is watched that has been told its end."""
        with self._lock:
            for task_id in task_ids:
                if all(each.done() for each in self._tasks.get(task_id, ())):
                    self._tasks.pop(task_id, None)
                    self._indexed.discard(task_id)

    def moved(self) -> list[Watched]:
        """What is in another lease by now, which stands in it."""
        found, self._moved = self._moved, []
        return found

    def _of(self, task_id: str) -> list[Watched]:
        with self._lock:
            return [each for each in self._tasks.get(task_id, []) if not each.done()]

    # -- looks -----------------------------------------------------------------------------------------------------

    def look(self) -> bool:
        """What was waited for and has ended is told; True if there was anything."""
        told = False
        for task_id in self._ends():
            told = self.look_at(task_id) or told
        told = self._look_at_arrays() or told
        now = self.access.clock.monotonic()
        if now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            told = self._sweep() or told
        with self._lock:
            oldest = next(iter(self._tasks), None)
        if oldest and (text := self._advice.look(oldest, now)):
            log.warning(text)
        return told

    def look_at(self, task_id: str, reader: Reader | None = None) -> bool:
        """Whoever waits for the task, or an index of it, is told how that has ended, if it has; True if one is."""
        reader = reader or self.reader
        task_id = parse_id(task_id)[0]
        watched = self._of(task_id)
        told = False
        for each in watched:
            if parse_id(each.id)[1] is None:
                _, outcome = final_outcome(self.access.fs, self.lease, task_id, each.attempt)
                if outcome is not None:
                    each.settle(reader, outcome)
                    told = True
        told = self._look_at_indices(task_id, watched, reader) or told
        self._forget_done([task_id])
        return told

    def _look_at_indices(self, task_id: str, watched: Iterable[Watched], reader: Reader) -> bool:
        waiting: dict[int, list[Watched]] = {}
        for each in watched:
            index = parse_id(each.id)[1]
            if index is not None:
                waiting.setdefault(index, []).append(each)
        if not waiting:
            return False
        told = False
        for index, outcome in Search(reader).indexed(task_id).ends(Indices.of(waiting)):
            for each in waiting[index]:
                if outcome.attempt >= each.attempt:
                    each.settle(reader, outcome)
                    told = True
        return told

    def complain(self, error: Exception) -> None:
        """It is said once that something of the lease cannot be read."""
        if str(error) != self._complained:
            self._complained = str(error)
            log.warning("lease %s: %s", self.lease.id, error)

    def _histories(self) -> list[str]:
        names = names_in(self.access.fs, self.lease.events_dir)
        return [self.lease.events(node, term) for node, term in histories_in(names)]

    def _size(self, path: str) -> int:
        try:
            return self.access.fs.read_range(path, -1, 1)[1]
        except OSError:
            return 0

    def _ends(self) -> set[str]:
        """The ids of what has ended since the last look, as histories tell it, or commands."""
        found = set()
        for path in self._histories():
            for offset, event in added(self.access.fs, path, self._offsets.get(path, 0)):
                self._offsets[path] = offset
                if not event.requeued:
                    found.add(event.id)
        booked = set(names_in(self.access.fs, self.lease.booking))
        found |= ids_in(booked - self._booked)
        self._booked = booked
        return found

    def _look_at_arrays(self) -> bool:
        """Indices that are waited for one by one are looked at."""
        told = False
        with self._lock:
            arrays = list(self._indexed)
        for task_id in arrays:
            began = self.access.clock.monotonic()
            if began < self._arrays.get(task_id, 0.0):
                continue
            try:
                told = self._look_at_indices(task_id, self._of(task_id), self.reader) or told
            except NotFound:
                pass  # it is about to be queued
            ended = self.access.clock.monotonic()
            self._arrays[task_id] = ended + (ended - began) * LOOKS
            self._forget_done([task_id])
        return told

    def _sweep(self) -> bool:
        """What has ended, or was moved, and was not told."""
        with self._lock:
            known = list(self._tasks)
        self._forget_done(known)  # those that were told by others
        living = {each.id for each in self.reader.listing().live()}
        with self._lock:
            missing = [task_id for task_id in self._tasks if task_id not in living]
        told = False
        for task_id in missing:
            try:
                told = self.look_at(task_id) or told
                for each in self._of(task_id):
                    told = self._look_elsewhere(each) or told
            except NotFound:
                continue  # it is about to be queued
        return told

    def _look_elsewhere(self, watched: Watched) -> bool:
        """A task that is not here any more is watched where it is; if it was cleaned up, its history tells its end."""
        (found,) = self.access.find([watched.id], lease="", indices=How.EACH).tasks
        if found.row.cleaned:
            watched.settle(found.reader, remembered_outcome(found.row))
            return True
        if found.reader.lease.id != self.lease.id:
            self.remove(watched)
            watched.lease = found.reader.lease.id
            self._moved.append(watched)
        return False


@functools.cache
def _of_process(pid: int) -> Watcher:
    return Watcher()


def watcher() -> Watcher:
    """The watcher of this process; one that was forked has its own."""
    return _of_process(os.getpid())
