"""What must be true of lanes, whoever dies, fails or meets another at whichever operation."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from functools import partial

from leaseq.dataclass import dataclass
from leaseq.limit_names import Lane
from leaseq.protocol import lanes
from leaseq.world import Fs
from tests.crash.check import Violated
from tests.faults import Died, Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

NAME = "/home/lanes/x"
LIMIT = 2
DEATHS = (Kind.DIE_BEFORE, Kind.DIE_AFTER, Kind.DIE_TORN, Kind.DIE_EMPTY)


@dataclass(frozen=True)
class Taking:
    """The functions that holders use. A mutant replaces one."""

    take: Callable[..., Lane | None] = lanes.take
    free: Callable[..., None] = lanes.free
    free_gone: Callable[..., int] = lanes.free_gone


REAL = Taking()


class World:
    """One disk with lanes, and who has a claim."""

    def __init__(self, p: Taking, disk: Disk | None = None) -> None:
        self.p, self.disk = p, disk or Disk()
        self.claims: set[str] = set()
        self.runs: set[str] = set()
        """Holders that were told that they have a lane: their attempts run."""

    def fs(self) -> MemoryFs:
        return MemoryFs(self.disk)

    def start(self, fs: Fs, holder: str) -> bool:
        """The holder has its claim, and then a lane, or none and no claim."""
        self.claims.add(holder)
        if self.p.take(fs, NAME, holder, limit=LIMIT) is None:
            self.claims.discard(holder)
            return False
        self.runs.add(holder)
        self.check()
        return True

    def end(self, fs: Fs, holder: str) -> None:
        """The holder's attempt has ended; its lane is free, and then its claim is gone."""
        self.runs.discard(holder)
        for lane in lanes.look(fs, NAME):
            if lane.holder == holder:
                self.p.free(fs, NAME, lane)
        self.claims.discard(holder)

    def keep_house(self, fs: Fs) -> None:
        self.p.free_gone(fs, NAME, stands=lambda holder: holder in self.claims)

    def check(self) -> None:
        """No more run than the limit says, each that runs has one lane, and no lane has two tokens."""
        if len(self.runs) > LIMIT:
            raise Violated(f"{sorted(self.runs)} run at once")
        names = self.fs().names(NAME) if NAME in self.disk.live else []
        tokens = [lane for lane in map(Lane.parse, names) if lane.generation]
        for holder in self.runs:
            if [lane.holder for lane in tokens].count(holder) != 1:
                raise Violated(f"{holder} runs and has no lane of its own: {names}")
        numbers = [lane.number for lane in tokens]
        if len(numbers) != len(set(numbers)):
            raise Violated(f"a lane has two tokens: {names}")

    def check_none_lost(self) -> None:
        """Whatever died: once its claims are gone, as many can start as the limit says."""
        fs = self.fs()
        self.runs.clear()
        self.claims.clear()
        self.keep_house(fs)
        for number in range(LIMIT):
            if not self.start(fs, f"last{number}"):
                raise Violated(f"only {number} can start: {fs.names(NAME)}")
        if self.start(fs, "more"):
            raise Violated("more can start than the limit says")


Act = Callable[[World, Fs], bool]
"""What somebody does; False if he was told that there is no lane."""


def _first(world: World, fs: Fs) -> bool:
    """One starts, the first of all: its lane has to be made."""
    return world.start(fs, "one")


def _second(world: World, fs: Fs) -> bool:
    """One starts where a lane is free, and ends."""
    if not world.claims:
        world.start(world.fs(), "zero")
    world.end(world.fs(), "zero")
    started = world.start(fs, "one")
    world.end(fs, "one")
    return started


def _house(world: World, fs: Fs) -> bool:
    """Housekeeping frees what a dead one had."""
    if not world.disk.live.get(NAME):
        world.start(world.fs(), "dead")
        world.start(world.fs(), "alive")
    world.claims.discard("dead")
    world.runs.discard("dead")
    world.keep_house(fs)
    return True


def _house_again(world: World, fs: Fs) -> bool:
    """Housekeeping frees what was given for a claim that is gone, and that may be made again just then."""
    if not world.disk.live.get(NAME):
        lanes.take(world.fs(), NAME, "other", limit=None)
    world.keep_house(fs)
    return True


def _renews(world: World, fs: Fs) -> bool:
    """One starts who had been given a lane for an earlier claim."""
    if not world.disk.live.get(NAME):
        lanes.take(world.fs(), NAME, "one", limit=None)
    return world.start(fs, "one")


ACTS = (_first, _second, _house, _house_again, _renews)


def _operations(p: Taking, act: Act) -> list[str]:
    world = World(p)
    fs = FaultFs(world.fs())
    act(world, fs)
    return [call[0] for call in fs.calls]


def deaths(p: Taking) -> Iterator[str]:
    """Whoever acts dies at each operation."""
    for act in ACTS:
        for at, operation in enumerate(_operations(p, act), 1):
            for kind in DEATHS:
                if kind.applies_to(operation):
                    world = World(p)
                    _die(world, act, Fault(at, kind))
                    world.check()
                    world.check_none_lost()
                    yield f"{act.__name__} {at} {kind}"


def lost_replies(p: Taking) -> Iterator[str]:
    """Each change is done and reported as failed: whoever acts is told the truth all the same."""
    for act in ACTS:
        for at, operation in enumerate(_operations(p, act), 1):
            if Kind.LOST_REPLY.applies_to(operation):
                world = World(p)
                if not act(world, FaultFs(world.fs(), Fault(at, Kind.LOST_REPLY))):
                    raise Violated(f"operation {at}: it has its lane, and was told that it has none")
                world.check()
                world.check_none_lost()
                yield f"{act.__name__} {at}"


def failures(p: Taking) -> Iterator[str]:
    """Each operation fails, done or not; whoever acts tries again."""
    for act in ACTS:
        for at, operation in enumerate(_operations(p, act), 1):
            for kind in (Kind.FAILS, Kind.LOST_REPLY):
                if kind.applies_to(operation):
                    world = World(p)
                    try:
                        act(world, FaultFs(world.fs(), Fault(at, kind, errno.EIO)))
                    except OSError:
                        act(world, world.fs())
                    world.check()
                    world.check_none_lost()
                    yield f"{act.__name__} {at} {kind}"


def _start_and_end(world: World) -> None:
    world.start(world.fs(), "other")
    world.end(world.fs(), "other")


def _all_end(world: World) -> None:
    for each in ("other", "alive"):
        world.end(world.fs(), each)


def _house_and_start(world: World) -> None:
    world.keep_house(world.fs())
    world.start(world.fs(), "other")


def meetings(p: Taking) -> Iterator[str]:
    """Another starts, ends or keeps house just before each operation, or before a lost reply."""
    others: dict[str, Callable[[World], object]] = {
        "start": lambda world: world.start(world.fs(), "other"),
        "start and end": _start_and_end,
        "two start": lambda world: (world.start(world.fs(), "other"), world.start(world.fs(), "third")),
        "house": lambda world: world.keep_house(world.fs()),
        "all end": _all_end,
        "house, start": _house_and_start,
    }
    for act in ACTS:
        for at, operation in enumerate(_operations(p, act), 1):
            for name, other in others.items():
                for kind in (Kind.MEANWHILE, Kind.LOST_REPLY_MEANWHILE):
                    if kind.applies_to(operation):
                        world = World(p)
                        fault = Fault(at, kind, meanwhile=partial(other, world))
                        act(world, FaultFs(world.fs(), fault))
                        world.check()
                        world.check_none_lost()
                        yield f"{act.__name__} {at} {name} {kind}"


def power_losses(p: Taking) -> Iterator[str]:
    """The power fails at each operation, for all who run, too: no lane is lost, and none has two tokens."""
    for act in ACTS:
        for at in range(1, len(_operations(p, act)) + 2):
            world = World(p)
            _die(world, act, Fault(at, Kind.DIE_BEFORE))
            for number, left in enumerate(world.disk.losses()):
                after = World(p, left)
                after.check()
                after.check_none_lost()
                yield f"{act.__name__} {at} mixture {number}"


def _die(world: World, act: Act, fault: Fault) -> None:
    try:
        act(world, FaultFs(world.fs(), fault))
    except Died:
        pass


CASES = (deaths, lost_replies, failures, meetings, power_losses)
