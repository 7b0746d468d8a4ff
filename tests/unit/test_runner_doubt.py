"""A runner after a call that failed: what was done all the same is not done twice, and what it claimed is not left."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator

import pytest

from leaseq.dataclass import replace
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Array, Need, Task
from leaseq.names import Entry, new_incarnation
from leaseq.protocol import array_places, journal, plan, records, requests, tasks
from leaseq.room import Room
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.phase import Leave
from leaseq.runner.ports import Options, Ports
from tests.build import Clock, Keeper, make_alloc, make_entry, make_task
from tests.faults import Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

LEASE = LeaseDir("L", "/home/L")
ONE = Need(cpus=1)
COUNT = 12


class Scene:
    """A lease of one node, the runner that serves it, and what fails of its calls."""

    def __init__(self, *faults: Fault) -> None:
        self.clock, self.procs = Clock(), Keeper()
        self.disk_fs = MemoryFs(Disk())
        records.prepare(self.disk_fs, LEASE)
        records.prepare_node(self.disk_fs, LEASE, "n")
        fs, who = FaultFs(self.disk_fs, *faults), new_incarnation()
        ledger = Ledger(fs=fs, procs=self.procs, lease=LEASE, node="n", totals={}, incarnation=who)
        ports = Ports(fs, self.clock, self.procs, LEASE, "n", who, ledger, make_alloc())
        self.fs, self.runner = fs, Runner(ports, Options(Room(2, 1000, ()), nodes=("n",)))

    def submit(self, count: int = 0, *, max_fails: int = 0) -> Entry:
        """A task is pending, or an array of so many indices."""
        task: Task = make_task(need=ONE, array=Array(f"0-{count - 1}", max_fails=max_fails) if count else None)
        entry = make_entry(task.id, need=ONE, count=count)
        tasks.publish(self.disk_fs, LEASE.inbox(ANY), entry, task)
        return entry

    def turn(self, *, times: int = 1, status: int = 0) -> None:
        """So many turns, in each of which one of what runs ends so, and then the ledger's."""
        for _ in range(times):
            self.clock.at += 3.0
            self.disk_fs.disk.seconds = self.clock.at
            self.one_ends(status)
            self.runner.step()
        self.runner.ports.ledger.try_to_persist()

    def ask(self, what: str) -> None:
        requests.ask(self.disk_fs, LEASE, "n", what, {})

    def one_ends(self, status: int) -> None:
        """What has begun first of what runs has ended."""
        for key, rec in self.procs.records.items():
            if rec.status is None:
                self.procs.records[key] = replace(rec, status=status, ended=2.0, elapsed=1.0)
                return

    def may_leave(self) -> bool:
        state = self.runner.state
        hand = state.hand(unwritten=bool(self.runner.ports.ledger.open))
        return state.phase.may_leave(hand) is Leave.NOW


@pytest.fixture(autouse=True)
def _few_chunks() -> Iterator[None]:
    with plan.divided_into(3):
        yield


# -- lines of journals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation, place", [("read", "/h."), ("names", "/edges"), ("sync_dir", "/arrays/")])
@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_index_whose_end_is_in_the_journal_counts_once_whatever_fails_after_it(
    operation: str, place: str, at: int, times: int
) -> None:
    """What is begun, and what has ended, may be written together in either order."""
    fault = Fault(at, Kind.FAILS, errno.ESTALE, operation=operation, place=place)
    scene = Scene(fault)
    entry = scene.submit(COUNT)
    array = LEASE.array(entry.id, 1)
    ended = 0
    for _ in range(2 * COUNT):
        scene.turn(times=times)
        names = array_places.names_in(scene.disk_fs, array)
        told = journal.read(scene.disk_fs, array, names).ended
        counts = Counter(each.state for each in told.values())
        assert journal.totals(scene.disk_fs, array, names).counts == counts
        ended = max(ended, len(told))
    outcome = tasks.read_outcome(scene.disk_fs, LEASE, entry.id, 1)
    assert outcome is not None and outcome.counts == {"DONE": COUNT} and ended == COUNT


@pytest.mark.parametrize("operation, place", [("create", "/arrays/"), ("rename", "/x."), ("names", "/claimed/n")])
def test_an_array_of_which_too_many_have_failed_is_ended_though_that_fails_at_first(operation: str, place: str) -> None:
    """Else it would never end: what is left of it nobody would take."""
    scene = Scene(Fault(1, Kind.FAILS, errno.EIO, operation=operation, place=place))
    entry = scene.submit(COUNT, max_fails=2)
    for _ in range(2 * COUNT):
        scene.turn(status=1 << 8)
    outcome = tasks.read_outcome(scene.disk_fs, LEASE, entry.id, 1)
    assert outcome is not None and outcome.counts.keys() == {"FAILED", "CANCELLED"}
    assert outcome.reason.startswith("MaxFails")


# -- claims ------------------------------------------------------------------------------------------------------------

LINK = Fault(1, Kind.FAILS, errno.ESTALE, operation="link", place="/c.")
RENAME = (
    Fault(1, Kind.LOST_REPLY, errno.EIO, operation="rename", place="/claimed/"),
    Fault(1, Kind.FAILS, errno.EIO, operation="names", place="/claimed/n"),
)


@pytest.mark.parametrize("count, faults", [(COUNT, (LINK,)), (0, RENAME)], ids=["chunk", "task"])
def test_a_node_is_given_back_without_a_claim_that_may_have_been_made(count: int, faults: tuple[Fault, ...]) -> None:
    scene = Scene(*faults)
    entry = scene.submit(count)
    scene.turn()
    assert scene.runner.state.claims_in_doubt and scene.disk_fs.names(LEASE.claimed("n"))
    scene.ask("release")
    for _ in range(10):
        scene.turn()
        if scene.may_leave():
            break
    assert scene.may_leave() and scene.disk_fs.names(LEASE.claimed("n")) == []
    pending = [Entry.parse(name) for name in scene.disk_fs.names(LEASE.inbox(ANY))]
    assert {each.id for each in pending} == {entry.id}, "it is for another node"
    assert scene.procs.records == {}, "what has not begun does not begin to be ended"


@pytest.mark.parametrize("count, faults", [(COUNT, (LINK,)), (0, RENAME)], ids=["chunk", "task"])
def test_a_node_that_drains_comes_to_hold_nothing(count: int, faults: tuple[Fault, ...]) -> None:
    """Who waits for it to hold nothing would wait for ever for what nobody knows that he has."""
    scene = Scene(*faults)
    scene.submit(count)
    scene.turn()
    assert scene.runner.state.claims_in_doubt
    scene.ask("drain")
    for _ in range(10):
        scene.turn()
    assert scene.disk_fs.names(LEASE.claimed("n")) == []


def test_a_node_that_is_given_back_does_not_begin_what_it_has_claimed_and_not_begun() -> None:
    scene = Scene(Fault(1, Kind.FAILS, errno.EIO, operation="sync_dir", place="/claimed/n"))
    entry = scene.submit()
    scene.turn()
    assert scene.runner.state.won
    scene.ask("release")
    scene.turn()
    assert scene.procs.records == {} and scene.disk_fs.names(LEASE.inbox(ANY)) == [str(entry)]
    assert scene.may_leave()
