"""A file system that fails at a chosen operation: `FaultFs` wraps any `leaseq.world.Fs`.

`Died` is the death of the calling process: a BaseException, so that no handler of the code under test catches
it, and every later call of the same FaultFs raises it again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from enum import Enum
from typing import Any, NoReturn

from leaseq.dataclass import dataclass
from leaseq.world import Fs

CHANGES = frozenset({"create", "append", "rename", "link", "unlink", "mkdir"})
SYNCED_CHANGES = CHANGES | {"sync", "sync_dir"}
LOST_REPLY = {"rename": errno.ENOENT, "link": errno.EEXIST, "unlink": errno.ENOENT}
"""What a replayed request of an NFS client is told although the first one was carried out."""


class Died(BaseException):
    """The process that called is gone."""


class Kind(Enum):
    """What happens at the operation."""

    DIE_BEFORE = "the process dies before it"
    DIE_AFTER = "the process dies after it"
    DIE_TORN = "the process dies with half of the data written"
    DIE_EMPTY = "the process dies with the file created and no data written"
    LOST_REPLY = "it is done, and an error is reported"
    FAILS = "it is not done, and an error is reported"
    MEANWHILE = "somebody else acts just before it"
    MEANWHILE_TORN = "somebody else acts while half of the data is written"
    LOST_REPLY_MEANWHILE = "it is done, somebody else acts, and then an error is reported"

    def applies_to(self, operation: str) -> bool:
        if self in (Kind.DIE_TORN, Kind.DIE_EMPTY, Kind.MEANWHILE_TORN):
            return operation in ("create", "append")
        if self in (Kind.LOST_REPLY, Kind.LOST_REPLY_MEANWHILE):
            return operation in LOST_REPLY
        if self is Kind.DIE_AFTER:
            return operation in SYNCED_CHANGES
        return True


@dataclass(frozen=True)
class Fault:
    """At the `at`-th operation (from 1), what happens; `error` 0 is the error that NFS was seen to report."""

    at: int
    kind: Kind
    error: int = 0
    meanwhile: Callable[[], object] | None = None
    only_changes: bool = False
    """True if `at` counts only the operations that change something or make it durable."""
    operation: str = ""
    place: str = ""
    """If they are given, `at` counts only calls of that operation, or with a path that holds that."""

    def counts(self, call: tuple[str, ...]) -> bool:
        """True if the call (an operation and its paths) is one of those that `at` counts."""
        if self.only_changes and call[0] not in SYNCED_CHANGES:
            return False
        return self.operation in ("", call[0]) and any(self.place in path for path in call[1:])

    def __str__(self) -> str:
        return f"operation {self.at}: {self.kind.value}" + (f" ({errno.errorcode[self.error]})" if self.error else "")


class FaultFs:
    """The inner file system with these faults. `calls` are the operations so far, with their paths."""

    def __init__(self, inner: Fs, *faults: Fault) -> None:
        self.inner = inner
        self.faults = faults
        self.calls: list[tuple[str, ...]] = []
        self.met = [0] * len(faults)
        """How many of the calls that it counts each fault has met."""
        self.dead = False
        self.remote = inner.remote

    def names(self, directory: str) -> list[str]:
        names: list[str] = self._call("names", directory)
        return names

    def read(self, path: str) -> bytes:
        data: bytes = self._call("read", path)
        return data

    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        part: tuple[bytes, int] = self._call("read_range", path, offset, length)
        return part

    def create(self, path: str, data: bytes, *, durable: bool = True) -> None:
        self._call("create", path, data, durable=durable)

    def append(self, path: str, data: bytes) -> None:
        self._call("append", path, data)

    def rename(self, source: str, target: str) -> None:
        self._call("rename", source, target)

    def link(self, source: str, target: str) -> None:
        self._call("link", source, target)

    def unlink(self, path: str) -> None:
        self._call("unlink", path)

    def mkdir(self, path: str) -> None:
        self._call("mkdir", path)

    def remove_tree(self, directory: str) -> None:
        self._call("remove_tree", directory)

    def sync(self, path: str) -> None:
        self._call("sync", path)

    def sync_dir(self, directory: str) -> None:
        self._call("sync_dir", directory)

    def older(self, directory: str, *, seconds: float, hidden: bool) -> list[str]:
        paths: list[str] = self._call("older", directory, seconds=seconds, hidden=hidden)
        return paths

    def age(self, path: str, probe_directory: str) -> float:
        seconds: float = self._call("age", path, probe_directory)
        return seconds

    def _call(self, operation: str, *args: Any, **options: Any) -> Any:
        if self.dead:
            raise Died
        call = (operation, *[each for each in args if isinstance(each, str)])
        self.calls.append(call)
        for number, fault in enumerate(self.faults):
            if fault.counts(call):
                self.met[number] += 1
                if self.met[number] == fault.at and fault.kind.applies_to(operation):
                    return self._strike(fault, operation, lambda: self._perform(operation, args, options), args)
        return self._perform(operation, args, options)

    def _perform(self, operation: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return getattr(self.inner, operation)(*args, **options)

    def _strike(self, fault: Fault, operation: str, perform: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        kind, meanwhile = fault.kind, fault.meanwhile or _nothing
        error = fault.error or LOST_REPLY.get(operation, errno.EIO)
        if kind is Kind.DIE_BEFORE:
            self._die()
        if kind in (Kind.DIE_TORN, Kind.DIE_EMPTY):
            self._write_part(operation, args, half=kind is Kind.DIE_TORN)
            self._die()
        if kind is Kind.FAILS:
            raise OSError(error, os.strerror(error), args[0])
        if kind is Kind.MEANWHILE_TORN and operation == "create":
            self._write_part(operation, args, half=True)
        if kind in (Kind.MEANWHILE, Kind.MEANWHILE_TORN):
            meanwhile()
            return perform()
        perform()
        if kind is Kind.DIE_AFTER:
            self._die()
        if kind is Kind.LOST_REPLY_MEANWHILE:
            meanwhile()
        raise OSError(error, os.strerror(error), args[0])

    def _write_part(self, operation: str, args: tuple[Any, ...], *, half: bool) -> None:
        part = args[1][: len(args[1]) // 2 if half else 0]
        if operation == "append":
            self.inner.append(args[0], part)
        else:
            self.inner.create(args[0], part, durable=False)

    def _die(self) -> NoReturn:
        self.dead = True
        raise Died


def _nothing() -> None:
    pass
