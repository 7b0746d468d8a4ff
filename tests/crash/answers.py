"""Leases that learn from answers of Slurm, met by every fault at every operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from leaseq.layout import Home
from leaseq.lease import upkeep
from leaseq.lease.slurm.answer import Queue, cache_of
from leaseq.lease.slurm.text import Row
from leaseq.models import Heartbeat, Lease, Need, Task
from leaseq.names import Entry
from leaseq.protocol import records, tasks, terms
from leaseq.world import Fs, SystemClock
from tests.crash.actors import REAL, Protocol
from tests.crash.check import Violated
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
    records.prepare_node(fs, HOME.lease("1"), "n1")
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


def running(beat_seconds: float | None) -> Disk:
    """The lease's node holds a task that is to be queued again, and was heard so long ago."""
    made = disk()
    fs, lease = MemoryFs(made), HOME.lease("1")
    task = Task(ENTRY.id, ("true",), "/", 1.0, requeue=True)
    tasks.publish(fs, lease.inbox("_any"), ENTRY, task)
    assert tasks.claim(fs, lease, lease.inbox("_any"), ENTRY, node="n1", incarnation="0123456789")
    if beat_seconds is not None:
        made.seconds = -beat_seconds
        terms.beat(fs, lease, Heartbeat("1", "n1", "0123456789", 1, 1.0, 5.0))
        made.seconds = 0.0
    return made


def learn(state: str, *, p: Protocol = REAL, cluster: str = "here") -> Callable[[Fs], object]:
    """A command learns that from Slurm; or, without a state, that Slurm has no such job, as another did before."""

    def act(fs: Fs) -> None:
        rows = [Row("1", state, script=f"/home/scripts/{OLD}.sh")] if state else []
        judge = p.judge(fs, HOME, cluster, unknown_to_slurm=lambda job: True)
        answer = judge.learn(Queue(), rows)
        upkeep.apply_all(fs, HOME, answer, clock=SystemClock(), is_silent=judge.is_silent)

    return act


def foreign_answers(p: Protocol) -> Iterator[str]:
    """Another cluster says again and again that it has no job of the number, while nothing is heard of the lease."""

    def build() -> Disk:
        made = running(200.0)
        MemoryFs(made).mkdir(cache_of(HOME, "there"))
        return made

    asked = learn("", p=p, cluster="there")
    for fs, case in every_fault(build, asked):
        for seconds in (100.0, 200.0):
            fs.disk.seconds = seconds  # type: ignore[attr-defined]
            asked(fs)
        if records.read_lease(fs, HOME.lease("1")).ended is not None:
            raise Violated(f"{case}: the lease of one cluster was ended by the answer of another")
        yield case
