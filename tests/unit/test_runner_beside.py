"""Of several runners of one node one serves, whenever they begin and whatever the file system says meanwhile."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial

import pytest

from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Newer, Unavailable
from leaseq.heartbeat import Heartbeat
from leaseq.layout import LeaseDir
from leaseq.models import Event, State
from leaseq.names import new_incarnation
from leaseq.protocol import history, records, terms
from leaseq.runner.beside import begin_alone
from tests.faults import Died, Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

LEASE = LeaseDir("1", "/home/1")
STEPS_MAX = 40


@dataclass(eq=False)
class Starter:
    """A runner that begins to serve node n1 from a host of its own."""

    disk: Disk
    fs: FaultFs
    first: Heartbeat
    others: list[Starter] = field(default_factory=list)
    """Who goes on while this one waits: they beat, once a term is theirs."""
    began: bool = False
    dead: bool = False
    beats: int = 0

    def begin(self) -> None:
        try:
            begin_alone(self.fs, LEASE, self.first, clock=self, alive=lambda _: not self.dead, pause=self.pause)
            self.began = True
        except Died:
            self.dead = True
        except Unavailable:
            pass

    def beat(self, *, state: str = "up") -> None:
        self.beats += 1
        terms.beat(MemoryFs(self.disk), LEASE, replace(self.first, counter=self.beats, state=state))

    def holds_a_term(self) -> bool:
        return any(
            self.first.incarnation.encode() in data
            for path, data in self.disk.files().items()
            if path.startswith(f"{LEASE.heartbeats}/n1.") and not path.endswith(".json")
        )

    def monotonic(self) -> float:
        return self.disk.seconds

    def now(self) -> float:
        return 0.0

    def pause(self, seconds: float) -> None:
        self.disk.seconds += seconds
        for other in self.others:
            if other.holds_a_term() and not other.dead and self.disk.seconds % other.first.interval_seconds < seconds:
                other.beat()


class World:
    """A server's disk with the lease on it, and who begins there."""

    def __init__(self) -> None:
        self.disk = Disk()
        fs = MemoryFs(self.disk)
        fs.mkdir(LEASE.root)
        records.prepare(fs, LEASE)

    def starter(self, host: str, *faults: Fault, boot: str = "") -> Starter:
        first = Heartbeat(
            lease="1",
            node="n1",
            incarnation=new_incarnation(),
            counter=0,
            time=0.0,
            interval_seconds=5.0,
            host=host,
            boot=boot or host,
            pid=7,
        )
        return Starter(self.disk, FaultFs(MemoryFs(self.disk), *faults), first)

    def pair(self, fault: Callable[[Starter], Fault]) -> tuple[Starter, Starter]:
        """Two that begin; the first one meets that fault, made from the second."""
        second = self.starter("b")
        first = self.starter("a", fault(second))
        first.others, second.others = [second], [first]
        return first, second

    def terms(self) -> list[str]:
        return sorted(name for name in MemoryFs(self.disk).names(LEASE.heartbeats) if not name.endswith(".json"))


def earlier_runner(world: World) -> None:
    """Has served and stopped."""
    runner = world.starter("c")
    runner.begin()
    runner.beat(state="stopped")


@pytest.mark.parametrize("old", ["", "41"], ids=["the lease's own", "one beside it"])
def test_what_was_heard_last_for_another_allocation_stays_with_its_age(old: str) -> None:
    world = World()
    before, after = world.starter("a"), world.starter("b")
    before.first, after.first = replace(before.first, alloc=old), replace(after.first, alloc="42")
    for alloc in ("41", "42"):
        MemoryFs(world.disk).mkdir(LEASE.alloc(alloc).root)
    for _ in range(2):  # the node goes from the one to the other, and back
        before.begin()
        before.beat(state="stopped")
        world.disk.seconds += 100
        after.begin()
        after.beat(state="stopped")
        world.disk.seconds += 20
        heard = terms.last_heartbeat(MemoryFs(world.disk), LEASE, "n1", old)
        assert heard is not None and (heard[0].counter, heard[1]) == (before.beats, 120)
    assert not [name for name in world.disk.files() if "/." in name]


def nothing(world: World) -> None:
    """Nobody has ever served."""


def meeting(step: int, other: Starter) -> Fault:
    """The other one begins at that step."""
    return Fault(step, Kind.MEANWHILE, meanwhile=other.begin)


def dying(step: int, kind: Kind, other: Starter) -> Fault:
    """Whoever begins dies at that step."""
    return Fault(step, kind)


@pytest.mark.parametrize("history", [nothing, earlier_runner], ids=["a new node", "one served before"])
def test_of_two_that_begin_at_once_one_serves(history: Callable[[World], None]) -> None:
    for step in range(1, STEPS_MAX):
        world = World()
        history(world)
        first, second = world.pair(partial(meeting, step))
        first.begin()
        if first.fs.met[0] < step:
            assert first.began
            break
        assert first.began + second.began == 1, f"the second began before operation {step} of the first"
    else:
        pytest.fail("more steps than were looked for")


@pytest.mark.parametrize("kind", [Kind.DIE_BEFORE, Kind.DIE_AFTER, Kind.DIE_TORN])
def test_one_that_dies_while_it_begins_keeps_nobody_else_from_serving(kind: Kind) -> None:
    for step in range(1, STEPS_MAX):
        world = World()
        first, second = world.pair(partial(dying, step, kind))
        first.begin()
        second.begin()
        assert second.began or first.began, step
        assert not (second.began and first.began), step
        if first.began:
            break
    assert world.terms() == ["n1.1"]


@pytest.mark.parametrize("error", [0, errno.EIO])
def test_a_term_whose_reply_was_lost_is_the_runners_own(error: int) -> None:
    world = World()
    runner = world.starter("a", Fault(1, Kind.LOST_REPLY, error, operation="link"))
    runner.begin()
    assert runner.began


def test_a_term_that_could_not_be_begun_is_nobodys() -> None:
    world = World()
    runner = world.starter("a", Fault(1, Kind.FAILS, errno.EIO, operation="link"))
    with pytest.raises(OSError, match="Input/output"):
        runner.begin()
    assert world.terms() == []


def test_a_number_that_was_given_up_meanwhile_is_not_taken_again() -> None:
    world = World()
    late = world.starter("a")

    def others_come_and_go() -> None:
        for host in ("b", "c"):
            runner = world.starter(host)
            runner.begin()
            assert runner.began
            runner.beat(state="stopped")

    late.fs = FaultFs(MemoryFs(world.disk), Fault(1, Kind.MEANWHILE, meanwhile=others_come_and_go, operation="link"))
    late.begin()
    assert not late.began
    assert world.terms() == ["n1.2"]


def test_only_the_newest_term_of_each_node_is_kept() -> None:
    world = World()
    other = world.starter("a")
    other.first = replace(other.first, node="n1.1")
    other.begin()
    for host in ("b", "c", "d"):
        runner = world.starter(host)
        runner.begin()
        assert runner.began
        runner.beat(state="stopped")
    assert world.terms() == ["n1.1.1", "n1.3"]


def test_a_dead_runner_of_this_boot_is_not_waited_for_and_a_living_one_is_heeded() -> None:
    world = World()
    world.starter("a").begin()
    again = world.starter("a")
    again.dead = True  # what its `alive` says
    again.begin()
    assert (again.began, world.disk.seconds) == (True, 0.0)
    beside = world.starter("a")
    beside.begin()
    assert not beside.began


def test_a_silent_runner_of_another_host_is_watched_before_its_place_is_taken() -> None:
    world = World()
    world.starter("a").begin()
    heir = world.starter("b")
    heir.begin()
    assert heir.began
    assert world.disk.seconds == pytest.approx(12.5)


def histories(world: World) -> list[str]:
    return MemoryFs(world.disk).names(LEASE.events_dir)


def test_after_one_that_may_live_a_history_is_begun_and_after_one_that_has_ended_the_last_goes_on() -> None:
    world = World()
    for host in ("a", "b", "b", "c"):
        runner = world.starter(host)
        runner.dead = True  # what its `alive` says of one on its host
        runner.begin()
        assert runner.began
    assert histories(world) == ["n1.2", "n1.4"]
    runner.beat(state="stopped")
    world.starter("d").begin()
    assert (world.terms(), histories(world)) == (["n1.5"], ["n1.2", "n1.4"])


def test_whoever_begins_a_later_term_finds_the_histories_of_all_earlier_ones() -> None:
    world = World()
    world.starter("a").begin()
    found: list[list[str]] = []
    runner = world.starter(
        "b", Fault(1, Kind.MEANWHILE, meanwhile=lambda: found.append(histories(world)), operation="link")
    )
    runner.begin()
    assert runner.began and found == [["n1.2"]]


def test_of_two_that_begin_one_history_the_one_without_the_term_adds_nothing_to_it() -> None:
    """The other one has told something by the time that it comes to begin it."""
    world = World()
    world.starter("a").begin()
    winner, fs = world.starter("b"), MemoryFs(world.disk)
    event = Event(id="Tabcdefghijk", attempt=1, state=State.DONE, ended=1.0)

    def serve() -> None:
        winner.begin()
        history.record_events(fs, LEASE, "n1", [event], term=2)

    loser = world.starter("c", Fault(1, Kind.MEANWHILE, meanwhile=serve, operation="append"))
    loser.begin()
    assert (winner.began, loser.began, histories(world)) == (True, False, ["n1.2"])
    assert fs.read(LEASE.events("n1", 2)) == event.to_json()


def test_one_that_beats_for_the_first_time_is_heeded() -> None:
    world = World()
    slow, other = world.starter("a"), world.starter("b")
    slow.begin()
    other.others = [slow]
    other.begin()
    assert (slow.beats > 0, other.began) == (True, False)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
def test_a_term_that_cannot_be_read_is_passed_over(content: bytes) -> None:
    world = World()
    MemoryFs(world.disk).create(LEASE.term("n1", 4), content)
    runner = world.starter("a")
    runner.begin()
    assert (runner.began, world.terms()) == (True, ["n1.5"])


def test_a_directory_in_the_place_of_a_term_stops_nobody() -> None:
    world = World()
    MemoryFs(world.disk).mkdir(LEASE.term("n1", 4))
    runner = world.starter("a", Fault(1, Kind.FAILS, errno.EISDIR, operation="unlink", place="n1.4"))
    runner.begin()
    assert (runner.began, world.terms()) == (True, ["n1.4", "n1.5"])


def test_a_term_of_a_newer_leaseq_is_not_followed() -> None:
    world = World()
    MemoryFs(world.disk).create(LEASE.term("n1", 4), b'{"v": 99}')
    with pytest.raises(Newer):
        world.starter("a").begin()
    assert world.terms() == ["n1.4"]
