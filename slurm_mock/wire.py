"""Messages between the cluster's processes: one JSON object per line over unix sockets, file descriptors beside it."""

from __future__ import annotations

import array
import json
import os
import socket

from slurm_mock.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]

FDS_MAX = 250  # the kernel passes at most 253 in one message
CALL_SECONDS = 20.0


def _short(path: str) -> tuple[int, str]:
    """A descriptor and a path through it: a unix socket's path may have 107 bytes only."""
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    return folder, f"/proc/self/fd/{folder}/{os.path.basename(path)}"


def connect(path: str, *, seconds: float | None = CALL_SECONDS) -> socket.socket:
    """OSError if nobody listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(seconds)
    folder, name = _short(path)
    try:
        sock.connect(name)
    except OSError:
        sock.close()
        raise
    finally:
        os.close(folder)
    return sock


def listen(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder, name = _short(path)
    try:
        os.unlink(path) if os.path.exists(path) else None
        sock.bind(name)
    finally:
        os.close(folder)
    sock.listen(512)
    return sock


class Peer:
    """One end of a connection: whole messages out of what arrived so far."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fds: list[int] = []
        self._buffer = b""

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, message: Message, fds: list[int] | None = None) -> None:
        data = json.dumps(message).encode() + b"\n"
        if fds:
            sent = self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
            data = data[sent:]
        if data:  # nothing more to say may meet an end that has already answered and closed
            self.sock.sendall(data)

    def receive(self) -> list[Message] | None:
        """Messages completed by one read; None at the other end's close."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, 65536, FDS_MAX)
        except (ConnectionError, TimeoutError):
            return None
        for fd in fds:
            os.set_inheritable(fd, False)
        self.fds += fds
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def wait(self) -> Message | None:
        """The next message; None at the other end's close."""
        while True:
            messages = self.receive()
            if messages is None or messages:
                return messages[0] if messages else None

    def close(self) -> None:
        self.sock.close()


def call(path: str, message: Message, *, seconds: float = CALL_SECONDS) -> Message | None:
    """One question, one answer; None if nobody listens or answers in time."""
    try:
        peer = Peer(connect(path, seconds=seconds))
    except OSError:
        return None
    try:
        peer.send(message)
        return peer.wait()
    except OSError:
        return None
    finally:
        peer.close()


def tell(path: str, message: Message) -> bool:
    """The message is on its way, no answer awaited; False if nobody listens."""
    try:
        peer = Peer(connect(path, seconds=1.0))
    except OSError:
        return False
    try:
        peer.send(message)
    except OSError:
        return False
    finally:
        peer.close()
    return True
