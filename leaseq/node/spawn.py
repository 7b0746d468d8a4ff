"""Starting a task's process: exact words, its own session, its own logs, its submitter's cwd and umask."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from leaseq.node import record
from leaseq.node.request import StartRequest

_NAMES = ("HUP", "INT", "QUIT", "USR1", "USR2", "PIPE", "TERM", "CHLD", "TSTP", "TTIN", "TTOU", "XFSZ")
_DEFAULT = [signal.Signals[f"SIG{name}"] for name in _NAMES]
"""Signals that the keeper, Python or what started them may ignore, which a process would inherit."""
_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_ITS_OWN = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE))
"""What stands in a task's way and is no fault of the task: it is started again later."""


class CannotStart(Exception):
    """The task's process could not be started: `reason`, and the exit code a shell would give.

    again: for no reason of its own, so that it is started again later.
    """

    def __init__(self, reason: str, code: int, *, error: OSError | None = None, again: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.again = again or (error is not None and error.errno in _NOT_ITS_OWN)

    def fact(self) -> dict[str, object]:
        """The line of the attempt's record that says so."""
        said = self.reason.encode("utf-8", "replace").decode()
        fact: dict[str, object] = {"e": "fail", "reason": said, "code": self.code, "t": time.time()}
        return {**fact, "again": True} if self.again else fact


Programs = dict[tuple[str, str], str]
"""By word and PATH, the program that was found."""


def spawn(
    request: StartRequest,
    record_fd: int,
    mark: Mapping[str, object] = MappingProxyType({}),
    programs: Programs | None = None,
) -> int:
    """The pid of the started process, leader of a session of its own. Raises CannotStart.

    A remote path is touched only in the forked child, so that a hung mount blocks the task and not the keeper; then
    the child notes in its record (record_fd), with that mark, why it could not start. Otherwise posix_spawn(3), which
    costs a fifth of a fork.

    programs: what was found a moment ago, and is added to. A child that looks along a PATH itself tries to execute
    a file in each directory of it, while this process waits.
    """
    try:
        if not request.argv[0]:
            raise CannotStart("the command is an empty word", 127)
        if request.remote:
            return _fork(request, record_fd, mark)
        return _spawn_here(request, programs)
    except NotImplementedError:
        # posix_spawn(3) without POSIX_SPAWN_SETSID: a C library before 2.26, or a Python built for one.
        return _fork(request, record_fd, mark)
    except (ValueError, TypeError, OverflowError, LookupError) as error:
        raise CannotStart(f"not a command that can be started: {error}", 127) from None


def _spawn_here(request: StartRequest, programs: Programs | None) -> int:
    logs: list[int] = []
    try:
        _enter(request.cwd)
        os.umask(0o077)
        for path in (request.out, request.err):
            logs.append(_open_log(path))
        os.umask(request.umask)
        return _posix_spawn(request.argv, request.env, logs, programs)
    finally:
        for fd in logs:
            os.close(fd)
        os.umask(0o077)
        os.chdir("/")


def _enter(cwd: str) -> None:
    try:
        os.chdir(cwd)
    except OSError as error:
        raise CannotStart(f"cwd {cwd}: {error.strerror}", 1) from None


def _open_log(path: str) -> int:
    try:
        return os.open(path, _LOG_FLAGS, 0o600)
    except OSError as error:
        raise CannotStart(f"log {path}: {error.strerror}", 1, error=error) from None


def _posix_spawn(argv: Sequence[str], env: Mapping[str, str], logs: Sequence[int], programs: Programs | None) -> int:
    options: dict[str, Any] = {
        "file_actions": [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, logs[0], 1),
            (os.POSIX_SPAWN_DUP2, logs[1], 2),
        ],
        "setsid": True,
        "setsigdef": _DEFAULT,
        "setsigmask": (),
    }
    _search_path_of(env)
    if programs is not None and (program := _found(argv[0], env, programs)):
        with suppress(OSError):  # what execvp(3) does then is more than one file's matter
            return os.posix_spawn(program, list(argv), env, **options)
    try:
        try:
            return os.posix_spawnp(argv[0], list(argv), env, **options)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without an interpreter line: every shell runs it with sh, execvp(3) too.
            return os.posix_spawnp("/bin/sh", ["/bin/sh", shutil.which(argv[0]) or argv[0], *argv[1:]], env, **options)
    except OSError as error:
        raise _refusal(argv[0], error) from None


def _found(word: str, env: Mapping[str, str], programs: Programs) -> str:
    """The path of the program that the word means; empty if that is execvp(3)'s to find."""
    path = env.get("PATH", "")
    if "/" in word or not path:
        return word if "/" in word else ""
    if (word, path) not in programs:
        programs[word, path] = shutil.which(word, path=path) or ""
    return programs[word, path]


def _search_path_of(env: Mapping[str, str]) -> None:
    """posix_spawnp(3) and execvp(3) look for a program along the PATH of this process: make it the task's."""
    path = env.get("PATH")
    if path is None:
        os.environ.pop("PATH", None)
    elif path != os.environ.get("PATH"):
        os.environ["PATH"] = path


def _refusal(word: str, error: OSError) -> CannotStart:
    """Why the program does not start, with a shell's exit code for it."""
    if error.errno != errno.ENOENT:
        return CannotStart(f"{word}: {error.strerror}", 126, error=error)
    if "/" in word and os.path.exists(word):
        return CannotStart(f"interpreter not found: {word}", 127)
    return CannotStart(f"command not found: {word}", 127)


def _fork(request: StartRequest, record_fd: int, mark: Mapping[str, object]) -> int:
    try:
        pid = os.fork()
    except OSError as error:
        raise CannotStart(f"fork: {error.strerror}", 126, error=error) from None
    if pid:
        return pid
    code = 1
    try:
        _become(request, record_fd)
    except CannotStart as error:
        os.write(record_fd, record.line({**mark, **error.fact()}))
        code = error.code
    except (ValueError, TypeError, OverflowError, LookupError) as error:
        refusal = CannotStart(f"not a command that can be started: {error}", 127)
        os.write(record_fd, record.line({**mark, **refusal.fact()}))
        code = refusal.code
    finally:
        os._exit(code)


def _become(request: StartRequest, record_fd: int) -> None:
    """This process is the task. First of all it lets go of the keeper's files: a hung mount may keep it here."""
    os.setsid()
    os.closerange(3, record_fd)
    os.closerange(record_fd + 1, 1 << 16)
    for number in _DEFAULT:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.umask(0o077)
    logs = [_open_log(path) for path in (request.out, request.err)]
    for fd, log in enumerate(logs, start=1):
        os.dup2(log, fd)
    os.umask(request.umask)
    _enter(request.cwd)
    _exec(request.argv, request.env)


def _exec(argv: Sequence[str], env: Mapping[str, str]) -> None:
    try:
        try:
            os.execvpe(argv[0], list(argv), env)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            _search_path_of(env)
            os.execve("/bin/sh", ["/bin/sh", shutil.which(argv[0]) or argv[0], *argv[1:]], env)
    except OSError as error:
        raise _refusal(argv[0], error) from None
