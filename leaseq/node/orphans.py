"""Tasks whose keeper was killed: they become children of the runner that had started it, which notes how they end."""

from __future__ import annotations

import time
from resource import struct_rusage

from leaseq.dataclass import replace
from leaseq.models import Why
from leaseq.node import record
from leaseq.node.lease_end import DOUBT_SECONDS, may_be_of_it
from leaseq.node.nodedir import NodeDir
from leaseq.node.record import Rec
from leaseq.schema import number
from leaseq.world import boot_id

STRANGE_SECONDS = 30.0
"""How long a new keeper may take until each attempt of a dead one's windows has a record."""


class Orphans:
    """What this process, their parent now, knows of them."""

    def __init__(self, directory: NodeDir, *, of_step: bool) -> None:
        self.directory = directory
        self.of_step = of_step
        """True if they are of a step of a Slurm job, so that an end may be its end."""
        self.lease_ends = False
        """True once this process was told that the lease ends."""
        self.doubted: dict[str, tuple[dict[str, object], float]] = {}
        """Ends that may be the lease's, and until when that is looked at."""
        self.strangers: list[tuple[int, dict[str, object], float]] = []
        """Children that no record knew when they ended, how they did, and until when one may yet come to know."""

    def ended(self, pid: int, status: int, usage: struct_rusage) -> None:
        """That child has ended: its attempt's record says so, or will once there is no doubt of why."""
        fact: dict[str, object] = {
            "e": "exit",
            "status": status,
            "t": time.time(),
            "elapsed": time.monotonic(),
            "rss": usage.ru_maxrss,
            "cpu": usage.ru_utime + usage.ru_stime,
        }
        if not self._known(pid, fact, late=False):
            self.strangers.append((pid, fact, time.monotonic() + STRANGE_SECONDS))

    def _known(self, pid: int, fact: dict[str, object], *, late: bool) -> bool:
        """True if that is the end of an attempt with a record.

        late: by now; then its keeper has died before the attempt had one, and the next has not seen it alive.
        """
        for key in record.keys_in(self.directory.rec):
            rec = record.read(self._path(key))
            if rec and rec.pid == pid and rec.boot == boot_id() and rec.status is None and not (late and rec.pid_start):
                ended, began = number(fact["elapsed"]), rec.started_monotonic
                elapsed = 0.0 if began is None else round(ended - began, 6)
                doubted = self.of_step and may_be_of_it(fact)
                self.doubted[key] = {**fact, "elapsed": elapsed}, ended + (DOUBT_SECONDS if doubted else 0.0)
                return True
        return False

    def settle(self) -> None:
        """The ends of which there is no doubt any more stand in their records."""
        self.strangers = [
            each
            for each in self.strangers
            if time.monotonic() < each[2] and not self._known(each[0], each[1], late=True)
        ]
        for key, (fact, until) in list(self.doubted.items()):
            rec = record.read(self._path(key))
            if rec and not rec.stopping and self.lease_ends:
                record.append(self._path(key), {"e": "stop", "why": Why.LEASE.value})
            elif rec and not rec.stopping and time.monotonic() < until:
                continue
            if rec:
                record.append(self._path(key), fact)
            del self.doubted[key]

    def seen(self, key: str, rec: Rec | None) -> Rec | None:
        """The record as it is for this process: it knows more than a keeper that says that an end was not seen."""
        return replace(rec, gone=False) if rec and rec.gone and key in self.doubted else rec

    def _path(self, key: str) -> str:
        return f"{self.directory.rec}/{key}"
