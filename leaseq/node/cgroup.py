"""The control groups of this process: what they limit, and how often the kernel has ended something there for memory.

Containers and user slices limit a host's processes by these, version 1 and 2 (cgroups(7), and the kernel's
cgroup-v1/memory.rst and cgroup-v2.rst). All of it is read from /proc and /sys; what cannot be read limits nothing.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

from leaseq.dataclass import dataclass

PAGE_BYTES = 4096
"""So much of a file of counters the kernel gives at once."""
NO_LIMIT_BYTES = 1 << 60
"""Version 1 writes a huge number if memory has no limit."""


@dataclass(frozen=True)
class Limits:
    """The tightest limits of this process's groups; None if there is none."""

    cpus: float | None = None
    memory_mb: int | None = None
    memory_used_mb: int | None = None
    """What the group with that limit uses now, less what the kernel can drop at once (inactive file pages)."""


def limits(*, root: str = "") -> Limits:
    """What the groups of this process limit now. root: what stands before /proc and /sys, for tests."""
    quotas = [quota for directory in _directories("cpu", root) if (quota := _cpus(directory)) is not None]
    capped = [(cap, directory) for directory in _directories("memory", root) if (cap := _memory(directory)) is not None]
    if not capped:
        return Limits(min(quotas, default=None))
    cap, directory = min(capped)
    return Limits(min(quotas, default=None), cap >> 20, _used(directory))


@functools.cache
def _counter(root: str) -> int | None:
    """The file that counts what the kernel killed for memory: in this process's group, or on this host.

    It stays open: with each task it is read, and opened anew it would cost more than all else that is noted of one.
    """
    found = f"{root}/proc/vmstat"
    for directory in _directories("memory", root)[:1]:
        files = (f"{directory}/{name}" for name in ("memory.events", "memory.oom_control"))
        found = next((path for path in files if "oom_kill" in _pairs(path)), found)
    try:
        return os.open(found, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def memory_kills(*, root: str = "") -> int | None:
    """How many processes the kernel has killed for memory so far, here; None if it does not tell."""
    fd = _counter(root)
    said = b"\n"
    try:
        while fd is not None and (part := os.pread(fd, PAGE_BYTES, len(said) - 1)):
            said += part
    except OSError:
        return None
    found = said.partition(b"\noom_kill ")[2].partition(b"\n")[0]
    return int(found) if found.isdigit() else None


@functools.cache
def _directories(controller: str, root: str) -> tuple[str, ...]:
    """The directories of this process's group and of those around it, innermost first, that may limit that."""
    group, version1 = _group(controller, root)
    if group is None:
        return ()
    for inner, mount in _mounts(controller, root, version1=version1):
        # A container that shows the host's path in /proc has its own group mounted as the root.
        rest = group[len(inner) :] if inner != "/" and (group + "/").startswith(inner + "/") else group
        parts = [part for part in rest.split("/") if part not in ("", "..")]
        return tuple("/".join([root + mount, *parts[:length]]) for length in range(len(parts), -1, -1))
    return ()


def _group(controller: str, root: str) -> tuple[str | None, bool]:
    """(this process's group for that controller, whether it is one of version 1)"""
    unified = None
    for line in _lines(f"{root}/proc/self/cgroup"):
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller in names.split(","):
            return path, True
        if number == "0" and not names:
            unified = path
    return unified, False


def _mounts(controller: str, root: str, *, version1: bool) -> Iterator[tuple[str, str]]:
    """(group that is mounted, where) by /proc/self/mountinfo, see proc(5)."""
    for line in _lines(f"{root}/proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        words, kinds = left.split(), right.split()
        if len(words) > 4 and len(kinds) > 2:
            fits = kinds[0] == "cgroup" and controller in kinds[2].split(",") if version1 else kinds[0] == "cgroup2"
            if fits:
                yield words[3], words[4].replace("\\040", " ")


def _cpus(directory: str) -> float | None:
    words = " ".join(_lines(f"{directory}/cpu.max")).split()
    if not words:
        words = [*_lines(f"{directory}/cpu.cfs_quota_us"), *_lines(f"{directory}/cpu.cfs_period_us")]
    try:
        quota, period = int(words[0]), int(words[1])
    except (ValueError, IndexError):
        return None  # `max`, or nothing to read
    return quota / period if quota > 0 and period > 0 else None


def _memory(directory: str) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        for line in _lines(f"{directory}/{name}"):
            if line.isdigit() and int(line) < NO_LIMIT_BYTES:
                return int(line)
    return None


def _used(directory: str) -> int | None:
    for name in ("memory.current", "memory.usage_in_bytes"):
        for line in _lines(f"{directory}/{name}"):
            if line.isdigit():
                stat = _pairs(f"{directory}/memory.stat")
                idle = stat.get("total_inactive_file", stat.get("inactive_file", 0))
                return max(0, int(line) - idle) >> 20
    return None


def _pairs(path: str) -> dict[str, int]:
    """The lines `NAME NUMBER` of the file."""
    words = (line.split() for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit()}


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
