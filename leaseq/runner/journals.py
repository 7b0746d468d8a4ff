"""What becomes of arrays as their indices begin and end: written into journals, chunks ended, arrays concluded.

Called by the ledger, on its thread. What several items of one array say is one write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from leaseq.errors import Malformed, Newer
from leaseq.layout import LeaseDir
from leaseq.models import KEEP_PACKED, State
from leaseq.node.procs import Procs
from leaseq.protocol import array_places, arrays, chunks, dependents, files, index_logs, journal
from leaseq.protocol.facts import Attempts, Ended, Packed
from leaseq.protocol.index_logs import Pack
from leaseq.protocol.journal import Journal
from leaseq.protocol.stops import Stop
from leaseq.protocol.tasks import Claim
from leaseq.runner.holding import ArrayEnds, Begins, ChunkEnds, Holding, IndexEnds, Line, LogsLeft, NeverBegan, Note
from leaseq.world import Fs

Name = tuple[str, str]
"""(an array's attempt, the incarnation under which its chunks are held): each has a journal, and perhaps a pack."""


def _name(holding: Holding) -> Name:
    return holding.lot.key, holding.claim.entry.owner


class Journals:
    """The journals of one runner."""

    def __init__(self, *, fs: Fs, procs: Procs, lease: LeaseDir, node: str, now: Callable[[], float]) -> None:
        self.fs, self.procs, self.lease, self.node, self.now = fs, procs, lease, node, now
        self._open: dict[Name, Journal] = {}
        self._packs: dict[Name, Pack] = {}
        self.news = False
        """True if something has begun since the runner looked last."""
        self._ended: set[str] = set()
        """Indices that have ended, as far as those that wait for them have not been looked at."""
        self._stopping: dict[str, Stop] = {}
        """Why arrays are to end of which too many have failed, by their keys, until that is told to all."""
        self.watched: set[str] = set()
        """Arrays for whose indices those of others wait here."""

    def write(self, notes: Sequence[Note], done: Callable[[Note], None]) -> bool:
        """What the notes say is so, durably. Raises OSError; done: called for each that is.

        True if tasks may start that waited for an index.
        """
        failure: OSError | None = None
        journals: dict[Name, list[Note]] = {}
        for note in notes:
            name = (note.closed.entry.key, "") if isinstance(note, ArrayEnds) else _name(note.holding)
            journals.setdefault(name, []).append(note)
        for of_one in journals.values():
            try:
                self._write_one(of_one, done)
            except OSError as error:
                failure = error
        freed = bool(self._ended) and bool(dependents.follow_indices(self.fs, self.lease, sorted(self._ended)))
        freed = freed or any(each.partition("_")[0] in self.watched for each in self._ended)
        self._ended.clear()
        if failure:
            raise failure
        return freed

    def _write_one(self, notes: Sequence[Note], done: Callable[[Note], None]) -> None:
        told = [note for note in notes if isinstance(note, (Begins, NeverBegan, IndexEnds))]
        if unwritten := [note for note in told if not note.written]:
            self._write_lines(unwritten)
        if any(isinstance(note, IndexEnds) for note in told):
            self._stop_if_too_many_failed(told[0].holding, everywhere=False)
        for each in told:
            if isinstance(each, IndexEnds):
                self.procs.forget(each.key)
                if not each.ended.requeued:
                    self._ended.add(f"{each.holding.lot.entry.id}_{each.ended.index}")
            elif isinstance(each, Begins):
                self._begun(each)
            done(each)
        for note in notes:
            if isinstance(note, LogsLeft):
                held = note.holding.claim
                index_logs.tidy(self.fs, self.lease, held, kept=note.holding.lot.kept_logs)
                done(note)
        if ended := [note for note in notes if isinstance(note, ChunkEnds)]:
            chunks.end(self.fs, self.lease, [note.holding.claim for note in ended])
            self._stop_if_too_many_failed(ended[-1].holding, everywhere=True)
        for note in notes:
            if isinstance(note, ChunkEnds):
                done(note)
                if note is ended[-1] and (closed := self._closed(note.holding)):
                    self.finish(closed)
            elif isinstance(note, ArrayEnds):
                self.finish(note.closed)
                done(note)

    def _write_lines(self, notes: Sequence[Line]) -> None:
        """What the notes say stands in the journal, durably and once, whatever fails of what follows from it."""
        holding = notes[0].holding
        ended = [note for note in notes if isinstance(note, IndexEnds)]
        begun: dict[int, Attempts] = {}
        never: list[tuple[int, Attempts, str]] = []
        for note in notes:
            if isinstance(note, Begins):
                begun[note.holding.chunk] = [*begun.get(note.holding.chunk, ()), *note.attempts]
            elif isinstance(note, NeverBegan):
                never.append((note.holding.chunk, note.attempts, note.owner))
        ends = [note.ended for note in ended]
        packed = self._pack(holding, ends)
        self._journal(holding).write(ended=ends, begun=begun, never=never, packed=packed)
        for note in notes:
            note.written = True
        if ended:
            self._drop_logs(ended, packed)

    def _closed(self, holding: Holding) -> Claim | None:
        """The claim on the array, once nothing is left of it to take, nor in this runner's hands; whoever has made it.

        Who ends a chunk looks for the claim afterwards, and who makes the claim for chunks that have not ended: of the
        last of both, one sees the other.
        """
        lot = holding.lot
        if any(not each.overruled for each in lot.held):
            return None
        return lot.closed or array_places.closed(self.fs, self.lease, lot.entry)

    def _begun(self, note: Begins) -> None:
        """They may start, unless the chunk was taken away before their line was durable."""
        holding = note.holding
        if chunks.is_overruled(self.fs, self.lease, holding.claim):
            holding.overruled = True
        else:
            holding.fresh.extend(note.attempts)
        self.news = True

    def _stop_if_too_many_failed(self, holding: Holding, *, everywhere: bool) -> None:
        """Nothing more of the array starts, if as many have failed as are allowed. everywhere: on all nodes."""
        lot = holding.lot
        most = lot.task.array.max_fails if lot.task.array else 0
        if lot.key not in self._stopping:
            if not most or lot.stop_of_all:
                return
            told = self._journal(holding).totals
            if everywhere:
                told = journal.totals(self.fs, lot.array, array_places.names_of(self.fs, self.lease, lot.entry))
            failed = told.counts.get(State.FAILED, 0) + told.counts.get(State.TIMEOUT, 0)
            if failed < most:
                return
            self._stopping[lot.key] = Stop(None, f"MaxFails: {failed} failed", running=False)
            lot.stops = [*lot.stops, self._stopping[lot.key]]
        arrays.cancel(self.fs, self.lease, lot.entry, self._stopping[lot.key], now=self.now())
        del self._stopping[lot.key]

    def _pack(self, holding: Holding, ends: Sequence[Ended]) -> dict[int, list[Packed]]:
        """The logs of those attempts that are packed now, by chunk, if the array's are to be."""
        lot = holding.lot
        if lot.kept_logs != KEEP_PACKED or not ends:
            return {}
        name = _name(holding)
        if name not in self._packs:
            self._packs[name] = Pack(self.fs, self.lease, lot.entry, self.node, name[1])
        return self._packs[name].add(ends)

    def _drop_logs(self, ended: Sequence[IndexEnds], packed: Mapping[int, Sequence[Packed]]) -> None:
        """Logs of attempts whose ends are durable are gone, if they are not to be kept, or are packed."""
        lot = ended[0].holding.lot
        if not lot.kept_logs:
            return
        if pack := self._packs.get(_name(ended[0].holding)):
            pack.told()
        for holding in {id(note.holding): note.holding for note in ended}.values():
            ends = [note.ended for note in ended if note.holding is holding]
            index_logs.drop_files(
                self.fs,
                self.lease,
                holding.claim,
                kept=lot.kept_logs,
                ends=ends,
                packed=packed.get(holding.chunk, ()),
            )

    def _journal(self, holding: Holding) -> Journal:
        name = _name(holding)
        if name not in self._open:
            self._open[name] = Journal(self.fs, holding.lot.array, self.node, name[1])
        return self._open[name]

    def finish(self, closed: Claim) -> None:
        """The array has its outcome, if all its chunks have ended."""
        try:
            if arrays.finish(self.fs, self.lease, closed, now=self.now()) is not None:
                for name in [name for name in self._open if name[0] == closed.entry.key]:
                    del self._open[name]
                    self._packs.pop(name, None)
        except Newer:
            return  # a newer leaseq's to end
        except Malformed as error:
            files.set_aside(self.fs, self.lease, closed.path(self.lease), f"it cannot be ended: {error}")
