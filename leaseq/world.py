"""The outside world behind narrow ports: files, clocks, the identity of this host. No logic lives here.

`Fs` is the shared file system as the rules of the lease directory allow it to be used: discovery by
listing a directory by path, whole files created under unique names, and rename, link, unlink. Its real
form refreshes what an NFS client caches before it trusts a name (measured for NFSv4: opening the
directory by path drops stale names, a bare `stat` does not).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import time
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

REMOTE_TYPES = frozenset(
    "nfs nfs4 cifs smb3 lustre gpfs beegfs ceph glusterfs afs 9p fuse.sshfs fuse.glusterfs".split()
)
FILE_BYTES_MAX = 64 << 20
"""A file that is larger is not read whole."""
KEPT_MAX = 64
"""How many directories are kept open at most: those that a runner syncs, and some more."""
P = ParamSpec("P")
T = TypeVar("T")


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, for people."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for every decision."""
        ...


class Fs(Protocol):
    """Operations on the shared file system. Every failure is an OSError."""

    remote: bool
    """True if other hosts may see and change the files."""

    def names(self, directory: str) -> list[str]:
        """Fresh names in a directory, hidden ones left out, unsorted."""
        ...

    def read(self, path: str) -> bytes:
        """The fresh content of a file."""
        ...

    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        """(bytes from offset, size of the file now); a negative offset counts from the end."""
        ...

    def create(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """A file of that content exists; the name must be one that no other process uses."""
        ...

    def append(self, path: str, data: bytes) -> None:
        """Data stands whole at the end of the file, durably; readers on other hosts see it."""
        ...

    def rename(self, source: str, target: str) -> None: ...

    def link(self, source: str, target: str) -> None: ...

    def unlink(self, path: str) -> None: ...

    def mkdir(self, path: str) -> None:
        """The directory exists, mode 0700; it may have existed."""
        ...

    def remove_tree(self, directory: str) -> None:
        """The directory is gone with all that is in it; links in it are not followed. It may have been gone."""
        ...

    def sync(self, path: str) -> None:
        """What stands in the file is durable, whoever has written it."""
        ...

    def sync_dir(self, directory: str) -> None:
        """The names in the directory are durable."""
        ...

    def older(self, directory: str, *, seconds: float, hidden: bool) -> list[str]:
        """Paths of files in the directory untouched for that long (days: a server's clock is near enough), if any."""
        ...

    def age(self, path: str, probe_directory: str) -> float:
        """Seconds since the file was last replaced or written, by the file server's clock alone."""
        ...


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def again_where_stale(call: Callable[P, T]) -> Callable[P, T]:
    """The call, made once more if it ends with ESTALE: what the client knew by that path is gone or replaced."""

    @functools.wraps(call)
    def twice(*args: P.args, **options: P.kwargs) -> T:
        try:
            return call(*args, **options)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        return call(*args, **options)

    return twice


class SystemFs:
    """The real file system. If the owner of its files is given, those of others are not read.

    keeps: the directories that it syncs stay open, which spares opening each again; of a local file system alone, where
    a directory that is open is the one at its path.
    """

    def __init__(self, *, remote: bool, owner: int | None = None, keeps: bool = False) -> None:
        self.remote, self.owner = remote, owner
        self._kept_max = KEPT_MAX if keeps and not remote else 0
        self._kept: dict[str, int] = {}

    @again_where_stale
    def names(self, directory: str) -> list[str]:
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            if not self.remote:
                raise
            self._refresh(directory)
            names = os.listdir(directory)
        return [name for name in names if name[0] != "."]

    def _refresh(self, directory: str) -> None:
        """What this client knows of the directory is fresh; that there is none, too, which it believes for a minute."""
        if not self.remote:
            return
        try:
            os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))
        except FileNotFoundError:
            parent = os.path.dirname(directory)
            if parent == directory:
                raise
            self._refresh(parent)
            os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))

    @again_where_stale
    def read(self, path: str) -> bytes:
        self._refresh(os.path.dirname(path))
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return read_all(fd, path, owner=self.owner)
        finally:
            os.close(fd)

    @again_where_stale
    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        self._refresh(os.path.dirname(path))
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            info = os.fstat(fd)
            refuse_strange(info, path)
            size = info.st_size
            return os.pread(fd, length, offset if offset >= 0 else max(0, size + offset)), size
        finally:
            os.close(fd)

    def create(self, path: str, data: bytes, *, durable: bool = True) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, data)
            if durable:
                os.fsync(fd)
        except OSError:
            os.unlink(path)  # a full disk is tried again and again: each try would leave a name behind
            raise
        finally:
            os.close(fd)

    def append(self, path: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_DSYNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            _write_all(fd, data)
        finally:
            os.close(fd)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def link(self, source: str, target: str) -> None:
        os.link(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):
                raise

    def remove_tree(self, directory: str) -> None:
        import shutil

        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(directory)

    @again_where_stale
    def sync(self, path: str) -> None:
        self._refresh(os.path.dirname(path))
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_dir(self, directory: str) -> None:
        kept = self._kept.get(directory)
        if kept is not None and os.fstat(kept).st_nlink:
            os.fsync(kept)
            return
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if kept is None and len(self._kept) < self._kept_max and self._kept.setdefault(directory, fd) == fd:
            os.fsync(fd)
            return
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def older(self, directory: str, *, seconds: float, hidden: bool) -> list[str]:
        found: list[str] = []
        try:
            if stat.S_ISLNK(os.lstat(directory).st_mode):
                return found  # what it leads to is none of ours, and what is found here is removed
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.name.startswith(".") is hidden and not entry.is_dir(follow_symlinks=False):
                        with contextlib.suppress(FileNotFoundError):
                            if time.time() - entry.stat(follow_symlinks=False).st_mtime > seconds:
                                found.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return found

    @again_where_stale
    def age(self, path: str, probe_directory: str) -> float:
        self._refresh(os.path.dirname(path))
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            changed = os.fstat(fd).st_mtime
        finally:
            os.close(fd)
        if not self.remote:
            return max(0.0, time.time() - changed)
        probe = f"{probe_directory}/.probe-{os.getpid()}-{time.monotonic_ns()}"
        fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Empty: a full disk has room for a name, and bytes may be given the time of the client that wrote them.
            return max(0.0, os.fstat(fd).st_mtime - changed)
        finally:
            os.close(fd)
            os.unlink(probe)


def read_all(fd: int, path: str, *, owner: int | None = None) -> bytes:
    """What the file holds, which nobody changes; an OSError if it is strange, or larger than 64 MiB."""
    info = os.fstat(fd)
    refuse_strange(info, path, owner=owner)
    parts, size = [], 0
    while part := os.read(fd, 1 << 20):
        parts.append(part)
        size += len(part)
        if size > FILE_BYTES_MAX:
            raise OSError(errno.EFBIG, "file larger than 64 MiB", path)
        if size == info.st_size:
            break
    return b"".join(parts)


def refuse_strange(info: os.stat_result, path: str, *, owner: int | None = None) -> None:
    """Raises OSError if it is no file that has a content and an end (a directory, a pipe), or another owner's."""
    if stat.S_ISDIR(info.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(info.st_mode):
        raise OSError(errno.ENXIO, "not a regular file", path)
    if owner is not None and info.st_uid != owner:
        raise OSError(errno.ENXIO, f"it belongs to {user_name(info.st_uid)}, not to you", path)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def user_name(uid: int) -> str:
    """The name of that user; the number if it has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def hostname() -> str:
    """This host's name without its domain, as Slurm calls its nodes."""
    return os.uname().nodename.split(".")[0] or "localhost"


@functools.cache
def boot_id() -> str:
    """What tells one life of this host's processes from another: the kernel's boot id and the pid namespace.

    A restarted container ends its processes as a reboot does. Empty if /proc does not tell.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def uptime_seconds() -> float:
    """Seconds since this host was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def process_start(pid: int) -> int:
    """Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); 0 if it has ended."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fields = os.read(fd, 4096).rpartition(b")")[2].split()
    except OSError:
        return 0
    finally:
        os.close(fd)
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def process_owner(pid: int) -> tuple[int, list[str]]:
    """(its user's number, its words) of a process that lives; raises OSError if it has ended."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        owner = os.fstat(file.fileno()).st_uid
        return owner, [os.fsdecode(word) for word in file.read().rstrip(b"\0").split(b"\0")]


@functools.cache
def real_path(path: str) -> str:
    """The path without links, as it was when this process first asked: each look costs a call for every part of it."""
    return os.path.realpath(path)


def file_system(path: str) -> tuple[str, str]:
    """(type, source) of the file system that holds the path, by /proc/self/mountinfo; ("", "") if unknown."""
    path = real_path(path)
    best, found = "", ("", "")
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                left, _, right = line.partition(" - ")
                mount = left.split()[4].replace("\\040", " ")
                if len(mount) >= len(best) and (path == mount or path.startswith(mount.rstrip("/") + "/")):
                    best, found = mount, (right.split()[0], right.split()[1])
    except (OSError, IndexError):
        return "", ""
    return found


def is_remote(path: str) -> bool:
    """True if other hosts can change files at the path, or if that cannot be told apart (FUSE)."""
    kind = file_system(path)[0]
    return kind in REMOTE_TYPES or kind.startswith("fuse.") or os.environ.get("LEASEQ_ASSUME_REMOTE") == "1"
