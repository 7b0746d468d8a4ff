"""What the processes of running tasks use now: processors and memory, from one pass over /proc.

A process is a task's if it is of the task's session or descends from such a one.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

PERIOD_SECONDS = 4.0
"""How often /proc is looked through at most.."""
SHARE = 500
"""..and how many times as long as a look took: it costs no more than a five-hundredth of a processor."""
RSS = 21
"""Where the pages stand among the words after the name of the program, the last that is read of them."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1048576


class Use(NamedTuple):
    """What a task uses; None if that is not known."""

    cpus: float | None
    rss_mb: float


class _Seen(NamedTuple):
    """A task's processes at one look."""

    start: int
    """Of its leader: another process may have its number by now."""
    ticks: int
    """What they and those that they have waited for have used so far."""
    pages: int


class Usage:
    """What tasks use, as it was at the last look."""

    def __init__(self) -> None:
        self._due = 0.0
        self._at = 0.0
        self._seen: dict[int, _Seen] = {}
        self._use: dict[int, Use] = {}

    def of(self, leaders: Iterable[int]) -> Mapping[int, Use]:
        """By the pid of its own process what each task uses, as far as it is known; it is looked if that is due."""
        wanted = frozenset(leaders)
        now = time.monotonic()
        if wanted and now >= self._due:
            began = time.thread_time()
            seen = look(wanted)
            self._use = {pid: Use(self._cpus(pid, each, now), each.pages * _PAGE_MB) for pid, each in seen.items()}
            self._seen, self._at = seen, now
            self._due = now + max(PERIOD_SECONDS, SHARE * (time.thread_time() - began))
        return self._use

    def _cpus(self, pid: int, seen: _Seen, now: float) -> float | None:
        """How many processors were busy since the last look; None if it was not there then, or one took its past along.

        A process that nobody of the task waited for leaves nothing of what it has used.
        """
        before = self._seen.get(pid)
        if before is None or before.start != seen.start or seen.ticks < before.ticks:
            return None
        return (seen.ticks - before.ticks) / _TICKS / (now - self._at)


def look(leaders: frozenset[int]) -> dict[int, _Seen]:
    """What the processes of each of these tasks have used so far, and the memory that they have now."""
    owner: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    used: dict[int, tuple[int, int, int]] = {}
    for name in _numbers():
        try:
            with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                words = file.read(1024).rpartition(b")")[2].split()
        except OSError:
            continue  # it has just ended
        if len(words) < RSS + 1:
            continue  # not as proc(5) has it: no heartbeat fails for that
        pid, session = int(name), int(words[3])
        used[pid] = int(words[19]), sum(map(int, words[11:15])), int(words[RSS])
        children.setdefault(int(words[1]), []).append(pid)
        if session in leaders:
            owner[pid] = session
    left = list(owner)
    while left:
        pid = left.pop()
        for child in children.get(pid, ()):
            if child not in owner:
                owner[child] = owner[pid]
                left.append(child)
    ticks, pages = Counter[int](), Counter[int]()
    for pid, leader in owner.items():
        ticks[leader] += used[pid][1]
        pages[leader] += used[pid][2]
    return {pid: _Seen(used[pid][0], ticks[pid], pages[pid]) for pid in leaders & owner.keys()}


def _numbers() -> list[str]:
    """The processes there are; none where /proc is not to be read."""
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
