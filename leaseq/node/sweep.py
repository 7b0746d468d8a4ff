"""Finding every process of an attempt: by its session, its descendants, and the marks in its environment."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from resource import struct_rusage

from leaseq.names import parse_key
from leaseq.world import process_start, read_all, user_name

Process = tuple[int, int]
"""(pid, start time): a pid alone may by now be somebody else's."""


def has_orphans(known: set[int]) -> bool:
    """True if this process has children other than the known ones, or if that cannot be told.

    A subreaper inherits what an ended task leaves behind, so this is the cheap question before a sweep.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    path = f"/proc/self/task/{os.getpid()}/children"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return any(int(pid) not in known for pid in read_all(fd, path).split())
        finally:
            os.close(fd)
    except OSError:
        return True


def processes_of(key: str, leader: Process) -> set[Process]:
    """The processes of the attempt that are alive now, but this one: its session, what descends from it or carries it.

    key: `ID.ATTEMPT`; another attempt of the same task may be alive beside it. leader: (0, 0) if it is not known.
    """
    task_id, attempt = parse_key(key)
    marks = (f"\0LEASEQ_TASK_ID={task_id}\0".encode(), f"\0LEASEQ_ATTEMPT={attempt}\0".encode())
    parents: dict[int, int] = {}
    starts: dict[int, int] = {}
    found: set[int] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        pid = int(name)
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            if fields[0] in (b"Z", b"X") or pid == os.getpid():
                continue
            parents[pid], starts[pid] = int(fields[1]), int(fields[19])
            if (pid, starts[pid]) == leader or (int(fields[3]) == leader[0] > 0 and pid != leader[0]):
                found.add(pid)
                continue
            with open(f"/proc/{pid}/environ", "rb") as file:
                environ = b"\0" + file.read() + b"\0"
            if all(mark in environ for mark in marks):
                found.add(pid)
        except OSError:
            continue
    grown = found
    while grown:
        grown = {pid for pid, parent in parents.items() if parent in found and pid not in found}
        found |= grown
    return {(pid, starts[pid]) for pid in found}


def catching(number: int, processes: set[Process], leader: Process) -> set[Process]:
    """Of the leader and what descends from it, the outermost that have a handler for the signal.

    A shell that only waits for the program, and what stands in a pipe with it, have none and would die of it; what a
    program starts inherits its handlers, and would do the same work again. No program can catch KILL and STOP.
    """
    if number in (signal.SIGKILL, signal.SIGSTOP):
        return {leader}
    children: dict[int, list[Process]] = {}
    caught: set[Process] = set()
    for process in processes:
        try:
            with open(f"/proc/{process[0]}/status", "rb") as file:
                known = dict(line.partition(b":")[::2] for line in file)
            children.setdefault(int(known[b"PPid"]), []).append(process)
            if int(known[b"SigCgt"], 16) >> (number - 1) & 1:
                caught.add(process)
        except (OSError, KeyError, ValueError):
            continue  # it has just ended
    found, level = set[Process](), [leader]
    while level:
        found |= caught.intersection(level)
        level = [child for process in level if process not in caught for child in children.get(process[0], [])]
    return found


def ended_children() -> Iterator[tuple[int, int, struct_rusage]]:
    """Every child that has ended is waited for: its pid, its status, and what it used."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status, usage


def alive(process: Process) -> bool:
    """True if that very process runs now; one whose start nobody saw had ended by then."""
    return process[1] != 0 and process_start(process[0]) == process[1]


def send(processes: Iterable[Process], *numbers: int) -> None:
    """The signals were sent to those of the processes that still exist, to a parent before its children.

    A shell whose program ended first would go on with its next line.
    """
    for process in sorted(processes, key=lambda each: (each[1], each[0])):
        if not alive(process):
            continue
        try:
            for number in numbers:
                os.kill(process[0], number)
        except (ProcessLookupError, PermissionError):
            pass


def not_ours(processes: Iterable[Process]) -> tuple[int, str] | None:
    """(pid, its user) of one of the processes that this user may not signal, if there is one: it became another's."""
    for process in processes:
        if alive(process):
            try:
                os.kill(process[0], 0)
            except PermissionError:
                with contextlib.suppress(OSError):
                    return process[0], user_name(os.stat(f"/proc/{process[0]}").st_uid)
            except ProcessLookupError:
                continue
    return None


def kill_all(processes: Iterable[Process]) -> set[Process]:
    """Every one of the processes that still existed was sent KILL; these."""
    found = {each for each in processes if alive(each)}
    send(found, signal.SIGKILL)
    return found
