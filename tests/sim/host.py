"""A machine that serves a node: its clock, its boot, its keeper, its tasks and its node-local records.

The keeper here does what `leaseq.node.keeper` does, by callbacks: it takes requests, begins records, spawns, notes
how tasks end, and ends them. What really happened is noted in `Truth`. When a keeper dies its tasks
go to the runner that started it, and when that is dead too, nobody sees how they end.
"""

from __future__ import annotations

import copy
import itertools
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

from leaseq.dataclass import dataclass, field, replace
from leaseq.models import Why
from leaseq.names import parse_id, parse_key
from leaseq.node.lease_end import DOUBT_SECONDS, LeaseEnd, may_be_of_it
from leaseq.node.members import Members
from leaseq.node.record import Rec
from leaseq.node.request import StartRequest
from leaseq.node.window import MOMENT_SECONDS, Window, WindowRequest
from leaseq.room import Room
from tests.sim.nfs import Client
from tests.sim.scheduler import Process, Scheduler
from tests.sim.truth import SimTruth

EPOCH = 1_700_000_000.0
ALONE = "alone"
"""What a task's command says of its CPUs if it names no need."""
STALLED_CHANCE, STALLED_SECONDS = 0.02, 0.3
"""How often a runner waits for a CPU, and how long."""
TERM_SECONDS, LATE_SECONDS = 1.2, 5.0
"""Within how long Slurm's TERM comes to all, and how much later to the runner at times."""
LEASE_GRACE_SECONDS = 6.0
"""What the keeper gives tasks then."""
PIDS = 7
"""So few that a pid is soon another process's."""


@dataclass(eq=False)
class Work:
    """One started process of a task, as it really is."""

    key: str
    pid: int
    boot: int
    gpus: tuple[str, ...]
    cpus: int
    alone: bool
    manner: str
    began: float
    limit: float | None
    parent: object
    """The keeper or the runner that will see its status; None: nobody will."""
    ended: bool = False
    status: int = 0
    usage: float = 0.0
    termed: bool = False
    """True once Slurm has sent it TERM, for its job ends."""
    waited: Callable[[], None] = lambda: None
    """What its keeper does next, if it runs a window."""


@dataclass(eq=False)
class Keeper:
    """One keeper process: who started it, and so gets its tasks when it dies."""

    parent: Process
    lease_end: LeaseEnd
    alive: bool = True
    doubted: dict[str, Work | None] = field(default_factory=dict)
    """Ends that may be the lease's; None: of one that was not its child."""

    def doubts(self, work: Work | None) -> bool:
        """True if that end may be of the lease's; None: nobody saw how it ended."""
        return may_be_of_it(fact_of(work))

    @property
    def may_begin(self) -> bool:
        return not self.lease_end.is_near

    def believes(self, runner: Process) -> bool:
        """True if that runner may say that the lease ends: one before it spoke of an end that is over."""
        return runner is self.lease_end.serving()


def fact_of(work: Work | None) -> dict[str, object]:
    return {"e": "gone"} if work is None else {"e": "exit", "status": work.status}


@dataclass(eq=False)
class Host:
    """One machine."""

    name: str
    node: str
    capacity: Room
    scheduler: Scheduler
    client: Client
    truth: SimTruth
    chance: Random
    boot: int = 1
    offset: float = 0.0
    """How wrong its clock of the day is."""
    booted: float = 0.0
    up: bool = True
    keeper: Keeper | None = None
    runner: Process | None = None
    """Who holds the node-local lock."""
    serving: Process | None = None
    """Who has taken it last."""
    keepers: type[Keeper] = Keeper
    asks: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    records: dict[str, Rec] = field(default_factory=dict)
    windows: dict[str, Window] = field(default_factory=dict)
    born: dict[str, int] = field(default_factory=dict)
    work: list[Work] = field(default_factory=list)
    keeper_hangs_until: float = 0.0
    no_room: int = 0
    """How many of the next starts find no room on the node's disk."""
    woken: Callable[[], None] = lambda: None
    """Tells the runner that a record has changed."""
    ending: bool = False
    """True since Slurm has begun to end its job, until the job runs again."""
    ended_by_slurm: list[Work] = field(default_factory=list)
    """What Slurm has ended of that: its place is nobody's until then."""
    pids: int = 0

    # -- the clock ---------------------------------------------------------------------------------

    def now(self) -> float:
        return EPOCH + self.scheduler.now + self.offset

    def monotonic(self) -> float:
        return self.scheduler.now - self.booted + 100.0

    @property
    def boot_id(self) -> str:
        return f"{self.name}/{self.boot}"

    # -- the keeper --------------------------------------------------------------------------------

    def ensure_keeper(self, parent: Process) -> None:
        if self.keeper and self.keeper.alive:
            return
        lease_end = LeaseEnd(lambda: self.serving, monotonic=self.monotonic)
        self.keeper = self.keepers(parent, lease_end)
        self._adopt(self.keeper)
        self.keeper_soon()

    def keeper_soon(self) -> None:
        keeper = self.keeper
        if keeper:
            hangs = max(0.0, self.keeper_hangs_until - self.scheduler.now)
            slow = self.chance.random() < 0.25
            self.scheduler.at(hangs + self.chance.expovariate(1.0 if slow else 200.0), lambda: self._serve(keeper))

    def _serve(self, keeper: Keeper) -> None:
        if self.scheduler.now < self.keeper_hangs_until:
            self.keeper_soon()
            return
        waiting = []
        while keeper.alive and self.asks:
            what, key, body = self.asks.pop(0)
            if what in ("start", "window") and keeper.doubted:
                waiting.append((what, key, body))
            elif what == "start":
                self._begin(keeper, key, body)
            elif what == "window":
                self._begin_window(keeper, key, body)
            elif what == "stop":
                self._stop(key, Why(body["why"]), body["grace"])
            elif what == "end" and keeper.believes(body["runner"]):
                self._end_lease(keeper, body["grace"])
        self.asks[:0] = waiting

    def _begin(self, keeper: Keeper, key: str, body: Mapping[str, Any]) -> None:
        if body["boot"] != self.boot_id or key in self.records:
            return
        self._set(key, Rec(boot=self.boot_id, gpus=tuple(body["gpus"]), limit_seconds=body["limit"]))
        if self.no_room:
            self.no_room -= 1
            self._set(key, replace(self.records[key], failure="log: no space left", failure_code=1, again=True))
            return
        self.scheduler.at(self.chance.expovariate(500.0), lambda: self._spawn(keeper, key, body))

    def _spawn(self, keeper: Keeper, key: str, body: Mapping[str, Any]) -> None:
        rec = self.records.get(key)
        if not keeper.alive or rec is None or rec.over:
            return
        if not keeper.may_begin:
            refused = replace(rec, stopping=Why.LEASE, failure="its lease ends", failure_code=1, again=True)
            self._set(key, refused)
            return
        if body["argv"][3] == "missing":
            self.truth.exits[parse_key(key)] = 127
            self._set(key, replace(rec, failure="no such command", failure_code=127))
            return
        work = self._run(keeper, key, rec, body["argv"])
        self._set(key, replace(rec, pid=work.pid, started=self.now(), started_monotonic=work.began))
        if rec.limit_seconds is not None:
            self.scheduler.at(rec.limit_seconds, lambda: self._limit(work))

    def _run(self, keeper: Keeper, key: str, rec: Rec, argv: Sequence[str]) -> Work:
        """The attempt's process is there."""
        if keeper.lease_end.told_at is not None and self.serving is self.runner and self.ending:
            self.truth.violated(f"{key} was started on {self.name}, whose keeper had heard that the lease ends")
        self.pids += 1
        work = Work(
            key=key,
            pid=1 + self.pids % PIDS,
            boot=self.boot,
            gpus=rec.gpus,
            cpus=self.capacity.cpus if argv[4] == ALONE else int(argv[4]),
            alone=argv[4] == ALONE,
            manner=argv[3],
            began=self.monotonic(),
            limit=rec.limit_seconds,
            parent=keeper,
        )
        self.truth.started(parse_key(key), self.name, tuple(argv), self.scheduler.now)
        self._check_room(work)
        self.work.append(work)
        self.scheduler.at(float(argv[1]), lambda: self._exits(work, int(argv[2]) << 8))
        return work

    # -- windows -----------------------------------------------------------------------------------

    def _begin_window(self, keeper: Keeper, name: str, body: Mapping[str, Any]) -> None:
        if body["boot"] != self.boot_id or name in self.windows:
            return
        first = {"boot": self.boot_id, "gpus": tuple(body["gpus"]), "limit_seconds": body["limit"]}
        self.windows[name] = Window(tuple(each.key for each in body["places"]), first)
        self._next(keeper, name, body, 0)

    def _next(self, keeper: Keeper, name: str, body: Mapping[str, Any], place: int) -> None:
        """The one at that place is noted to begin; its process is there a moment later."""
        found = self.windows.get(name)
        if not keeper.alive or found is None or found.over:
            return
        if (hangs := self.keeper_hangs_until - self.scheduler.now) > 0:
            self.scheduler.at(hangs, lambda: self._next(keeper, name, body, place))
        elif place == len(found.keys) or keeper.doubted or not keeper.may_begin:
            self._end_window(found)
        elif self.no_room:
            self.no_room -= 1
            found.begun[place] = {"failure": "no space left", "failure_code": 1, "again": True}
            self._end_window(found)
        else:
            found.begun[place] = {}
            self.scheduler.at(self.chance.expovariate(500.0), lambda: self._spawn_in(keeper, name, body, place))

    def _end_window(self, found: Window) -> None:
        found.over = True
        self.woken()

    def _spawn_in(self, keeper: Keeper, name: str, body: Mapping[str, Any], place: int) -> None:
        found = self.windows.get(name)
        if not keeper.alive or found is None or found.over:
            return
        own = body["places"][place]
        if own.argv[3] == "missing":
            self.truth.exits[parse_key(own.key)] = 127
            found.begun[place] = {"failure": "no such command", "failure_code": 127}
            self._next(keeper, name, body, place + 1)
            return
        work = self._run(keeper, own.key, found.rec(place), own.argv)
        found.begun[place] = {"pid": work.pid, "started": self.now(), "started_monotonic": work.began}
        work.waited = lambda: self._next(keeper, name, body, place + 1)
        self.scheduler.at(MOMENT_SECONDS, lambda: self._part(keeper, name, place, work))

    def _part(self, keeper: Keeper, name: str, place: int, work: Work) -> None:
        """What takes longer than a moment has a record of its own."""
        found = self.windows.get(name)
        if keeper.alive and found is not None and found.current == place:
            self._give_own(found, place)
            if work.limit is not None:
                self.scheduler.at(max(0.0, work.limit - MOMENT_SECONDS), lambda: self._limit(work))

    def _part_at_once(self, found: Window) -> None:
        """Nothing more of it begins, and what runs of it has a record of its own."""
        if found.current is None:
            self._end_window(found)
        else:
            self._give_own(found, found.current)

    def _give_own(self, found: Window, place: int) -> None:
        self.records.setdefault(found.keys[place], found.rec(place))
        found.own.add(place)
        self._end_window(found)

    def _window_of(self, key: str) -> tuple[Window, int] | None:
        """The window that runs the attempt, and where in it."""
        for found in self.windows.values():
            if found.current is not None and found.keys[found.current] == key and found.boot == self.boot_id:
                return found, found.current
        return None

    def _check_room(self, new: Work) -> None:
        """What runs together must fit, by whichever runner it was booked."""
        running = [each for each in self.work if not each.ended] + self.ended_by_slurm
        if running and (new.alone or any(each.alone for each in running)):
            self.truth.violated(
                f"{new.key} and {running[0].key} run together on {self.name}, and one wants to be alone"
            )
        for each in running:
            if set(new.gpus) & set(each.gpus):
                self.truth.violated(f"{new.key} and {each.key} were given the same GPU of {self.name}")
        if sum(each.cpus for each in running) + new.cpus > self.capacity.cpus:
            self.truth.violated(f"{new.key} runs on {self.name} with more CPUs booked than there are")

    def _limit(self, work: Work) -> None:
        if self.keeper and self.keeper.alive and not work.ended and work.boot == self.boot:
            self._stop(work.key, Why.TIMEOUT, 10.0)

    def _stop(self, key: str, why: Why, grace: float) -> None:
        if where := self._window_of(key):
            self._give_own(*where)
        rec = self.records.get(key)
        if rec is None or rec.over:
            return
        work = self._running(key)
        if work is None:
            return
        if not rec.stopping:
            self.records[key] = replace(rec, stopping=why)
        self._answers_term(work)
        self.scheduler.at(grace, lambda: self._exits(work, int(signal.SIGKILL)))

    def _answers_term(self, work: Work) -> None:
        answers = {"graceful": (1.0, 0), "again": (1.0, 75 << 8), "ignores": None}
        answer = answers.get(work.manner, (0.05, int(signal.SIGTERM)))
        if answer:
            seconds, status = answer
            self.scheduler.at(seconds, lambda: self._exits(work, status))

    def _running(self, key: str) -> Work | None:
        return next((each for each in self.work if each.key == key and not each.ended), None)

    def _exits(self, work: Work, status: int) -> None:
        """The process ends, unless it has ended; its parent, if it has one, will see its status."""
        if work.ended or work.boot != self.boot:
            return
        work.ended, work.status, work.usage = True, status, self.monotonic() - work.began
        self.truth.alive.discard(parse_key(work.key))
        self.truth.over[parse_key(work.key)] = self.scheduler.now
        where = self._window_of(work.key)
        rec = where[0].rec(where[1]) if where else self.records.get(work.key)
        if work.termed and may_be_of_it(fact_of(work)) and rec is not None and rec.stopping in (None, Why.LEASE):
            self.ended_by_slurm.append(work)
            self.truth.ended_by_slurm.add(parse_key(work.key))
        code = status >> 8 if status >> 8 else 128 + status if status else 0
        self.truth.exits[parse_key(work.key)] = code
        if work.parent is None:
            self.truth.unseen.add(parse_key(work.key))
        self.scheduler.at(self.chance.expovariate(100.0), lambda: self._keeper_sees(work))
        self.woken()

    def _keeper_sees(self, work: Work) -> None:
        keeper = self.keeper
        known = work.key in self.records or self._window_of(work.key)
        if work.boot != self.boot or not known or keeper is None or not keeper.alive:
            return
        if work.parent is keeper:
            self._found(keeper, work.key, work)
        else:
            self.scheduler.at(self.chance.uniform(0.0, 0.2), lambda: self._found(keeper, work.key, None))

    def _found(self, keeper: Keeper, key: str, work: Work | None) -> None:
        """The keeper knows that the process is gone: if that may be of its lease's end, it waits for the news."""
        if not keeper.alive or key in keeper.doubted:
            return
        if (where := self._window_of(key)) and keeper.doubts(work):
            self._give_own(*where)
        rec = self.records.get(key)
        if rec is None or rec.over or rec.boot != self.boot_id or rec.stopping or not keeper.doubts(work):
            self._settle(key, work)
            return
        keeper.doubted[key] = work
        self.scheduler.at(DOUBT_SECONDS, lambda: self._doubts_no_more(keeper, key))

    def _doubts_no_more(self, keeper: Keeper, key: str) -> None:
        hangs = self.keeper_hangs_until - self.scheduler.now
        if hangs > 0.0:
            self.scheduler.at(hangs + 0.001, lambda: self._doubts_no_more(keeper, key))
            return
        self._serve(keeper)  # what it was asked meanwhile comes first
        if keeper.alive and key in keeper.doubted:
            self._settle(key, keeper.doubted.pop(key))
            self.keeper_soon()

    def _settle(self, key: str, work: Work | None) -> None:
        """The record says how the attempt has ended."""
        rec = self.records.get(key)
        if work is not None:
            self.waited(work)
        elif rec is not None and not rec.over:
            self._set(key, replace(rec, gone=True))

    def _end_lease(self, keeper: Keeper, grace: float) -> None:
        """The keeper has heard that its lease ends."""
        if not self.ending:
            self.truth.violated(f"the keeper of {self.name} takes an end that is over for one of now")
        keeper.lease_end.tell()
        for found in self.windows.values():
            if not found.over and found.boot == self.boot_id:
                self._part_at_once(found)
        for key, rec in list(self.records.items()):
            if rec.over or rec.boot != self.boot_id:
                continue
            self.records[key] = replace(rec, stopping=rec.stopping or Why.LEASE)
            if key in keeper.doubted:
                self._settle(key, keeper.doubted.pop(key))
            else:
                self._stop(key, Why.LEASE, grace)

    def waited(self, work: Work) -> None:
        """Its parent has seen its status, and the record says it."""
        rec = self.records.get(work.key)
        if (where := self._window_of(work.key)) and work in self.work:
            found, place = where
            found.begun[place] |= {"status": work.status, "ended": self.now(), "elapsed": work.usage}
            work.waited()
        elif rec is not None and rec.pid == work.pid and rec.status is None and work in self.work:
            self._set(work.key, replace(rec, status=work.status, ended=self.now(), elapsed=work.usage))
        if work in self.work:
            self.work.remove(work)

    def ended_children(self, runner: Process) -> list[Work]:
        """What the runner can wait for. Of what a dead keeper's window ran the next one has to make a record first."""
        return [each for each in self.work if each.ended and each.parent is runner and not self._window_of(each.key)]

    def _adopt(self, keeper: Keeper) -> None:
        """A new keeper goes on with what runs, and notes what is gone; windows of the last one are over."""
        for found in self.windows.values():
            if not found.over and found.boot == self.boot_id:
                self._part_at_once(found)
        for key, rec in list(self.records.items()):
            if rec.over or rec.boot != self.boot_id:
                continue
            work = self._running(key)
            if work is None:
                lost = next((each for each in self.work if each.key == key), None)
                if lost is not None:
                    self._keeper_sees(lost)
                else:
                    self.truth.unseen.add(parse_key(key))
                    self.scheduler.at(0.2, partial(self._found, keeper, key, None))
                continue
            if work.limit is not None:
                left = work.began + work.limit - self.monotonic()
                self.scheduler.at(max(0.0, left), partial(self._limit, work))
            if rec.stopping:
                self._stop(key, rec.stopping, 10.0)

    def _set(self, key: str, rec: Rec) -> None:
        self.records[key] = rec
        self.woken()

    # -- the end of its job ------------------------------------------------------------------------

    def slurm_signals(self, tell_runner: Callable[[], None]) -> None:
        """Slurm's TERM goes to each process of the step by itself: to children before their parents, or in any order.

        The keeper or the runner hears it soon after the first task; the runner perhaps later, if the keeper has.
        """
        self.ending = True
        any_order, last_task = self.chance.random() < 0.3, self.chance.uniform(0.0, TERM_SECONDS)
        for work in [each for each in self.work if not each.ended]:
            self.scheduler.at(self.chance.uniform(0.0, last_task), partial(self._term, work))
        keeper_at = self.chance.uniform(0.0 if any_order else last_task, TERM_SECONDS)
        runner_at = self.chance.uniform(0.0 if any_order else keeper_at, TERM_SECONDS)
        late = self.chance.choice((0.0, self.chance.uniform(0.0, LATE_SECONDS)))

        def runner_hears() -> None:
            keeper = self.keeper
            has_heard = keeper is not None and keeper.alive and keeper.lease_end.told_at is not None
            self.scheduler.at(late if has_heard else 0.0, tell_runner)

        self.scheduler.at(keeper_at, lambda: self._keeper_hears(self.keeper))
        self.scheduler.at(runner_at, runner_hears)

    def _term(self, work: Work) -> None:
        if not work.ended and work.boot == self.boot:
            work.termed = True
            self._answers_term(work)

    def _keeper_hears(self, keeper: Keeper | None) -> None:
        hangs = self.keeper_hangs_until - self.scheduler.now
        if hangs > 0.0:
            self.scheduler.at(hangs, lambda: self._keeper_hears(keeper))
        elif keeper and keeper.alive:
            self._end_lease(keeper, LEASE_GRACE_SECONDS)

    def slurm_kills(self) -> None:
        """Every process of the step is gone; what is node-local stays."""
        if self.runner is not None:
            self.scheduler.kill(self.runner)
        self.kill_keeper()
        for work in [each for each in self.work if not each.ended]:
            work.termed = True
            self._exits(work, int(signal.SIGKILL))

    def runs_again(self) -> None:
        """The job has the node once more."""
        self.ending = False
        self.ended_by_slurm.clear()

    # -- deaths ------------------------------------------------------------------------------------

    def kill_keeper(self) -> None:
        """Its tasks, the ended ones too, come to the runner that started it, or to nobody."""
        keeper = self.keeper
        if keeper is None or not keeper.alive:
            return
        keeper.alive = False
        for work in keeper.doubted.values():
            if work is not None:  # it has seen how it ended, and told nobody
                self.truth.unseen.add(parse_key(work.key))
                self.work.remove(work)
        self._orphan(keeper, None if keeper.parent.dead else keeper.parent)

    def runner_died(self, runner: Process) -> None:
        if self.runner is runner:
            self.runner = None
        self._orphan(runner, None)

    def _orphan(self, parent: object, heir: Process | None) -> None:
        for work in list(self.work):
            if work.parent is parent:
                work.parent = heir
                if heir is None and work.ended:
                    self.truth.unseen.add(parse_key(work.key))
                    self.work.remove(work)

    def reboot(self, *, keep_records: bool) -> None:
        """Every process is gone, and a new boot begins; what was node-local may outlive it."""
        if self.runner is not None:
            self.scheduler.kill(self.runner)
        self.kill_keeper()
        self.truth.alive.difference_update(parse_key(work.key) for work in self.work)
        self.work.clear()
        self.boot += 1
        self.booted = self.scheduler.now
        self.client.forget()
        self.truth.lossy.add(self.node)
        if not keep_records:
            self.forget_everything()

    def forget_everything(self) -> None:
        """The node-local directory is gone; tasks run on, and nobody there knows of them."""
        self.truth.lossy.add(self.node)
        self.records.clear()
        self.windows.clear()
        self.born.clear()
        self.asks.clear()

    def end_now(self, key: str) -> None:
        work = self._running(key)
        if work is not None:
            forced = parse_key(key) in self.truth.forced or parse_id(parse_key(key)[0])[0] in self.truth.forced_arrays
            if self.node not in self.truth.lossy and not forced:
                self.truth.violated(f"{key} was killed, and nothing had happened to {self.node}")
            self._exits(work, int(signal.SIGKILL))


class SimRecords:
    """The records of the windows of a host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @property
    def boot(self) -> str:
        return self.host.boot_id

    def asked(self) -> list[str]:
        return [key for what, key, _ in self.host.asks if what == "window"]

    def withdraw(self, name: str) -> None:
        if name not in self.host.windows:
            self.host.asks = [ask for ask in self.host.asks if ask[:2] != ("window", name)]

    def names(self) -> list[str]:
        return list(reversed(self.host.windows))  # a directory has no order of its own

    def read(self, name: str) -> Window | None:
        return self.host.windows.get(name)

    def is_done(self, name: str) -> bool:
        found = self.host.windows.get(name)
        return found is not None and found.over and not found.own

    def drop(self, name: str) -> None:
        self.host.windows.pop(name, None)


class SimProcs:
    """The port Procs of one runner: each call takes a moment, in which others may act."""

    def __init__(self, host: Host, process: Process) -> None:
        self.host = host
        self.process = process
        self.lease_ends = False
        """True once the runner was told that its lease ends."""
        self.doubted: dict[str, float] = {}
        """Ends of its own children that may be the lease's, and until when that is looked at."""
        self.members = Members(SimRecords(host))
        self.numbers = itertools.count(1)
        self.knows_windows = True

    def doubts(self, work: Work) -> bool:
        return may_be_of_it(fact_of(work))

    def _pause(self) -> Host:
        stalled = self.host.chance.random() < STALLED_CHANCE
        self.host.scheduler.pause(self.host.chance.expovariate(1 / (STALLED_SECONDS if stalled else 0.0002)))
        return self.host

    def born(self, incarnation: str) -> None:
        self._pause().born[incarnation] = self.host.boot

    def knows(self, incarnation: str) -> bool:
        return self._pause().born.get(incarnation) == self.host.boot

    def start(self, key: str, request: StartRequest) -> None:
        host = self._pause()
        host.asks.append(("start", key, {**request.to_json(), "boot": host.boot_id}))
        host.keeper_soon()

    def start_window(self, request: WindowRequest) -> str:
        host = self._pause()
        name = f"w{self.process.name}.{next(self.numbers)}"
        self.members.add(name, [each.key for each in request.places])
        host.asks.append(("window", name, {**request.to_json(), "boot": host.boot_id}))
        host.keeper_soon()
        return name

    def window(self, name: str) -> Window | None:
        self._pause()
        return copy.deepcopy(self.members.read(name))

    def is_done(self, name: str) -> bool:
        self._pause()
        return self.members.records.is_done(name)

    def leave_window(self, name: str, keys: Collection[str]) -> None:
        self._pause()
        self.members.leave(name, keys)

    def find_windows(self) -> None:
        self._pause()
        self.members.find()

    def stop(self, key: str, *, why: Why, grace: float) -> None:
        self._pause().asks.append(("stop", key, {"why": why.value, "grace": grace}))
        self.host.keeper_soon()

    def signal(self, key: str, number: int, *, to: str, warning: bool = False) -> None:
        self._pause()

    def record(self, key: str) -> Rec | None:
        rec = self._pause().records.get(key) or self.members.record(key)
        return replace(rec, gone=False) if rec and rec.gone and key in self.doubted else rec

    def void(self, key: str) -> bool:
        host = self._pause()
        if key in host.records or key in self.members:
            return False
        host.records[key] = Rec(void=True)
        host.asks = [ask for ask in host.asks if ask[:2] != ("start", key)]
        return True

    def forget(self, key: str) -> None:
        host = self._pause()
        if not self.members.forget(key):
            host.asks = [ask for ask in host.asks if ask[:2] != ("start", key)]
            host.records.pop(key, None)

    def end_now(self, key: str) -> None:
        self._pause().end_now(key)

    def attempts(self) -> list[str]:
        return sorted({*self._pause().records, *self.members})

    def given(self, key: str) -> tuple[str, ...] | None:
        rec = self.record(key)
        return rec.gpus if rec else None

    def same_boot(self, rec: Rec) -> bool:
        return rec.boot == self.host.boot_id

    def reap(self) -> None:
        host = self._pause()
        for work in host.ended_children(self.process):
            rec = host.records.get(work.key)
            seconds = DOUBT_SECONDS if self.doubts(work) else 0.0
            until = self.doubted.setdefault(work.key, host.monotonic() + seconds)
            if rec and not rec.stopping and self.lease_ends:
                host.records[work.key] = replace(rec, stopping=Why.LEASE)
            elif rec and not rec.stopping and host.monotonic() < until:
                continue
            host.waited(work)
            del self.doubted[work.key]

    def ensure(self) -> None:
        self._pause().ensure_keeper(self.process)
