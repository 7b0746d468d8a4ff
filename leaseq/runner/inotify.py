"""Names that appear in directories, as the kernel tells them: inotify(7) by ctypes, local changes only.

On NFS it is silent about other hosts, so it only ever shortens a wait; nothing depends on it.
"""

from __future__ import annotations

import ctypes
import os
import struct

IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_DELETE = 0x200
IN_Q_OVERFLOW = 0x4000
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class Inotify:
    """A set of watched directories; `fd` is readable when something happened. Raises OSError where there is none."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = int(self._libc.inotify_init1(_FLAGS))
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._directories: dict[int, str] = {}

    def watch(self, directory: str, mask: int) -> None:
        """Changes of the directory are told from now on; raises OSError."""
        wd = int(self._libc.inotify_add_watch(self.fd, os.fsencode(directory), mask))
        if wd < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", directory)
        self._directories[wd] = directory

    def read(self) -> list[tuple[str, str, bool]]:
        """(directory, name, gone) of what changed since the last read; no directory: the kernel lost count."""
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return []
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
