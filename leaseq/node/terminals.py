"""Who uses this node by a terminal: shells that somebody looks at, and sessions in which something runs.

    SESSION/at.PID    a process that shows a session, or is a shell without one: its pid, its start, the boot
    SESSION/NAME.pid  a session's tmux server, its first process there, and whether that is a `shell` or a `command`

A shell that nobody looks at and that only waits for a command uses nothing, in whichever window of a session it is.
What cannot be told uses the node.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import NamedTuple

from leaseq.node.nodedir import Holder, read_local, write_local
from leaseq.node.session import directory_of, remove
from leaseq.schema import integer, text
from leaseq.world import boot_id, process_start

AT, PID, SHELL = "at.", ".pid", "shell"
SHELLS = frozenset(("sh", "bash", "zsh", "fish", "dash", "ksh", "mksh", "csh", "tcsh"))


class Terminals:
    """The terminals of a node; of none if the directory is empty."""

    def __init__(self, root: str = "") -> None:
        self.root = root

    def in_use(self) -> str:
        """What uses the node by a terminal, in words; empty if nothing does."""
        if not self.root:
            return ""
        try:
            return next(filter(None, map(self._used, sorted(os.listdir(f"{self.root}/session")))), "")
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"shells that cannot be looked at: {error.strerror}"

    def _used(self, name: str) -> str:
        path = f"{self.root}/session/{name}"
        try:
            if name.startswith(AT):
                return self._looked_at(path)
            if name.endswith(PID) and not name.startswith("."):
                return _runs(path, name.removesuffix(PID))
        except FileNotFoundError:
            return ""  # it has ended meanwhile
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"a shell that cannot be looked at: {error}"
        return ""

    def _looked_at(self, path: str) -> str:
        value = json.loads(read_local(path))
        if Holder(integer(value["pid"]), integer(value["pid_start"]), text(value["boot"])).alive():
            return "a shell"
        remove(path)
        return ""

    def tell(self, words: str) -> None:
        """Every session of the node shows the words where it is; one that cannot does not."""
        directory = f"{self.root}/session"
        for name in os.listdir(directory) if self.root and os.path.isdir(directory) else ():
            if name.endswith(PID):
                with contextlib.suppress(OSError, ValueError):
                    for pid in _children(_command(f"{directory}/{name}").server):
                        with contextlib.suppress(OSError):
                            _write(f"/proc/{pid}/fd/1", f"\r\nleaseq: {words}\r\n")


@contextlib.contextmanager
def counted(root: str) -> Iterator[None]:
    """Meanwhile this process, and what takes its place, counts as a terminal of the node; not without a directory."""
    pid, path = os.getpid(), ""
    if root:
        with contextlib.suppress(OSError):
            path = f"{directory_of(root)}/{AT}{pid}"
            write_local(path, json.dumps({"pid": pid, "pid_start": process_start(pid), "boot": boot_id()}).encode())
    try:
        yield
    finally:
        if path:
            remove(path)


class Command(NamedTuple):
    """What runs a session."""

    server: int
    pid: int
    """The process that waits for the session's first command."""
    is_shell: bool
    """True if that command is a person's shell."""


def _command(path: str) -> Command:
    server, pid, kind = read_local(path).decode("ascii").split()
    return Command(int(server), int(pid), kind == SHELL)


def _runs(path: str, name: str) -> str:
    first = _command(path)
    if not _is_tmux(first.server):
        remove(path)
        return ""
    for window in _children(first.server):
        commands = _children(window) if window == first.pid else [window]
        waits = all(not _children(each) for each in commands)
        if window == first.pid and not first.is_shell and commands:
            return f"the command of session {name}"
        if not waits or (window != first.pid and not _is_shell(window)):
            return f"what runs in session {name}"
    return ""


def _is_tmux(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().startswith("tmux")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _is_shell(pid: int) -> bool:
    """True if the process is a shell that reads commands."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            words = file.read().rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return True  # it has ended meanwhile
    options = all(word.startswith("-") and "c" not in word.removeprefix("--") for word in words[1:])
    return os.path.basename(words[0]).lstrip("-") in SHELLS and options


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        if process_start(pid):
            raise OSError(0, "this kernel does not say which processes are whose") from None
        return []


def _write(path: str, words: str) -> None:
    """The words are on that terminal, if it takes them now."""
    fd = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if os.isatty(fd):
            os.write(fd, words.encode())
    finally:
        os.close(fd)
