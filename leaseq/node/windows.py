"""The windows that a keeper runs: see `window` for what they are, and for what their records say."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from leaseq.dataclass import dataclass, field
from leaseq.errors import Malformed
from leaseq.node import record, window
from leaseq.node.cgroup import memory_kills
from leaseq.node.keeping import Keeping
from leaseq.node.kept import Kept
from leaseq.node.lease_end import LeaseEnd, may_be_of_it
from leaseq.node.nodedir import NodeDir, removed
from leaseq.node.request import StartRequest
from leaseq.node.spawn import CannotStart, spawn
from leaseq.node.sweep import has_orphans
from leaseq.node.window import MOMENT_SECONDS, OVER, WindowRequest
from leaseq.world import boot_id, process_start

RETRY_SECONDS = 1.0
"""How soon something that a full disk refused is tried again."""


@dataclass(eq=False)
class Running:
    """A window of which something runs, or may begin."""

    name: str
    fd: int
    asked: WindowRequest
    place: int = -1
    """Where it is."""
    kept: Kept | None = None
    """The attempt at that place, while its process runs or its end is not told."""
    fact: dict[str, object] | None = None
    """How that has ended, if it is to have a record of its own."""
    look_at: float = 0.0
    """When that is to have one, at the latest."""
    keys: frozenset[str] = frozenset()
    over: bool = False
    unsaid: bytes = b""
    """What a full disk did not take yet."""
    following: StartRequest | None = None
    """What is to be started next, made while the one before it runs."""
    programs: dict[tuple[str, str], str] = field(default_factory=dict)
    """Where a word's program was found along a PATH, a moment ago: see `spawn`."""


class Windows:
    """The windows of one keeper."""

    def __init__(self, directory: NodeDir, keeping: Keeping, lease_end: LeaseEnd) -> None:
        self.directory, self.keeping, self.lease_end = directory, keeping, lease_end
        self.running: list[Running] = []
        self.left: list[str] = []
        """Windows of a dead keeper that have not been ended yet, for there is no room on the disk."""

    def start(self, name: str, body: Mapping[str, Any], path: str) -> bool:
        """The window has been begun, unless it has a record; False if it has to wait for room on the disk."""
        if body.get("boot") != boot_id():
            removed(path)
            return True
        if self.keeping.doubts:
            return False
        asked: WindowRequest | None = None
        try:
            asked = WindowRequest.from_json(body)
            first = asked.first_fact(boot_id())
        except Malformed:
            first = {"e": "void"}
        record_path = f"{self.directory.rec}/{name}"
        try:
            fd = record.begin(record_path, first)
            if fd is None and window.read(record_path) == window.Window():
                # The keeper that made it was killed before it could say so.
                record.append_lines(record_path, b"\n" + OVER)
        except OSError:
            return False
        if not removed(path) and fd is not None:
            os.close(fd)
            removed(record_path)
        elif fd is not None and asked is None:
            os.close(fd)
        elif fd is not None and asked is not None:
            found = Running(name, fd, asked, keys=frozenset(each.key for each in asked.places))
            self.running.append(found)
            self._go_on(found, b"")
        return True

    def ended(self, kept: Kept, fact: dict[str, object]) -> bool:
        """True if the attempt is in a window, which has gone on or is over by now."""
        found = next((each for each in self.running if each.kept is kept), None)
        if found is None:
            return False
        self.keeping.by_pid.pop(kept.leader[0], None)
        doubted = self.keeping.of_step and may_be_of_it(fact)
        if doubted or has_orphans(set(self.keeping.by_pid)):
            found.fact = fact
            self._part(found)
        else:
            found.kept = None
            self._go_on(found, window.at(found.place, fact))
        return True

    def deadlines(self) -> list[float]:
        """What takes too long is no window's any more; in how many seconds something is due."""
        due: list[float] = []
        for name in list(self.left):
            self._end_left(name)
        for each in list(self.running):
            now = time.monotonic()
            if each.over:
                self._say(each, b"")
            elif now >= each.look_at:
                self._part(each)
            if each in self.running:
                due.append(RETRY_SECONDS if each.over else max(0.0, each.look_at - now))
        return [*due, RETRY_SECONDS] if self.left else due

    def end_all(self) -> None:
        """Nothing more of any window begins, and what runs of them is kept as attempts that were asked for alone."""
        for each in list(self.running):
            if not each.over:
                self._part(each)

    def alone(self, key: str) -> Kept | None:
        """The window that has the attempt is over; the attempt, if it ran there, as one that was asked for alone."""
        found = next((each for each in self.running if key in each.keys), None)
        if found is not None and not found.over:
            self._part(found)
        return self.keeping.kept.get(key)

    # -- one after the other -------------------------------------------------------------------------------------------

    def _go_on(self, found: Running, lines: bytes) -> None:
        """The next one runs, or none is to follow. lines: what is to be said before."""
        while True:
            following = found.place + 1
            if following == len(found.asked.places) or self.keeping.doubts or self.lease_end.is_near:
                break
            self._say(found, lines + window.at(following, {"e": "next"}))
            found.place, lines = following, b""
            if found.unsaid:
                # What cannot be said to begin does not: were this keeper killed, the next one would not know.
                full = CannotStart("no room on the node's disk", 1, again=True)
                lines = window.at(following, full.fact())
                break
            fact = self._begin(found, following)
            if fact is None:
                return
            lines = window.at(following, fact)
        self._end(found, lines)

    def _begin(self, found: Running, place: int) -> dict[str, object] | None:
        """The one at that place runs; or why it does not."""
        asked, found.following = found.following or found.asked.at(place), None
        kept = Kept(found.asked.places[place].key, found.fd, (0, 0), time.monotonic(), memory_kills=memory_kills())
        kept.grace_seconds = asked.grace
        try:
            pid = spawn(asked, found.fd, {"k": place}, found.programs)
        except CannotStart as error:
            return error.fact()
        kept.leader = pid, 0
        kept.limit_at = None if asked.limit is None else kept.began + asked.limit
        self.keeping.by_pid[pid] = kept
        found.kept, found.look_at = kept, kept.began + MOMENT_SECONDS
        self._say(found, window.at(place, kept.spawn_fact()))
        found.following = found.asked.at(place + 1) if place + 1 < len(found.asked.places) else None
        return None

    def _part(self, found: Running) -> None:
        """The window is over, and what runs of it has a record of its own; tried again if there is no room for one."""
        kept = found.kept
        if kept is not None:
            pid = kept.leader[0]
            kept.leader = pid, 0 if found.fact else process_start(pid)
            path = f"{self.directory.rec}/{kept.key}"
            try:
                fd = record.begin(path, found.asked.own_fact(boot_id()), kept.spawn_fact())
            except OSError:
                found.look_at = time.monotonic() + RETRY_SECONDS
                return
            assert fd is not None, f"{kept.key} has a record before it began"
            if found.asked.common.remote:
                # Its process may yet say there why it could not start.
                said = os.open(f"{self.directory.rec}/{found.name}", os.O_RDONLY | os.O_CLOEXEC)
                kept.said_in = said, found.place
            kept.fd = fd
            self.keeping.kept[kept.key] = kept
            found.kept = None
            self._end(found, window.at(found.place, {"e": "own"}))
            if found.fact:
                self.keeping.ended(kept, found.fact)
            return
        self._end(found, b"")

    def _end(self, found: Running, lines: bytes) -> None:
        found.over = True
        self._say(found, lines + OVER)

    def _say(self, found: Running, lines: bytes) -> None:
        """The lines stand at the end of the record; or wait in `unsaid` for room."""
        found.unsaid += lines
        try:
            while found.unsaid:
                found.unsaid = found.unsaid[os.write(found.fd, found.unsaid) :]
        except OSError:
            return
        if found.over:
            os.close(found.fd)
            self.running.remove(found)

    # -- what a dead keeper left ---------------------------------------------------------------------------------------

    def adopt(self) -> None:
        """Each window of an earlier keeper is over; what may run of it has a record of its own, to be adopted by."""
        self.left = window.windows_in(self.directory.rec)
        for name in list(self.left):
            self._end_left(name)

    def _end_left(self, name: str) -> None:
        path = f"{self.directory.rec}/{name}"
        found = window.read(path)
        if found is not None and not found.over and found.boot == boot_id():
            try:
                self._end_found(path, found)
            except FileNotFoundError:
                pass  # the runner forgot it just now
            except OSError:
                return  # no room: tried again
        self.left.remove(name)

    def _end_found(self, path: str, found: window.Window) -> None:
        lines = b"\n"  # the last line may be torn
        if found.current is not None:
            key = found.keys[found.current]
            fd = record.begin(f"{self.directory.rec}/{key}", *found.own_facts(found.current))
            if fd is not None:
                os.close(fd)
            lines += window.at(found.current, {"e": "own"})
        record.append_lines(path, lines + OVER)
