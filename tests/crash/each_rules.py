"""What must be true of an array that waits index by index: the world of `array_rules`, and one who waits for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

from leaseq.dataclass import dataclass, field, replace
from leaseq.indices import Indices
from leaseq.models import ANY, Array, Need, Outcome, State, Task
from leaseq.names import ARRAYS, Entry, order
from leaseq.protocol import arrays, broken, chunks, dependents, edges, keys, reports, tasks
from leaseq.protocol.array_places import names_of
from leaseq.protocol.edges import BADLY, EACH
from leaseq.protocol.facts import Ended
from leaseq.protocol.index_news import IndexNews
from leaseq.protocol.journal import Journal
from leaseq.protocol.plan import Plan
from leaseq.protocol.tasks import Claim
from leaseq.upstream import Upstream, edges_in
from leaseq.world import Fs
from tests.crash import array_rules
from tests.crash.array_rules import COUNT, LEASE, TASK, Tried, lose_and_work
from tests.crash.check import Violated, named
from tests.faults import Died, Fault, FaultFs, Kind
from tests.memoryfs import Disk

Act = Callable[[Any, Fs], object]
Build = Callable[[Any], Act]
DOWN, NODE = "T00000000002", "n9"
"""The array that waits, and a node that nobody serves: who acts for it is told here."""
INC = "9999999999"
NOW = 5.0


@dataclass(frozen=True)
class Protocol(array_rules.Protocol):
    """The functions that the actors use. A mutant replaces one."""

    news: type[IndexNews] = IndexNews
    revive: Callable[..., list[str]] = dependents.revive
    end_down: Callable[..., Outcome | None] = arrays.finish
    world: Callable[[Any], array_rules.World] = field(default=lambda p: World(p))


REAL = Protocol()
_WORLDS = count()


@dataclass
class Truth(array_rules.Truth):
    free: set[int] = field(default_factory=set)
    """Indices that may begin, for all that somebody was told who waits for them."""
    vain: set[int] = field(default_factory=set)
    """Those that never will, for all that he was told at the last look."""


class World(array_rules.World):
    """The lease with its array, and one who waits for its indices."""

    p: Protocol
    truth: Truth

    def __init__(self, p: Protocol = REAL) -> None:
        super().__init__(p)
        self.p, self.truth = p, Truth()
        self.news = p.news(self.fs(), LEASE, TASK)

    def on(self, disk: Disk) -> World:
        other = super().on(disk)
        other.news = self.p.news(other.fs(), LEASE, TASK)  # he has not looked there yet
        return other

    def known(self) -> object:
        """What he has read of the files is not compared: none of these worlds is like another."""
        return next(_WORLDS)

    def look(self, fs: Fs) -> None:
        """He looks, and what may begin by then is begun."""
        self.news.fs = fs
        self.news.look()
        self.truth.free, self.truth.vain = set(self.news.good), set(self.news.bad)
        fs.names(LEASE.root)  # by now it has begun

    def check_always(self) -> None:
        check_always(self)

    def check_ended(self, *, first: str = "") -> None:
        """All work is done, and who has looked all the time knows how each index ended."""
        check_always(self)
        array_rules.check_ended(self, first=first)
        check_always(self)
        fs = self.fs()
        self.look(fs)
        states = {index: state_of(fs, index) for index in range(COUNT)}
        for what, known, wanted in (("well", self.truth.free, (State.DONE,)), ("badly", self.truth.vain, BADLY)):
            ended = {index for index, state in states.items() if state in wanted}
            if known != ended:
                raise Violated(f"{known} are known to have ended {what}, and {ended} have")


def state_of(fs: Fs, index: int) -> State | None:
    """How the index ended, by what counts; None if it has not."""
    told = reports.indices(fs, LEASE, TASK, 1, Indices.of([index])).ended.get(index)
    if told is not None and not told.requeued:
        return told.state
    return State.CANCELLED if tasks.read_outcome(fs, LEASE, TASK, 1) is not None else None


def check_always(world: World) -> None:
    """Nothing may begin before that index of the other array ended well, and nothing is cancelled that may begin."""
    array_rules.check_always(world)
    for index in world.truth.free:
        if (state := state_of(world.fs(), index)) is not State.DONE:
            raise Violated(f"index {index} has begun, and the other one has not ended well: {state}")
    for index in world.truth.vain:
        if (state := state_of(world.fs(), index)) not in BADLY:
            raise Violated(f"index {index} is not to begin, and the other one may end well: {state}")


# -- scenes: who waits looks -----------------------------------------------------------------------------------------


def look(world: World, fs: Fs) -> None:
    world.look(fs)


def look_at_some(world: World) -> Act:
    array_rules._held(world, 2)
    return look


def look_again_at_more(world: World) -> Act:
    """What was added to a journal since the last look, and a journal that is new."""
    runner = array_rules._held(world, 0)
    runner.run(1)
    world.look(world.fs())
    runner.run(1)
    array_rules.Runner(world, world.fs(), "n2").run(1)
    return look


def look_at_what_is_not_durable(world: World) -> Act:
    """A runner dies as its journal, whose first line cancels an index, has no name yet that a loss of power leaves."""
    runner = array_rules._held(world, 0)
    lines = Ended(0, 1, 0, State.CANCELLED).line()

    def act(world: World, fs: Fs) -> None:
        path = world.array.journal(runner.node, runner.incarnation)
        try:
            fs.read(path)
        except FileNotFoundError:
            fs.append(path, lines)
        look(world, fs)

    return act


def look_at_the_end(world: World) -> Act:
    runner = array_rules.Runner(world, world.fs())
    runner.run(2)
    world.look(world.fs())
    runner.run()
    return look


def look_at_lost_ones(world: World) -> Act:
    runner = array_rules._held(world, 0)
    runner.journal.write(begun={0: [(0, 1), (1, 1)]})
    world.truth.starts[0, 1] += 1
    lose_and_work(world, world.fs())
    return look


SCENES: dict[str, Build] = {
    build.__name__: build
    for build in (look_at_some, look_again_at_more, look_at_what_is_not_durable, look_at_the_end, look_at_lost_ones)
}


def lose_and_end_late(world: World) -> tuple[Act, Act]:
    """A node is taken for lost as it runs an index, its runner tells how that ended all the same, and one looks."""
    runner = array_rules._held(world, 0)
    runner.journal.write(begun={0: [(0, 1)]})
    world.truth.starts[0, 1] += 1

    def late(world: World, fs: Fs) -> None:
        runner.journal.write(ended=[Ended(0, 1, 0, State.DONE, exit_code=0)])
        world.look(fs)

    def lose(world: World, fs: Fs) -> None:
        array_rules.lose(world, fs)
        world.look(world.fs())

    return lose, late


_late: Callable[[Any], tuple[Act, Act]] = lose_and_end_late


def _then_look(act: Act) -> Act:
    def both(world: World, fs: Fs) -> None:
        act(world, fs)
        world.look(world.fs())

    return both


MEETINGS: dict[str, tuple[Build, Act]] = {
    "look, work": (look_at_some, array_rules.work("n2")),
    "look, lose and work": (look_at_some, lose_and_work),
    "look again, work": (look_again_at_more, array_rules.work("n2")),
    "look again, lose": (look_again_at_more, array_rules.lose),
    "work, look": (array_rules.work_one, look),
    "last chunk, look": (array_rules.last_chunk, look),
    "look, cancel": (look_at_some, _then_look(array_rules.stop_all)),
}


def cases(p: Protocol) -> Iterator[Tried]:
    """(what is tried, its cases), each to be run to its end."""
    for name, build in SCENES.items():
        for tries in (array_rules.deaths, array_rules.failures, array_rules.power_losses):
            yield f"{tries.__name__}: {name}", partial(tries, p, build)
    for name, (build, other) in MEETINGS.items():
        yield f"meetings: {name}", partial(array_rules.meetings, p, partial(array_rules._both, build, other))
    yield "meetings: lose, end late", partial(array_rules.meetings, p, _late)
    for over in (False, True):
        word = "has ended" if over else "goes on"
        for first, second in (("retry", "end"), ("end", "retry")):
            yield f"{first}, {second} meanwhile: {word}", partial(_meets, p, first, second, over=over)
            yield f"{first} dies: {word}", partial(_dies, p, first, over=over)


# -- an index is retried whose own was cancelled ---------------------------------------------------------------------


class Retried:
    """The one array has ended, its index 3 has FAILED; of the other one index 3 is CANCELLED because of that."""

    def __init__(self, p: Protocol, *, over: bool) -> None:
        """over: the other one has ended, too; or one of its chunks has not."""
        self.p, self.world = p, World(p)
        runner = array_rules.Runner(self.world, self.world.fs())
        runner.run()
        fs = self.world.fs()
        self.entry = Entry(order(priority=0, micros=2, sequence=0), DOWN, Need(), 1, count=COUNT, each=True)
        self.up = Upstream(EACH, TASK, 1, LEASE.id)
        edges.prepare(fs, LEASE, NODE)
        for directory in (LEASE.inbox(NODE), LEASE.claimed(NODE)):
            fs.mkdir(directory)
        edges.put(fs, LEASE, [self.up], [self.entry.key])
        array = Array(f"0-{COUNT - 1}")
        task = Task(DOWN, ("true",), "/", 1.0, node=NODE, after=(str(self.up),), array=array)
        tasks.publish(fs, LEASE.inbox(NODE), self.entry, task)
        broken.write(fs, LEASE, TASK, [(self.entry.key, LEASE.id)])
        fs.sync_dir(LEASE.broken)
        self._work(fs)
        if over:
            self.end(fs)
        self.world.disk.sync_all()

    def _work(self, fs: Fs) -> None:
        root = arrays.prepare(fs, LEASE, self.entry)
        journal = Journal(fs, root, NODE, INC)
        for chunk in range(Plan(COUNT).chunks):
            chunks.take(fs, LEASE, [self.entry.of_chunk(chunk)], node=NODE, incarnation=INC)
            some = list(Plan(COUNT).span(chunk))
            journal.write(begun={chunk: [(index, 1) for index in some if index != 3]})
            journal.write(ended=[self._ended(index, chunk) for index in some])
            if chunk != Plan(COUNT).chunks - 1:
                chunks.end(fs, LEASE, [Claim(self.entry.of_chunk(chunk).claimed_by(INC), NODE)])
        arrays.close(fs, LEASE, self.entry)

    def _ended(self, index: int, chunk: int) -> Ended:
        if index == 3:
            return Ended(3, 1, chunk, State.CANCELLED, reason=f"Dependency: {TASK}_3 FAILED", because=str(self.up))
        return Ended(index, 1, chunk, State.DONE, exit_code=0)

    def end(self, fs: Fs) -> None:
        """The last chunk of the other array has ended, and so it has; as its runner does it, and any other one."""
        last = self.entry.of_chunk(Plan(COUNT).chunks - 1).claimed_by(INC)
        with suppress(FileNotFoundError):
            chunks.end(fs, LEASE, [Claim(last, NODE)])
        for name in fs.names(LEASE.claimed(ARRAYS)):
            self.p.end_down(fs, LEASE, Claim(Entry.parse(name), ARRAYS), now=9.0)

    def retry(self, fs: Fs) -> None:
        """As `retry T_3`, or a second one that finds the first."""
        ended = tasks.read_outcome(fs, LEASE, TASK, 1)
        assert ended is not None
        again = replace(ended.task, array=Array("3", size=COUNT, before={"DONE": COUNT - 1}))
        entry, task = keys.next_attempt(LEASE, ended, again, indices=1)
        keys.retry(fs, LEASE, ended, LEASE.inbox(ANY), entry, task)
        self.p.revive(fs, LEASE, TASK, now=NOW)

    def check(self) -> None:
        """Both have come to their ends: index 3 waits once more, alone and once."""
        fs = self.world.fs()
        self.end(fs)
        outcome = tasks.read_outcome(fs, LEASE, DOWN, 1)
        if outcome is None or fs.names(LEASE.claimed(ARRAYS)):
            raise Violated(f"the array that waited has not ended: {fs.names(LEASE.claimed(ARRAYS))}")
        if outcome.counts != {"DONE": COUNT - 1, "CANCELLED": 1}:
            raise Violated(f"of the array that waited {outcome.counts} are counted")
        names = [Entry.parse(name) for name in fs.names(LEASE.inbox(NODE))]
        found = [(each.id, each.attempt, each.count, each.each) for each in names]
        if found != [(DOWN, 2, 1, True)]:
            raise Violated(f"index 3 was to wait once more, and there is {found}")
        task = Task.from_json(fs.read(f"{LEASE.inbox(NODE)}/{names[0]}"))
        assert task.array is not None
        if task.array.indices != "3" or dict(task.array.before) != {"DONE": COUNT - 1}:
            raise Violated(f"{task.array.indices} wait once more, beside {task.array.before}")
        if [edge.up.word for edge in edges_in(fs.names(LEASE.edges)) if edge.down == f"{DOWN}.2"] != [self.up.word]:
            raise Violated(f"its edges are {fs.names(LEASE.edges)}")
        if names_of(fs, LEASE, names[0]).taken:
            raise Violated("it has begun")


def _meets(p: Protocol, first: str, second: str, *, over: bool) -> Iterator[str]:
    """One does its work as the other is at each operation of his."""
    at, struck = 0, True
    while struck:
        at += 1
        case = Retried(p, over=over)
        faulty = FaultFs(
            case.world.fs(),
            Fault(at, Kind.MEANWHILE, meanwhile=partial(getattr(case, second), case.world.fs())),
        )
        with named(f"{first}, operation {at}: {second} meanwhile", LookupError):
            getattr(case, first)(faulty)
            struck = len(faulty.calls) >= at
            if not struck:
                getattr(case, second)(case.world.fs())
            case.check()
        yield f"{first} {at}"


def _dies(p: Protocol, who: str, *, over: bool) -> Iterator[str]:
    """He dies at each operation, and another does it again; or each reply is lost. Then the other one acts."""
    other = "end" if who == "retry" else "retry"
    for kind in (Kind.DIE_BEFORE, Kind.DIE_AFTER, Kind.LOST_REPLY):
        at, struck = 0, True
        while struck:
            at += 1
            case = Retried(p, over=over)
            faulty = FaultFs(case.world.fs(), Fault(at, kind))
            with named(f"{who}, operation {at}: {kind.value}", LookupError):
                with suppress(Died):
                    getattr(case, who)(faulty)
                struck = len(faulty.calls) >= at
                if kind is not Kind.LOST_REPLY:
                    getattr(case, who)(case.world.fs())
                getattr(case, other)(case.world.fs())
                case.check()
            yield f"{at} {kind}"
