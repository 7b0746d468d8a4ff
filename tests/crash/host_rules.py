"""Hosts that come to a lease and leave it: every fault at every operation, and another host between any two of them.

Each case yields the name of each thing that it tried, and raises `Violated` at the first that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest import mock

from leaseq import world
from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError
from leaseq.heartbeat import Heartbeat
from leaseq.lease import joined
from leaseq.models import Task
from leaseq.protocol import allocs, records, tasks, terms
from leaseq.world import Fs
from tests.build import Clock
from tests.crash.answers import ENTRY, HOME, every_fault
from tests.crash.check import Violated
from tests.faults import Died, Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

LAB = HOME.lease("lab")
MEETINGS = (Kind.MEANWHILE, Kind.MEANWHILE_TORN, Kind.LOST_REPLY_MEANWHILE)
MACHINES = {"gpu1": "1" * 16, "gpu2": "2" * 16, "twin": "3" * 16}
"""Machines, by name; the twin calls itself gpu2."""
SILENT_SECONDS = 1000.0


@dataclass(frozen=True)
class Hosts:
    """What hosts do about their lease."""

    join: Callable[..., object] = joined.join
    leave: Callable[..., bool] = joined.leave
    end: Callable[..., bool] = joined.end
    take_out: Callable[..., None] = joined.take_out


REAL = Hosts()
Act = Callable[[Fs], object]


@contextmanager
def on(host: str) -> Iterator[None]:
    """This process is on that host."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(world, "hostname", lambda: called(host)))
        stack.enter_context(mock.patch.object(joined, "machine_id", lambda: MACHINES[host]))
        yield


def called(host: str) -> str:
    return "gpu2" if host == "twin" else host


def of_host(host: str, act: Callable[[Fs], object]) -> Act:
    """The same by that host; a refusal is an answer."""

    def acts(fs: Fs) -> object:
        with on(host):
            try:
                return act(fs)
            except LeaseqError as refused:
                return refused

    return acts


def joins(p: Hosts, host: str) -> Act:
    return of_host(host, lambda fs: p.join(fs, LAB, node=called(host), machine=MACHINES[host], now=1.0))


def leaves(p: Hosts, host: str) -> Act:
    def act(fs: Fs) -> object:
        stay = joined.stay_of(fs, LAB, host)
        return stay is None or p.leave(fs, LAB, stay, now=2.0, reason="taken out")

    return of_host(host, act)


def ends(p: Hosts) -> Act:
    return of_host("gpu1", lambda fs: p.end(fs, LAB, clock=Clock(), reason="released"))


def a_lab(*hosts: str, holding: str = "", alive: bool = False) -> Disk:
    """The lease lab with those hosts; one may hold a task, and have said nothing for long."""
    made = Disk()
    made.seconds = -SILENT_SECONDS
    fs = MemoryFs(made)
    with on("gpu1"), mock.patch.object(joined, "make_home"):
        joined.made(fs, HOME, "lab", now=1.0)
    for host in hosts:
        joins(REAL, host)(fs)
    if holding:
        tasks.publish(fs, LAB.inbox("_any"), ENTRY, Task(ENTRY.id, ("true",), "/", 1.0))
        assert tasks.claim(fs, LAB, LAB.inbox("_any"), ENTRY, node=holding, incarnation="0123456789")
        terms.beat(fs, LAB, Heartbeat("lab", holding, "0123456789", 1, 1.0, 5.0, alloc=holding))
    made.seconds = 0.0
    made.sync_all()
    return made


def staying(fs: Fs) -> list[str]:
    return sorted(each.id for each in allocs.all_of(fs, LAB) if each.ended is None)


def met(build: Callable[[], Disk], act: Act, other: Act) -> Iterator[tuple[Fs, str]]:
    """What is left once the other has acted between any two operations of the act, which goes on."""
    counted = FaultFs(MemoryFs(build()))
    act(counted)
    for at, call in enumerate(counted.calls, 1):
        for kind in MEETINGS:
            if kind.applies_to(call[0]):
                fs = MemoryFs(build())
                fault = Fault(at, kind, meanwhile=partial(other, MemoryFs(fs.disk)))
                act(FaultFs(fs, fault))
                yield MemoryFs(fs.disk), f"{call}, {fault}"


def must(holds: bool, case: str, rule: str) -> str:
    if not holds:
        raise Violated(f"{case}: {rule}")
    return case


# -- the cases -------------------------------------------------------------------------------------


def a_host_comes(p: Hosts) -> Iterator[str]:
    """A host comes, whatever fails: it is in the lease once, durably, and the others are as they were."""
    act = joins(p, "gpu2")
    (before,) = allocs.all_of(MemoryFs(a_lab("gpu1")), LAB)
    for fs, case in every_fault(lambda: a_lab("gpu1"), act):
        act(fs)
        yield must(staying(fs) == ["gpu1", "gpu2"], case, f"in the lease are {staying(fs)}")
        must(allocs.all_of(fs, LAB)[0] == before or before in allocs.all_of(fs, LAB), case, "another is not as it was")
    fs = MemoryFs(a_lab("gpu1"))
    act(fs)
    for number, left in enumerate(fs.disk.losses()):
        case = f"power lost, mixture {number}"
        yield must(staying(MemoryFs(left)) == ["gpu1", "gpu2"], case, "it was told to be in the lease")


def a_host_comes_again(p: Hosts) -> Iterator[str]:
    """It is another allocation than before: what the first one held and when is another story."""

    def build() -> Disk:
        made = a_lab("gpu1", "gpu2")
        leaves(REAL, "gpu2")(MemoryFs(made))
        made.sync_all()
        return made

    act = joins(p, "gpu2")
    for fs, case in every_fault(build, act):
        act(fs)
        yield must(staying(fs) == ["gpu1", "gpu2.2"], case, f"in the lease are {staying(fs)}")
        over = [each.id for each in allocs.all_of(fs, LAB) if each.ended is not None]
        must(over == ["gpu2"], case, f"left have {over}")


def a_host_leaves(p: Hosts) -> Iterator[str]:
    """A host that holds nothing leaves, whatever fails; the lease and the others go on."""
    act = leaves(p, "gpu2")
    for fs, case in every_fault(lambda: a_lab("gpu1", "gpu2"), act):
        act(fs)
        yield must(staying(fs) == ["gpu1"], case, f"in the lease are {staying(fs)}")
        must(records.read_lease(fs, LAB).ended is None, case, "the lease has ended with it")
    fs = MemoryFs(a_lab("gpu1", "gpu2"))
    act(fs)
    for number, left in enumerate(fs.disk.losses()):
        case = f"power lost, mixture {number}"
        yield must(staying(MemoryFs(left)) == ["gpu1"], case, "it was told to have left")


def a_host_that_holds_a_task_stays(p: Hosts) -> Iterator[str]:
    """Neither itself nor another host takes it out, however silent it is: its task may run."""

    def takes_out(fs: Fs) -> object:
        if (stay := joined.stay_of(fs, LAB, "gpu2")) is not None:
            p.take_out(fs, LAB, stay, clock=Clock())
        return None

    for act in (leaves(p, "gpu2"), of_host("gpu1", takes_out)):
        for fs, case in every_fault(lambda: a_lab("gpu1", "gpu2", holding="gpu2"), act):
            act(fs)
            yield must(staying(fs) == ["gpu1", "gpu2"], case, "a host is out that holds a task")
            must(len(fs.names(LAB.claimed("gpu2"))) == 1, case, "its claim is gone")


def two_of_one_name_come(p: Hosts) -> Iterator[str]:
    """Two machines that are called the same are not one node: the second is refused, whenever they come."""
    for first, second in (("gpu2", "twin"), ("twin", "gpu2")):
        yield from _two_come(p, first, second)


def _two_come(p: Hosts, first: str, second: str) -> Iterator[str]:
    answers: list[object] = []

    def comes(host: str) -> Act:
        return lambda fs: answers.append(joins(p, host)(fs))

    for fs, case in met(lambda: a_lab("gpu1"), comes(first), comes(second)):
        came = [each for each in answers[-2:] if not isinstance(each, LeaseqError)]
        yield must(len(came) == 1, case, f"{len(came)} machines are the node gpu2")
        must(staying(fs) == ["gpu1", "gpu2"], case, f"in the lease are {staying(fs)}")


def the_lease_ends_as_a_host_comes(p: Hosts) -> Iterator[str]:
    """Either the lease goes on with the host, or it has ended and has none; a host knows which."""
    for act, other in ((joins(p, "gpu2"), ends(p)), (ends(p), joins(p, "gpu2"))):
        for fs, case in met(a_lab, act, other):
            over = records.read_lease(fs, LAB).ended is not None
            yield must(staying(fs) == ([] if over else ["gpu2"]), case, f"ended: {over}, in it are {staying(fs)}")


def the_lease_ends(p: Hosts) -> Iterator[str]:
    """It is ended once no host is left, whatever fails, and not before."""
    act = ends(p)
    for fs, case in every_fault(a_lab, act):
        act(fs)
        yield must(records.read_lease(fs, LAB).ended is not None, case, "it goes on")
    for fs, case in every_fault(lambda: a_lab("gpu1"), act):
        act(fs)
        yield must(records.read_lease(fs, LAB).ended is None, case, "it has ended with a host in it")


CASES = (
    a_host_comes,
    a_host_comes_again,
    a_host_leaves,
    a_host_that_holds_a_task_stays,
    two_of_one_name_come,
    the_lease_ends_as_a_host_comes,
    the_lease_ends,
)


def first_violation(p: Hosts, *, first: str = "") -> tuple[str, str] | None:
    """(the case, the rule that was broken), or None. first: the case that is tried first."""
    for case in sorted(CASES, key=lambda case: case.__name__ != first):
        try:
            for _ in case(p):
                pass
        except (Violated, OSError, Died) as caught:
            return case.__name__, str(caught)
    return None
