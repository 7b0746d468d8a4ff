"""Process trees and identities as /proc shows them, and the few system calls Python has no name for."""

import ctypes
import os
import signal
import socket
import time

_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWUTS = 0x04000000
KILL_SECONDS = 5.0


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Orphans among this process's descendants become its children, so its whole tree stays findable."""
    _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def own_hostname(name: str) -> bool:
    """This process and its children see NAME as the host's name; False if that needs more rights."""
    if os.getuid() != 0 or _libc().unshare(_CLONE_NEWUTS) != 0:
        return False
    try:
        socket.sethostname(name)
    except OSError:
        return False
    return True


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; None if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()
    except OSError:
        return None


def start_time(pid: int) -> str:
    """Ticks since boot at which the process began; "" if it is gone or a zombie. With the pid it names a process."""
    stat = _stat(pid)
    return stat[19] if stat and stat[0] not in "ZX" else ""


def _parents() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        stat = _stat(int(name)) if name.isdigit() else None
        if stat and stat[0] not in "ZX":
            children.setdefault(int(stat[1]), []).append(int(name))
    return children


def descendants(*roots: int) -> list[int]:
    """All living processes below the roots, the roots left out; parents before their children."""
    children = _parents()
    found: list[int] = []
    pending = list(roots)
    while pending:
        below = children.get(pending.pop(0), [])
        found += below
        pending += below
    return found


def send(pids: list[int], number: int, *, pause: float = 0.0) -> None:
    """The signal has come to each of them that lives, one after the other, with so many seconds in between."""
    for place, pid in enumerate(pids):
        if place and pause:
            time.sleep(pause)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def kill_below(root: int) -> None:
    """Nothing lives below the root any more: stopped first, so that nothing forks away meanwhile."""
    until = time.monotonic() + KILL_SECONDS
    while time.monotonic() < until:
        pids = descendants(root)
        if not pids:
            return
        send(pids, signal.SIGSTOP)
        send(descendants(root)[::-1], signal.SIGKILL)


def power_cut(root: int) -> None:
    """The root and all below it are killed as if at one instant."""
    send([root], signal.SIGSTOP)
    seen: set[int] = set()
    while True:
        pids = set(descendants(root))
        if pids <= seen:
            break
        send(list(pids - seen), signal.SIGSTOP)
        seen |= pids
    # Children first: a stopped process that loses its parent gets HUP and CONT from the kernel, and would act on it.
    send([*descendants(root)[::-1], root], signal.SIGKILL)
    until = time.monotonic() + KILL_SECONDS
    while any(start_time(pid) for pid in [*seen, root]) and time.monotonic() < until:
        time.sleep(0.005)


def record(path: str) -> None:
    """This process's identity, for `recorded`."""
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(f"{os.getpid()} {start_time(os.getpid())}")


def recorded(path: str) -> int:
    """The pid of the process that recorded itself there, if that very process lives; else 0."""
    try:
        with open(path, encoding="utf-8") as stream:
            pid, started = stream.read().split()
    except (OSError, ValueError):
        return 0
    return int(pid) if start_time(int(pid)) == started else 0
