"""Leases that learn from answers of Slurm, met by every fault at every operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from leaseq.dataclass import replace
from leaseq.heartbeat import Heartbeat
from leaseq.layout import Home
from leaseq.lease import upkeep
from leaseq.lease.slurm.answer import Queue, cache_of
from leaseq.lease.slurm.text import Row
from leaseq.models import Lease, Need, Task
from leaseq.names import Entry
from leaseq.protocol import allocs, records, tasks, terms
from leaseq.world import Fs, SystemClock
from tests.build import allocate
from tests.crash.actors import REAL, Protocol
from tests.crash.check import Violated
from tests.faults import Died, Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

HOME = Home("/home")
OLD, NEW = "aaaaaaaaaa", "bbbbbbbbbb"
KINDS = (*Kind,)
ENTRY = Entry("5".zfill(25), "T" + "0" * 11, Need(), 1)
OTHER = Entry("6".zfill(25), "T" + "1" * 11, Need(), 1)


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
            fault = Fault(at, kind, meanwhile=partial(act, others))
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


def two() -> Disk:
    """A lease of two jobs: 1 with the node n1, that is silent, and 2 with n2, that is heard. Each node holds a task."""
    made = Disk()
    made.seconds = -3600.0
    fs, lease = MemoryFs(made), HOME.lease("1")
    for directory in (HOME.runs, HOME.cache, cache_of(HOME, "here")):
        fs.mkdir(directory)
    records.register(fs, HOME, replace(record(OLD), allocs=True))
    for job, token, node, entry in (("1", OLD, "n1", ENTRY), ("2", NEW, "n2", OTHER)):
        allocate(fs, lease, job, nodes=(node,), cluster="here", token=token, created=float(job))
        records.prepare_node(fs, lease, node)
        tasks.publish(fs, lease.inbox("_any"), entry, Task(entry.id, ("true",), "/", 1.0, requeue=True))
        assert tasks.claim(fs, lease, lease.inbox("_any"), entry, node=node, incarnation="0123456789")
        made.seconds = -200.0 if node == "n1" else -1.0
        terms.beat(fs, lease, Heartbeat("1", node, "0123456789", 1, 1.0, 5.0, alloc=job))
        made.seconds = -3600.0
    made.seconds = 0.0
    return made


def learn(
    state: str, *, p: Protocol = REAL, cluster: str = "here", other: bool = False, token: str = OLD
) -> Callable[[Fs], object]:
    """A command learns that from Slurm; or, without a state, that Slurm has no such job, as another did before.

    other: and that job 2 runs. token: what job 1 is marked with.
    """

    def act(fs: Fs) -> None:
        rows = [Row("1", state, script=f"/home/scripts/{token}.sh")] if state else []
        rows += [Row("2", "RUNNING", script=f"/home/scripts/{NEW}.sh", nodes="n2")] if other else []
        judge = p.judge(fs, HOME, cluster, unknown_to_slurm=lambda job: True, asked_ago=lambda: 0.0)
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


def ends_of_one(p: Protocol) -> Iterator[str]:
    """A command learns that one job of a lease has ended, and the other goes on."""
    asked = learn("TIMEOUT", p=p, other=True)
    for fs, case in every_fault(two, asked):
        for seconds in (0.5, 1.0):
            fs.disk.seconds = seconds  # type: ignore[attr-defined]
            asked(fs)
        lease = HOME.lease("1")
        first, second = allocs.all_of(fs, lease)
        if fs.names(lease.claimed("n2")) != [str(OTHER.claimed_by("0123456789"))]:
            raise Violated(f"{case}: what the job that goes on holds was settled")
        if second.ended is not None or records.read_lease(fs, lease).ended is not None:
            raise Violated(f"{case}: the end of one job was taken for the end of another, or of the lease")
        if first.end_reason != "TIMEOUT" or fs.names(lease.claimed("n1")):
            raise Violated(f"{case}: the end of the one job is not written")
        if fs.names(lease.inbox("_any")) != [str(ENTRY.next_attempt())]:
            raise Violated(f"{case}: what it held is not queued once more")
        yield case


def lines_of_another(p: Protocol) -> Iterator[str]:
    """A command learns that a job has ended that bears the number of one of the lease's, and another token."""
    asked = learn("TIMEOUT", p=p, other=True, token="c" * 10)
    for fs, case in every_fault(two, asked):
        asked(fs)
        lease = HOME.lease("1")
        if any(each.ended is not None for each in allocs.all_of(fs, lease)) or fs.names(lease.inbox("_any")):
            raise Violated(f"{case}: a job was ended by the line of another that has its number")
        yield case
