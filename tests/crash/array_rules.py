"""What must be true of an array, whoever dies, fails, is overruled or meets another at whichever operation."""

from __future__ import annotations

import copy
import errno
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import Any, TypeVar

from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.models import ANY, KEEP_FAILED, KEEP_PACKED, Array, Need, Outcome, State, Task
from leaseq.names import ARRAYS, CLI, Entry, new_incarnation, order
from leaseq.protocol import arrays, chunks, facts, index_logs, journal, reports, tasks
from leaseq.protocol.array_places import names_of
from leaseq.protocol.cover import Cover, cover_of
from leaseq.protocol.facts import Ended
from leaseq.protocol.index_logs import Pack
from leaseq.protocol.journal import Journal
from leaseq.protocol.plan import Plan, divided_into
from leaseq.protocol.stops import Stop, read_stops
from leaseq.protocol.tasks import Claim
from leaseq.world import Fs
from tests.crash import log_rules
from tests.crash.actors import NODES, prepared_disk
from tests.crash.alike import NAMES, Followed
from tests.crash.check import Violated, named
from tests.faults import Died, Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

W = TypeVar("W", bound="World")
Tried = tuple[str, Callable[[], Iterator[str]]]
"""What is tried, and its cases, each to be run to its end."""
LEASE = LeaseDir("1", "/home/runs/1")
TASK = "T00000000001"
COUNT = 5
CHUNKS = 2
"""The array has two chunks of two indices, and one of one."""
WINDOW = 2
ROUNDS_MAX = 30
DIVIDED_AT = 8
"""The operation of who divides the first group that makes that durable."""
DEATHS = (Kind.DIE_BEFORE, Kind.DIE_AFTER, Kind.DIE_TORN, Kind.DIE_EMPTY)


def in_groups() -> AbstractContextManager[None]:
    """Inside, the array has five chunks of one index, and groups of the first two, and of the next two."""
    return divided_into(COUNT, alone=0, group_places=2)


def take_one_chunk(fs: Fs, lease: LeaseDir, entry: Entry, *, node: str, incarnation: str) -> object:
    return chunks.take(fs, lease, [entry], node=node, incarnation=incarnation)[1]


def end_one_chunk(fs: Fs, lease: LeaseDir, held: Claim) -> None:
    chunks.end(fs, lease, [held])


@dataclass(frozen=True)
class Protocol:
    """The functions that the actors use. A mutant replaces one."""

    take: Callable[..., object] = take_one_chunk
    secure: Callable[..., object] = chunks.secure
    is_overruled: Callable[..., bool] = chunks.is_overruled
    give_up: Callable[..., bool] = arrays.give_up
    inherit: Callable[..., Claim | None] = chunks.inherit
    end_chunk: Callable[..., None] = end_one_chunk
    close: Callable[..., Claim | None] = arrays.close
    finish: Callable[..., Outcome | None] = arrays.finish
    stop: Callable[..., object] = arrays.stop
    read: Callable[..., facts.Told] = journal.read
    journal: type[Journal] = Journal
    whole: frozenset[str] = frozenset()
    """The nodes that take groups of chunks as a whole; if there is one, the array has five chunks, and two groups."""
    cover: Callable[..., Cover] = cover_of
    span: Callable[[Plan, int], range] = Plan.span
    kept: str = ""
    """Which logs the array keeps."""
    pack: type[Pack] = Pack
    book: Callable[..., None] = log_rules.book
    drop: Callable[..., None] = index_logs.drop_files
    tidy: Callable[..., None] = index_logs.tidy
    world: Callable[[Any], World] = field(default=lambda p: World(p))
    """What the actors meet."""


P = TypeVar("P", bound=Protocol)
REAL = Protocol()
OF_GROUPS = {f"{node} takes groups": replace(REAL, whole=frozenset((node,))) for node in ("n1", "n2")}
"""One node takes them as a whole, and others divide them."""
PACKED, FAILED = replace(REAL, kept=KEEP_PACKED), replace(REAL, kept=KEEP_FAILED)


@dataclass
class Truth:
    """What really happened, and what somebody was told."""

    starts: Counter[tuple[int, int]] = field(default_factory=Counter)
    told: dict[int, State] = field(default_factory=dict)
    """How an index ended, durably, for all that its runner was told."""
    stopped: bool = False
    """Somebody was told that the whole array is to end."""
    asked: bool = False
    """Somebody began to ask for that."""
    logs: dict[tuple[int, int, str], bytes] = field(default_factory=dict)
    """What attempts wrote, by index, attempt and stream."""


class World:
    """One lease with one array."""

    def __init__(self, p: Protocol = REAL) -> None:
        self.p = p
        self.disk = prepared_disk(LEASE).copy()
        self.truth = Truth()
        place, grouped = order(priority=0, micros=1, sequence=0), bool(p.whole)
        self.entry = Entry(place, TASK, Need(), 1, count=COUNT, grouped=grouped)
        self.task = Task(TASK, ("true",), "/", 1.0, array=Array(f"0-{COUNT - 1}", logs=p.kept))
        self.lease = LEASE
        self.drops = True
        """False once an unlink may have failed, or been undone by a loss of power."""
        if p.kept:
            log_rules.prepare(self.fs(), LEASE, TASK)
        tasks.publish(self.fs(), LEASE.inbox(ANY), self.entry, self.task)
        self.array = LEASE.array(TASK, 1)
        self.dead: set[str] = set()
        """Incarnations that are gone for certain."""

    def fs(self) -> MemoryFs:
        return MemoryFs(self.disk)

    def told(self, fs: Fs, ends: Sequence[Ended]) -> None:
        """Called once these ends are durable."""

    def check_always(self) -> None:
        check_always(self)

    def check_ended(self, *, first: str = "") -> None:
        check_ended(self, first=first)

    def known(self) -> object:
        """What happened, and who is gone: with the disk all that the further course depends on."""
        return vars(self.truth), sorted(self.dead), self.drops

    def on(self: W, disk: Disk) -> W:
        """Another world with that disk, in which the same has happened; this one stays as it is."""
        other = copy.copy(self)
        other.disk, other.truth, other.dead = disk, copy.deepcopy(self.truth), set(self.dead)
        return other

    def after_power_loss(self: W, disk: Disk) -> W:
        after = self.on(disk)
        after.drops = False
        return after


class Runner:
    """One incarnation of a node's runner: takes chunks, begins what is in them, ends it."""

    def __init__(self, world: World, fs: Fs, node: str = "n1") -> None:
        self.world, self.fs, self.node, self.p = world, fs, node, world.p
        self.incarnation = new_incarnation()
        self.held: list[Claim] = []
        self.started: set[int] = set()
        self.fresh: set[int] = set()
        """Chunks that nobody had before: nothing of them has begun."""
        self._journal: Journal | None = None
        self._pack: Pack | None = None

    @property
    def pack(self) -> Pack:
        if self._pack is None:
            self._pack = self.p.pack(self.fs, LEASE, self.world.entry, self.node, self.incarnation)
        self._pack.fs = self.fs
        return self._pack

    @property
    def journal(self) -> Journal:
        if self._journal is None:
            self._journal = self.p.journal(self.fs, self.world.array, self.node, self.incarnation)
        self._journal.fs = self.fs
        return self._journal

    def take(self) -> Claim | None:
        """A chunk that nobody has: one that was given back, or a new one."""
        source = LEASE.inbox(ANY)
        entries = map(Entry.parse, sorted(self.fs.names(source)))
        for entry in sorted(entries, key=lambda entry: entry.chunk is None):
            if entry.chunk is not None:
                held = tasks.claim(self.fs, LEASE, source, entry, node=self.node, incarnation=self.incarnation)
                if held is None:
                    continue
                self.fs.sync_dir(LEASE.claimed(self.node))
                return self._hold(held)
            arrays.prepare(self.fs, LEASE, entry)
            for chunk in self._free(entry):
                part = entry.of_chunk(chunk)
                if self.p.take(self.fs, LEASE, part, node=self.node, incarnation=self.incarnation) is not None:
                    self.held.append(Claim(part.claimed_by(self.incarnation), self.node))
                    self.fresh.add(chunk)
                    return self.held[-1]
            self.p.close(self.fs, LEASE, entry)
        return None

    def _free(self, entry: Entry) -> list[int]:
        """The groups that may be taken as a whole, if this node does that, and the chunks that nobody has."""
        plan = Plan(entry.count)
        known = self.p.cover(self.fs, self.world.array, plan, names_of(self.fs, LEASE, entry))
        groups = [group for group in plan.groups if self.node in self.p.whole and group not in known.settled]
        return [*groups, *(chunk for chunk in range(plan.chunks) if chunk not in known.taken)]

    def _hold(self, held: Claim) -> Claim | None:
        if self.p.secure(self.fs, LEASE, held) is None:
            return None
        self.held.append(held)
        return held

    def find(self) -> None:
        """Claims of its own that it does not know of, for a call failed and was done."""
        known = {str(each.entry) for each in self.held}
        for name in self.fs.names(LEASE.claimed(self.node)):
            if name.endswith(self.incarnation) and name not in known:
                self._hold(Claim(Entry.parse(name), self.node))

    def work(self, held: Claim, *, most: int = COUNT) -> bool:
        """Up to so many indices of the chunk have run; True if none is left."""
        assert held.entry.chunk is not None
        names = names_of(self.fs, LEASE, held.entry)
        told = facts.Told()
        if held.entry.chunk not in self.fresh:
            told = self.p.read(self.fs, self.world.array, names, chunk=held.entry.chunk)
            if self.p.kept:
                self.p.tidy(self.fs, LEASE, held, kept=self.p.kept)
        self.fresh.discard(held.entry.chunk)
        stops = read_stops(self.fs, self.world.array, names)
        for_all = any(stop.indices is None for stop in stops)
        ends: list[Ended] = []
        left: list[tuple[int, int]] = []
        for index in self.p.span(Plan(held.entry.count), held.entry.chunk):
            if index in told.ended:
                continue
            begun = told.begun.get(index)
            if begun is not None and begun.owner != self.incarnation:
                ends.append(Ended(index, begun.attempt, held.entry.chunk, State.LOST))
            elif index in self.started:
                ends.append(self._ended(index, held.entry.chunk))
            elif any(stop.indices is not None and index in stop.indices for stop in stops):
                ends.append(Ended(index, 1, held.entry.chunk, State.CANCELLED))
            elif not for_all:
                left.append((index, 1))
        todo = left[:most]
        while ends or todo:
            window, todo = todo[:WINDOW], todo[WINDOW:]
            self.p.book(self, held, ends, {held.entry.chunk: window} if window else None)
            self.world.told(self.fs, ends)
            if self.p.is_overruled(self.fs, LEASE, held):
                return False
            self.world.truth.told.update((each.index, each.state) for each in ends)
            ends = []
            for index, attempt in window:
                self.world.truth.starts[index, attempt] += 1
                self.started.add(index)
                if self.p.kept:
                    log_rules.write(self.world, index, attempt)
                ends.append(self._ended(index, held.entry.chunk))
        return len(left) <= most

    def _ended(self, index: int, chunk: int) -> Ended:
        return Ended(index, 1, chunk, State.FAILED if index == 3 else State.DONE, exit_code=int(index == 3))

    def end(self, held: Claim) -> None:
        self.p.end_chunk(self.fs, LEASE, held)
        self.held = [each for each in self.held if each != held]
        self.finish()

    def finish(self) -> None:
        """The array is over, if all of its chunks are."""
        names = names_of(self.fs, LEASE, self.world.entry)
        stops = read_stops(self.fs, self.world.array, names)
        known = self.p.cover(self.fs, self.world.array, Plan(COUNT), names)
        all_taken = len(known.taken) == Plan(COUNT).chunks or any(stop.indices is None for stop in stops)
        if all_taken or names.over:
            self.p.close(self.fs, LEASE, self.world.entry)
        for name in self.fs.names(LEASE.claimed(ARRAYS)):
            self.p.finish(self.fs, LEASE, Claim(Entry.parse(name), ARRAYS), now=9.0)

    def run(self, most: int = 100) -> None:
        """It takes chunks and runs them to their ends."""
        for _ in range(most):
            held = self.held[0] if self.held else self.take()
            if held is None:
                break
            if self.work(held):
                self.end(held)
            else:
                self.held.remove(held)
        self.finish()

    def heir_of(self, owner: str) -> None:
        """What an earlier incarnation of the node left, which is gone, is this one's."""
        self.fs.sync_dir(LEASE.claimed(self.node))
        for name in sorted(self.fs.names(LEASE.claimed(self.node))):
            if name.endswith(owner):
                held = self.p.inherit(
                    self.fs, LEASE, Claim(Entry.parse(name), self.node), incarnation=self.incarnation, reason="died"
                )
                if held is not None:
                    self.held.append(held)


def give_up_dead(world: World, fs: Fs, node: str) -> None:
    """Chunks of the node, which is gone, are pending again."""
    for name in sorted(fs.names(LEASE.claimed(node))):
        world.p.give_up(fs, LEASE, Claim(Entry.parse(name), node), reason="NodeDown")


def stop_all(world: World, fs: Fs) -> None:
    """The array is cancelled, as a whole."""
    world.truth.asked = True
    world.p.stop(fs, LEASE, world.entry, Stop(None, "cancelled"))
    closed = world.p.close(fs, LEASE, world.entry)
    arrays._end_given_back(fs, LEASE, world.entry)
    arrays.ask_holders(fs, LEASE, world.entry)
    if closed is not None:
        world.p.finish(fs, LEASE, closed, now=9.0)
    world.truth.stopped = True


# -- rules -----------------------------------------------------------------------------------------------------------


def check_always(world: World) -> None:
    for (index, attempt), many in world.truth.starts.items():
        if many > 1:
            raise Violated(f"index {index} was started {many} times as attempt {attempt}")


def check_ended(world: World, *, first: str = "") -> None:
    """The next runners have done what is left, and all is as it must be. first: a node that is there before others."""
    fs = world.fs()
    if first:
        # Of an array with groups one is run before others come: if all were, what is left of the rest would be over.
        Runner(world, fs, first).run(1 if world.p.whole else ROUNDS_MAX)
    for node in NODES:
        give_up_dead(world, fs, node)
    for _ in range(ROUNDS_MAX):
        for node in NODES:
            Runner(world, fs, node).run(1)
        if not fs.names(LEASE.claimed(ARRAYS)) and not fs.names(LEASE.inbox(ANY)):
            break
    check_always(world)
    left = [name for node in (*NODES, ARRAYS, CLI) for name in fs.names(LEASE.claimed(node))]
    if left or fs.names(LEASE.inbox(ANY)):
        raise Violated(f"left over: {left} {fs.names(LEASE.inbox(ANY))}")
    outcome = tasks.read_outcome(fs, LEASE, TASK, 1)
    if outcome is None:
        raise Violated("the array has no outcome")
    if sum(outcome.counts.values()) != COUNT:
        raise Violated(f"of {COUNT} indices {outcome.counts} are counted")
    strange = [name for name in fs.names(world.array.root) if name[0] not in "ohs" and name != "index"]
    if strange:
        raise Violated(f"left in the array's directory: {strange}")
    told = reports.indices(fs, LEASE, TASK, 1, Indices.parse(f"0-{COUNT - 1}"))
    if told.begun:
        raise Violated(f"begun for ever: {told.begun}")
    silent = set(range(COUNT)) - told.ended.keys()
    if silent and not world.truth.asked:
        raise Violated(f"no line tells of {silent}")
    states = Counter(each.state.name for each in told.ended.values())
    states["CANCELLED"] += len(silent)
    if +states != Counter(outcome.counts):
        raise Violated(f"the lines tell of {states}, the outcome of {outcome.counts}")
    for index, state in world.truth.told.items():
        if index in silent or told.ended[index].state is not state:
            raise Violated(f"index {index} was told to be {state}, and is {told.ended.get(index)}")
    for index, each in told.ended.items():
        if each.state in (State.DONE, State.FAILED) and not world.truth.starts[index, each.attempt]:
            raise Violated(f"index {index} is {each.state.name}, and never ran")
    if world.p.kept:
        log_rules.check(world, told)


# -- scenes ----------------------------------------------------------------------------------------------------------

Act = Callable[[World, Fs], object]
Build = Callable[[World], Act]


def _by(runner: Runner, act: Callable[[Runner], object]) -> Act:
    """Whoever acts a second time after an error finds first what it has without knowing."""

    def do(world: World, fs: Fs) -> None:
        again, runner.fs = runner.fs is not fs and hasattr(runner, "acted"), fs
        runner.acted = True  # type: ignore[attr-defined]
        if again:
            runner.find()
        act(runner)

    return do


def run_all(world: World) -> Act:
    return _by(Runner(world, world.fs()), lambda runner: runner.run())


def take_one(world: World) -> Act:
    return _by(Runner(world, world.fs()), lambda runner: runner.held or runner.take())


def take_after_a_predecessor(world: World) -> Act:
    """Its predecessor had divided a group, or was about to take it, and died before that was durable."""
    first, runner = Runner(world, world.fs()), Runner(world, world.fs())

    def act(runner: Runner) -> None:
        if not runner.held:
            _die(world, lambda world, fs: _by(first, Runner.take)(world, fs), Fault(DIVIDED_AT, Kind.DIE_BEFORE))
            runner.take()

    return _by(runner, act)


def _held(world: World, most: int) -> Runner:
    runner = Runner(world, world.fs())
    held = runner.take()
    assert held is not None
    if most:
        runner.work(held, most=most)
    return runner


def _begun(world: World) -> Runner:
    """All of the first chunk, or group, may have begun, and its first index has."""
    runner = _held(world, 0)
    number = runner.held[0].entry.chunk
    assert number is not None
    runner.journal.write(begun={number: [(index, 1) for index in Plan(COUNT).span(number)]})
    world.truth.starts[0, 1] += 1
    return runner


def work_one(world: World) -> Act:
    return _by(_held(world, 0), lambda runner: runner.run(1))


def work_another(world: World) -> Act:
    """A runner whose journal has a name by now."""
    runner = _held(world, 0)
    runner.run(1)
    return _by(runner, lambda runner: runner.run(1))


def give_back(world: World) -> Act:
    runner = _held(world, 0)

    def act(runner: Runner) -> None:
        for held in runner.held:
            tasks.unclaim(runner.fs, LEASE, held, LEASE.inbox(ANY))

    return _by(runner, act)


def lose_unbegun(world: World) -> Act:
    _held(world, 0)
    return lambda world, fs: give_up_dead(world, fs, "n1")


def lose_begun(world: World) -> Act:
    runner = _begun(world)
    assert not runner.p.is_overruled(runner.fs, LEASE, runner.held[0])
    return lambda world, fs: give_up_dead(world, fs, "n1")


def inherit(world: World) -> Act:
    old = _begun(world)

    def act(runner: Runner) -> None:
        runner.heir_of(old.incarnation)
        runner.run(1)

    return _by(Runner(world, world.fs()), act)


def last_chunk(world: World) -> Act:
    runner = Runner(world, world.fs())
    while (held := runner.take()) is not None:
        runner.work(held)
        if held.entry.chunk == Plan(COUNT).chunks - 1:
            break
        runner.p.end_chunk(runner.fs, LEASE, held)
        runner.held.remove(held)
    return _by(runner, lambda runner: runner.run(1))


def cancel_free(world: World) -> Act:
    return stop_all


def cancel_begun(world: World) -> Act:
    _held(world, 1)
    return stop_all


def cancel_given_back(world: World) -> Act:
    _held(world, 1)
    give_up_dead(world, world.fs(), "n1")
    return stop_all


def cancel_some(world: World) -> Act:
    def act(world: World, fs: Fs) -> None:
        arrays.cancel(fs, LEASE, world.entry, Stop(Indices.parse("1,4"), "cancelled"), now=9.0)

    return act


SCENES: dict[str, Build] = {
    build.__name__: build
    for build in (
        take_one,
        take_after_a_predecessor,
        work_one,
        work_another,
        give_back,
        lose_unbegun,
        lose_begun,
        inherit,
        last_chunk,
        cancel_free,
        cancel_begun,
        cancel_given_back,
        cancel_some,
    )
}


def work(node: str) -> Act:
    return lambda world, fs: Runner(world, fs, node).run()


def lose_and_work(world: World, fs: Fs) -> None:
    """The first node is taken for lost, though it may act on; the other one does all that there is."""
    give_up_dead(world, fs, "n1")
    Runner(world, fs, "n2").run()


def lose(world: World, fs: Fs) -> None:
    give_up_dead(world, fs, "n1")


def _losing(late: Callable[[Runner], object], *, linked: bool) -> Callable[[World], tuple[Act, Act]]:
    """A node is taken for lost, and its runner goes on all the same."""

    def build(world: World) -> tuple[Act, Act]:
        runner = Runner(world, world.fs())
        if linked:
            runner.take()
        else:
            array = arrays.prepare(runner.fs, LEASE, world.entry)
            number = runner._free(world.entry)[0]
            if world.entry.grouped:
                assert number in Cover(runner.fs, array, Plan(COUNT)).divide([number])
            held = Claim(world.entry.of_chunk(number).claimed_by(runner.incarnation), "n1")
            runner.fs.create(held.path(LEASE), b"its own")
            runner.held.append(held)
        return lose, lambda world, fs: late(runner)

    return build


def _link_and_work(runner: Runner) -> None:
    held = runner.held[0]
    if runner.p.secure(runner.fs, LEASE, held) is not None:
        runner.work(held, most=1)


LATE = {
    "lose, work late": _losing(lambda runner: runner.work(runner.held[0], most=1), linked=True),
    "lose, link late": _losing(_link_and_work, linked=False),
}


MEETINGS: dict[str, tuple[Build, Act]] = {
    "take, take": (take_one, lambda world, fs: Runner(world, fs, "n2").take()),
    "take, work": (take_one, work("n2")),
    "take, cancel": (take_one, stop_all),
    "take, lose and work": (take_one, lose_and_work),
    "work, work": (work_one, work("n2")),
    "work, cancel": (work_one, stop_all),
    "work, lose": (work_one, lose),
    "work, lose and work": (work_one, lose_and_work),
    "lose, lose": (lose_begun, lose),
    "lose, lose and work": (lose_begun, lose_and_work),
    "give back, work": (give_back, work("n2")),
    "last chunk, cancel": (last_chunk, stop_all),
    "last chunk, work": (last_chunk, work("n2")),
    "cancel, cancel": (cancel_begun, stop_all),
    "cancel, work": (cancel_free, work("n2")),
    "cancel what was given back, work": (cancel_given_back, work("n2")),
    "cancel some, work": (cancel_some, work("n2")),
}


OF_LOGS = ("work_one", "work_another", "inherit", "work, lose", "work, lose and work")
"""Where what becomes of logs is tried, too."""


# -- the sweeps ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _first(p: Any, make: Callable[[Any], World], chunks: int) -> tuple[Any, int]:
    NAMES.begin()
    world = make(p)
    world.disk.sync_all()
    return world, NAMES.count


def fresh(p: P, make: Callable[[P], W]) -> W:
    """A world as that makes it, durably: it is made once, and copied."""
    world, named = _first(p, make, Plan(COUNT).chunks)
    NAMES.begin(named)
    copied: W = world.on(world.disk.copy())
    return copied


def _stage(p: Protocol, build: Build) -> tuple[World, Act]:
    world = fresh(p, p.world)
    act = build(world)
    world.disk.sync_all()
    return world, act


def _operations(p: Protocol, build: Build) -> list[str]:
    world, act = _stage(p, build)
    fs = FaultFs(world.fs())
    act(world, fs)
    world.check_ended()
    return [call[0] for call in fs.calls]


def cases(p: Protocol) -> Iterator[Tried]:
    """(what is tried, its cases), each to be run to its end."""
    for name, build in SCENES.items():
        if p.kept and name not in OF_LOGS:
            continue
        for tries in (deaths, lost_replies, failures, power_losses):
            yield f"{tries.__name__}: {name}", partial(tries, p, build)
    for name, (build, other) in MEETINGS.items():
        if not p.kept or name in OF_LOGS:
            yield f"meetings: {name}", partial(meetings, p, partial(_both, build, other))
    for name, both in LATE.items():
        yield f"meetings: {name}", partial(meetings, p, both)


def cases_of_groups(protocols: Mapping[str, Protocol]) -> Iterator[Tried]:
    """The same, of each of those protocols: to be run `in_groups`."""
    for which, p in protocols.items():
        yield from ((f"{which}, {name}", case) for name, case in cases(p))


def _both(build: Build, other: Act, world: World) -> tuple[Act, Act]:
    return build(world), other


def deaths(p: Protocol, build: Build) -> Iterator[str]:
    """The actor dies at each operation; the next ones do the rest."""
    followed = Followed()
    for at, operation in enumerate(_operations(p, build), 1):
        for kind in DEATHS:
            if kind.applies_to(operation):
                world, act = _stage(p, build)
                _die(world, act, Fault(at, kind))
                with named(f"operation {at} ({operation}): {kind.value}", LookupError):
                    if followed.is_new(world.disk, world.known()):
                        world.check_ended()
                yield f"{at} {kind}"


def lost_replies(p: Protocol, build: Build) -> Iterator[str]:
    """Each change is done and reported as failed: the act succeeds."""
    followed = Followed()
    for at, operation in enumerate(_operations(p, build), 1):
        if Kind.LOST_REPLY.applies_to(operation):
            world, act = _stage(p, build)
            with named(f"operation {at} ({operation}): done, reported as failed", LookupError):
                act(world, FaultFs(world.fs(), Fault(at, Kind.LOST_REPLY)))
                if followed.is_new(world.disk, world.known()):
                    world.check_ended()
            yield f"{at}"


def failures(p: Protocol, build: Build) -> Iterator[str]:
    """Each operation reports an error, done or not: the act may raise, and can be repeated to its end."""
    followed = Followed()
    for at, operation in enumerate(_operations(p, build), 1):
        for kind in (Kind.FAILS, Kind.LOST_REPLY):
            if not kind.applies_to(operation):
                continue
            world, act = _stage(p, build)
            world.drops = False
            with named(f"operation {at} ({operation}): {kind.value}, EIO", LookupError):
                try:
                    act(world, FaultFs(world.fs(), Fault(at, kind, errno.EIO)))
                except OSError:
                    world.check_always()
                    act(world, world.fs())
                if followed.is_new(world.disk, world.known()):
                    world.check_ended()
            yield f"{at} {kind}"


def power_losses(p: Protocol, build: Build) -> Iterator[str]:
    """The power fails at each operation, and what was not synced is lost, kept or torn, in every mixture."""
    followed = Followed()
    for at in range(len(_operations(p, build)) + 1):
        world, act = _stage(p, build)
        _die(world, act, Fault(at, Kind.DIE_BEFORE))
        for number, left in enumerate(world.disk.losses()):
            new = followed.is_new(left, world.known())
            for node in ("", "n2"):
                with named(f"power lost at operation {at}, mixture {number}, first {node or 'all'}", LookupError):
                    if new:
                        world.after_power_loss(left.copy()).check_ended(first=node)
                yield f"{at} {number} {node}"


def meetings(p: Protocol, build: Callable[[World], tuple[Act, Act]]) -> Iterator[str]:
    """Another acts at every operation of the one; nobody sees an error, and all rules hold."""
    followed = Followed()
    for at, operation in enumerate(_operations(p, lambda world: build(world)[0]), 1):
        for kind in (Kind.MEANWHILE, Kind.MEANWHILE_TORN, Kind.LOST_REPLY_MEANWHILE):
            if not kind.applies_to(operation):
                continue
            world = fresh(p, p.world)
            act, other = build(world)
            world.disk.sync_all()
            fault = Fault(at, kind, meanwhile=partial(other, world, world.fs()))
            with named(f"operation {at} ({operation}): {kind.value}", LookupError):
                act(world, FaultFs(world.fs(), fault))
                if followed.is_new(world.disk, world.known()):
                    world.check_ended()
            yield f"{at} {kind}"


def _die(world: World, act: Act, fault: Fault) -> bool:
    try:
        act(world, FaultFs(world.fs(), fault))
    except Died:
        return True
    return False


def first_violation(tries: Iterable[Tried], *, first: str = "") -> tuple[str, str] | None:
    """(what was tried, the case and the rule it broke) of the first of these that fails, or None."""
    for tried, each in sorted(tries, key=lambda case: not case[0].startswith(first)):
        try:
            for _ in each():
                pass
        except (Violated, Malformed, OSError) as violated:
            return tried, str(violated)
    return None
