"""A number that comes again, and an end that is learnt from Slurm: every fault at every operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from leaseq import protocol
from leaseq.layout import Entry, Home
from leaseq.lease import records
from leaseq.lease.slurm_text import Row
from leaseq.lease.squeue import Queue, cache_of
from leaseq.lease.verdict import Judge
from leaseq.models import Heartbeat, Lease, Need, Task
from leaseq.world import Fs, SystemClock
from tests.faults import Died, Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

HOME = Home("/home")
OLD, NEW = "aaaaaaaaaa", "bbbbbbbbbb"
KINDS = (*Kind,)
ENTRY = Entry("5".zfill(25), "T" + "0" * 11, Need(), 1)


def record(token: str) -> Lease:
    return Lease("1", "slurm", 1.0, name=token, cluster="here", job="1", token=token)


def disk() -> Disk:
    made = Disk()
    made.seconds = -3600.0
    fs = MemoryFs(made)
    for directory in (HOME.runs, HOME.cache, cache_of(HOME, "here")):
        fs.mkdir(directory)
    records.register(fs, HOME, record(OLD))
    protocol.prepare_node(fs, HOME.lease("1"), "n1")
    made.seconds = 0.0
    return made


def every_fault(build: Callable[[], Disk], act: Callable[[Fs], object]) -> Iterator[tuple[Fs, str]]:
    """The file system after the act met each fault at each of its operations, and what that was."""
    counted = FaultFs(MemoryFs(build()))
    act(counted)
    for at, call in enumerate(counted.calls, 1):
        for kind in KINDS:
            if not kind.applies_to(call[0]):
                continue
            fs = MemoryFs(build())
            others = MemoryFs(fs.disk)
            fault = Fault(at, kind, meanwhile=lambda others=others: act(others))
            try:
                act(FaultFs(fs, fault))
            except (Died, OSError):
                pass
            yield MemoryFs(fs.disk), f"{call}, {fault}"


def test_a_number_that_comes_again_gives_one_new_lease_and_leaves_the_old_one_alone() -> None:
    cases = 0

    def register(fs: Fs) -> Lease:
        return records.register(fs, HOME, record(NEW))

    for fs, case in every_fault(disk, register):
        cases += 1
        assert protocol.read_lease(fs, HOME.lease("1")) == record(OLD), case
        made = register(fs)
        assert (made.id, made.token) == (f"1.{NEW}", NEW), case
        assert sorted(fs.names(HOME.runs)) == ["1", f"1.{NEW}"], case
        assert protocol.read_lease(fs, HOME.lease("1")) == record(OLD), case
    assert cases > 300


def running(beat_seconds: float | None) -> Disk:
    """The lease's node holds a task that is to be queued again, and was heard so long ago."""
    made = disk()
    fs, lease = MemoryFs(made), HOME.lease("1")
    task = Task(ENTRY.id, ("true",), "/", 1.0, requeue=True)
    protocol.publish(fs, lease.inbox("_any"), ENTRY, task)
    assert protocol.claim(fs, lease, lease.inbox("_any"), ENTRY, node="n1", incarnation="0123456789")
    if beat_seconds is not None:
        made.seconds = -beat_seconds
        protocol.beat(fs, lease, Heartbeat("1", "n1", "0123456789", 1, 1.0, 5.0))
        made.seconds = 0.0
    return made


def learn(state: str) -> Callable[[Fs], object]:
    """A command learns that from Slurm; or, without a state, that Slurm has no such job, as another did before."""

    def act(fs: Fs) -> None:
        rows = [Row("1", state, script=f"/home/scripts/{OLD}.sh")] if state else []
        Judge(fs, HOME, "here", clock=SystemClock(), unknown_to_slurm=lambda job: True).learn(Queue(), rows)

    return act


@pytest.mark.parametrize("state", ["TIMEOUT", ""])
def test_who_learns_of_an_end_starts_every_task_once_more_at_most(state: str) -> None:
    def build() -> Disk:
        made = running(200.0)
        if not state:
            made.seconds = -100.0
            MemoryFs(made).create(f"{cache_of(HOME, 'here')}/missed.1", b"")
            made.seconds = 0.0
        return made

    cases = 0
    for fs, case in every_fault(build, learn(state)):
        cases += 1
        fs.disk.seconds = 100.0  # type: ignore[attr-defined]
        learn(state)(fs)
        fs.disk.seconds = 200.0  # type: ignore[attr-defined]
        learn(state)(fs)
        lease = HOME.lease("1")
        assert protocol.read_lease(fs, lease).ended is not None, case
        assert fs.names(lease.inbox("_any")) == [str(ENTRY.next_attempt())], case
        assert fs.names(lease.claimed("n1")) == [], case
    assert cases > 100


@pytest.mark.parametrize("state", ["NODE_FAIL", ""])
def test_no_fault_makes_an_answer_end_a_lease_that_is_heard(state: str) -> None:
    for fs, case in every_fault(lambda: running(10.0), learn(state)):
        lease = HOME.lease("1")
        assert protocol.read_lease(fs, lease).ended is None, case
        assert fs.names(lease.inbox("_any")) == [], case
        assert fs.names(lease.claimed("n1")) == [str(ENTRY.claimed_by("0123456789"))], case
