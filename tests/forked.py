"""leaseq's commands, each a process of its own that is forked from one in which leaseq is imported already.

Of the time that most commands take, nine tenths are Python's start and its imports, the same ones every time. What is
forked has its own pid, environment, directory, umask and files. If the start itself or its arguments in /proc
matter, a test starts a Python.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import leaseq
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[1]
LENGTH = struct.Struct("!Q")
AT_START = ("PYTHON", "LANG", "LC_")
"""How the names of variables begin that Python itself reads as it starts."""


def run(
    words: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: str | Path,
    stdin: bytes | None = None,
    seconds: float = PATIENCE_SECONDS,
) -> tuple[int, bytes, bytes]:
    """(exit code, stdout, stderr) of that command line; it is killed, and the test fails, if it does not end."""
    source, ours_in = os.pipe() if stdin is not None else (os.open(os.devnull, os.O_RDONLY), -1)
    (out, their_out), (err, their_err) = os.pipe(), os.pipe()
    umask = os.umask(0)
    os.umask(umask)
    order = {"words": list(words), "env": dict(env), "cwd": str(cwd), "umask": umask}
    origin = _origin()
    try:
        pid = origin.fork(order, [source, their_out, their_err])
    finally:
        for fd in (source, their_out, their_err):
            os.close(fd)
    until = time.monotonic() + seconds
    try:
        said = _exchange(ours_in, stdin or b"", out, err, until)
        return os.waitstatus_to_exitcode(origin.told(until)), *said
    except BaseException as error:
        # Whatever broke off the wait, the next command is not to be told of this one's end.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        origin.told()
        if isinstance(error, TimeoutError):
            raise AssertionError(f"leaseq {list(words)} does not end") from None
        raise


def matters_at_start(variables: Iterable[str]) -> bool:
    """True if Python itself reads one of them as it starts."""
    return any(name.startswith(AT_START) for name in variables)


def _exchange(into: int, data: bytes, out: int, err: int, until: float) -> tuple[bytes, bytes]:
    """What came out of both ends until they closed, while the data went in; closes all three. Raises TimeoutError."""
    said = {out: bytearray(), err: bytearray()}
    left = memoryview(data)
    with selectors.DefaultSelector() as waiting:
        for fd in said:
            waiting.register(fd, selectors.EVENT_READ)
        if into >= 0:
            os.set_blocking(into, False)
            waiting.register(into, selectors.EVENT_WRITE)
        try:
            while waiting.get_map():
                ready = waiting.select(max(0.0, until - time.monotonic()))
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    if key.fd == into:
                        with contextlib.suppress(BrokenPipeError):
                            left = left[os.write(into, left) :]
                            if left:
                                continue
                    elif chunk := os.read(key.fd, 65536):
                        said[key.fd] += chunk
                        continue
                    waiting.unregister(key.fd)
                    os.close(key.fd)
        finally:
            for open_yet in list(waiting.get_map().values()):
                os.close(open_yet.fd)
    return bytes(said[out]), bytes(said[err])


# -- the process that is forked -----------------------------------------------------------------------


class Origin:
    """It, seen from the tests: one command at a time."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
            cwd=ROOT,
            env={**_others(), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        atexit.register(self.close)

    def close(self) -> None:
        self.socket.close()
        self.process.wait()

    def fork(self, order: dict[str, Any], fds: list[int]) -> int:
        """The pid of the command."""
        data = json.dumps(order).encode()
        socket.send_fds(self.socket, [LENGTH.pack(len(data))], fds)
        self.socket.sendall(data)
        return self.told()

    def told(self, until: float | None = None) -> int:
        """The number that it tells next: after the pid, how that process has ended. Raises TimeoutError."""
        self.socket.settimeout(None if until is None else max(0.001, until - time.monotonic()))
        return int(LENGTH.unpack(_exactly(self.socket, LENGTH.size))[0])


def _others() -> dict[str, str]:
    """This process's variables but for those of a home: what is killed of a home's processes is not the origin."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LEASEQ_")}


@functools.cache
def _origin() -> Origin:
    return Origin()


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        assert chunk, "the process that commands are forked from has ended"
        data += chunk
    return data


def _serve(sock: socket.socket) -> list[str] | None:
    """Returns twice: None at the tests' end, and in each process that is forked the words of its command line."""
    while True:
        head, fds, _, _ = socket.recv_fds(sock, LENGTH.size, 3)
        if not head:
            return None
        order = json.loads(_exactly(sock, LENGTH.unpack(head)[0]))
        pid = os.fork()
        if not pid:
            sock.close()
            _take(fds)
            os.chdir(order["cwd"])
            os.umask(order["umask"])
            os.environ.clear()
            os.environ.update(order["env"])
            words: list[str] = order["words"]
            return words
        for fd in fds:
            os.close(fd)
        sock.sendall(LENGTH.pack(pid))
        sock.sendall(LENGTH.pack(os.waitpid(pid, 0)[1]))


def _take(fds: list[int]) -> None:
    """They are this process's standard input, output and error, with nothing in their buffers."""
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    sys.stdin = _text(sys.stdin, io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout = _text(sys.stdout, io.BufferedWriter(io.FileIO(1, "w", closefd=False)))
    sys.stderr = _text(sys.stderr, io.BufferedWriter(io.FileIO(2, "w", closefd=False)))


def _text(like: TextIO, buffer: io.BufferedReader | io.BufferedWriter) -> TextIO:
    return io.TextIOWrapper(buffer, encoding=like.encoding, errors=like.errors, line_buffering=like is sys.stderr)


def _import_all() -> None:
    """Everything that a command imports is imported, but the monitor; nothing of it has been called.

    What is for programs is none of it, and its plugins need those programs.
    """
    from leaseq.cli.binding import import_fire

    import_fire()
    for module in pkgutil.walk_packages(leaseq.__path__, "leaseq."):
        if not module.name.startswith(("leaseq.monitor", "leaseq.api.", "leaseq.__main__")):
            importlib.import_module(module.name)


if __name__ == "__main__":
    from leaseq.__main__ import main

    _import_all()
    gc.freeze()  # what is collected is written to, and each process would have its own copy
    found = _serve(socket.socket(fileno=int(sys.argv[1])))
    if found is not None:
        sys.argv[1:] = found
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # to take apart what was imported would copy all of it first
