"""The attempts in a keeper's hands: watched, limited, ended, and how they end written down."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from leaseq.models import Why
from leaseq.node import record, window
from leaseq.node.kept import GRACE_SECONDS, Kept, exit_fact
from leaseq.node.lease_end import DOUBT_SECONDS, may_be_of_it
from leaseq.node.nodedir import NodeDir
from leaseq.node.record import Rec, keys_in
from leaseq.node.sweep import Process, alive, ended_children, has_orphans, kill_all, not_ours, processes_of, send
from leaseq.world import boot_id

SWEEP_SECONDS = 0.2
"""How often the processes of an ending task, or of one that is not this keeper's child, are looked for."""


class Keeping:
    """What runs of a node, and what is being ended."""

    def __init__(self, directory: NodeDir, *, of_step: bool) -> None:
        self.directory = directory
        self.of_step = of_step
        """True if the attempts are of a step of a Slurm job, so that an end may be its end."""
        self.kept: dict[str, Kept] = {}
        self.by_pid: dict[int, Kept] = {}

    @property
    def doubts(self) -> bool:
        """True while an end may turn out to be the lease's: then nothing begins."""
        return any(kept.doubt_until is not None for kept in self.kept.values())

    def lead(self, kept: Kept, leader: Process) -> None:
        """The attempt's own process is known, and in its record."""
        kept.leader = leader
        self.by_pid[leader[0]] = kept
        self.note(kept, kept.spawn_fact())

    def adopt(self) -> None:
        """Attempts of an earlier keeper go on: watched, limited, ended. Their status, if not seen, is `gone`."""
        for key in keys_in(self.directory.rec):
            path = f"{self.directory.rec}/{key}"
            rec = record.read(path)
            if rec is None or rec.over or rec.boot != boot_id():
                continue
            try:
                fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # the runner saw its end, and forgot it just now
            self.adopt_one(key, rec, fd)

    def adopt_one(self, key: str, rec: Rec, fd: int) -> None:
        now = time.monotonic()
        began = rec.started_monotonic or now
        grace = rec.grace_seconds or GRACE_SECONDS
        kept = Kept(key, fd, (rec.pid or 0, rec.pid_start), began, ours=False, grace_seconds=grace)
        kept.limit_at = None if rec.limit_seconds is None else began + rec.limit_seconds
        self.kept[key] = kept
        kept.started = rec.started or kept.started
        if rec.pid is not None and rec.pid_start:
            self.by_pid[rec.pid] = kept
        elif leader := next((each for each in self.members(kept) if _leads(each[0])), None):
            # The keeper was killed before it had noted the process, or its start.
            self.lead(kept, leader)
        if rec.stopping:
            self.stop(kept, rec.stopping, grace)

    # -- ending --------------------------------------------------------------------------------

    def stop(self, kept: Kept, why: Why | None, grace: float) -> None:
        """TERM was sent to every process of the attempt; KILL follows after the grace.

        why: None if it has ended by itself, and this is what it left behind.
        """
        if kept.stop_at is None and (kept.exit is None or kept.doubt_until is not None):
            self.note(kept, {"e": "stop", "why": why.value if why else ""})
        kept.doubt_until = None
        until = time.monotonic() + grace
        kept.stop_at = until if kept.stop_at is None else min(until, kept.stop_at)
        kept.members |= self.members(kept)
        send(kept.members, signal.SIGTERM, signal.SIGCONT)

    def members(self, kept: Kept) -> set[Process]:
        return processes_of(kept.key, kept.leader)

    def reaped(self) -> Iterator[tuple[Kept, dict[str, object]]]:
        """Every ended child is waited for; gives (attempt whose own process has ended, the fact that says how)."""
        for pid, status, usage in ended_children():
            kept = self.by_pid.get(pid)
            if kept and kept.ours:
                yield kept, exit_fact(kept, status, usage)

    def ended(self, kept: Kept, fact: dict[str, object]) -> None:
        """The task's own process has ended; the attempt is over once no process of it is left."""
        kept.exit = fact
        self.by_pid.pop(kept.leader[0], None)
        if kept.stop_at is not None:
            return
        if self.of_step and may_be_of_it(fact):
            kept.doubt_until = time.monotonic() + DOUBT_SECONDS
        else:
            self.wind_up(kept)

    def wind_up(self, kept: Kept) -> None:
        """An attempt that ended by itself is closed, once what it left behind has ended."""
        if kept.ours and not has_orphans(set(self.by_pid)):
            self.close(kept)
        elif self.members(kept):
            self.stop(kept, None, kept.grace_seconds)

    def deadlines(self) -> list[float]:
        """Time limits and graces were acted upon; in how many seconds something is due."""
        waits = [self.look_after(kept) for kept in list(self.kept.values())]
        return [wait for wait in waits if wait is not None]

    def look_after(self, kept: Kept) -> float | None:
        now = time.monotonic()
        if kept.unsaid:
            self.flush(kept)
        if kept.exit is None and not kept.ours and not alive(kept.leader):
            self.ended(kept, {"e": "gone"})
        if kept.exit is None and kept.stop_at is None and kept.limit_at is not None and now >= kept.limit_at:
            self.stop(kept, Why.TIMEOUT, kept.grace_seconds)
        if kept.doubt_until is not None:
            if now < kept.doubt_until:
                return kept.doubt_until - now
            kept.doubt_until = None
            self.wind_up(kept)
        if kept.exit is not None or kept.stop_at is not None:
            self.sweep(kept)
            return SWEEP_SECONDS if kept.key in self.kept else None
        if not kept.ours or kept.unsaid:
            return SWEEP_SECONDS
        return None if kept.limit_at is None else kept.limit_at - now

    def sweep(self, kept: Kept) -> None:
        """What is left of an ending attempt was sent KILL if its grace is over; the attempt is closed if nothing is."""
        if kept.stop_at is None or time.monotonic() >= kept.stop_at:
            kept.members = kill_all(kept.members | self.members(kept))
            if not kept.resists and (other := not_ours(kept.members)):
                kept.resists = True
                self.note(kept, {"e": "resist", "pid": other[0], "user": other[1]})
                # The runner hears of a record when somebody who has written it closes it.
                with contextlib.suppress(FileNotFoundError):
                    os.close(os.open(f"{self.directory.rec}/{kept.key}", os.O_WRONLY | os.O_CLOEXEC))
        elif kept.exit is not None:
            kept.members = {each for each in kept.members | self.members(kept) if alive(each)}
        if kept.exit is not None and not kept.members:
            self.close(kept)

    # -- records -------------------------------------------------------------------------------

    def close(self, kept: Kept) -> None:
        """The attempt is over and its record says how; one whose record has no room yet is kept."""
        if kept.said_in and (fact := window.failure(*kept.said_in)):
            self.note(kept, fact)
        if kept.said_in:
            os.close(kept.said_in[0])
            kept.said_in = None
        if kept.exit:
            self.note(kept, kept.exit)
            kept.exit = {}
        if not kept.unsaid:
            os.close(kept.fd)
            del self.kept[kept.key]

    def note(self, kept: Kept, fact: dict[str, object]) -> None:
        kept.unsaid += record.line(fact)
        self.flush(kept)

    def flush(self, kept: Kept) -> None:
        try:
            while kept.unsaid:
                kept.unsaid = kept.unsaid[os.write(kept.fd, kept.unsaid) :]
        except OSError:
            pass  # a full disk: tried again from `look_after`


def _leads(pid: int) -> bool:
    """True if the process leads a session."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False
