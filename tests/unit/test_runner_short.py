"""Short tasks: which of a stream are claimed together, what the keeper is asked for, and what comes back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest

from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Need
from leaseq.names import Entry
from leaseq.node.window import Window, WindowRequest
from leaseq.protocol import files, groups, records, requests, tasks
from leaseq.room import Room
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.ports import Options, Ports
from tests.build import Clock, Keeper, make_alloc, make_entry, make_task
from tests.memoryfs import Disk, MemoryFs

ME = "0123456789"
ONE = Need(cpus=1)


@dataclass
class Windowed(Keeper):
    """A keeper that knows windows; a test says what becomes of each."""

    knows_windows = True
    asked: list[WindowRequest] = field(default_factory=list)
    told: dict[str, Window] = field(default_factory=dict)

    def start_window(self, request: object) -> str:
        assert isinstance(request, WindowRequest)
        self.asked.append(request)
        name = f"w{ME}.{len(self.asked)}"
        self.told[name] = Window(tuple(each.key for each in request.places), {"boot": "here"})
        return name

    def window(self, name: str) -> Window | None:  # type: ignore[override]
        return self.told[name]

    def leave_window(self, name: str, keys: Collection[str]) -> None:  # type: ignore[override]
        """A test looks at the window itself."""


class Scene:
    """A node of two CPUs whose last tasks took milliseconds."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.fs = MemoryFs(self.disk)
        self.lease = LeaseDir("L", "/home/runs/L")
        self.fs.mkdir("/home/runs")
        records.prepare(self.fs, self.lease)
        records.prepare_node(self.fs, self.lease, "n")
        self.procs, self.clock = Windowed(), Clock()
        given: dict[str, Any] = {"fs": self.fs, "procs": self.procs, "lease": self.lease, "node": "n"}
        ledger = Ledger(**given, totals={})
        ports = Ports(**given, clock=self.clock, incarnation=ME, ledger=ledger, alloc=make_alloc())
        self.runner = Runner(ports, Options(Room(2, 1000, ())))
        for _ in range(40):
            self.runner.state.pace.ended(self.clock.monotonic(), 0.001)

    def submit(self, *needs: Need, **fields: Any) -> list[Entry]:
        entries = [make_entry(sequence=len(self.pending()) + at, need=need) for at, need in enumerate(needs)]
        for entry in entries:
            tasks.write_pending(self.fs, self.lease.inbox(ANY), entry, make_task(entry.id, **fields))
        return entries

    def turn(self) -> None:
        self.runner.state.look_for_tasks()
        self.runner.state.touched = None
        self.runner.step()
        self.clock.at += 0.5

    def over(self, *, ended: int = 0, own: int | None = None) -> None:
        """The first window is over: so many have ended, and perhaps one of them goes on alone."""
        found = self.procs.told[f"w{ME}.1"]
        for place in range(ended):
            found.begun[place] = {"pid": 1, "started": 1.0, "status": 0, "ended": 1.0, "elapsed": 0.001}
        if own is not None:
            found.begun[own] = {"pid": 1, "started": 1.0}
            found.own.add(own)
            self.procs.start(found.keys[own], None)
        found.over = True

    def pending(self) -> list[str]:
        return sorted(self.fs.names(self.lease.inbox(ANY)))

    def claimed(self) -> list[str]:
        return sorted(self.fs.names(self.lease.claimed("n")))

    def windows(self) -> list[list[str]]:
        return [[place.key for place in each.places] for each in self.procs.asked]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def keys(entries: Sequence[Entry]) -> list[str]:
    return [entry.key for entry in entries]


def test_each_free_place_gets_a_window_and_the_line_is_dealt_out(scene: Scene) -> None:
    entries = scene.submit(*[ONE] * 6)
    scene.turn()
    assert scene.windows() == [keys(entries[::2]), keys(entries[1::2])]
    assert scene.claimed() == [str(entry.claimed_by(ME)) for entry in entries]
    assert not scene.runner.state.waiting and not scene.procs.records


def test_all_claims_of_a_turn_share_one_sync(scene: Scene) -> None:
    scene.submit(*[ONE] * 6)
    synced: list[str] = []
    scene.fs.sync_dir = synced.append  # type: ignore[assignment,method-assign]
    scene.turn()
    assert synced == [scene.lease.claimed("n")] and len(scene.claimed()) == 6


def test_a_window_of_many_has_as_many_claimed_behind_it(scene: Scene) -> None:
    for _ in range(120):
        scene.runner.state.pace.ended(scene.clock.monotonic(), 0.001)
    entries = scene.submit(*[Need()] * 200)
    scene.runner.state.heard_of_edges = False
    scene.turn()
    assert scene.windows() == [keys(entries[:80])]
    assert len(scene.claimed()) == 160, "half of what ends in a moment, and as many to follow"


def test_each_window_has_its_followers_claimed_while_it_runs(scene: Scene) -> None:
    scene.runner.state.heard_of_edges = False
    entries = scene.submit(*[Need()] * 100)
    scene.turn()
    assert scene.windows() == [keys(entries[:20])] and len(scene.claimed()) == 40
    scene.over(ended=20)
    scene.runner.state.pace.ends.clear()
    scene.turn()
    assert scene.windows()[1] == keys(entries[20:40]), "none goes back, though it is slower now"
    scene.runner.ports.ledger.persist()
    claimed = scene.claimed()
    assert claimed == [str(entry.claimed_by(ME)) for entry in entries[20 : 20 + len(claimed)]]
    assert len(claimed) > 20, "what follows it is claimed, too"


def test_a_turn_reads_no_more_than_one_that_cannot_follow(scene: Scene) -> None:
    scene.submit(*[Need()] * 20)
    scene.turn()
    scene.submit(*[Need()] * 20, cwd="/elsewhere")
    paths: list[str] = []

    def read(path: str) -> bytes:
        paths.append(path)
        return MemoryFs.read(scene.fs, path)

    scene.fs.read = read  # type: ignore[method-assign]
    scene.turn()
    assert len([path for path in paths if "/inbox/" in path]) == 1 and len(scene.pending()) == 20


def test_a_window_is_short_while_tasks_wait_for_the_end_of_others(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 20)
    scene.runner.state.heard_of_edges = True
    scene.turn()
    assert scene.windows() == [keys(entries[:10])]
    assert len(scene.claimed()) == 20


def test_a_task_for_whose_end_others_wait_is_asked_for_alone(scene: Scene) -> None:
    entries = scene.submit(*[ONE] * 6)
    scene.runner.state.upstreams = {entries[0].id, entries[3].id}
    scene.turn()
    assert list(scene.procs.records) == [entries[0].key]
    assert scene.windows() == [keys(entries[1:3])], "and what stands behind such a one waits for its turn"


def test_nothing_passes_what_needs_something_else(scene: Scene) -> None:
    first, last = scene.submit(*[Need(cpus=2)] * 2), scene.submit(ONE, Need(cpus=2))
    scene.turn()
    assert scene.windows() == [keys(first)]
    assert scene.pending() == [str(entry) for entry in last]


def test_a_task_that_is_to_run_elsewhere_stays_pending(scene: Scene) -> None:
    here, there, more = scene.submit(Need()), scene.submit(Need(), cwd="/elsewhere"), scene.submit(Need())
    scene.turn()
    assert scene.windows() == [keys([*here, *more])]
    assert scene.pending() == [str(there[0])]


def test_what_cannot_be_read_is_not_claimed_with_others(scene: Scene) -> None:
    scene.submit(Need())
    [torn] = scene.submit(Need())
    files.replace_file(scene.fs, f"{scene.lease.inbox(ANY)}/{torn}", b"{")
    scene.turn()
    assert scene.pending() == [str(torn)] and not scene.windows()


@pytest.mark.parametrize("why", ["slow", "limited", "short of time", "older keeper"])
def test_a_task_is_asked_for_alone(scene: Scene, why: str) -> None:
    need = Need(cpus=2, time_seconds=0 if why == "short of time" else None)
    entries = scene.submit(need, need)
    if why == "slow":
        for _ in range(6):
            scene.runner.state.pace.ended(scene.clock.monotonic(), 3.0)
    elif why == "limited":
        groups.set_parallel(scene.fs, scene.lease, "g", 1)
    elif why == "older keeper":
        scene.procs.knows_windows = False
    scene.turn()
    assert list(scene.procs.records) == keys(entries[:1]) and not scene.windows()
    assert scene.pending() == [str(entries[1])]


def test_what_ended_is_told_what_takes_long_goes_on_and_the_rest_is_pending_again(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 4)
    scene.turn()
    scene.over(ended=1, own=1)
    scene.turn()
    assert list(scene.runner.state.running) == [entries[1].key]
    assert scene.pending() == [str(entry) for entry in entries[2:]]
    scene.runner.ports.ledger.persist()
    assert scene.claimed() == [str(entries[1].claimed_by(ME))]
    outcome = tasks.read_outcome(scene.fs, scene.lease, entries[0].id, 1)
    assert outcome is not None and outcome.state.name == "DONE" and outcome.task.id == entries[0].id


def test_what_came_back_is_not_claimed_ahead_again(scene: Scene) -> None:
    """None goes back twice: who looks meanwhile would miss it."""
    entries = scene.submit(*[Need()] * 6)
    scene.turn()
    scene.over(ended=3, own=3)
    scene.turn()
    alone = entries[3].key
    scene.procs.records[alone] = replace(scene.procs.records[alone], status=0, ended=1.0, elapsed=0.001)
    scene.turn()
    assert scene.runner.state.pace.is_short and len(scene.windows()) == 1
    assert list(scene.runner.state.running) == [entries[4].key]
    assert scene.pending() == [str(entries[5])]


def test_while_a_window_runs_as_many_are_claimed_to_follow_it(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 50)
    scene.turn()
    assert scene.windows() == [keys(entries[:20])]
    assert scene.pending() == [str(entry) for entry in entries[40:]]
    scene.turn()
    assert len(scene.windows()) == 1 and len(scene.claimed()) == 40
    scene.over(ended=20)
    scene.turn()
    assert scene.windows()[1] == keys(entries[20:40]) and not scene.pending()


def test_what_was_claimed_ahead_is_pending_again_if_its_room_is_taken(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 50)
    scene.turn()
    synced: list[str] = []
    scene.fs.sync_dir = synced.append  # type: ignore[assignment,method-assign]
    scene.over(ended=1, own=1)
    scene.turn()
    assert scene.pending() == [str(entry) for entry in entries[2:]]
    assert synced == [scene.lease.inbox(ANY)] and not scene.runner.state.won


def test_what_is_more_urgent_goes_before_what_was_claimed_ahead(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 50)
    scene.turn()
    urgent = make_entry(priority=5)
    tasks.write_pending(scene.fs, scene.lease.inbox(ANY), urgent, make_task(urgent.id))
    scene.over(ended=20)
    scene.turn()
    assert scene.windows()[1] == keys([urgent, *entries[20:40]])


def test_what_was_claimed_ahead_can_be_cancelled(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 30)
    scene.turn()
    requests.ask(scene.fs, scene.lease, "n", f"cancel.{entries[25].key}", {})
    scene.runner.state.look_at_control = True
    scene.turn()
    outcome = tasks.read_outcome(scene.fs, scene.lease, entries[25].id, 1)
    assert outcome is not None and outcome.state.name == "CANCELLED" and len(scene.claimed()) == 29


def test_a_runner_that_drains_puts_what_it_has_claimed_ahead_back_once_the_window_is_over(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 30)
    scene.turn()
    scene.runner.state.phase.drain()
    scene.over(ended=20)
    scene.turn()
    assert scene.pending() == [str(entry) for entry in entries[20:]] and not scene.runner.state.won


def test_if_a_keeper_begins_nothing_the_next_is_asked_for_alone(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 3)
    scene.turn()
    scene.over()
    scene.turn()
    scene.turn()
    assert list(scene.procs.records) == keys(entries[:1]) and len(scene.windows()) == 1


def test_a_claim_that_was_taken_away_meanwhile_does_not_start(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 3)
    sync = scene.fs.sync_dir

    def sync_late(directory: str) -> None:
        sync(directory)
        if directory == scene.lease.claimed("n"):
            scene.fs.unlink(f"{directory}/{entries[1].claimed_by(ME)}")

    scene.fs.sync_dir = sync_late  # type: ignore[method-assign]
    scene.turn()
    assert scene.windows() == [keys([entries[0], entries[2]])]


def test_a_runner_that_drains_before_they_start_puts_the_others_back(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 3)
    scene.runner.intake.launch = lambda: None  # type: ignore[method-assign]
    scene.turn()
    assert len(scene.claimed()) == 3
    del scene.runner.intake.launch
    scene.runner.state.phase.drain()
    scene.turn()
    assert list(scene.procs.records) == keys(entries[:1])
    assert scene.pending() == [str(entry) for entry in entries[1:]]


def test_a_cancel_waits_until_the_window_is_over(scene: Scene) -> None:
    entries = scene.submit(*[Need()] * 3)
    scene.turn()
    requests.ask(scene.fs, scene.lease, "n", f"cancel.{entries[1].key}", {})
    scene.runner.state.look_at_control = True
    scene.turn()
    assert scene.fs.names(scene.lease.control("n"))
    scene.over(ended=1)
    scene.turn()
    assert not scene.fs.names(scene.lease.control("n"))
    outcome = tasks.read_outcome(scene.fs, scene.lease, entries[1].id, 1)
    assert outcome is not None and outcome.state.name == "CANCELLED"


def test_what_an_unreadable_claim_says_is_not_put_back(scene: Scene) -> None:
    """A claim in doubt that turns out to be no task ends as one, though it was to have the room of another."""
    [entry] = scene.submit(Need())
    held = tasks.claim(scene.fs, scene.lease, scene.lease.inbox(ANY), entry, node="n", incarnation=ME)
    assert held is not None
    files.replace_file(scene.fs, held.path(scene.lease), b"{")
    with pytest.raises(Malformed):
        tasks.read_task(scene.fs, held.path(scene.lease), held.entry)
    scene.submit(Need())
    scene.turn()
    scene.runner.state.claims_in_doubt = True
    scene.turn()
    scene.runner.ports.ledger.persist()
    outcome = tasks.read_outcome(scene.fs, scene.lease, entry.id, 1)
    assert outcome is not None and outcome.state.name == "FAILED"
