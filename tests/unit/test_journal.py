"""Journals of arrays: what was written is read, whatever is torn or was cut off."""

from __future__ import annotations

import errno

import pytest

from leaseq.array_names import ArrayNames
from leaseq.dataclass import replace
from leaseq.layout import ArrayDir
from leaseq.models import State
from leaseq.protocol import facts, journal
from leaseq.protocol.facts import Ended, Packed, Told, Totals
from leaseq.protocol.journal import Journal
from leaseq.protocol.journal_file import DIRECTORY_BYTES
from tests.faults import Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

ARRAY = ArrayDir("/home/a")
FIRST, SECOND = "000000000a", "000000000b"


class Counting(MemoryFs):
    """Counts what is read of files by parts."""

    read_bytes = 0

    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        data, size = super().read_range(path, offset, length)
        self.read_bytes += len(data)
        return data, size


@pytest.fixture
def fs() -> MemoryFs:
    made = MemoryFs(Disk())
    made.mkdir(ARRAY.root)
    return made


def _ended(index: int, state: State = State.DONE, **more: object) -> Ended:
    return replace(Ended(index, 1, 0, state), **more)  # type: ignore[arg-type]


def _read(fs: MemoryFs) -> Told:
    return journal.read(fs, ARRAY, ArrayNames.parse(fs.names(ARRAY.root)))


def _totals(fs: MemoryFs) -> Totals:
    return journal.totals(fs, ARRAY, ArrayNames.parse(fs.names(ARRAY.root)))


def _cut(fs: MemoryFs, owner: str, size: int, chunk: int = 0) -> None:
    fs.create(ARRAY.cut(chunk, owner), b'{"v":1,"size":%d}' % size)


def test_an_end_is_read_as_it_was_written(fs: MemoryFs) -> None:
    end = Ended(7, 2, 3, State.FAILED, 137, 9, "out\nof memory é", "retry", 1.5, 2.5, 1.0, ("0", "GPU-x"), 12.5, 0.25)
    Journal(fs, ARRAY, "n1", FIRST).write(ended=[end])
    assert _read(fs).ended == {7: end}


def test_what_has_begun_and_not_ended_is_told_with_whose_it_is(fs: MemoryFs) -> None:
    one = Journal(fs, ARRAY, "n1", FIRST)
    one.write(begun={0: [(0, 1), (1, 1)], 4: [(9, 2)]})
    one.write(ended=[_ended(0)], never=[(4, [(9, 2)], FIRST)])
    told = _read(fs)
    assert told.begun == {1: facts.Begun(1, 0, "n1", FIRST)}
    assert told.ended.keys() == {0}


def test_an_heir_may_say_that_what_was_begun_never_ran(fs: MemoryFs) -> None:
    Journal(fs, ARRAY, "n1", FIRST).write(begun={0: [(0, 1), (1, 1)]})
    heir = Journal(fs, ARRAY, "n1", SECOND)
    heir.write(never=[(0, [(0, 1)], FIRST)], ended=[_ended(1, State.LOST)])
    assert _read(fs) == Told({1: _ended(1, State.LOST)}, {1: "n1"})
    heir.write(begun={0: [(0, 1)]})
    assert _read(fs).begun == {0: facts.Begun(1, 0, "n1", SECOND)}


def test_a_later_attempt_counts_before_an_earlier_one(fs: MemoryFs) -> None:
    Journal(fs, ARRAY, "n2", SECOND).write(ended=[_ended(0, attempt=2)])
    Journal(fs, ARRAY, "n1", FIRST).write(ended=[_ended(0, State.FAILED, requeued="retry")])
    assert _read(fs).ended[0].state is State.DONE
    assert _totals(fs).counts == {State.DONE: 1}


@pytest.mark.parametrize("cut", [-3, -20, -60])
def test_a_torn_batch_costs_only_what_is_torn(fs: MemoryFs, cut: int) -> None:
    one = Journal(fs, ARRAY, "n1", FIRST)
    one.write(ended=[_ended(0)])
    one.write(ended=[_ended(1)])
    data = fs.read(one.path)
    fs.create(one.path, data[:cut])
    assert _read(fs).ended.keys() >= {0}
    assert _totals(fs).all_ended == len(_read(fs).ended)


def test_after_a_failed_write_the_next_line_stands_alone(fs: MemoryFs) -> None:
    one = Journal(FaultFs(fs, Fault(2, Kind.FAILS, errno.EIO, operation="append")), ARRAY, "n1", FIRST)
    one.write(ended=[_ended(0)])
    with pytest.raises(OSError):
        one.write(ended=[_ended(1)])
    fs.append(one.path, b'["e",5,1')
    one.write(ended=[_ended(1)])
    assert _read(fs).ended.keys() == {0, 1}
    assert _totals(fs).all_ended == 2


def _written_twice(fs: MemoryFs) -> Journal:
    """A journal whose first batch is in it twice: its writer did not know that it was there."""
    one = Journal(FaultFs(fs, Fault(1, Kind.FAILS, errno.EIO, operation="sync_dir")), ARRAY, "n1", FIRST)
    with pytest.raises(OSError):
        one.write(ended=[_ended(0), _ended(1)])
    one.write(ended=[_ended(0), _ended(1), _ended(2)])
    assert fs.read(one.path).count(b'["e",0,') == 2
    return one


def test_an_end_that_was_written_twice_counts_once_also_if_the_journal_was_cut(fs: MemoryFs) -> None:
    one = _written_twice(fs)
    assert _totals(fs).counts == {State.DONE: 3}
    size = len(fs.read(one.path))
    one.write(ended=[_ended(3)])
    _cut(fs, FIRST, size)
    assert _totals(fs).counts == {State.DONE: 3}
    ends = journal.ends(fs, ARRAY, ArrayNames.parse(fs.names(ARRAY.root)))
    assert [end.index for _, end in ends] == [0, 1, 2]


@pytest.mark.parametrize("long", [False, True])
def test_an_end_counts_once_whose_second_line_has_no_totals_after_it(fs: MemoryFs, *, long: bool) -> None:
    """Its writer did not know that the first was there, wrote it again, and died of that."""
    one = Journal(FaultFs(fs, Fault(3, Kind.FAILS, errno.EIO, operation="append")), ARRAY, "n1", FIRST)
    one.write(ended=[_ended(8)])
    batch = [_ended(index, reason="r" * 5000 if long else "") for index in range(2)]
    one.write(ended=batch)
    with pytest.raises(OSError):
        one.write(ended=[_ended(9)])
    fs.append(one.path, b"".join(each.line() for each in [*batch, _ended(9)]))
    assert _totals(fs).counts == {State.DONE: 4}


def test_what_follows_a_cut_is_not_applied_to_that_chunk(fs: MemoryFs) -> None:
    late = Journal(fs, ARRAY, "n1", FIRST)
    late.write(begun={0: [(0, 1), (1, 1)]}, ended=[_ended(8, chunk=2)])
    size = len(fs.read(late.path))
    late.write(ended=[_ended(0), _ended(9, chunk=2)], begun={0: [(3, 1)]})
    _cut(fs, FIRST, size)
    Journal(fs, ARRAY, "n2", SECOND).write(ended=[_ended(0, State.LOST)])
    told = _read(fs)
    assert {index: end.state for index, end in told.ended.items()} == {0: State.LOST, 8: State.DONE, 9: State.DONE}
    assert told.begun.keys() == {1}
    assert _totals(fs).counts == {State.DONE: 2, State.LOST: 1}


def test_a_cut_of_nothing_takes_all(fs: MemoryFs) -> None:
    Journal(fs, ARRAY, "n1", FIRST).write(ended=[_ended(0)])
    _cut(fs, FIRST, 0)
    assert _read(fs) == Told()
    assert _totals(fs).counts == {}


def test_the_totals_are_read_from_the_end_however_long_the_journal_is(fs: MemoryFs) -> None:
    one = Journal(fs, ARRAY, "n1", FIRST)
    for index in range(0, 3000, 10):
        ends = [
            _ended(each, started=float(each), ended=each + 2.0, elapsed_seconds=0.5)
            for each in range(index, index + 10)
        ]
        one.write(ended=ends)
    reads: list[int] = []
    fs.disk.hook = lambda operation, paths: reads.append(1) if operation.startswith("read") else None
    found = _totals(fs)
    assert (found.all_ended, found.started, found.ended, found.seconds, len(reads)) == (3000, 0.0, 3001.0, 1500.0, 1)


def test_what_is_told_of_an_index_is_found_without_most_of_a_long_journal(fs: MemoryFs) -> None:
    many, of_one = 60, 100
    faults = [Fault(at, Kind.FAILS, errno.EIO, operation="append") for at in (40, 300, 555)]
    one = Journal(FaultFs(fs, *faults), ARRAY, "n1", FIRST)
    sizes = []
    for place in range(0, many * of_one, 10):
        # Three chunks are worked on at once.
        first, chunk = divmod(place // 10, 3)
        chunk += 3 * (first // 10)
        indices = range(chunk * of_one + first % 10 * 10, chunk * of_one + first % 10 * 10 + 10)
        packed = {chunk: [Packed(indices[0], 1, "out", place, 5)]}
        what = {
            "begun": {chunk: [(index, 1) for index in indices]},
            "ended": [_ended(each, chunk=chunk, reason="x" * 60) for each in indices if each % 50 != 49],
            "packed": packed,
        }
        try:
            one.write(**what)  # type: ignore[arg-type]
        except OSError:
            fs.append(one.path, b'["e",%d,1,%d,"FAI' % (indices[0], chunk))
            one.write(**what)  # type: ignore[arg-type]
        sizes.append(len(fs.read(one.path)))
    size = sizes[-1]
    assert size > 3 * DIRECTORY_BYTES
    names = ArrayNames.parse(fs.names(ARRAY.root))
    told = _read(fs)
    assert len(told.ended) == many * of_one * 49 // 50
    for index in (0, 1, 49, 2017, 3049, 3050, 5899, 5900, 5999):
        ends, begun = journal.of_index(fs, ARRAY, names, index, [index // of_one])
        assert [end for end, _ in ends] == [each for each in [told.ended.get(index)] if each]
        assert begun == told.begun.get(index)
        logs = list(journal.packed(fs, ARRAY, names, [index // of_one]))
        assert len(logs) == of_one // 10 and {owner for _, _, owner in logs} == {FIRST}
    reader = Counting(fs.disk)
    journal.of_index(reader, ARRAY, names, 2017, [20])
    assert reader.read_bytes < size // 2
    # What follows a cut is evidence, wherever in the journal that is.
    for number in (5, 200, 599):
        _cut(fs, FIRST, sizes[number], chunk=20)
        cut = ArrayNames.parse(fs.names(ARRAY.root))
        all_told = journal.read(fs, ARRAY, cut, chunk=20)
        for index in range(2000, 2100):
            ends, begun = journal.of_index(fs, ARRAY, cut, index, [20])
            assert [end for end, _ in ends] == [each for each in [all_told.ended.get(index)] if each]
            assert begun == all_told.begun.get(index)


def test_a_journal_whose_directory_cannot_be_read_is_read_whole(fs: MemoryFs) -> None:
    one = Journal(fs, ARRAY, "n1", FIRST)
    for index in range(4000):
        one.write(ended=[_ended(index, reason="x" * 50)])
    names = ArrayNames.parse(fs.names(ARRAY.root))
    assert one._directory
    data = fs.read(one.path)
    for strange in (b'["d",[[0,1]]]', b'["d",7,[]]', b'["e",[[0,0,9]]]', b"[1"):
        fs.create(one.path, data[: one._directory] + strange + data[one._directory + len(strange) :])
        (ends, _) = journal.of_index(fs, ARRAY, names, 3, [0])
        assert len(ends) == 1, strange


def test_lines_that_mean_nothing_are_passed_over(fs: MemoryFs) -> None:
    Journal(fs, ARRAY, "n1", FIRST).write(ended=[_ended(0)])
    for line in (
        b"",
        b"[]",
        b"{}",
        b"7",
        b'["e"]',
        b'["e",1,1,0,"NO"]',
        b'["b",0]',
        b'["b",0,[1]]',
        b'["z",1]',
        b"\xff",
    ):
        fs.append(ARRAY.journal("n1", FIRST), line + b"\n")
    assert _read(fs) == Told({0: _ended(0)}, {0: "n1"})
    assert _totals(fs).all_ended == 1
