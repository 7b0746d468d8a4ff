"""The runner of a simulated host: what `leaseq.runner.main` does, with actors for threads.

The real Runner, Ledger, take_over, housework and refusal run on the ports of a simulated host; a supervisor starts
them again, as the lease script's step does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from leaseq.errors import Unavailable
from leaseq.layout import LeaseDir, new_incarnation
from leaseq.lease.slurm.verdict import Judge
from leaseq.models import Heartbeat
from leaseq.protocol import records, terms
from leaseq.runner import housework
from leaseq.runner.beside import begin_alone
from leaseq.runner.ledger import RETRY_SECONDS, Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.pulse import heartbeat_of, interval_seconds
from leaseq.runner.recover import history, take_over
from leaseq.runner.state import Options
from tests.sim.host import Host, SimProcs
from tests.sim.nfs import ActorFs
from tests.sim.scheduler import Actor, Lock, Process, Scheduler

KEEPER_SECONDS = 2.0
BEAT_SECONDS_MIN = 1.0
STEP_CALLS_BASE = 40
STEP_CALLS_EACH = 14


@dataclass(frozen=True)
class Parts:
    """What a runner is made of, and who judges answers of Slurm. A mutant replaces one."""

    runner: type[Runner] = Runner
    ledger: type[Ledger] = Ledger
    procs: type[SimProcs] = SimProcs
    take_over: Callable[[Runner, set[str]], None] = take_over
    begin_alone: Callable[..., int] = begin_alone
    judge: type[Judge] = Judge


REAL_PARTS = Parts()


class Service:
    """One runner process on one host, from its start to its end."""

    def __init__(self, host: Host, lease: LeaseDir, nodes: tuple[str, ...], parts: Parts, number: int) -> None:
        self.host, self.lease, self.nodes, self.parts = host, lease, nodes, parts
        self.scheduler: Scheduler = host.scheduler
        self.process = Process(f"runner {host.name} {number}")
        self.number = number
        self.incarnation = new_incarnation()
        self.began: float | None = None
        """When it had found that nobody else serves its node."""
        self.on_serving: Callable[[], None] = lambda: None
        """Called then."""
        self.beats: list[float] = []
        """When it beat."""
        self.pulse: Actor | None = None
        self.wakes = 0
        self.changed = False

    @property
    def serves(self) -> bool:
        """True while it serves its node for all that it knows."""
        return bool(self.beats) and not self.process.dead and not self.runner.superseded

    def begin(self, fs: ActorFs) -> None:
        """The process exists, and its first thread is due."""
        self.fs = fs
        self.process.at_death.append(lambda: self.host.runner_died(self.process))
        self.scheduler.spawn(self.process, self.process.name, self._main)

    def _main(self) -> None:
        try:
            if self.host.runner is not None:
                return
            self.host.runner = self.process
            self._begin_alone()
            self.began = self.scheduler.now
            self.on_serving()
            self.runner = self._make_runner()
            self._beat()
        except (OSError, Unavailable):
            self.scheduler.kill(self.process)
            return
        self.host.woken = self._woken
        self.scheduler.spawn(self.process, f"{self.process.name} ledger", self._persist)
        self.pulse = self.scheduler.spawn(self.process, f"{self.process.name} pulse", self._pulse)
        self._turn()

    def _begin_alone(self) -> None:
        records.prepare_node(self.fs, self.lease, self.host.node)
        first = Heartbeat(
            lease=self.lease.id,
            node=self.host.node,
            incarnation=self.incarnation,
            counter=0,
            time=self.host.now(),
            interval_seconds=interval_seconds(len(self.nodes)),
            **self._whoami(),
        )
        self.term = self.parts.begin_alone(
            self.fs,
            self.lease,
            first,
            clock=self.host,
            alive=lambda beat: False,
            pause=self.scheduler.pause,
        )

    def _make_runner(self) -> Runner:
        host, fs, lease = self.host, self.fs, self.lease
        totals, recorded = history(fs, lease, host.node)
        procs = self.parts.procs(host, self.process)
        runner = self.parts.runner(
            fs=fs,
            clock=host,
            procs=procs,
            lease=lease,
            node=host.node,
            incarnation=self.incarnation,
            options=Options(capacity=host.capacity, nodes=self.nodes, term=self.term),
            ledger=self.parts.ledger(
                fs=fs, procs=procs, lease=lease, node=host.node, totals=totals, lock=Lock(self.scheduler)
            ),
        )
        procs.born(runner.incarnation)
        procs.ensure()
        self.parts.take_over(runner, recorded)
        housework.read_end(runner)
        return runner

    # -- its threads -------------------------------------------------------------------------------

    def _turn(self) -> None:
        runner, looked_at = self.runner, self.scheduler.now
        while runner.state != "stopping" or runner.ledger.open or any(h.asked_to_stop for h in runner.held.values()):
            before, holds = len(self.fs.calls), len(runner.held) + len(runner.ledger.open)
            started = self.scheduler.now
            wait = runner.step()
            self._check_cost(len(self.fs.calls) - before, holds, self.scheduler.now - started)
            if runner.changed:
                runner.changed = False
                self.changed = True
                if self.pulse:
                    self.scheduler.wake(self.pulse)
            if self.scheduler.now - looked_at >= KEEPER_SECONDS:
                looked_at = self.scheduler.now
                runner.procs.ensure()
            woken, self.wakes = self.wakes, 0
            self.scheduler.pause(0.0 if woken else min(max(wait, 0.001), KEEPER_SECONDS))
        self._beat(state="stopped")
        self.scheduler.kill(self.process)

    def _woken(self) -> None:
        """A record changed: the kernel tells the loop."""
        self.wakes += 1

    def _check_cost(self, calls: int, holds: int, seconds: float) -> None:
        """A turn costs the server what it did, and not what is pending or finished."""
        did = holds + len(self.runner.held) + len(self.runner.ledger.open) + len(self.runner.waiting)
        allowed = STEP_CALLS_BASE + STEP_CALLS_EACH * did + seconds * 20
        if calls > allowed:
            self.host.truth.violated(f"a turn of {self.process.name} made {calls} calls, more than {allowed:.0f}")

    def _persist(self) -> None:
        ledger = self.runner.ledger
        while True:
            if ledger.open:
                try:
                    ledger.persist()
                    ledger.trouble = ""
                except OSError as error:
                    ledger.trouble = f"file system: {error}"
            self.scheduler.pause(RETRY_SECONDS if ledger.trouble else 0.05 if ledger.open else 0.2)

    def _pulse(self) -> None:
        period = interval_seconds(len(self.nodes))
        while True:
            since = self.scheduler.now - self.beats[-1]
            if since >= period or (self.changed and since >= BEAT_SECONDS_MIN):
                self.changed = False
                try:
                    self._beat()
                except OSError:
                    self.scheduler.pause(BEAT_SECONDS_MIN)
            self.scheduler.pause(max(BEAT_SECONDS_MIN, min(period, period - (self.scheduler.now - self.beats[-1]))))

    def _whoami(self) -> dict[str, Any]:
        return {"host": self.host.name, "boot": self.host.boot_id, "pid": self.number}

    def _beat(self, *, state: str = "") -> None:
        if self.runner.superseded:
            return
        beat = heartbeat_of(self.runner)
        beat = replace(
            beat,
            counter=len(self.beats) + 1,
            **self._whoami(),
            state=state or beat.state,
        )
        terms.beat(self.fs, self.lease, beat)
        self.beats.append(self.scheduler.now)
