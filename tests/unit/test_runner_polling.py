"""How often a runner that no kernel tells of new files lists its inboxes."""

from __future__ import annotations

from typing import Any

import pytest

from leaseq.layout import LeaseDir
from leaseq.models import ANY, Need
from leaseq.names import new_incarnation
from leaseq.protocol import records, tasks
from leaseq.room import Room
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.ports import Options, Ports
from tests.build import Clock, Keeper, make_alloc, make_entry, make_task
from tests.memoryfs import Disk, MemoryFs

SECONDS = 60


class Listed(MemoryFs):
    """Counts the listings of the shared inbox; another node may take a task just after the first."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self.listings = 0
        self.taken_by_another = ""

    def names(self, directory: str) -> list[str]:
        found = super().names(directory)
        if directory.endswith(f"/inbox/{ANY}"):
            self.listings += 1
            if self.taken_by_another:
                self.unlink(f"{directory}/{self.taken_by_another}")
                self.taken_by_another = ""
        return found


def fill(fs: MemoryFs, lease: LeaseDir, count: int) -> list[str]:
    names = []
    for number in range(count):
        entry = make_entry(sequence=number, need=Need(cpus=1))
        task = make_task(entry.id)
        tasks.write_pending(fs, lease.inbox(ANY), entry, task)
        names.append(str(entry))
    return names


def listings(fs: Listed, lease: LeaseDir, *, seconds: int = SECONDS) -> int:
    """How often the inbox is listed in so many seconds, four turns each, by a runner of 200 names a second."""
    clock, procs = Clock(), Keeper()
    given: dict[str, Any] = {"fs": fs, "procs": procs, "lease": lease, "node": "n"}
    options = Options(Room(1, 1, ()), names_per_second=200.0)
    ledger = Ledger(**given, totals={})
    runner = Runner(
        Ports(**given, clock=clock, incarnation=new_incarnation(), ledger=ledger, alloc=make_alloc()), options
    )
    for _ in range(seconds * 4):
        runner.step()
        clock.at += 0.25
    return fs.listings


@pytest.fixture
def place() -> tuple[Listed, LeaseDir]:
    fs, lease = Listed(Disk()), LeaseDir("L", "/home/L")
    records.prepare(fs, lease)
    records.prepare_node(fs, lease, "n")
    return fs, lease


def test_a_short_inbox_is_listed_at_every_poll(place: tuple[Listed, LeaseDir]) -> None:
    fs, lease = place
    fill(fs, lease, 10)
    assert listings(fs, lease) >= SECONDS


def test_a_long_inbox_is_listed_the_less_often_the_longer_it_is(place: tuple[Listed, LeaseDir]) -> None:
    fs, lease = place
    fill(fs, lease, 1000)
    assert SECONDS / 5 - 2 <= listings(fs, lease) <= SECONDS / 5 + 1


def test_a_claim_that_came_too_late_has_even_a_long_inbox_listed_at_the_next_poll(
    place: tuple[Listed, LeaseDir],
) -> None:
    fs, lease = place
    fs.taken_by_another = fill(fs, lease, 1000)[0]
    assert listings(fs, lease, seconds=2) == 2
