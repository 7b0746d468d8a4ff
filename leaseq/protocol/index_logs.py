"""The logs of an array's indices, once those have ended: removed if they ended well, or packed into few files.

    logs/L/ID/pack.ATTEMPT.NODE.INCARNATION   appended by that process alone, each batch synced: of each log a line of
                                              JSON, [INDEX,ATTEMPT,STREAM,BYTES], and its bytes

Where in it a log begins stands in the journal of the same process, in the write that tells how the attempt ended, and
counts as that does: what no journal names is not in a pack. A log's own file goes after that; while it is there, it is
the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from leaseq.dataclass import dataclass
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.models import KEEP_FAILED, State
from leaseq.names import Entry
from leaseq.protocol import array_places, chunks, journal
from leaseq.protocol.facts import Ended, Packed, line_of
from leaseq.protocol.tasks import Claim
from leaseq.world import Fs

STREAMS = ("out", "err")
LOG_BYTES_MAX = 1 << 20
"""A log that is larger stays a file of its own."""
BATCH_BYTES = 4 << 20
"""So much is held in memory at most before it is written."""


class Pack:
    """The pack of one incarnation for one attempt of an array; it alone writes to it, one thread at a time."""

    def __init__(self, fs: Fs, lease: LeaseDir, array: Entry, node: str, owner: str) -> None:
        self.fs, self.lease, self.array = fs, lease, array.id
        self.path = lease.pack(array.id, array.attempt, node, owner)
        self._size: int | None = 0
        """How long it is; None after a write of which nobody knows how far it came."""
        self._named = False
        self._untold: dict[tuple[int, int, str], Packed] = {}
        """What is in it and in no journal yet, by (index, attempt, stream)."""

    def add(self, ends: Sequence[Ended]) -> dict[int, list[Packed]]:
        """The logs of those attempts that are in the pack now, durably, by chunk; each until `told` is called.

        What cannot be read or written, is large, or is LOST and may be written yet stays a file of its own.
        """
        batch: list[tuple[int, int, str, bytes]] = []
        size = 0
        logs = [(end.index, end.attempt, stream) for end in ends if end.state is not State.LOST for stream in STREAMS]
        with suppress(OSError):
            for log in logs:
                data = None if log in self._untold else self._content(*log)
                if data is None:
                    continue
                batch.append((*log, data))
                size += len(data)
                if size >= BATCH_BYTES:
                    self._append(batch)
                    batch, size = [], 0
            self._append(batch)
        found: dict[int, list[Packed]] = {}
        chunk = {(end.index, end.attempt): end.chunk for end in ends}
        for index, attempt, stream in logs:
            if each := self._untold.get((index, attempt, stream)):
                found.setdefault(chunk[index, attempt], []).append(each)
        return found

    def told(self) -> None:
        """The journal names what was added."""
        self._untold.clear()

    def _content(self, index: int, attempt: int, stream: str) -> bytes | None:
        path = self.lease.log(f"{self.array}_{index}", attempt, stream)
        try:
            data, size = self.fs.read_range(path, 0, LOG_BYTES_MAX + 1)
        except OSError:
            return None  # it has none, or one that is no file
        return data if size == len(data) <= LOG_BYTES_MAX else None

    def _append(self, batch: Iterable[tuple[int, int, str, bytes]]) -> None:
        start = self._start() if self._size is None else self._size
        parts: list[bytes] = []
        placed: list[Packed] = []
        at = start
        for index, attempt, stream, data in batch:
            head = header(index, attempt, stream, len(data)) if data else b""
            placed.append(Packed(index, attempt, stream, at + len(head), len(data)))
            parts += [head, data]
            at += len(head) + len(data)
        if at > start:
            self._size = None
            self.fs.append(self.path, b"".join(parts))
            if not self._named:
                self.fs.sync_dir(self.lease.logs_of(self.array))
                self._named = True
            self._size = at
        self._untold.update({(each.index, each.attempt, each.stream): each for each in placed})

    def _start(self) -> int:
        try:
            return self.fs.read_range(self.path, 0, 0)[1]
        except FileNotFoundError:
            return 0


def header(index: int, attempt: int, stream: str, length: int) -> bytes:
    """The line before a log in its pack."""
    return line_of([index, attempt, stream, length])


# -- what stays a file of its own ------------------------------------------------------------------------------------


def drop_files(
    fs: Fs, lease: LeaseDir, held: Claim, *, kept: str, ends: Sequence[Ended], packed: Iterable[Packed] = ()
) -> None:
    """Of attempts of the chunk whose ends stand durably those logs have no file of their own that need none.

    Unless the chunk was taken away meanwhile: then what was written of it may not count.
    """
    if kept == KEEP_FAILED:
        goes = [(end.index, end.attempt, stream) for end in ends if end.state is State.DONE for stream in STREAMS]
    else:
        goes = [(each.index, each.attempt, each.stream) for each in packed]
    with suppress(OSError):
        if goes and not chunks.is_overruled(fs, lease, held):
            _remove(fs, lease, held.entry.id, goes)


def tidy(fs: Fs, lease: LeaseDir, held: Claim, *, kept: str) -> None:
    """As `drop_files`, for all that journals tell of the chunk: whoever had it before may have died on the way."""
    array, names = lease.array(held.entry.id, held.entry.attempt), array_places.names_of(fs, lease, held.entry)
    assert held.entry.chunk is not None
    with suppress(OSError, Malformed):
        if kept == KEEP_FAILED:
            told = journal.read(fs, array, names, chunk=held.entry.chunk)
            drop_files(fs, lease, held, kept=kept, ends=list(told.ended.values()))
        else:
            packed = [each for each, _, _ in journal.packed(fs, array, names, [held.entry.chunk])]
            drop_files(fs, lease, held, kept=kept, ends=(), packed=packed)


def _remove(fs: Fs, lease: LeaseDir, array: str, logs: Iterable[tuple[int, int, str]]) -> None:
    for index, attempt, stream in logs:
        with suppress(FileNotFoundError):
            fs.unlink(lease.log(f"{array}_{index}", attempt, stream))


# -- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A log as a part of a pack."""

    path: str
    offset: int
    length: int


def part_of(fs: Fs, path: str, log: Packed) -> Part | None:
    """Where in that pack the log is; None if something else is there."""
    head = header(log.index, log.attempt, log.stream, log.length)
    if log.length:
        try:
            stands, size = fs.read_range(path, max(0, log.offset - len(head)), len(head))
        except FileNotFoundError:
            return None
        if stands != head or size < log.offset + log.length:
            return None
    return Part(path, log.offset, log.length)
