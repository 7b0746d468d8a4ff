"""Packs of logs: what is put into one, what stays a file of its own, and where each log is found again."""

from __future__ import annotations

import pytest

from leaseq.layout import LeaseDir
from leaseq.models import Need, State
from leaseq.names import Entry, order
from leaseq.protocol.facts import Ended
from leaseq.protocol.index_logs import LOG_BYTES_MAX, Pack, Part, part_of
from leaseq.reading.logtail import chunks, start_of_last_lines
from leaseq.reading.output import Log
from tests.faults import Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

LEASE = LeaseDir("1", "/home/1")
TASK = "T00000000001"
ARRAY = Entry(order(priority=0, micros=1, sequence=0), TASK, Need(), 1, count=9)


@pytest.fixture
def fs() -> MemoryFs:
    made = MemoryFs(Disk())
    for path in ("/home/1", LEASE.logs, f"{LEASE.logs}/0", LEASE.logs_of(TASK), LEASE.log_dir(f"{TASK}_0")):
        made.mkdir(path)
    return made


def ended(index: int, state: State = State.DONE) -> Ended:
    return Ended(index, 1, index // 4, state)


def wrote(fs: MemoryFs, index: int, out: bytes) -> None:
    fs.create(LEASE.log(f"{TASK}_{index}", 1, "out"), out)


def pack_of(fs: MemoryFs | FaultFs) -> Pack:
    return Pack(fs, LEASE, ARRAY, "n1", "0123456789")


def read(fs: MemoryFs, pack: Pack, index: int) -> bytes | None:
    """What is found of that index by what the pack says."""
    (log,) = (each for each in pack.add([ended(index)])[index // 4] if each.stream == "out")
    part = part_of(fs, pack.path, log)
    return None if part is None else b"".join(chunks(Log(fs, "/home/1/none", lambda: part), 0))


def test_each_log_is_found_where_it_is_said_to_be_whatever_is_in_it(fs: MemoryFs) -> None:
    pack = pack_of(fs)
    contents = [b"one\n", b"", b'[3,1,"out",4]\nfour', b"\n\n", bytes(range(256))]
    for index, content in enumerate(contents):
        wrote(fs, index, content)
    placed = pack.add([ended(index) for index in range(len(contents))])
    assert {chunk: len(logs) for chunk, logs in placed.items()} == {0: 4, 1: 1}
    assert [read(fs, pack, index) for index in range(len(contents))] == contents


def test_what_a_failed_write_left_is_passed_over(fs: MemoryFs) -> None:
    for index in range(3):
        wrote(fs, index, b"log of %d\n" % index)
    faulty = FaultFs(fs, Fault(1, Kind.FAILS, 5, operation="append"))
    pack = pack_of(faulty)
    assert pack.add([ended(0)]) == {}
    fs.append(pack.path, b'[0,1,"out",9]\nlog')
    assert pack.add([ended(0), ended(1)])[0]
    pack.told()
    assert [read(fs, pack, index) for index in (1, 2)] == [b"log of 1\n", b"log of 2\n"]


def test_what_is_added_again_before_it_was_told_is_not_written_again(fs: MemoryFs) -> None:
    wrote(fs, 0, b"once")
    pack = pack_of(fs)
    assert pack.add([ended(0)]) == pack.add([ended(0)])
    assert fs.read(pack.path).count(b"once") == 1


def test_what_is_large_lost_or_no_file_stays_where_it_is(fs: MemoryFs) -> None:
    wrote(fs, 0, b"x" * (LOG_BYTES_MAX + 1))
    wrote(fs, 1, b"perhaps more follows")
    fs.mkdir(LEASE.log(f"{TASK}_2", 1, "out"))
    wrote(fs, 3, b"x" * LOG_BYTES_MAX)
    ends = [ended(0), ended(1, State.LOST), ended(2), ended(3, State.TIMEOUT)]
    assert [each.index for logs in pack_of(fs).add(ends).values() for each in logs] == [3]


def test_something_else_in_a_logs_place_is_not_shown_for_it(fs: MemoryFs) -> None:
    wrote(fs, 0, b"one")
    pack = pack_of(fs)
    (log,) = pack.add([ended(0)])[0]
    fs.create(pack.path, fs.read(pack.path)[:-1])
    assert part_of(fs, pack.path, log) is None
    fs.create(pack.path, b"another thing of some length")
    assert part_of(fs, pack.path, log) is None
    fs.unlink(pack.path)
    assert part_of(fs, pack.path, log) is None


def test_a_log_that_moves_into_a_pack_is_read_on_where_it_was(fs: MemoryFs) -> None:
    wrote(fs, 0, b"first\nsecond\n")
    path = LEASE.log(f"{TASK}_0", 1, "out")
    pack = pack_of(fs)
    (each,) = pack.add([ended(0)])[0]
    log = Log(fs, path, lambda: part_of(fs, pack.path, each))
    assert (log.read(0, 6), log.path, log.offset) == ((b"first\n", 13), path, 0)
    fs.unlink(path)
    assert log.read(6, 100) == (b"second\n", 13)
    assert start_of_last_lines(log, 1) == 6
    assert (log.path, log.offset) == (pack.path, each.offset)
    assert log.read(13, 5) == (b"", 13)


def test_a_log_that_is_nowhere_is_not_found(fs: MemoryFs) -> None:
    with pytest.raises(FileNotFoundError):
        Log(fs, "/home/1/none").read(0, 1)
    assert Log(fs, "/home/1/none", lambda: Part("/home/1/gone", 7, 0)).read(0, 1) == (b"", 0)
