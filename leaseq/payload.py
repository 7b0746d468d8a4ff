"""The files of a Python call that a task makes: what is called with what, and what came of it.

A call's directory has `call`, written before its task is queued, and for each attempt that came to an end
`ID.ATTEMPT.result`. `call` is a line of JSON, the function, and one block of arguments for each index of a `map`:

    {"v":1,"python":"3.11","path":[...],"name":"train","sizes":[FUNCTION, BLOCK, BLOCK...]}
    FUNCTION BLOCK BLOCK...

A result is one record for each call of its block, in order: `V` and the pickled value, or `E` and a pickled tuple that
needs nothing but builtins: (the pickled exception or None, its name, its message, its traceback as text).

Pickles run code as they are read: a file of another owner, or one that others may write, is not read.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

CALL = "call"
VALUE, ERROR = b"V", b"E"
PROTOCOL = 5


class Strange(Exception):
    """What is there is no call, or no result, that may be read."""


class Head(NamedTuple):
    """What is known of a call before anything of it is unpickled."""

    python: str
    """The version of Python that wrote it: `3.11`."""
    path: tuple[str, ...]
    """Where its modules were found."""
    name: str
    """The function's."""
    sizes: tuple[int, ...]
    """How many bytes the function takes, and each block of arguments."""
    mapped: bool
    """True if it is a `map`: then each block is an index, and holds several calls."""

    def line(self) -> bytes:
        return json.dumps({"v": 1, **self._asdict()}, separators=(",", ":")).encode("ascii") + b"\n"


class Failure(NamedTuple):
    """An exception that a call has raised, as its record holds it."""

    pickled: bytes | None
    name: str
    message: str
    traceback: str


def result_name(task_id: str, attempt: int) -> str:
    """The name of the result of that attempt, of a task or of an index."""
    return f"{task_id}.{attempt}.result"


# -- a call ------------------------------------------------------------------------------------------------------------


def call_bytes(name: str, path: Sequence[str], python: str, blobs: Sequence[bytes], *, mapped: bool) -> bytes:
    """The file of a call. blobs: the pickled function, and the pickled blocks of arguments."""
    head = Head(python, tuple(path), name, tuple(map(len, blobs)), mapped)
    return b"".join([head.line(), *blobs])


def read_head(file: BinaryIO) -> Head:
    """What stands at the file's beginning; raises Strange."""
    try:
        body = json.loads(file.readline())
        if body.pop("v") != 1:
            raise Strange("a later leaseq has written this call")
        body["path"], body["sizes"] = tuple(body["path"]), tuple(body["sizes"])
        return Head(**body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Strange(f"not a call: {error}") from None


def blob(file: BinaryIO, head: Head, number: int) -> bytes:
    """The function (0), or that block of arguments; the file stands behind its head. Raises Strange."""
    if not 0 <= number < len(head.sizes):
        raise Strange(f"the call has no block {number - 1}")
    start = file.tell()
    file.seek(start + sum(head.sizes[:number]))
    data = file.read(head.sizes[number])
    file.seek(start)
    if len(data) < head.sizes[number]:
        raise Strange("the file of the call ends too early")
    return data


# -- a result ----------------------------------------------------------------------------------------------------------


def write_result(path: str, records: Iterable[Failure | Any], temporary: str) -> int:
    """The file holds one record for each, durably; it is not there before it is whole. Gives the number of failures.

    What cannot be pickled becomes a Failure that says so, in its place.
    """
    failed = 0
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        for each in records:
            failed += _write(file, each) is ERROR
        file.flush()
        os.fsync(fd)
    directory, _, name = path.rpartition("/")
    try:
        os.rename(temporary, path)
    except FileNotFoundError:
        if name not in os.listdir(directory):  # else a file server has done it, and lost its reply
            raise
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return failed


def _write(file: io.BufferedWriter, value: Failure | Any) -> bytes:
    """Which of the two was written."""
    if not isinstance(value, Failure):
        start = file.tell()
        try:
            file.write(VALUE)
            dump(value, file)
            return VALUE
        except OSError:
            raise  # a full disk, and no fault of the value
        except Exception as error:
            file.seek(start)
            file.truncate()
            kind = type(value).__qualname__
            failure = pickle.PicklingError(f"the call gave a {kind}, which cannot be pickled: {error}")
            print(failure, file=sys.stderr)
            value = Failure(pickle.dumps(failure, PROTOCOL), "PicklingError", str(failure), "")
    file.write(ERROR)
    pickle.dump(tuple(value), file, PROTOCOL)
    return ERROR


def dump(value: object, file: BinaryIO) -> None:
    """The pickled value is in the file: by cloudpickle, if it is there and only that can."""
    start = file.tell()
    try:
        pickle.dump(value, file, PROTOCOL)
    except OSError:
        raise
    except Exception:
        try:
            import cloudpickle
        except ImportError:
            raise
        file.seek(start)
        file.truncate()
        cloudpickle.dump(value, file, protocol=PROTOCOL)


def records_of(file: BinaryIO) -> Iterator[Failure | Any]:
    """What a result holds, one after the other; raises Strange, and what unpickling raises."""
    while kind := file.read(1):
        if kind not in (VALUE, ERROR):
            raise Strange("not a result")
        body = pickle.load(file)
        yield Failure(*body) if kind == ERROR else body


def open_own(path: str) -> BinaryIO:
    """The file, which is this user's and which no one else may write; raises Strange, and FileNotFoundError."""
    with_names = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    os.close(with_names)  # an NFS client learns of a new name by this
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o022:
        os.close(fd)
        raise Strange(f"{path} is not a file of yours alone: it is not read")
    return open(fd, "rb")
