"""The node-local directory of one runner: what must not depend on the shared file system.

    ROOT/HOME_DIGEST/LEASE/NODE/     ROOT is $LEASEQ_NODE_DIR or /tmp/leaseq-UID (/tmp/leaseq-UID.TIME if that is
                                     somebody else's), each level 0700 and the user's own
        runner, keeper               who serves this node now: a JSON object with pid, pid_start, boot
        runner.lock, keeper.lock     locked by that process as long as it lives
        ask/start-KEY, ...           requests of the runner to the keeper
        rec/KEY                      what became of each attempt here, appended by the keeper
        born/INCARNATION             a runner that started in this boot with this directory
        runner.log                   what runner and keeper had to say
    ROOT/HOME_DIGEST/start.lock      locked while a command starts a runner on this host

The keeper (the parent of the tasks) and the runner (the hands on the lease directory) are two processes, so
that either may be killed: the other, or its successor, finds everything here. Not $XDG_RUNTIME_DIR, which a
host deletes when the user's last login session ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator

from leaseq.dataclass import dataclass
from leaseq.errors import Refused
from leaseq.names import new_incarnation
from leaseq.schema import integer, text
from leaseq.world import boot_id, process_start, read_all, real_path

ASIDE_SECONDS = 0.2
"""Of several that step aside at the same moment all take the oldest name: so long they wait for each other's."""


@dataclass(frozen=True)
class Holder:
    """A process that serves a node, as it wrote itself down."""

    pid: int
    pid_start: int
    boot: str
    incarnation: str = ""
    windows: bool = False
    """True of a keeper that knows what a window is: one of an older leaseq would drop the request for it."""

    def alive(self) -> bool:
        """True if that very process runs on this host now."""
        return self.boot == boot_id() and self.pid > 0 and process_start(self.pid) == self.pid_start


@dataclass(frozen=True)
class NodeDir:
    """Paths in a node-local directory that `open_node_dir` or `find_node_dir` has checked."""

    root: str

    @property
    def ask(self) -> str:
        return f"{self.root}/ask"

    @property
    def rec(self) -> str:
        return f"{self.root}/rec"

    @property
    def born(self) -> str:
        return f"{self.root}/born"

    @property
    def log(self) -> str:
        return f"{self.root}/runner.log"

    def holder(self, role: str) -> Holder | None:
        """Who last wrote itself down as `runner` or `keeper`, dead or alive."""
        try:
            value = json.loads(read_local(f"{self.root}/{role}"))
            pid, start = integer(value["pid"]), integer(value["pid_start"])
            windows = value.get("windows") is True
            return Holder(pid, start, text(value["boot"]), text(value["incarnation"]), windows)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def alive(self, role: str) -> Holder | None:
        """The process that serves as `runner` or `keeper` on this host now, or None."""
        holder = self.holder(role)
        return holder if holder and holder.alive() else None

    def take(self, role: str, incarnation: str) -> bool:
        """True: this process is the `runner` or `keeper` here until it ends. False: another one is.

        A kernel lock on a node-local file settles a race of two that start at once; the shared file system has none.
        Another, on the directory, keeps systemd-tmpfiles from cleaning it up as long as the process lives, were it a
        month: it passes over what somebody has locked (measured, systemd 252).
        """
        fd = os.open(f"{self.root}/{role}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        me = Holder(os.getpid(), process_start(os.getpid()), boot_id(), incarnation, role == "keeper")
        fcntl.flock(os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), fcntl.LOCK_SH)
        write_local(f"{self.root}/{role}", json.dumps(vars(me)).encode())
        return True


def write_local(path: str, data: bytes) -> None:
    """The node-local file holds the data; a reader sees it whole or not at all."""
    directory = path.rpartition("/")[0]
    temporary = f"{directory}/.{new_incarnation()}{new_incarnation()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)
    os.rename(temporary, path)


def read_local(path: str) -> bytes:
    """What the node-local file holds; an OSError if it is no regular file, or not this user's."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return read_all(fd, path, owner=os.getuid())
    finally:
        os.close(fd)


def removed(path: str) -> bool:
    """True if this call removed the file."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def node_path(home: str, lease: str, node: str) -> str:
    """Where the node-local directory is; nothing is created."""
    return f"{_home_path(home)}/{lease}/{node}"


def _home_path(home: str) -> str:
    import hashlib

    digest = hashlib.sha256(real_path(home).encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{node_root()}/{digest}"


def holders(home: str) -> Iterator[tuple[str, str, Holder]]:
    """(lease, role, process) of every runner and keeper of the home that is alive on this host."""
    root = _home_path(home)
    for lease in () if _taken() else _directories(root):
        for node in _directories(f"{root}/{lease}"):
            with contextlib.suppress(Refused):  # what others could have put there says nothing
                found = find_node_dir(home, lease, node)
                for role in ("runner", "keeper") if found else ():
                    if found and (holder := found.alive(role)) is not None:
                        yield lease, role, holder


def _directories(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(each.name for each in entries if each.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def alone(home: str) -> Iterator[None]:
    """Of all commands of the home on this host that start a runner, or take this host out, one at a time does."""
    _step_aside()
    root = _home_path(home)
    for directory in _levels(f"{root}/LEASE/NODE")[:2]:
        make_private(directory)
    fd = os.open(f"{root}/start.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def node_root() -> str:
    """$LEASEQ_NODE_DIR, or the user's own directory in /tmp: one of another name if somebody else has the first."""
    given, first = os.environ.get("LEASEQ_NODE_DIR"), f"/tmp/leaseq-{os.getuid()}"
    if given or _owner(first) == os.getuid():
        return given or first
    return min(_further_roots(), default=first)


def _further_roots() -> list[str]:
    name = f"leaseq-{os.getuid()}."
    found = [f"/tmp/{each}" for each in os.listdir("/tmp") if each.startswith(name)]
    return [path for path in found if _owner(path) == os.getuid()]


def _owner(path: str) -> int | None:
    """Whose the path is, or None if there is nothing; a link is its maker's, wherever it leads."""
    try:
        return os.lstat(path).st_uid
    except FileNotFoundError:
        return None


def _taken() -> bool:
    """True if somebody else has the name that nobody gave and this user has no other yet."""
    return not os.environ.get("LEASEQ_NODE_DIR") and _owner(node_root()) not in (None, os.getuid())


def _step_aside() -> None:
    """If somebody else has the name that `node_root` has by itself, there is another, which nobody could foresee."""
    if not _taken():
        return
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"/tmp/leaseq-{os.getuid()}.{time.time_ns():020d}", 0o700)
    time.sleep(ASIDE_SECONDS)


def open_node_dir(home: str, lease: str, node: str) -> NodeDir:
    """The node-local directory exists, private; raises Refused if somebody else made it, or could change it."""
    _step_aside()
    found = NodeDir(node_path(home, lease, node))
    for directory in (*_levels(found.root), found.ask, found.rec, found.born):
        make_private(directory)
    return found


def find_node_dir(home: str, lease: str, node: str) -> NodeDir | None:
    """The node-local directory, as private as the runner that made it left it, or None; raises Refused."""
    if _taken():
        return None
    found = NodeDir(node_path(home, lease, node))
    try:
        for directory in (*_levels(found.root), found.ask, found.rec, found.born):
            check_private(directory)
    except FileNotFoundError:
        return None
    return found


def _levels(path: str) -> list[str]:
    """ROOT and each directory below it to the path; raises Refused if ROOT can be replaced."""
    root = path.rsplit("/", 3)[0]
    if anybody_may_replace(root):
        raise Refused(
            f"anybody can replace {root}: whoever does can run commands as you",
            hint="set LEASEQ_NODE_DIR to a local directory in one that is yours, or sticky as /tmp is",
        )
    return [*(path.rsplit("/", levels)[0] for levels in (3, 2, 1)), path]


def anybody_may_replace(path: str) -> bool:
    """True if every user may rename what stands at the path: its directory is open to all, and not sticky."""
    for place in {os.path.dirname(path), os.path.dirname(real_path(path))}:
        try:
            mode = os.stat(place).st_mode
        except FileNotFoundError:
            continue
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return True
    return False


def make_private(directory: str) -> None:
    """The directory exists, is a directory, is this user's, and nobody else may enter; else Refused."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    if check_private(directory) & 0o077:
        os.chmod(directory, 0o700)


def check_private(directory: str) -> int:
    """The mode of a directory that is this user's and that nobody else can write; else Refused, FileNotFoundError."""
    info = os.lstat(directory)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise Refused(
            f"{directory} is not a directory of yours",
            hint="someone else may have made it: remove it, or set LEASEQ_NODE_DIR to a local directory of your own",
        )
    if info.st_mode & 0o022:
        raise Refused(
            f"others can write in {directory}, and may have: what is in it would run as you",
            hint=f"look at what is in it and is not yours, then chmod 700 {directory}; or set LEASEQ_NODE_DIR",
        )
    if info.st_mode & 0o700 != 0o700:
        raise Refused(f"{directory} is closed to you yourself", hint=f"chmod 700 {directory}")
    return info.st_mode
