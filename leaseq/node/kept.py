"""An attempt in the keeper's hands, and how its end is told."""

from __future__ import annotations

import time
from resource import struct_rusage

from leaseq.dataclass import dataclass, field
from leaseq.node.cgroup import limits, memory_kills
from leaseq.node.sweep import Process

GRACE_SECONDS = 10.0


@dataclass
class Kept:
    """An attempt whose process lives, or whose processes are being ended."""

    key: str
    fd: int
    leader: Process
    began: float
    ours: bool = True
    """False if an earlier keeper started it: its status goes to its parent of now."""
    grace_seconds: float = GRACE_SECONDS
    limit_at: float | None = None
    stop_at: float | None = None
    """When TERM turns into KILL."""
    exit: dict[str, object] | None = None
    """The fact to append once no process of the attempt is left."""
    doubt_until: float | None = None
    """Until when an end that nobody here has asked for may still turn out to be the lease's."""
    members: set[Process] = field(default_factory=set)
    memory_kills: int | None = None
    """How many processes the kernel had killed for memory here when it began; None if that is not known."""
    resists: bool = False
    """True if it is noted that a process of it belongs to another user, whom no KILL of this one reaches."""
    unsaid: bytes = b""
    """Facts that a full disk did not take yet."""
    started: float = field(default_factory=time.time)
    """As `began`, by the clock of the day."""
    said_in: tuple[int, int] | None = None
    """(file descriptor, place) of the window in whose record its process may have said why it could not start."""

    def spawn_fact(self) -> dict[str, object]:
        """The line of its record that says that its process runs."""
        pid, start = self.leader
        return {"e": "spawn", "pid": pid, "start": start, "t": self.started, "m": self.began}


def exit_fact(kept: Kept, status: int, usage: struct_rusage) -> dict[str, object]:
    """The line of its record that says how its own process ended."""
    return {
        "e": "exit",
        "status": status,
        "t": time.time(),
        "elapsed": round(time.monotonic() - kept.began, 6),
        "rss": usage.ru_maxrss,
        "cpu": round(usage.ru_utime + usage.ru_stime, 6),
        **_killed_for_memory(kept.memory_kills if status else None),
    }


def _killed_for_memory(before: int | None) -> dict[str, object]:
    """How many processes the kernel has killed for memory since, if any, and the limit of their group, if any."""
    now = None if before is None else memory_kills()
    if before is None or now is None or now <= before:
        return {}
    limit = limits().memory_mb
    return {"oom": now - before} if limit is None else {"oom": now - before, "limit": limit}
