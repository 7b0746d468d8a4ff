"""How the indices of an array end for good, learnt bit by bit by one who looks again and again.

What counts is what `index_ends` says, and it is durable before it is told. While an array goes on no more is read of
its journals than what was added since the last look; once it has ended all of it is read once more, for what no line
tells. Of an array that was queued again the next look goes on with its next attempt.
"""

from __future__ import annotations

from leaseq.array_names import ArrayNames
from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed
from leaseq.layout import ArrayDir, LeaseDir
from leaseq.models import State
from leaseq.protocol import array_places, journal, tasks
from leaseq.protocol.edges import BADLY
from leaseq.protocol.facts import Ended
from leaseq.protocol.index_ends import Try, of_try, was_retried_as
from leaseq.protocol.journal_file import added, lines
from leaseq.upstream import Standing
from leaseq.world import Fs

TELLS = b'["e",'


@dataclass
class _Line:
    """An end that a journal tells, and whether it counts is not known yet."""

    node: str
    owner: str
    at: int
    """Where in the journal its line ends."""
    end: Ended


@dataclass
class IndexNews:
    """What is known of one array's indices."""

    fs: Fs
    lease: LeaseDir
    id: str
    good: set[int] = field(default_factory=set)
    """Those that are DONE: no other attempt of one follows."""
    bad: dict[int, Standing] = field(default_factory=dict)
    """Those that ended otherwise, for all that was seen, and are not LOST."""
    journals: int = 0
    """How many journals the last look has read."""
    _try: Try | None = None
    """The one that goes on, if it has been seen."""
    _next: int = 1
    """Which attempt is looked for, if none is known that goes on."""
    _read: dict[tuple[str, str], int] = field(default_factory=dict)
    """How far each journal of that attempt was read."""
    _lines: list[_Line] = field(default_factory=list)
    _changed: set[int] = field(default_factory=set)

    def look(self) -> set[int]:
        """The indices of which more is known than before, or which are to run once more. Raises OSError."""
        while self._find_try():
            each = self._try
            assert each is not None
            outcome = tasks.readable_outcome(self.fs, self.lease, self.id, each.attempt)
            if outcome is None:
                self._read_on(each)
                break
            if not self._take_all(replace(each, outcome=outcome)):
                break
            self._try, self._next = None, outcome.last + 1
        changed, self._changed = self._changed, set()
        return changed

    def _find_try(self) -> bool:
        """The attempt that goes on is known, or the next one that has ended."""
        if self._try is not None:
            return True
        if self._next > 1 and not was_retried_as(self.fs, self.lease, self.id, self._next):
            return False
        outcome = tasks.readable_outcome(self.fs, self.lease, self.id, self._next)
        task = outcome.task if outcome else array_places.task_of_try(self.fs, self.lease, self.id, self._next)
        if task is None:
            return False  # it is on its way, or in another lease by now
        self._try, self._read, self._lines = Try(self._next, task, None), {}, []
        for index in self._try.indices:
            if self.bad.pop(index, None) is not None:
                self._changed.add(index)
        return True

    def _take_all(self, each: Try) -> bool:
        """How all indices of an attempt ended that is over is known; False if its journals cannot be read now."""
        wanted = each.indices
        if self.good:
            wanted = wanted - type(wanted).of(self.good)
        known = of_try(self.fs, self.lease, each, wanted).ended
        if wanted and not known:
            return False
        for index, end in known.items():
            self._note(index, end)
        return True

    def _read_on(self, each: Try) -> None:
        """What the journals of an attempt that goes on tell by now is known, as far as it counts."""
        array = self.lease.array(self.id, each.attempt)
        names = array_places.names_in(self.fs, array)
        self.journals = len(names.journals)
        for node, owner in names.journals:
            self._read_journal(array, node, owner)
        if not self._lines:
            return
        # Whoever takes a chunk away marks it before he reads how long its journal is: a line that was read before a
        # look without that mark counts.
        names = array_places.names_in(self.fs, array)
        if names.over:
            return  # its outcome says it all at the next look
        try:
            cuts = journal.cuts_of(self.fs, array, names)
        except (FileNotFoundError, Malformed):
            return
        told = [each for each in self._lines if _counts(each, names, cuts)]
        for node, owner in {(each.node, each.owner) for each in told}:
            # Who has written it may have died before his sync.
            self.fs.sync(array.journal(node, owner))
        if told:
            self.fs.sync_dir(array.root)
        self._lines = [each for each in self._lines if _is_open(each, names)]
        for line in told:
            self._note(line.end.index, Standing(line.end.state, each.attempt, 0.0))

    def _read_journal(self, array: ArrayDir, node: str, owner: str) -> None:
        for at, line in added(self.fs, array.journal(node, owner), self._read.get((node, owner), 0)):
            self._read[node, owner] = at
            if not line.startswith(TELLS):
                continue
            for fact in lines(line):
                try:
                    end = Ended.brief(fact)
                except (Malformed, LookupError, TypeError, ValueError):
                    continue
                if not end.requeued:
                    self._lines.append(_Line(node, owner, at, end))

    def _note(self, index: int, end: Standing) -> None:
        if end.state is State.DONE:
            self.bad.pop(index, None)
            if index not in self.good:
                self.good.add(index)
                self._changed.add(index)
        elif end.state in BADLY and self.bad.get(index) != end and index not in self.good:
            self.bad[index] = end
            self._changed.add(index)


def _counts(line: _Line, names: ArrayNames, cuts: dict[tuple[int, str], int]) -> bool:
    whose = line.end.chunk, line.owner
    return whose not in names.handed or (whose in names.cut and line.at <= cuts[whose])


def _is_open(line: _Line, names: ArrayNames) -> bool:
    """True if its chunk is being taken away, and it is not fixed yet how much of the journal counts."""
    whose = line.end.chunk, line.owner
    return whose in names.handed and whose not in names.cut
