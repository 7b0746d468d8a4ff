"""What became of one attempt on its node: `rec/KEY`, JSON lines, each a fact appended when it was known.

    {"e":"begin", "boot":B, "gpus":[T], "slot":N, "limit":S, "grace":S}   the keeper starts it; its fate may be
                                                  unknown from here
    {"e":"spawn", "pid":P, "start":S, "t":T, "m":M}   it runs since T, which is M on the clock that counts from boot
    {"e":"stop",  "why":W}                        it is being ended: `cancel`, `timeout`, `lease`, `kill`
    {"e":"warn",  "signal":N}                     it was told by that signal that its lease ends soon
    {"e":"exit",  "status":N, "t":T, "elapsed":S, "rss":KB, "cpu":S}   wait(2) status of the task's own process;
                                                  "oom":N, "limit":MB  the kernel has killed so many here for memory
                                                  since it began, and the limit of their group, if that is known
    {"e":"fail",  "reason":R, "code":N, "again":A}   it could not be started; A: for no reason of its own
    {"e":"resist", "pid":P, "user":U}             KILL was refused: that process of it belongs to U by now
    {"e":"gone"}                                  its process is gone and nobody saw its status
    {"e":"void"}                                  it must never start: a recovery put its claim back

The file is created with O_EXCL: the process that creates it decides whether the attempt starts.
"""

from __future__ import annotations

import errno
import json
import os
from typing import Any

from leaseq.dataclass import dataclass
from leaseq.models import Why
from leaseq.names import is_key
from leaseq.schema import integer, json_lines, number

_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class Rec:
    """The facts of one attempt so far."""

    boot: str = ""
    gpus: tuple[str, ...] = ()
    slot: int | None = None
    limit_seconds: float | None = None
    grace_seconds: float | None = None
    pid: int | None = None
    pid_start: int = 0
    started: float | None = None
    started_monotonic: float | None = None
    """By this boot's monotonic clock, which all its processes share."""
    ended: float | None = None
    elapsed: float | None = None
    status: int | None = None
    rss_kb: float | None = None
    cpu_seconds: float | None = None
    memory_kills: float = 0
    """How many processes the kernel killed for memory on this node while the attempt ran, if it ended badly."""
    memory_limit_mb: float | None = None
    """The limit of the control group that the node's tasks are in, if it has one and the kernel has killed."""
    stopping: Why | None = None
    warned: int | None = None
    """The signal by which it was told that its lease ends soon."""
    resists: str = ""
    """Whose process of it could not be killed: `process N belongs to USER`."""
    failure: str = ""
    failure_code: int | None = None
    again: bool = False
    """True if it never ran for a reason that is not its own (a full disk): it is pending again."""
    gone: bool = False
    void: bool = False

    @property
    def over(self) -> bool:
        """True if nothing more will be known."""
        return self.status is not None or bool(self.failure) or self.gone or self.void


def parse(data: bytes) -> Rec:
    """The record in those lines; a torn or foreign line is passed over."""
    known: dict[str, Any] = {}
    for fact in json_lines(data):
        try:
            known.update(fields(fact, known))
        except (ValueError, KeyError, TypeError, OverflowError):
            continue
    return Rec(**known)


def fields(fact: dict[str, object], known: dict[str, Any]) -> dict[str, Any]:
    """What the fact says, as fields of a record."""
    kind = fact["e"]
    if kind == "begin":
        gpus = fact["gpus"]
        return {
            "boot": str(fact["boot"]),
            "gpus": tuple(map(str, gpus)) if isinstance(gpus, list) else (),
            "slot": None if fact.get("slot") is None else integer(fact["slot"]),
            "limit_seconds": _maybe(fact.get("limit")),
            "grace_seconds": _maybe(fact.get("grace")),
        }
    if kind == "spawn":
        return {
            "pid": integer(fact["pid"]),
            "pid_start": integer(fact["start"]),
            "started": number(fact["t"]),
            "started_monotonic": _maybe(fact.get("m")),
        }
    if kind == "stop":
        return {"stopping": known.get("stopping") or (Why(fact["why"]) if fact["why"] else None)}
    if kind == "resist":
        return {"resists": f"process {integer(fact['pid'])} belongs to {fact['user']!s:.60}"}
    if kind == "warn":
        return {"warned": integer(fact["signal"])}
    if kind == "exit":
        return {
            "status": _status(fact["status"]),
            "ended": number(fact["t"]),
            "elapsed": number(fact["elapsed"]),
            "rss_kb": number(fact["rss"]),
            "cpu_seconds": number(fact["cpu"]),
            "memory_kills": number(fact.get("oom", 0)),
            "memory_limit_mb": _maybe(fact.get("limit")),
        }
    if kind == "fail":
        return {
            "failure": str(fact["reason"]),
            "failure_code": integer(fact["code"]),
            "ended": number(fact["t"]),
            "again": fact.get("again") is True,
        }
    return {kind: True} if kind in ("gone", "void") else {}


def _status(value: object) -> int:
    status = integer(value)
    os.waitstatus_to_exitcode(status)
    return status


def _maybe(value: object) -> float | None:
    return None if value is None else number(value)


def read(path: str) -> Rec | None:
    """The record at the path, or None if the attempt never began here."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return parse(os.read(fd, 1 << 16))
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EISDIR, errno.ELOOP):
            return None
        raise


def keys_in(directory: str) -> list[str]:
    """The attempts that have a record in the directory; what has another name is none."""
    return [name for name in os.listdir(directory) if is_key(name)]


def begin(path: str, *facts: dict[str, object]) -> int | None:
    """A file descriptor of the new record that holds its first facts; None if another created it first.

    Raises OSError if they cannot be written, and then there is no record.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return None
    first = b"".join(map(line, facts))
    try:
        if os.write(fd, first) < len(first):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    except OSError:
        os.close(fd)
        os.unlink(path)
        raise
    return fd


def append(path: str, fact: dict[str, object]) -> None:
    """The fact stands at the end of the record."""
    append_lines(path, line(fact))


def append_lines(path: str, lines: bytes) -> None:
    """The lines stand at the end of the record; raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.write(fd, lines) < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    finally:
        os.close(fd)


def line(fact: dict[str, object]) -> bytes:
    return _encode(fact).encode() + b"\n"
