"""Files of the shared directory: prepared hidden, shown once, read afresh.

On NFS a call can succeed and report failure (measured: 12 of 48 server crashes), so no error of rename or link is
believed before the directory was listed afresh. Functions take the file system as a port and raise OSError if the
truth cannot be had.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.names import new_incarnation
from leaseq.schema import check_schema
from leaseq.world import Fs

NEVER_READABLE = frozenset((errno.EISDIR, errno.ELOOP, errno.EFBIG, errno.ENXIO))
"""What reading a directory, a link, a file without end or a socket says: trying again would not help."""

NO_DIRECTORY = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
"""What listing says of nothing, of a file and of a link to itself."""
NAME_BYTES_KEPT = 100
"""Of a name that is set aside: with what is added to it, it must still be one that a file may have."""


def make(fs: Fs, directories: Sequence[str]) -> None:
    for directory in directories:
        fs.mkdir(directory)
    for parent in dict.fromkeys(directory.rpartition("/")[0] for directory in directories):
        fs.sync_dir(parent)


def make_all(fs: Fs, directory: str) -> None:
    """The directory exists, durably, and so do those above it, the first of which must exist."""
    try:
        fs.mkdir(directory)
    except FileNotFoundError:
        make_all(fs, directory_of(directory))
        fs.mkdir(directory)
    fs.sync_dir(directory_of(directory))


def stage(fs: Fs, directory: str, data: bytes) -> str:
    """The data waits, durably, under a hidden name of the directory; gives its path."""
    temporary = hidden(directory)
    fs.create(temporary, data)
    return temporary


def directory_of(path: str) -> str:
    return path.rpartition("/")[0]


def names_in(fs: Fs, directory: str) -> list[str]:
    """Fresh names in the directory; none if there is no such directory."""
    try:
        return fs.names(directory)
    except OSError as error:
        if error.errno not in NO_DIRECTORY:
            raise
        return []


def content(fs: Fs, path: str) -> bytes:
    """The fresh content of a record's file; raises Malformed if it is no file that could ever be read."""
    with never_readable_is_malformed():
        return fs.read(path)


@contextmanager
def never_readable_is_malformed() -> Iterator[None]:
    """An OSError of a read that no trying again would mend is raised as Malformed."""
    try:
        yield
    except OSError as error:
        if error.errno in NEVER_READABLE:
            raise Malformed(f"cannot be read: {error.strerror}") from None
        raise


def replace_file(fs: Fs, path: str, data: bytes) -> None:
    """The file holds the data, durably; a reader sees the old content or the new, never none."""
    directory = path.rpartition("/")[0]
    temporary = hidden(directory)
    fs.create(temporary, data)
    rename_over(fs, temporary, path)
    fs.sync_dir(directory)


def set_aside(fs: Fs, lease: LeaseDir, path: str, reason: str) -> None:
    """A file that is not what its place says is in evidence/, with its reason beside it; the queue goes on."""
    name = os.fsdecode(os.fsencode(path.rpartition("/")[2])[:NAME_BYTES_KEPT]) + f".{new_incarnation()}"
    fs.create(f"{lease.evidence}/{name}.reason", reason.encode("utf-8", "replace") + b"\n", durable=False)
    try:
        fs.rename(path, f"{lease.evidence}/{name}")
    except FileNotFoundError:
        pass


def json_object(data: bytes) -> dict[str, object]:
    """The JSON object, of a schema that this leaseq reads; raises Malformed, Newer."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Malformed("not an object")
    check_schema(body)
    return body


def hidden(directory: str) -> str:
    """A path in the directory that no listing shows and no other process uses."""
    return f"{directory}/.{new_incarnation()}{new_incarnation()}"


def rename_own(fs: Fs, temporary: str, directory: str, name: str) -> None:
    """Rename to a name that nobody else makes; a lost reply is told from a failure by a fresh listing."""
    try:
        fs.rename(temporary, f"{directory}/{name}")
    except OSError as error:
        # ENOENT of a file that this process just wrote: the rename was done, and a runner may have moved it on.
        # The listing raises if the directory itself is missing.
        if name not in fs.names(directory) and not isinstance(error, FileNotFoundError):
            raise


def rename_over(fs: Fs, temporary: str, path: str) -> None:
    """Rename to a name that may be taken: seeing the name proves nothing."""
    try:
        fs.rename(temporary, path)
    except FileNotFoundError:
        # ENOENT of a file that this process just wrote: done. The listing raises if the directory is missing.
        fs.names(path.rpartition("/")[0])


def discard(fs: Fs, path: str) -> None:
    """The file is gone, by this process or another."""
    try:
        fs.unlink(path)
    except FileNotFoundError:
        pass
