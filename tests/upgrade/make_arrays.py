"""Makes a home with arrays as the first leaseq left them: `python -m tests.upgrade.make_arrays DIRECTORY`.

Kept in tests/fixtures/v1_arrays and never made again over itself. Each chunk of one array is in another state; the
other array has ended. The chunks of such arrays have no groups, as their names say.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from leaseq.layout import Home, LeaseDir
from leaseq.models import ANY, Array, Lease, Need, State, Task
from leaseq.names import Entry, names_drawn_from, order
from leaseq.protocol import arrays, chunks, files, records, tasks
from leaseq.protocol.facts import Ended
from leaseq.protocol.journal import Journal
from leaseq.protocol.tasks import Claim
from tests.upgrade.make import EPOCH, FS, LOCAL, NODE, OLD

GOES_ON, OVER = "T20g0es0n000", "T210ver00000"
COUNT = 8
GONE = "gone"
"""A node that was lost."""
ENDED, GIVEN_BACK, BEGUN, UNBEGUN, UNLINKED, TAKEN_AWAY = range(6)
"""Chunks of the array that goes on, by what had become of each; nobody had taken those behind."""


def entry_of(task_id: str, count: int) -> Entry:
    return Entry(order(priority=0, micros=int(1e6 * EPOCH), sequence=0), task_id, Need(gpus=0, cpus=1), 1, count=count)


def publish(lease: LeaseDir, entry: Entry) -> None:
    task = Task(
        entry.id,
        ("sh", "-c", "echo of {i}"),
        "/",
        EPOCH,
        need=entry.need,
        name="sweep",
        array=Array(f"0-{entry.count - 1}"),
        user="somebody",
        host="login",
    )
    tasks.publish(FS, lease.inbox(ANY), entry, task)
    arrays.prepare(FS, lease, entry)


def begin(lease: LeaseDir, entry: Entry, places: Sequence[int], *, node: str = NODE) -> tuple[Journal, list[Claim]]:
    """That node's runner, which is gone, has taken those chunks of one index and begun what is in them."""
    parts = [entry.of_chunk(place) for place in places]
    taken, _ = chunks.take(FS, lease, parts, node=node, incarnation=OLD)
    journal = Journal(FS, lease.array(entry.id, 1), node, OLD)
    journal.write(begun={place: [(place, 1)] for place in places})
    return journal, taken


def ended(place: int, state: State = State.DONE) -> Ended:
    code = int(state is State.FAILED)
    return Ended(place, 1, place, state, exit_code=code, started=EPOCH + 1, ended=EPOCH + 2, elapsed_seconds=1.0)


def make_one_that_goes_on(lease: LeaseDir) -> None:
    entry = entry_of(GOES_ON, COUNT)
    publish(lease, entry)
    journal, taken = begin(lease, entry, [ENDED, BEGUN])
    journal.write(ended=[ended(ENDED)])
    chunks.end(FS, lease, taken[:1])
    unbegun, _ = chunks.take(
        FS, lease, [entry.of_chunk(each) for each in (GIVEN_BACK, UNBEGUN)], node=NODE, incarnation=OLD
    )
    tasks.unclaim(FS, lease, unbegun[0], lease.inbox(ANY))
    FS.create(Claim(entry.of_chunk(UNLINKED).claimed_by(OLD), NODE).path(lease), b'{"v":1,"token":"it died here"}\n')
    _, (held,) = begin(lease, entry, [TAKEN_AWAY], node=GONE)
    arrays.give_up(FS, lease, held, reason="NodeDown")


def make_one_that_is_over(lease: LeaseDir) -> None:
    entry = entry_of(OVER, 2)
    publish(lease, entry)
    journal, taken = begin(lease, entry, [0, 1])
    journal.write(ended=[ended(0), ended(1, State.FAILED)])
    chunks.end(FS, lease, taken)
    closed = arrays.close(FS, lease, entry)
    assert closed is not None
    arrays.finish(FS, lease, closed, now=EPOCH + 3)


def make(directory: Path) -> None:
    """The directory holds `home/` as the first leaseq writes it."""
    home = Home(str(directory / "home"))
    for path in (directory, directory / "home", directory / "home/runs"):
        FS.mkdir(str(path))
    lease = home.lease(LOCAL)
    numbers = iter(range(1, 10_000))
    with names_drawn_from(lambda count: next(numbers).to_bytes(count, "big")):
        records.prepare(FS, lease)
        records.prepare_node(FS, lease, NODE)
        records.prepare_node(FS, lease, GONE)
        made = Lease(id=LOCAL, kind="local", created=EPOCH, user="somebody", host=NODE, nodes=(NODE,), version="0.1")
        files.replace_file(FS, lease.record, made.to_json())
        make_one_that_goes_on(lease)
        make_one_that_is_over(lease)


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute())
