"""When a runner has the ledger hurry: if tasks wait for what has ended."""

from __future__ import annotations

from typing import Any

import pytest

from leaseq.dataclass import replace
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Need
from leaseq.names import new_incarnation
from leaseq.protocol import edges, records, tasks
from leaseq.room import Room
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.ports import Options, Ports
from leaseq.upstream import Edge, Upstream
from tests.build import Clock, Keeper, make_alloc, make_entry, make_task
from tests.memoryfs import Disk, MemoryFs


class Told(MemoryFs):
    """Counts the looks at what tasks wait for."""

    looks = 0

    def names(self, directory: str) -> list[str]:
        self.looks += directory.endswith("/edges")
        return super().names(directory)


class Beside:
    """A node on which three tasks run."""

    def __init__(self) -> None:
        self.fs, self.lease, self.procs = Told(Disk()), LeaseDir("L", "/home/L"), Keeper()
        records.prepare(self.fs, self.lease)
        records.prepare_node(self.fs, self.lease, "n")
        for number in range(3):
            entry = make_entry(sequence=number, need=Need(cpus=1))
            tasks.write_pending(self.fs, self.lease.inbox(ANY), entry, make_task(entry.id))
        given: dict[str, Any] = {"fs": self.fs, "procs": self.procs, "lease": self.lease, "node": "n"}
        self.ledger = Ledger(**given, totals={})
        ports = Ports(**given, clock=Clock(), incarnation=new_incarnation(), ledger=self.ledger, alloc=make_alloc())
        self.runner = Runner(ports, Options(Room(3, 1, ()), notified=True))
        self.runner.step()
        self.keys = sorted(self.runner.state.running)
        self.fs.looks = 0

    def end(self, key: str) -> None:
        self.procs.records[key] = replace(self.procs.records[key], status=0, ended=2.0, elapsed=1.0)
        self.runner.state.touch(key)
        self.runner.step()

    def wait_for(self, key: str) -> None:
        """A task waits for the end of that one, and the kernel has told so."""
        up, down = Upstream("ok", key.partition(".")[0], 1, "L"), f"{make_entry().id}.1"
        edges.put(self.fs, self.lease, [up], [down])
        self.runner.state.hint(self.lease.edges, f"{Edge(up, down)}", gone=False, now=0.0)


@pytest.fixture
def beside() -> Beside:
    return Beside()


def test_the_ledger_hurries_with_what_a_task_waits_for_though_others_run(beside: Beside) -> None:
    beside.wait_for(beside.keys[1])
    beside.end(beside.keys[0])
    assert not beside.ledger.awaited, "nobody waits for that one"
    beside.end(beside.keys[1])
    assert beside.ledger.awaited
    beside.ledger.persist()
    assert not beside.ledger.awaited


def test_what_a_task_waits_for_goes_before_all_else_that_has_ended(beside: Beside) -> None:
    beside.wait_for(beside.keys[1])
    for key in beside.keys[:2]:
        beside.end(key)
    assert beside.ledger.persist(waited_for=True)
    assert beside.ledger.unwritten() == beside.keys[:1]
    assert not beside.ledger.awaited
    assert beside.ledger.persist()
    assert not beside.ledger.unwritten()


def test_once_nobody_waits_here_ends_are_not_looked_up(beside: Beside) -> None:
    beside.end(beside.keys[0])
    assert beside.fs.looks == 1
    beside.end(beside.keys[1])
    assert beside.fs.looks == 1
    beside.wait_for(beside.keys[2])
    assert beside.runner.state.heard_of_edges
