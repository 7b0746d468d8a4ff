"""Output read from the end, and progress bars folded."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaseq.reading.logtail import CHUNK_BYTES, LINE_BYTES_MAX, Folder, chunks, folded, size, start_of_last_lines
from leaseq.reading.output import Log
from leaseq.world import SystemFs

FS = SystemFs(remote=False)


def last(path: Path, count: int) -> bytes:
    log = Log(FS, str(path))
    return b"".join(chunks(log, start_of_last_lines(log, count)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\n\n",
        b"a",
        b"a\nb",
        b"a\nb\n",
        b"\n" * (CHUNK_BYTES + 3),
        b"x" * (CHUNK_BYTES * 2 + 1),
        b"x" * (CHUNK_BYTES - 1) + b"\n" + b"y" * (CHUNK_BYTES - 1) + b"\n",
        b"".join(b"%d\n" % n for n in range(30000)),
    ],
)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 100, 20000, 10**6])
def test_the_last_lines_are_the_last_lines(tmp_path: Path, data: bytes, count: int) -> None:
    path = tmp_path / "log"
    path.write_bytes(data)
    assert last(path, count) == b"".join(data.splitlines(keepends=True)[-count:] if count else [])


def test_a_file_that_is_not_there_has_no_size(tmp_path: Path) -> None:
    assert size(Log(FS, str(tmp_path / "no"))) is None


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"", b""),
        (b"plain", b"plain"),
        (b"10%\r20%\r30%", b"30%"),
        (b"\r10%", b"10%"),
        (b"done\r", b"done"),
        (b"\r\r", b""),
        (b"\xff\r\xfe", b"\xfe"),
    ],
)
def test_a_progress_bar_is_its_last_state(line: bytes, shown: bytes) -> None:
    assert folded(line) == shown


def test_folding_does_not_depend_on_how_the_bytes_arrive() -> None:
    data = b"a\n1\r2\r\n\r3\r4\nlast\r5"
    whole = Folder()
    expected = whole.feed(data) + whole.end()
    assert expected == b"a\n2\n4\n5"
    piecewise = Folder()
    assert b"".join(piecewise.feed(data[n : n + 1]) for n in range(len(data))) + piecewise.end() == expected


def test_a_line_without_end_needs_no_endless_memory() -> None:
    folder = Folder()
    passed = sum(len(folder.feed(b"x" * 65536)) for _ in range(100))
    assert passed + len(folder.end()) == 6553600
    bar = Folder()
    for n in range(100):
        bar.feed(b"%d%%\r" % n * 10000)
        assert len(bar._rest) <= LINE_BYTES_MAX + 65536
    assert bar.end() == b"99%"
