"""Two nodes of one allocation that nothing uses: their real runners turn in turn, by a clock that is turned.

The runner of one node meets a fault at one of its operations, from the time on at which the allocation could leave.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from leaseq.dataclass import dataclass, replace
from leaseq.errors import LeaseqError
from leaseq.models import ANY, Need
from leaseq.names import Entry, new_incarnation
from leaseq.node.record import Rec
from leaseq.protocol import allocs, leaving, records, requests, tasks
from leaseq.room import Room
from leaseq.runner.ports import Options
from leaseq.runner.service import Parts, Service
from tests.build import Clock, Keeper, allocate, make_entry, make_task
from tests.crash.answers import HOME, OLD, record
from tests.faults import Died, Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

LEASE = HOME.lease("1")
NODES = ("n1", "n2")
LIMIT = 60.0
TASK_SECONDS = 20.0
SECONDS_MAX = 600
"""So long at most the allocation takes to leave, whatever happens once."""
SLOT = Room(1, 1000, ())
MEANWHILE = (Kind.MEANWHILE, Kind.MEANWHILE_TORN, Kind.LOST_REPLY_MEANWHILE)
DEATHS = (Kind.DIE_BEFORE, Kind.DIE_AFTER, Kind.DIE_TORN, Kind.DIE_EMPTY)
TROUBLES = (Kind.FAILS, Kind.LOST_REPLY)


class Armed(FaultFs):
    """Counts and fails nothing before it is armed."""

    armed = False

    def _call(self, operation: str, *args: Any, **options: Any) -> Any:
        return super()._call(operation, *args, **options) if self.armed else self._perform(operation, args, options)


class Ending(Keeper):
    """Its tasks end by themselves after some seconds, and nobody may end them before."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.began: dict[str, float] = {}
        self.starts: Counter[str] = Counter()

    def start(self, key: str, request: object) -> None:
        if key not in self.records:
            self.starts[key] += 1
            self.began[key] = self.clock.at
        super().start(key, request)

    def record(self, key: str) -> Rec | None:
        rec = super().record(key)
        if rec is None or self.clock.at < self.began[key] + TASK_SECONDS:
            return rec
        return replace(rec, status=0, ended=2.0, elapsed=1.0)


@dataclass
class Node:
    """A node and the runner that serves it, if one does."""

    name: str
    fs: FaultFs
    keeper: Ending
    service: Service | None = None
    due: float = 0.0
    beat_at: float = 0.0
    has_left: bool = False
    """True once its runner has left on purpose: none follows."""

    def hear(self) -> None:
        """It is told at once that something was asked of it."""
        if self.service is not None:
            self.service.state.look_at_control = True


class World:
    """The two nodes, until both have left."""

    def __init__(self, faulty: str, *, parts: Parts | None = None, limit: float = LIMIT) -> None:
        self.disk, self.clock, self.parts = Disk(), Clock(), parts or Parts()
        self.disk.seconds = -3600.0
        fs = self.fs = MemoryFs(self.disk)
        fs.mkdir(HOME.runs)
        records.register(fs, HOME, replace(record(OLD), allocs=True))
        for node in NODES:
            records.prepare_node(fs, LEASE, node)
        self.alloc = allocate(fs, LEASE, "1", nodes=NODES, token=OLD, cluster="here", idle_seconds=limit or None)
        self.place = allocs.directory(LEASE, self.alloc)
        self.disk.sync_all()
        self.disk.seconds = 0.0
        self.nodes = [Node(name, Armed(MemoryFs(self.disk)), Ending(self.clock)) for name in NODES]
        (self.faulty,) = (each for each in self.nodes if each.name == faulty)
        self.submitted: list[Entry] = []
        self.submits_at_death = False

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Time passes until both nodes have left, or that is so."""
        until = until or (lambda: all(each.has_left for each in self.nodes))
        deadline = self.clock.at + SECONDS_MAX
        while not until():
            assert self.clock.at < deadline, f"nothing leaves: {self.told()}"
            self.clock.at += 0.5
            self.disk.seconds += 0.5
            for node in self.nodes:
                if not node.has_left and self.clock.at >= node.due:
                    self._turn(node)

    def arm(self, *faults: Fault) -> Armed:
        """From now on the operations of the faulty node count, and one of them fails."""
        fs = self.faulty.fs
        assert isinstance(fs, Armed)
        fs.faults, fs.met, fs.armed = faults, [0] * len(faults), True
        return fs

    def _turn(self, node: Node) -> None:
        try:
            service = node.service or self._begin(node)
            wait = service.turn()
            service.ports.ledger.try_to_persist()
            if service.news() or self.clock.at >= node.beat_at:
                node.beat_at = self.clock.at + service.beats.period
                with suppress(OSError):
                    service.beats.beat()
            node.due = min(self.clock.at + max(wait, 0.0), node.beat_at)
            if service.may_leave():
                node.has_left = True
                with suppress(OSError):
                    service.beats.beat(state="stopped")
        except (Died, OSError, LeaseqError):
            if self.submits_at_death:
                self.submit()
            node.fs = FaultFs(MemoryFs(self.disk))
            node.service, node.due = None, self.clock.at + 1.0

    def _begin(self, node: Node) -> Service:
        service = Service(
            fs=node.fs,
            clock=self.clock,
            procs=node.keeper,
            lease=LEASE,
            alloc=self.alloc,
            node=node.name,
            incarnation=new_incarnation(),
            who={"host": node.name, "boot": "here", "pid": 1},
            parts=self.parts,
        )
        service.begin(len(NODES), alive=lambda beat: False, pause=lambda seconds: None)
        service.take_over(Options(capacity=SLOT, nodes=NODES))
        node.service = service
        return service

    # -- what happens meanwhile ----------------------------------------------------------------------

    def submit(self) -> None:
        """A task that any node could start is pending, durably, and each runner hears of it at once."""
        entry = make_entry(need=Need(cpus=1), micros=len(self.submitted) + 1)
        self.submitted.append(entry)
        tasks.publish(MemoryFs(self.disk), LEASE.inbox(ANY), entry, make_task(entry.id, argv=("true",)))
        for node in self.nodes:
            if node.service is not None:
                node.service.state.hint(LEASE.inbox(ANY), str(entry), gone=False, now=self.clock.at)
                node.due = self.clock.at

    def take_the_limit_away(self) -> None:
        """`leaseq lease idle off`."""
        fs = MemoryFs(self.disk)
        leaving.set_limit(fs, self.place, None)
        for node in NODES:
            requests.ask(fs, LEASE, node, "idle", {})
        for each in self.nodes:
            each.hear()

    # -- what is to be true --------------------------------------------------------------------------

    def told(self) -> str:
        states = [each.service and each.service.state for each in self.nodes]
        return "; ".join(f"{each.phase.wanted} {each.idle}" for each in states if each)

    def check(self, case: str) -> None:
        """Both have left, hold nothing, and what was submitted has run once or is pending."""
        fs = MemoryFs(self.disk)
        assert leaving.why_left(fs, self.place) == "idle for 60 s", case
        for node in NODES:
            assert fs.names(LEASE.claimed(node)) == [], f"{case}: {node} has left, and holds something"
        pending = fs.names(LEASE.inbox(ANY))
        for entry in self.submitted:
            done = tasks.read_outcome(fs, LEASE, entry.id, 1) is not None
            assert done != (str(entry) in pending), f"{case}: the task is {'twice' if done else 'lost'}"
        starts = sum((each.keeper.starts for each in self.nodes), Counter[str]())
        assert all(number == 1 for number in starts.values()), f"{case}: {starts}"
        assert len(starts) == len(self.submitted) - len(pending), case


def about_to_leave(faulty: str, *, parts: Parts | None = None, limit: float = LIMIT) -> World:
    """A world in which a moment is missing until the allocation could leave, were that its limit."""
    world = World(faulty, parts=parts, limit=limit)
    world.run(until=lambda: all(each.service for each in world.nodes))
    for each in world.nodes:
        assert each.service is not None
        each.service.state.active = -math.inf  # else they look twice a second, as after a start
    world.run(until=lambda: world.clock.at >= 1000.0 + LIMIT - 3.0)
    return world


def operations(faulty: str) -> list[tuple[str, ...]]:
    """What that node's runner does from there until it has left."""
    world = about_to_leave(faulty)
    fs = world.arm()
    world.run()
    world.check("no fault")
    return fs.calls


def every_leave(
    faulty: str, *, parts: Parts | None = None, kinds: Collection[Kind] = (*Kind,), submits: bool = False
) -> int:
    """Each fault has met the leaving at each operation of that node; in how many cases. Raises AssertionError.

    submits: a task is submitted when the runner has died.
    """
    cases, calls = 0, operations(faulty)
    looks = [at for at, call in enumerate(calls, 1) if call == ("names", LEASE.inbox(ANY))]
    for at, call in enumerate(calls, 1):
        for kind in kinds:
            if not kind.applies_to(call[0]):
                continue
            world = about_to_leave(faulty, parts=parts)
            world.submits_at_death = submits
            fault = Fault(at, kind, meanwhile=world.submit)
            world.arm(fault)
            case = f"{call} of {faulty}, {fault}"
            world.run()
            world.check(case)
            if world.submitted and at <= looks[-1]:
                assert not world.fs.names(LEASE.inbox(ANY)), f"{case}: what its last look could see was not run"
            cases += 1
    return cases


def every_limit_taken_away(faulty: str, *, parts: Parts | None = None) -> int:
    """The limit is taken away at each operation of the leaving, and then the runner dies: both nodes stay or go."""
    cases = 0
    for at, call in enumerate(operations(faulty), 1):
        for later in (0, 1, 4):
            world = about_to_leave(faulty, parts=parts)
            off = Fault(at, Kind.MEANWHILE, meanwhile=world.take_the_limit_away)
            world.arm(off, *([Fault(at + later, Kind.DIE_BEFORE)] if later else []))
            end = world.clock.at + 240.0
            world.run(until=lambda world=world, end=end: world.clock.at >= end)  # type: ignore[misc]
            left = {each.has_left for each in world.nodes}
            assert len(left) == 1, f"{call} of {faulty}, {off}, death after {later}: one has left"
            assert left == {bool(leaving.why_left(world.fs, world.place))}, f"{call} of {faulty}, {off}"
            if left == {False}:
                assert all(each.service and each.service.state.phase.may_claim for each in world.nodes), call
            cases += 1
    return cases
