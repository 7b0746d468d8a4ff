"""What must be true of tasks that come after single indices of an array: the world of `array_rules`, and who waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from leaseq.dataclass import dataclass, field, replace
from leaseq.indices import Indices
from leaseq.models import ANY, Array, Need, Outcome, State, Task
from leaseq.names import CLI, Entry, order
from leaseq.protocol import arrays, concluding, dependents, edges, keys, reports, tasks
from leaseq.protocol.dependents import Looked
from leaseq.protocol.facts import Ended
from leaseq.protocol.stops import Stop
from leaseq.protocol.tasks import Claim
from leaseq.upstream import Upstream, edges_in
from leaseq.world import Fs
from tests.crash import array_rules
from tests.crash.array_rules import LEASE, TASK, Tried, cancel_free, fresh, lose_and_work
from tests.crash.check import Violated, named
from tests.faults import Died, Fault, FaultFs, Kind

Act = Callable[[Any, Fs], object]
Build = Callable[[Any], Act]
NODE = "n9"
"""Nobody serves it: what may start stays in its inbox."""
NOW = 5.0
AFTER = (("ok", 0), ("ok", 3), ("notok", 3), ("ok", 4))
"""What waits for which index, from the beginning; index 3 fails."""


@dataclass(frozen=True)
class Protocol(array_rules.Protocol):
    """The functions that the actors use. A mutant replaces one."""

    follow: Callable[..., frozenset[str]] = dependents.follow_indices
    look: Callable[..., Looked] = dependents.look
    look_once_published: Callable[..., Looked] = dependents.look
    revive: Callable[..., list[str]] = dependents.revive
    cancel: Callable[..., Outcome | None] = arrays.cancel
    world: Callable[[Any], array_rules.World] = field(default=lambda p: World(p))


REAL = Protocol()
OF_GROUPS = {which: replace(REAL, whole=p.whole) for which, p in array_rules.OF_GROUPS.items()}


@dataclass
class Truth(array_rules.Truth):
    downs: dict[str, tuple[str, int]] = field(default_factory=dict)
    """What somebody was told to wait, by id: for what of which index."""


class World(array_rules.World):
    """The lease with its array, and with tasks that come after indices of it."""

    p: Protocol
    truth: Truth

    prompt = False
    """True if nobody dies in it, and so nobody has to look again."""

    def __init__(self, p: Protocol = REAL) -> None:
        super().__init__(p)
        self.p, self.truth = p, Truth()
        for kind, index in AFTER:
            submit_after(self, self.fs(), kind, index)

    def check_always(self) -> None:
        check_always(self)

    def check_ended(self, *, first: str = "") -> None:
        check_ended(self, first=first)

    def told(self, fs: Fs, ends: Sequence[Ended]) -> None:
        if ends:
            self.p.follow(fs, LEASE, [f"{TASK}_{each.index}" for each in ends])


def submit_after(world: World, fs: Fs, kind: str, index: int) -> str:
    """A task that comes after that index is published and acknowledged."""
    number = len(world.truth.downs) + 1
    entry = Entry(order(priority=0, micros=number, sequence=0), f"T0000000000{'abcdefghjk'[number]}", Need(), 1)
    up = Upstream(kind, f"{TASK}_{index}", 1, LEASE.id)
    edges.prepare(fs, LEASE, NODE)
    fs.mkdir(LEASE.inbox(NODE))
    edges.put(fs, LEASE, [up], [entry.key])
    task = Task(entry.id, ("true",), "/", 1.0, node=NODE, after=(str(up),))
    tasks.publish(fs, LEASE.waiting(NODE), entry, task)
    world.p.look_once_published(fs, LEASE, now=NOW, only=[entry.key])
    world.truth.downs[entry.id] = kind, index
    return entry.id


# -- rules -----------------------------------------------------------------------------------------------------------


def place(fs: Fs, down: str) -> str:
    """Where the task is: `waiting`, `inbox`, or the state in which it ended."""
    outcome = tasks.read_outcome(fs, LEASE, down, 1)
    if outcome is not None:
        return outcome.state.name
    places = {"waiting": LEASE.waiting(NODE), "inbox": LEASE.inbox(NODE)}
    found = [kind for kind, at in places.items() if any(down in name for name in fs.names(at))]
    if any(down in name for name in fs.names(LEASE.claimed(CLI))):
        found.append("cancelled")
    if len(found) != 1:
        raise Violated(f"{down} is in {found}")
    return found[0]


def state_of(fs: Fs, index: int) -> State | None:
    """How the index ended, by what counts; None if it has not."""
    told = reports.indices(fs, LEASE, TASK, 1, Indices.of([index])).ended.get(index)
    if told is not None:
        return told.state
    stops = reports.stops_of(fs, LEASE, TASK, 1)
    over = tasks.read_outcome(fs, LEASE, TASK, 1) is not None
    return State.CANCELLED if over or any(not each.indices or index in each.indices for each in stops) else None


def check_always(world: World) -> None:
    """Nothing may start before what it waits for has come, and nothing was cancelled because of what did not happen."""
    array_rules.check_always(world)
    fs = world.fs()
    for down, (kind, index) in world.truth.downs.items():
        where, state = place(fs, down), state_of(fs, index)
        comes = None if state is None else edges.verdict(kind, state)
        if where == "inbox" and comes is not True:
            raise Violated(f"{down} may start, and {kind}:{index} has not come: {state}")
        if where in ("cancelled", "CANCELLED") and comes is not False:
            raise Violated(f"{down} is cancelled, and {kind}:{index} may come: {state}")


def check_ended(world: World, *, first: str = "") -> None:
    """All work is done, and whoever waited has started, or is cancelled; or nobody knows how his index ended."""
    fs = world.fs()
    if world.prompt:
        check_prompt(world)
    _finish_cancels(fs)
    array_rules.check_ended(world, first=first)
    world.p.look(fs, LEASE, now=NOW)
    _finish_cancels(fs)
    check_always(world)
    waiting = {edge.down for edge in edges_in(fs.names(LEASE.edges))}
    for down, (kind, index) in world.truth.downs.items():
        where, state = place(fs, down), state_of(fs, index)
        assert state is not None
        wanted = {True: "inbox", False: "CANCELLED", None: "waiting"}[edges.verdict(kind, state)]
        if where != wanted:
            raise Violated(f"{down} is {where} in the end, and {kind}:{index} is {state.name}")
        if (f"{down}.1" in waiting) is not (wanted == "waiting"):
            raise Violated(f"{down} is {where}, and its edge is {'' if f'{down}.1' in waiting else 'not '}there")


def _finish_cancels(fs: Fs) -> None:
    for name in fs.names(LEASE.claimed(CLI)):
        with suppress(FileNotFoundError):
            concluding.finish_cancelled(fs, LEASE, Claim(Entry.parse(name), CLI), ended=NOW, reason="cancelled")


def check_prompt(world: World) -> None:
    """With nobody dead, whoever ended an index, or submitted what waits for it, has seen to it: no runner looked."""
    fs = world.fs()
    check_always(world)
    for down, (kind, index) in world.truth.downs.items():
        state = state_of(fs, index)
        if state is not None and edges.verdict(kind, state) is not None and place(fs, down) == "waiting":
            raise Violated(f"{down} waits, and {kind}:{index} is {state.name}")


# -- scenes ----------------------------------------------------------------------------------------------------------


def look(world: World, fs: Fs) -> None:
    world.p.look(fs, LEASE, now=NOW)


def look_again(world: World) -> Act:
    """Its runner died before it had looked who waits for what it has ended."""
    runner = array_rules._held(world, 0)
    held = runner.held[0]
    told, world.told = world.told, lambda fs, ends: None  # type: ignore[method-assign]
    runner.work(held)
    world.told = told  # type: ignore[method-assign]
    return look


def after_one_that_ended(world: World) -> Act:
    runner = array_rules._held(world, 0)
    runner.work(runner.held[0])
    return lambda world, fs: submit_after(world, fs, "ok", 0)


def cancel_some(world: World) -> Act:
    """One that nobody has taken, and one that waits in a node's hands."""
    array_rules._held(world, 1)

    def act(world: World, fs: Fs) -> None:
        world.p.cancel(fs, LEASE, world.entry, Stop(Indices.parse("1,4"), "cancelled"), now=9.0)

    return act


SCENES: dict[str, Build] = {
    build.__name__: build
    for build in (
        array_rules.work_one,
        array_rules.last_chunk,
        array_rules.inherit,
        look_again,
        after_one_that_ended,
        cancel_some,
        cancel_free,
    )
}


def lose_and_end_late(world: Any) -> tuple[Act, Act]:
    """A node is taken for lost as it runs an index, and its runner tells how that ended all the same."""
    runner = array_rules._held(world, 0)
    number = runner.held[0].entry.chunk
    assert number is not None
    runner.journal.write(begun={number: [(0, 1)]})
    world.truth.starts[0, 1] += 1

    def late(world: Any, fs: Fs) -> None:
        ends = [Ended(0, 1, number, State.DONE, exit_code=0)]
        runner.journal.write(ended=ends)
        world.told(fs, ends)

    return array_rules.lose, late


def _promptly(build: Build) -> Build:
    def prompt(world: World) -> Act:
        world.prompt = True
        return build(world)

    return prompt


def _submit_late(world: World, fs: Fs) -> None:
    submit_after(world, fs, "ok", 0)


MEETINGS: dict[str, tuple[Build, Act]] = {
    "work, submit after": (_promptly(array_rules.work_one), _submit_late),
    "work, look": (array_rules.work_one, look),
    "work, lose and work": (array_rules.work_one, lose_and_work),
    "look, look": (look_again, look),
    "look, lose and work": (look_again, lose_and_work),
    "submit after, work": (_promptly(lambda world: _submit_late), array_rules.work("n2")),
    "cancel some, work": (_promptly(cancel_some), array_rules.work("n2")),
    "cancel some, look": (_promptly(cancel_some), look),
    "last chunk, look": (array_rules.last_chunk, look),
}


def cases(p: Protocol) -> Iterator[Tried]:
    """(what is tried, its cases), each to be run to its end."""
    for name, build in SCENES.items():
        for tries in (array_rules.deaths, array_rules.lost_replies, array_rules.failures, array_rules.power_losses):
            if tries is array_rules.power_losses and build is cancel_free:
                continue  # `array_rules` loses power there; who waits is looked at in one batch, as elsewhere
            yield f"{tries.__name__}: {name}", partial(tries, p, build)
    for name, (build, other) in MEETINGS.items():
        both = partial(array_rules._both, build, other)
        yield f"meetings: {name}", partial(array_rules.meetings, p, both)
    yield "meetings: lose, end late", partial(array_rules.meetings, p, lose_and_end_late)
    yield "retried", partial(retries, p)
    yield "retried, and told late", partial(retries_met_by_late_ends, p)


def cases_of_groups(protocols: Mapping[str, Protocol]) -> Iterator[Tried]:
    """The same, of each of those protocols: to be run `in_groups`."""
    for which, p in protocols.items():
        yield from ((f"{which}, {name}", case) for name, case in cases(p))


# -- an index that is retried ------------------------------------------------------------------------------------------


class Untold(World):
    """Who ends an index of it does not look who waits for that."""

    def told(self, fs: Fs, ends: Sequence[Ended]) -> None:
        pass


def _ended(p: Protocol, make: type[World] = World) -> World:
    world = make(p)
    runner = array_rules.Runner(world, world.fs())
    while (held := runner.take()) is not None:
        runner.work(held)
        runner.end(held)
    runner.finish()
    return world


_ended_untold = partial(_ended, make=Untold)


class Retried:
    """An array has ended, what came after its index 3 was cancelled, and somebody retries that index."""

    def __init__(self, p: Protocol, *, told: bool) -> None:
        self.world: World = fresh(p, _ended if told else _ended_untold)

    def retry(self, fs: Fs) -> None:
        """As `retry T_3`, or a second one that finds the first."""
        ended = tasks.read_outcome(fs, LEASE, TASK, 1)
        assert ended is not None
        again = replace(ended.task, array=Array("3", size=array_rules.COUNT))
        entry, task = keys.next_attempt(LEASE, ended, again, indices=1)
        keys.retry(fs, LEASE, ended, LEASE.inbox(ANY), entry, task)
        self.world.p.revive(fs, LEASE, TASK, now=NOW)

    def tell(self, fs: Fs) -> None:
        self.world.p.follow(fs, LEASE, [f"{TASK}_3"])

    def check(self) -> None:
        """What came after index 3 if it ends well waits for it; what came after it if it does not, may start."""
        fs = self.world.fs()
        for down, after in self.world.truth.downs.items():
            if after == ("ok", 3):
                waits = [each.up for each in edges_in(fs.names(LEASE.edges)) if each.down.startswith(down)]
                places = [name for name in fs.names(LEASE.waiting(NODE)) if down in name]
                if len(places) != 1 or [up.id for up in waits] != [f"{TASK}_3"]:
                    raise Violated(f"{down} was to wait for the retried index again: {places} {waits}")
            elif after == ("notok", 3) and place(fs, down) != "inbox":
                raise Violated(f"{down} was to start after the index that failed")


def retries(p: Protocol) -> Iterator[str]:
    """Whoever retries an index dies at each operation, and does it again; or each reply is lost."""
    for kind in (Kind.DIE_BEFORE, Kind.DIE_AFTER, Kind.LOST_REPLY):
        at, struck = 0, True
        while struck:
            at += 1
            case = Retried(p, told=True)
            faulty = FaultFs(case.world.fs(), Fault(at, kind))
            with named(f"operation {at}: {kind.value}", LookupError):
                with suppress(Died):
                    case.retry(faulty)
                struck = len(faulty.calls) >= at
                if kind is not Kind.LOST_REPLY:
                    case.retry(case.world.fs())
                case.check()
            yield f"{at} {kind}"


def retries_met_by_late_ends(p: Protocol) -> Iterator[str]:
    """Whoever ended index 3 looks who waits for it only as somebody retries it; and the other way round."""
    for first, second in (("retry", "tell"), ("tell", "retry")):
        at, struck = 0, True
        while struck:
            at += 1
            case = Retried(p, told=False)
            meanwhile = partial(getattr(case, second), case.world.fs())
            faulty = FaultFs(case.world.fs(), Fault(at, Kind.MEANWHILE, meanwhile=meanwhile))
            with named(f"{first}, operation {at}: {second} meanwhile", LookupError):
                getattr(case, first)(faulty)
                struck = len(faulty.calls) >= at
                if not struck:
                    break
                case.check()
            yield f"{first} {at}"
