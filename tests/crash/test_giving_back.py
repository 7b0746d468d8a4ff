"""A node is given back: every fault at every operation of the command, and the same command again."""

from __future__ import annotations

from contextlib import suppress

from leaseq.dataclass import replace
from leaseq.errors import NotFound
from leaseq.heartbeat import Heartbeat
from leaseq.protocol import allocs, files, records, terms
from leaseq.protocol.allocs import Serving
from leaseq.verbs.access import Access
from leaseq.verbs.lease_shrink import give_back, part_of
from leaseq.world import Fs
from tests.build import Clock
from tests.crash.answers import HOME, every_fault, two
from tests.memoryfs import Disk, MemoryFs

LEASE = HOME.lease("1")


class Slurmless(Access):
    """Slurm takes every node back."""

    def let_go(self, serving: Serving) -> str:
        return ""


def with_a_node_more() -> Disk:
    """Job 2 has the node n3, too, whose runner has left."""
    made = two()
    fs = MemoryFs(made)
    place = LEASE.alloc("2")
    files.replace_file(fs, place.node_names, b"n2\nn3\n")
    files.replace_file(fs, place.named, b"n2\nn3\n")
    records.prepare_node(fs, LEASE, "n3")
    terms.beat(fs, LEASE, Heartbeat("1", "n3", "a123456789", 1, 1.0, 5.0, alloc="2", state="stopped"))
    return made


def act(fs: Fs) -> None:
    access = Slurmless(fs, HOME, Clock(), pause=lambda seconds: None)
    record = records.read_lease(fs, LEASE)
    with suppress(NotFound):  # somebody was first
        give_back(access, record, part_of(access, record, jobs=(), nodes=("n3",)))


def test_a_node_that_is_given_back_is_the_only_thing_that_changes() -> None:
    cases = 0
    before = [replace(each) for each in allocs.all_of(MemoryFs(with_a_node_more()), LEASE)]
    for fs, case in every_fault(with_a_node_more, act):
        cases += 1
        assert set(allocs.members(fs, LEASE)) in ({"n1", "n2", "n3"}, {"n1", "n2"}), case
        act(fs)
        assert set(allocs.members(fs, LEASE)) == {"n1", "n2"}, case
        assert list(allocs.all_of(fs, LEASE)) == before, case
        assert records.read_lease(fs, LEASE).ended is None, case
        assert [len(fs.names(LEASE.claimed(node))) for node in ("n1", "n2")] == [1, 1], case
        assert allocs.ever_named(fs, LEASE, before[1]) == {"n2", "n3"}, "whose it was is known"
    assert cases > 20
