"""Names that appear in directories, as the kernel tells them: inotify(7) by ctypes, local changes only.

On NFS it is silent about other hosts, so it only ever shortens a wait; nothing depends on it. A user has 128 instances
on a host by default, which other programs may have used up: then a timer says again and again that anything may have
changed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time

IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_Q_OVERFLOW = 0x4000
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_USED_UP = (errno.EMFILE, errno.ENOSPC, errno.ENOMEM, errno.ENOSYS)
TICK_SECONDS = 0.5


class Inotify:
    """A set of watched directories; `fd` is readable when something happened, or may have."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._directories: dict[int, str] = {}
        self.ticks = False
        """True if the kernel has nothing left to watch with, and `fd` is a timer."""
        self.fd = int(self._libc.inotify_init1(_FLAGS))
        if self.fd < 0:
            self._tick()

    def watch(self, directory: str, mask: int, *, needed: bool = True) -> None:
        """Changes of the directory are told from now on; raises OSError if it cannot be watched.

        needed: if the kernel has nothing left to watch with, `fd` becomes a timer. Not once somebody waits for `fd`.
        """
        if self.ticks:
            return
        wd = int(self._libc.inotify_add_watch(self.fd, os.fsencode(directory), mask))
        if wd >= 0:
            self._directories[wd] = directory
        elif ctypes.get_errno() in _USED_UP:
            if not needed:
                return
            os.close(self.fd)
            self._tick()
        else:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", directory)

    def _tick(self) -> None:
        """`fd` is a timer that is readable again and again; raises OSError if there is none."""
        self.ticks = True
        self.fd = int(self._libc.timerfd_create(time.CLOCK_MONOTONIC, _FLAGS))
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        spec = (ctypes.c_long * 4)(0, int(TICK_SECONDS * 1e9), 0, int(TICK_SECONDS * 1e9))  # interval, first
        self._libc.timerfd_settime(self.fd, 0, spec, None)

    def read(self) -> list[tuple[str, str, bool]]:
        """(directory, name, gone) of what changed since the last read; no directory: the kernel lost count."""
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return []
        if self.ticks:
            return [("", "", False)]
        found = []
        at = 0
        while at < len(data):
            wd, mask, _, length = struct.unpack_from("iIII", data, at)
            at += 16
            name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
            at += length
            directory = "" if mask & IN_Q_OVERFLOW else self._directories.get(wd, "")
            found.append((directory, name, bool(mask & (IN_MOVED_FROM | IN_DELETE))))
        return found

    def close(self) -> None:
        os.close(self.fd)


def become_subreaper() -> None:
    """Orphaned descendants of this process become its children (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
