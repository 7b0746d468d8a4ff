"""Whatever stands in the files of a home, its reader gets a value or a clear error, and stays inside."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseq import config
from leaseq.cli import details, rows
from leaseq.errors import LeaseqError, Malformed
from leaseq.layout import Home, LeaseDir
from leaseq.lease import leases
from leaseq.lease.slurm import answer
from leaseq.lease.slurm.job import state_in
from leaseq.lease.slurm.text import Row
from leaseq.models import Lease, Outcome, State
from leaseq.names import Entry, new_incarnation
from leaseq.node import record
from leaseq.node.nodedir import NodeDir
from leaseq.protocol import allocs, records
from leaseq.protocol.keys import read_key
from leaseq.protocol.requests import read_request
from leaseq.protocol.retention import old_tasks
from leaseq.reading.find import detail, find
from leaseq.reading.history import Tail
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import Snapshot
from leaseq.runner.ending import outcome_of
from leaseq.words import visible
from leaseq.world import SystemClock, SystemFs
from tests.build import make_task
from tests.hostile.words import FILE_NAMES, blobs, broken, plain, words
from tests.upgrade.make import FS, IDS, LOCAL
from tests.upgrade.test_fixtures import copied

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with something in every place; each example puts back what it has changed."""
    return copied(tmp_path_factory.mktemp("hostile") / "home")


def files_of(home: Home) -> list[Path]:
    return sorted(path for path in Path(home.lease(LOCAL).root).rglob("*") if path.is_file())


def every_answer(home: Home) -> Iterator[object]:
    """What each reader makes of this home; LeaseqError and Malformed are answers, too."""
    lease = home.lease(LOCAL)
    snapshot = Reader(lease, FS, CLOCK).read(pending=None)
    shown(lease, snapshot)
    yield snapshot
    reads: tuple[Callable[[], object], ...] = (
        lambda: leases.list_leases(FS, home),
        lambda: leases.default(FS, home),
        lambda: leases.resolve(FS, home, "42"),
        lambda: records.read(FS, lease),
        lambda: allocs.members(FS, home.lease("42")),
        lambda: allocs.time_left(FS, home.lease("42")),
        lambda: allocs.notes_of(FS, home.lease("42")),
        lambda: answer.read(FS, home),
        lambda: config.load(home),
        lambda: read_key(FS, lease, "k" * 40),
        lambda: list(old_tasks(FS, lease, before=2e9, keep_failed=False)),
        lambda: find(Reader(lease, FS, CLOCK), "last"),
        *(partial(told, Reader(lease, FS, CLOCK), IDS[name]) for name in ("done", "any", "ended", "lost", "booked")),
    )
    for read in reads:
        try:
            yield read()
        except (LeaseqError, Malformed) as error:
            assert str(error)
            yield error


def told(reader: Reader, task_id: str) -> list[str]:
    """All that `info` prints of the task."""
    found = detail(reader, task_id)
    json.dumps(details.detail_json(reader.lease, found, env=True))
    lines = [visible(f"{key} {value}") for key, value in details.detail_lines(reader.lease, found, env=True)]
    assert all(line.isprintable() for line in lines)
    return lines


def shown(lease: LeaseDir, snapshot: Snapshot) -> None:
    """Everything in the snapshot can be shown, and every place that it names is in the lease."""
    json.dumps(rows.status_json(snapshot))
    for row in snapshot.tasks:
        json.dumps(rows.task_json(row))
        rows.short_reason(row), rows.gpu_text(row)
        if row.place:
            assert os.path.realpath(row.place.directory).startswith(os.path.realpath(lease.root))
            assert "/" not in row.place.name
    assert all(note.isprintable() for note in map(visible, snapshot.notes))


@given(data=st.data())
def test_any_bytes_in_any_file_of_a_lease_are_told_of_or_passed_over(home: Home, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(files_of(home)))
    before = path.read_bytes()
    lines = before.decode("utf-8", "replace").splitlines()
    try:
        body = json.loads(lines[-1]) if lines else {}
    except ValueError:
        body = {}
    path.write_bytes(data.draw(broken(body) if isinstance(body, dict) and body else blobs))
    try:
        assert list(every_answer(home))
    finally:
        path.write_bytes(before)


@given(data=st.data())
def test_any_bytes_in_the_files_of_the_home_are_told_of_or_passed_over(home: Home, data: st.DataObject) -> None:
    names = [
        "index.json",
        "cache/squeue.json",
        "config.yaml",
        *(f"runs/42/{name}" for name in ("lease.json", "nodes", "ends")),
    ]
    path = Path(home.root, data.draw(st.sampled_from(names)))
    before, index = path.read_bytes(), Path(home.index).read_bytes()
    body = json.loads(before) if path.suffix == ".json" else {}
    path.write_bytes(data.draw(broken(body) if body else blobs | words.map(os.fsencode)))
    try:
        assert list(every_answer(home))
    finally:
        path.write_bytes(before)
        Path(home.index).write_bytes(index)


@given(
    name=st.sampled_from(FILE_NAMES) | words.map(lambda name: name.replace("/", "").replace("\0", "")[:60]),
    data=st.data(),
)
def test_any_name_in_any_directory_is_told_of_or_passed_over(home: Home, name: str, data: st.DataObject) -> None:
    if name in ("", ".", "..") or len(os.fsencode(name)) > 255:
        return
    places = ["inbox", "inbox/_any", "held", "claimed", "claimed/vm", "claimed/_cli", "done/0", "lost", "booking", "hb"]
    place = data.draw(st.sampled_from([*places, "control/vm", "events", "keys", "evidence", "logs/0"]))
    path = os.path.join(home.lease(LOCAL).root, place, name)
    if os.path.lexists(path):
        return
    kind = data.draw(st.sampled_from(["file", "directory", "link", "fifo"]))
    if kind == "file":
        Path(path).write_bytes(data.draw(blobs))
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "link":
        os.symlink(data.draw(st.sampled_from(["/etc", "/etc/passwd", "/dev/zero", path])), path)
    else:
        os.mkfifo(path)
    try:
        assert list(every_answer(home))
    finally:
        shutil.rmtree(path) if kind == "directory" else os.unlink(path)


@pytest.mark.parametrize("kind", ["directory", "link", "fifo", "device"])
def test_what_is_no_file_under_a_known_name_stops_no_reader(home: Home, kind: str) -> None:
    """Each file of the lease in turn is a directory, a link to a device, a pipe, or a device itself."""
    for path in [
        *files_of(home),
        Path(home.index),
        Path(home.root, "cache/squeue.json"),
        Path(home.lease("42").record),
    ]:
        before = path.read_bytes()
        path.unlink()
        try:
            if kind == "directory":
                path.mkdir()
            elif kind == "link":
                path.symlink_to("/dev/zero")
            elif kind == "fifo":
                os.mkfifo(path)
            else:
                try:
                    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
                except PermissionError:
                    pytest.skip("device files cannot be made here")
            assert list(every_answer(home))
        finally:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            path.write_bytes(before)


@given(
    data=blobs
    | st.lists(st.dictionaries(st.sampled_from(["e", "boot", "pid", "status", "t", "why", "gpus"]), plain), max_size=4)
)
def test_a_nodes_record_of_any_lines_makes_an_outcome_that_is_read_again(data: bytes | list[object]) -> None:
    if not isinstance(data, bytes):
        data = b"\n".join(json.dumps(fact).encode() for fact in data)
    rec = record.parse(data)
    entry = Entry.parse(f"{'5':0<25}.T00000000000.x.1.{new_incarnation()}")
    task = make_task(entry.id, argv=("true",), submitted=0.0)
    outcome = outcome_of(task, entry, rec, node="n", incarnation=entry.owner, gpus=(), now=1.0)
    assert Outcome.from_json(outcome.to_json()) == outcome


@given(
    kind=st.sampled_from(["begin", "spawn", "stop", "exit", "fail"]),
    body=st.dictionaries(words, plain, max_size=2),
    data=st.data(),
)
def test_a_fact_of_a_record_with_strange_values_is_passed_over_or_true(
    kind: str, body: dict[str, object], data: st.DataObject
) -> None:
    fields = (
        "boot",
        "gpus",
        "limit",
        "grace",
        "pid",
        "start",
        "t",
        "m",
        "why",
        "status",
        "elapsed",
        "rss",
        "cpu",
        "reason",
        "code",
    )
    fact = {"e": kind, **{field: data.draw(plain | st.integers(0, 99)) for field in fields}, **body}
    rec = record.parse(json.dumps(fact).encode())
    assert rec.status is None or 0 <= os.waitstatus_to_exitcode(rec.status) <= 255 or rec.status < 256
    json.dumps(vars(rec), allow_nan=False, default=list)


@given(
    data=blobs
    | plain.map(lambda value: json.dumps(value).encode())
    | st.builds(
        lambda a, b, c, d: json.dumps({"pid": a, "pid_start": b, "boot": c, "incarnation": d}).encode(),
        plain,
        plain,
        plain,
        plain,
    )
)
def test_who_serves_a_node_is_a_holder_or_nobody(home: Home, data: bytes) -> None:
    Path(home.root, "runner").write_bytes(data)
    assert NodeDir(home.root).alive("runner") is None


@given(data=blobs | st.dictionaries(words, plain).map(lambda body: json.dumps(body).encode()))
def test_a_request_is_an_object_or_malformed(home: Home, data: bytes) -> None:
    path = Path(home.root, "request")
    path.write_bytes(data)
    try:
        assert isinstance(read_request(FS, str(path)), dict)
    except Malformed as error:
        assert str(error)


@given(lines=st.lists(blobs | plain.map(lambda value: json.dumps(value).encode()), max_size=5))
def test_a_history_of_any_lines_is_the_events_among_them(home: Home, lines: list[bytes]) -> None:
    good = Path(home.lease(LOCAL).events("vm")).read_bytes().splitlines()[0]
    path = Path(home.root, "history")
    path.write_bytes(b"\n".join([good, *lines, good]) + b"\n")
    tail = Tail(SystemFs(remote=False), str(path))
    assert [event.id for event in tail.read(100)] == [IDS["done"]] * 2
    assert (last := tail.last()) and last.totals == {"DONE": 1}


@given(value=st.builds(dict, **dict.fromkeys(("id", "state", "nodes", "left_seconds"), plain)))
def test_a_row_of_the_cache_is_a_row_or_malformed_and_a_lease_has_a_state(value: dict[str, object]) -> None:
    try:
        row = Row.from_record(value)
    except Malformed:
        return
    lease = Lease(id=row.id, kind="slurm", created=0.0)
    state = state_in(answer.Queue({row.id: row}, {}, 1.0), lease.first, now=1.0, lease_age_seconds=1.0)
    assert state.word in ("PENDING", "RUNNING", "COMPLETING", "ENDED", "UNKNOWN")
    assert row.state not in State.__members__ or state.word
