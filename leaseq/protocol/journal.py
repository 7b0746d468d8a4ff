"""The journals of an array: what each incarnation of a runner has begun and ended of its indices, as lines.

    arrays/ID.ATTEMPT/o.NODE.INCARNATION      appended by that process alone, each batch synced; JSON arrays, one a line

    ["b",CHUNK,[[INDEX,ATTEMPT],...]]         these may run from now on; durable before they do
    ["u",CHUNK,[[INDEX,ATTEMPT],...],WHO]     what that incarnation began of these has certainly never run
    ["p",CHUNK,[[INDEX,ATTEMPT,STREAM,AT,BYTES],...]]  where these logs are in this incarnation's pack: see `index_logs`
    ["e",INDEX,ATTEMPT,CHUNK,STATE,...]       how that attempt of the index ended: the fields of `Ended`, in order
    ["d",[[CHUNK,FROM,TO],...]]               between which bytes all lines before this one are that tell of a chunk
    ["t",COUNTS,ATTEMPT,STARTED,ENDED,SECONDS,AT]  the journal's totals after its other lines: indices that have ended
                                              for good, by state; the highest attempt; of all the first start, the last
                                              end, and how long they ran together; where its last `d` is, if it has one

A torn line is no line. Of a chunk that was taken away from its holder, what its journal says after the cut is evidence,
and is never applied.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import product, takewhile
from typing import Any

from leaseq.array_names import ArrayNames
from leaseq.dataclass import replace
from leaseq.errors import Malformed
from leaseq.layout import ArrayDir
from leaseq.models import State
from leaseq.protocol import files
from leaseq.protocol.facts import (
    Attempts,
    Begun,
    Ended,
    Packed,
    Spans,
    Told,
    Totals,
    begins,
    directory,
    never_began,
    packs,
)
from leaseq.protocol.journal_file import DIRECTORY_BYTES, TAIL_BYTES, beginning, in_parts, lines, of_chunk, whole
from leaseq.schema import integer, text
from leaseq.world import Fs

DIRECTORY_SHARE = 8
"""A directory comes at the earliest after so many times its own size."""


class Journal:
    """The journal of one incarnation, which alone writes to it, one thread at a time."""

    def __init__(self, fs: Fs, array: ArrayDir, node: str, owner: str) -> None:
        self.fs, self.array, self.owner = fs, array, owner
        self.path = array.journal(node, owner)
        self.totals = Totals()
        self._size: int | None = 0
        """How long it is; None after a write of which nobody knows how far it came."""
        self._spans: Spans = {}
        self._directory: int | None = None
        """Where its last directory begins."""
        self._next_directory = DIRECTORY_BYTES
        self._torn = False
        self._named = False
        """True once its name is durable."""

    def write(
        self,
        *,
        ended: Sequence[Ended] = (),
        begun: Mapping[int, Attempts] | None = None,
        never: Sequence[tuple[int, Attempts, str]] = (),
        packed: Mapping[int, Sequence[Packed]] | None = None,
    ) -> None:
        """That stands at the end of the journal, durably, and then the totals. Raises OSError: to be written again.

        begun, packed: by chunk. never: of each (chunk, what never began of it, whose it was).
        """
        totals = replace(self.totals, counts=dict(self.totals.counts))
        lines = [(chunk, packs(chunk, logs)) for chunk, logs in (packed or {}).items()]
        for end in ended:
            totals.add(end)
            lines.append((end.chunk, end.line()))
        for chunk, attempts, owner in never:
            lines.append((chunk, never_began(chunk, attempts, owner)))
        for chunk, attempts in (begun or {}).items():
            totals.began(attempts)
            lines.append((chunk, begins(chunk, attempts)))
        parts = [b"\n"] if self._torn else []
        at = self._end() + len(parts)
        spans: Spans = {}
        for chunk, line in lines:
            spans[chunk] = spans.get(chunk, self._spans.get(chunk, (at, 0)))[0], at + len(line)
            parts.append(line)
            at += len(line)
        where, after = self._directory, self._next_directory
        if at >= after:
            listed = directory({**self._spans, **spans})
            parts.append(listed)
            where, at = at, at + len(listed)
            after = at + max(DIRECTORY_BYTES, DIRECTORY_SHARE * len(listed))
        parts.append(totals.line(where))
        self._torn, self._size = True, None
        self.fs.append(self.path, b"".join(parts))
        if not self._named:
            self.fs.sync_dir(self.array.root)
            self._named = True
        self._torn, self._size = False, at + len(parts[-1])
        self._spans.update(spans)
        self._directory, self._next_directory = where, after
        self.totals = totals

    def _end(self) -> int:
        """How long it is, by a look if nobody knows."""
        if self._size is not None:
            return self._size
        try:
            return self.fs.read_range(self.path, 0, 0)[1]
        except FileNotFoundError:
            return 0


# -- reading ---------------------------------------------------------------------------------------------------------


def cuts_of(fs: Fs, array: ArrayDir, names: ArrayNames) -> dict[tuple[int, str], int]:
    """By (chunk, incarnation) how many bytes of its journal count of that chunk; raises Malformed."""
    try:
        if not names.over:
            return {whose: _size(fs, array.cut(*whose)) for whose in names.cut}
    except FileNotFoundError:
        pass  # the array has ended since the names were listed
    body = files.json_object(files.content(fs, array.index))
    return {(integer(chunk), text(owner)): integer(size) for chunk, owner, size in _list(body.get("cuts"))}


def _size(fs: Fs, path: str) -> int:
    return integer(files.json_object(files.content(fs, path)).get("size"))


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(each, list) and len(each) == 3 for each in value):
        raise Malformed("not a list of cuts")
    return value


def read(
    fs: Fs,
    array: ArrayDir,
    names: ArrayNames,
    *,
    chunk: int | None = None,
    wanted: Container[int] | None = None,
) -> Told:
    """What all journals say, of that chunk and of those indices alone if they are given; raises Malformed."""
    cuts = cuts_of(fs, array, names)
    found = Told()
    begun: dict[tuple[int, int, str], Begun] = {}
    never: set[tuple[int, int, str]] = set()
    for node, owner in names.journals:
        own = {each: size for (each, whose), size in cuts.items() if whose == owner}
        for fact in _facts(whole(fs, array.journal(node, owner)), own):
            try:
                if fact[0] == "e":
                    if (chunk is None or fact[3] == chunk) and (wanted is None or fact[1] in wanted):
                        end = Ended.parse(fact)
                        begun.pop((end.index, end.attempt, owner), None)
                        if _counts(found.ended.get(end.index), end):
                            found.ended[end.index], found.nodes[end.index] = end, node
                elif fact[0] in "bu" and (chunk is None or fact[1] == chunk):
                    for index, attempt in fact[2]:
                        if wanted is not None and index not in wanted:
                            continue
                        if fact[0] == "b":
                            key = integer(index), integer(attempt), owner
                            begun[key] = Begun(key[1], integer(fact[1]), node, owner)
                        elif fact[3] == owner:
                            begun.pop((index, attempt, owner), None)
                        else:
                            never.add((index, attempt, fact[3]))
            except (Malformed, LookupError, TypeError, ValueError):
                continue
    for (index, attempt, owner), each in begun.items():
        end_of = found.ended.get(index)
        if (index, attempt, owner) in never or (end_of is not None and end_of.attempt >= attempt):
            continue
        known = found.begun.get(index)
        if known is None or known.attempt <= attempt:
            found.begun[index] = each
    return found


def ends(fs: Fs, array: ArrayDir, names: ArrayNames) -> Iterator[tuple[str, Ended]]:
    """Every end of every attempt that the journals tell, with its node; raises Malformed."""
    cuts = cuts_of(fs, array, names)
    for node, owner in names.journals:
        own = {each: size for (each, whose), size in cuts.items() if whose == owner}
        for fact in _once(_facts(whole(fs, array.journal(node, owner)), own)):
            with suppress(Malformed, LookupError, TypeError, ValueError):
                if fact[0] == "e":
                    yield node, Ended.parse(fact)


def first_ended(
    fs: Fs, array: ArrayDir, names: ArrayNames, states: Sequence[State], *, within: Container[int]
) -> tuple[int, State] | None:
    """The lowest of those indices that ended for good in one of the states, and in which; raises Malformed.

    The journals are read in parts, and of their other lines nothing but the beginning is looked at.
    """
    cuts = cuts_of(fs, array, names)
    marks = [f',"{state.name}",'.encode() for state in states]
    first: tuple[int, State] | None = None
    for node, owner in names.journals:
        for at, line in in_parts(fs, array.journal(node, owner)):
            if not line.startswith(b'["e",') or not any(mark in line for mark in marks):
                continue
            with suppress(Malformed, LookupError, TypeError, ValueError, RecursionError):
                index = int(line[5 : line.index(b",", 5)])
                if (first is not None and index >= first[0]) or index not in within:
                    continue
                for end in map(Ended.parse, lines(line)):
                    if end.state in states and not end.requeued and at < cuts.get((end.chunk, owner), at + 1):
                        first = index, end.state
    return first


def _counts(known: Ended | None, end: Ended) -> bool:
    """True if the end says more of its index than what is known."""
    return known is None or known.attempt < end.attempt or (known.attempt == end.attempt and end.state is State.LOST)


def of_index(
    fs: Fs, array: ArrayDir, names: ArrayNames, index: int, numbers: Sequence[int]
) -> tuple[list[tuple[Ended, str]], Begun | None]:
    """(how each attempt of that index ended, and where; the attempt that has begun and has not ended).

    numbers: those of its chunk and of that one's group. Of all other lines nothing but their beginning is looked at.
    Raises Malformed.
    """
    cuts = cuts_of(fs, array, names)
    ends: dict[int, tuple[Ended, str]] = {}
    begun: dict[tuple[int, str], Begun] = {}
    never: set[tuple[int, str]] = set()
    for (node, owner), chunk in product(names.journals, numbers):
        starts = [b'["e",%d,' % index, b'["b",%d,' % chunk, b'["u",%d,' % chunk]
        data = of_chunk(fs, array.journal(node, owner), chunk, cuts.get((chunk, owner)))
        for fact in lines(b"\n".join(beginning(data, starts))):
            try:
                if fact[0] == "e":
                    end = Ended.parse(fact)
                    if end.chunk == chunk and _counts(ends[end.attempt][0] if end.attempt in ends else None, end):
                        ends[end.attempt] = end, node
                    continue
                for attempt in [integer(each[1]) for each in fact[2] if each[0] == index]:
                    if fact[0] == "b":
                        begun[attempt, owner] = Begun(attempt, chunk, node, owner)
                    else:
                        never.add((attempt, text(fact[3])))
            except (Malformed, LookupError, TypeError, ValueError):
                continue
    last = max(ends, default=0)
    now = [each for (attempt, owner), each in begun.items() if attempt > last and (attempt, owner) not in never]
    return [ends[attempt] for attempt in sorted(ends)], max(now, default=None)


def packed(
    fs: Fs, array: ArrayDir, names: ArrayNames, numbers: Sequence[int], index: int | None = None
) -> Iterator[tuple[Packed, str, str]]:
    """(log, node, incarnation) of each log of those chunks, or of one index of them, that is in a pack.

    Raises Malformed.
    """
    cuts = cuts_of(fs, array, names)
    for (node, owner), chunk in product(names.journals, numbers):
        data = of_chunk(fs, array.journal(node, owner), chunk, cuts.get((chunk, owner)))
        for fact in lines(b"\n".join(beginning(data, [b'["p",%d,' % chunk]))):
            with suppress(Malformed, LookupError, TypeError, ValueError):
                logs = map(Packed.parse, fact[2])
                yield from ((each, node, owner) for each in logs if index is None or each.index == index)


def totals(fs: Fs, array: ArrayDir, names: ArrayNames) -> Totals:
    """What the last lines of all journals count; of one that was cut, what counts of it. Raises Malformed."""
    cuts = cuts_of(fs, array, names)
    found = Totals()
    for node, owner in names.journals:
        path = array.journal(node, owner)
        own = {chunk: size for (chunk, whose), size in cuts.items() if whose == owner}
        last, size = _last_totals(fs, path)
        if own and size > min(own.values()):
            found.join(counted(_facts(whole(fs, path), own)))
        elif last is not None:
            found.join(last)
    return found


def _once(facts: Iterable[list[Any]], before: Iterable[list[Any]] = ()) -> Iterator[list[Any]]:
    """Those lines of one journal without the ends that it has told by then; before: lines that stand before them.

    Who does not know whether a write was done writes it again.
    """
    told = {repr(fact[1:3]) for fact in before if fact[0] == "e"}
    for fact in facts:
        if fact[0] == "e":
            if (attempted := repr(fact[1:3])) in told:
                continue
            told.add(attempted)
        yield fact


def counted(facts: Iterable[list[Any]], before: Iterable[list[Any]] = ()) -> Totals:
    """The totals of the ends among those lines of one journal, each once: see `_once`."""
    found = Totals()
    for fact in _once(facts, before):
        try:
            if fact[0] == "e":
                found.add(Ended.parse(fact))
            elif fact[0] == "b":
                found.began([(integer(index), integer(attempt)) for index, attempt in fact[2]])
        except (Malformed, LookupError, TypeError, ValueError):
            continue
    return found


def _last_totals(fs: Fs, path: str) -> tuple[Totals | None, int]:
    """(the totals of the last whole batch of the journal, if there is one; its size)."""
    length, size = TAIL_BYTES, 0
    while True:
        try:
            tail, size = fs.read_range(path, -length, length)
        except FileNotFoundError:
            return None, 0
        facts = list(lines(tail if length >= size else tail.partition(b"\n")[2]))
        for at in range(len(facts) - 1, -1, -1):
            if facts[at][0] == "t":
                try:
                    found = Totals.parse(facts[at])
                except (Malformed, LookupError, TypeError, AttributeError):
                    continue
                late, batch = facts[at + 1 :], list(takewhile(lambda fact: fact[0] != "t", reversed(facts[:at])))
                if late and len(batch) == at and length < size:
                    break
                # Who wrote the lines after it died before their totals; perhaps he had written some in the last batch.
                found.join(counted(late, batch))
                return found, size
        if length >= size:
            return (counted(facts) if facts else None), size
        length = min(size, 16 * length)


def _facts(data: bytes, cuts: Mapping[int, int]) -> Iterator[list[Any]]:
    """The whole lines that count. cuts: by chunk, how many bytes do."""
    at = 0
    for end in [*sorted(set(cuts.values())), len(data)]:
        off = {chunk for chunk, size in cuts.items() if size <= at}
        for fact in lines(data[at:end]):
            if not off or fact[0] == "t" or _chunk_of(fact) not in off:
                yield fact
        at = max(at, end)


def _chunk_of(fact: list[Any]) -> object:
    at = 3 if fact[0] == "e" else 1
    return fact[at] if len(fact) > at else None
