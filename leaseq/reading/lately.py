"""What ran on a lease's nodes in the last hours: read from the ends of its files, and no further back than asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import TypeVar

from leaseq.array_names import ArrayNames
from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError, Malformed
from leaseq.layout import ArrayDir
from leaseq.models import Event
from leaseq.names import histories_in, parse_id
from leaseq.protocol import journal
from leaseq.protocol.facts import Ended
from leaseq.protocol.journal_file import lines
from leaseq.reading.find import find
from leaseq.reading.history import Lines
from leaseq.reading.sightings import names_in
from leaseq.reading.snapshot import Reader
from leaseq.reading.timeline import Board, Story
from leaseq.reading.usage import Run, Stay, going, of_event, of_index
from leaseq.reading.views import Health, NodeView

LINES_FIRST = 64
LINES_MAX = 10_000
"""So many lines are looked at of all files together, about: further back is not read."""
T = TypeVar("T")


@dataclass
class _Read:
    """How far a file was read."""

    want: int = LINES_FIRST
    """How many of its newest lines were looked at."""
    upto: int | None = None
    """Where the next line begins; None: it was not read yet."""
    reached: float | None = None
    """What ended before is not read, though it was asked for."""


class _Array:
    """The journals of one attempt of an array."""

    def __init__(self, reader: Reader, name: str) -> None:
        self.id = name.partition(".")[0]
        self.directory = ArrayDir(f"{reader.lease.arrays}/{name}")
        self.files: dict[tuple[str, str], Lines[Ended]] = {}
        """By (node, incarnation)."""
        self.cuts: Mapping[tuple[int, str], int] = {}
        self.last_end: float | None = None
        """When the last of it ended, once it is over: then nothing comes to it."""

    def look(self, reader: Reader) -> None:
        """Raises OSError, Malformed."""
        names = ArrayNames.parse(reader.fs.names(self.directory.root))
        self.cuts = journal.cuts_of(reader.fs, self.directory, names)
        for node, owner in names.journals:
            if (node, owner) not in self.files:
                self.files[node, owner] = Lines(reader.fs, self.directory.journal(node, owner), _end)
        if names.over:
            self.last_end = journal.totals(reader.fs, self.directory, names).ended


class Recorder:
    """What ran of one lease, looked at again and again; a look costs what has ended since the last."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._arrays: dict[str, _Array] = {}
        self._known: dict[str, tuple[str, str, str]] = {}
        self._forget(float("inf"))

    def _forget(self, since: float) -> None:
        """All is read once more, back to that time."""
        self._since = since
        self._last: Story | None = None
        self._board = Board()
        self._files: dict[str, _Read] = {}
        """By path."""

    def look(self, nodes: Iterable[NodeView], stays: Sequence[Stay], since: float) -> Story:
        """What ran since then: what has ended, and what runs on the nodes now; raises OSError."""
        if since < self._since or len(self._board) > 2 * LINES_MAX:
            self._forget(since)
        fresh: list[Run] = []
        for tail in self.reader.histories.tails():
            ((node, _),) = histories_in([tail.name])
            fresh += [run for _, event in self._read(tail, _ended_event) if (run := of_event(event, node))]
        for array in self._read_arrays(self._since):
            for (node, owner), file in array.files.items():
                for at, end in self._read(file, _ended_index):
                    if at < array.cuts.get((end.chunk, owner), at + 1) and (run := of_index(end, node, array.id)):
                        fresh.append(run)
        self._board.add(with_arrays(self.reader, fresh, self._known))
        going = with_arrays(self.reader, [run for view in nodes for run in _going(view)], self._known)
        reached = max((read.reached for read in self._files.values() if read.reached is not None), default=0.0)
        lanes = self._board.lanes(stays, going)
        if self._last is None or (lanes, reached) != (self._last.lanes, self._last.since):
            self._last = Story(lanes, reached)
        return self._last

    def _read(self, file: Lines[T], ended: Callable[[T], float]) -> list[tuple[int, T]]:
        """What a file says that it did not say at the last look; at the first, back to the time that is asked for."""
        read = self._files.setdefault(file.path, _Read())
        try:
            file.read(0, keep=read.want)
            found = self._read_back(file, ended, read) if read.upto is None else file.after(read.upto)
        except (Malformed, PermissionError):
            return []  # whoever reads the lease says so
        read.upto = file.end
        return found

    def _read_back(self, file: Lines[T], ended: Callable[[T], float], read: _Read) -> list[tuple[int, T]]:
        others = sum(each.want for each in self._files.values()) - read.want
        while True:
            found = file.placed(read.want)
            if (file.whole and file.held <= read.want) or (found and ended(found[0][1]) < self._since):
                return found
            if others + 4 * read.want > LINES_MAX:
                read.reached = ended(found[0][1]) if found else None
                return found
            read.want *= 4

    def _read_arrays(self, since: float) -> list[_Array]:
        """The arrays of which something may have ended since then."""
        names = names_in(self.reader.fs, self.reader.lease.arrays)
        self._arrays = {name: self._arrays.get(name) or _Array(self.reader, name) for name in sorted(names)}
        found = []
        for array in self._arrays.values():
            if array.last_end is None:
                try:
                    array.look(self.reader)
                except (FileNotFoundError, NotADirectoryError, Malformed):
                    continue  # swept away, or no array's
            if array.last_end is None or array.last_end >= since:
                found.append(array)
        return found


def _ended_event(event: Event) -> float:
    return event.ended


def _ended_index(end: Ended) -> float:
    return end.ended


def _going(view: NodeView) -> Iterator[Run]:
    """What runs on the node; if its runner is heard, without an end."""
    for run in going(view.heartbeat) if view.heartbeat else ():
        yield run._replace(state=view.holds[0], seconds=inf if view.health is Health.OK else run.seconds)


def _end(line: bytes) -> Ended:
    """The end that a line of a journal tells; raises Malformed."""
    try:
        if line.startswith(b'["e",'):
            return Ended.parse(next(lines(line + b"\n")))
    except (StopIteration, LookupError, TypeError, ValueError):
        pass
    raise Malformed("no end")


def with_arrays(reader: Reader, runs: Sequence[Run], known: dict[str, tuple[str, str, str]]) -> list[Run]:
    """The runs, those of indices with the name, the group and the command of their arrays; `known` keeps them by id."""
    found = []
    for run in runs:
        array, index = parse_id(run.id)
        if index is None:
            found.append(run)
            continue
        if array not in known:
            try:
                (row,) = find(reader, array)
                known[array] = row.name, row.group, row.command
            except (LeaseqError, ValueError):
                known[array] = "", "", ""
        name, group, command = known[array]
        found.append(run._replace(name=name, group=group, command=command))
    return found
