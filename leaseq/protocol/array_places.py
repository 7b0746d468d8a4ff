"""Where the file of an array is, whoever moves it, and what is in its directory."""

from __future__ import annotations

from collections.abc import Iterator

from leaseq.array_names import ArrayNames
from leaseq.errors import Malformed
from leaseq.layout import ArrayDir, LeaseDir
from leaseq.models import ANY, Task
from leaseq.names import ARRAYS, Entry, is_node
from leaseq.protocol import files, tasks
from leaseq.protocol.tasks import Claim
from leaseq.schema import integer
from leaseq.world import Fs

LOOKS_MAX = 5
"""So often in a row the array may move while one looks for it."""


def names_of(fs: Fs, lease: LeaseDir, entry: Entry) -> ArrayNames:
    """What is in the array's directory; nothing before anybody has taken a chunk."""
    return names_in(fs, lease.array(entry.id, entry.attempt))


def names_in(fs: Fs, array: ArrayDir) -> ArrayNames:
    """The same, of an array's directory."""
    try:
        return ArrayNames.parse(fs.names(array.root))
    except FileNotFoundError:
        return ArrayNames()


def place_of(fs: Fs, lease: LeaseDir, entry: Entry, *, first: str = "") -> tuple[str, str] | None:
    """(directory, name) of the file of the array that the entry, or a chunk's, is of; None if it is over.

    first: the directory in which it was seen last, and is looked for first.
    """
    wanted = str(entry.of_array())
    if first and wanted in fs.names(first):
        return first, wanted
    for _ in range(2):  # it may move back from held while one looks
        for name in _closed(fs, lease):
            if name.startswith(f"{wanted}."):
                return lease.claimed(ARRAYS), name
        for directory in _pending(fs, lease):
            if wanted in fs.names(directory):
                return directory, wanted
    return None


def _pending(fs: Fs, lease: LeaseDir) -> Iterator[str]:
    """The directories in which an array may be that waits, is held, or of which something is left to take."""
    for parent in (lease.waitings, lease.helds, lease.inboxes):
        try:
            nodes = fs.names(parent)
        except FileNotFoundError:
            continue  # an older leaseq's lease has no waiting/
        for node in nodes:
            if node == ANY or is_node(node):
                yield f"{parent}/{node}"


def _closed(fs: Fs, lease: LeaseDir) -> list[str]:
    try:
        return fs.names(lease.claimed(ARRAYS))
    except FileNotFoundError:
        return []


def closed(fs: Fs, lease: LeaseDir, entry: Entry) -> Claim | None:
    """The claim on the array that somebody made because nothing was left to take; None if nobody has, or it is over."""
    wanted = f"{entry.of_array().pending()}."
    name = next((name for name in _closed(fs, lease) if name.startswith(wanted)), None)
    return None if name is None else Claim(Entry.parse(name), ARRAYS)


def read_array(fs: Fs, lease: LeaseDir, entry: Entry, *, first: str = "") -> Task | None:
    """The array's task, wherever its file is; None if it is over. Raises Malformed, Newer. first: as `place_of`."""
    for _ in range(LOOKS_MAX):
        place = place_of(fs, lease, entry, first=first)
        if place is None:
            return None
        try:
            return tasks.read_task(fs, "/".join(place), entry)
        except FileNotFoundError:
            continue  # it has moved on
    raise FileNotFoundError(2, "the array moves again and again", str(entry))


def task_of_try(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> Task | None:
    """What that attempt of the array runs, which has not ended; None if its file is not seen, or cannot be read."""
    part = f".{task_id}."
    for directory in (*_pending(fs, lease), lease.claimed(ARRAYS)):
        try:
            names = fs.names(directory)
        except FileNotFoundError:
            continue
        for name in names:
            if part not in name:
                continue
            try:
                entry = Entry.parse(name)
                if entry.attempt == attempt and entry.chunk is None:
                    return tasks.read_task(fs, f"{directory}/{name}", entry)
            except (FileNotFoundError, Malformed):
                return None
    return None


def throttle(fs: Fs, array: ArrayDir) -> int | None:
    """What a command has said of how many may run at once; None if it cannot be understood."""
    try:
        return integer(files.json_object(files.content(fs, array.throttle)).get("most"))
    except (FileNotFoundError, Malformed):
        return None
