"""The runner of a simulated host: `leaseq.runner.service` on the ports of that host, with actors for its threads.

A supervisor starts it again when it ends, as the lease script's step does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError, Refused, Unavailable
from leaseq.layout import LeaseDir
from leaseq.lease.slurm.verdict import Judge
from leaseq.names import CLI, new_incarnation
from leaseq.runner import service
from leaseq.runner.ledger import RETRY_SECONDS
from leaseq.runner.ports import Options
from leaseq.runner.pulse import BURST_SECONDS
from leaseq.world import Fs
from tests.sim.host import LEASE_GRACE_SECONDS, Host, Keeper, SimProcs
from tests.sim.nfs import ActorFs
from tests.sim.scheduler import Actor, Lock, Process, Scheduler

STEP_CALLS_BASE = 40
STEP_CALLS_EACH = 14


@dataclass(frozen=True)
class Parts(service.Parts):
    """What a runner is made of, what it runs on, and who judges answers of Slurm. A mutant replaces one."""

    procs: type[SimProcs] = SimProcs
    keeper: type[Keeper] = Keeper
    judge: type[Judge] = Judge


REAL_PARTS = Parts()


class Service:
    """One runner process on one host, from its start to its end."""

    def __init__(
        self,
        host: Host,
        lease: LeaseDir,
        find_alloc: Callable[[Fs], Allocation],
        nodes: tuple[str, ...],
        parts: Parts,
        number: int,
    ) -> None:
        """find_alloc: what is to give the node, asked by the process."""
        self.host, self.lease, self.find_alloc, self.nodes, self.parts = host, lease, find_alloc, nodes, parts
        self.scheduler: Scheduler = host.scheduler
        self.process = Process(f"runner {host.name} {number}")
        self.number = number
        self.began: float | None = None
        """When it had found that nobody else serves its node."""
        self.on_serving: Callable[[], None] = lambda: None
        """Called then."""
        self.beats: list[float] = []
        """When it beat."""
        self.pulse: Actor | None = None
        self.wakes = 0
        self.changed = False
        self.told_to_leave = False
        self.ends_tasks = True
        """False if it is told to leave its tasks to the keeper."""
        self.procs = parts.procs(host, self.process)
        self.has_left = False
        """True once it has left because nothing used its allocation: the step starts no other."""

    @property
    def serves(self) -> bool:
        """True while it serves its node for all that it knows."""
        return bool(self.beats) and not self.process.dead and not self.real.state.phase.superseded

    def begin(self, fs: ActorFs) -> None:
        """The process exists, and its first thread is due."""
        self.fs = fs
        self.process.at_death.append(lambda: self.host.runner_died(self.process))
        self.scheduler.spawn(self.process, self.process.name, self._main)

    def _main(self) -> None:
        if self.host.runner is not None:
            return
        self.host.runner = self.host.serving = self.process
        try:
            alloc = self.find_alloc(self.fs)
        except (OSError, LeaseqError):
            self.scheduler.kill(self.process)
            return
        self.real = service.Service(
            fs=self.fs,
            clock=self.host,
            procs=self.procs,
            lease=self.lease,
            alloc=alloc,
            node=self.host.node,
            incarnation=new_incarnation(),
            who={"host": self.host.name, "boot": self.host.boot_id, "pid": self.number},
            parts=self.parts,
            lock=Lock(self.scheduler),
        )
        try:
            self.real.begin(len(self.nodes), alive=lambda beat: False, pause=self.scheduler.pause)
            self.began = self.scheduler.now
            self.on_serving()
            self.real.take_over(Options(capacity=self.host.capacity, nodes=self.nodes))
            self._beat()
        except (OSError, Unavailable, Refused):
            self.scheduler.kill(self.process)
            return
        self.host.woken = self._woken
        self.scheduler.spawn(self.process, f"{self.process.name} ledger", self._persist)
        self.pulse = self.scheduler.spawn(self.process, f"{self.process.name} pulse", self._pulse)
        self._turn()

    # -- its threads -------------------------------------------------------------------------------

    def _turn(self) -> None:
        real, state, leaving = self.real, self.real.state, False
        while True:
            if self.told_to_leave and not leaving:
                leaving = True
                real.leave(ends_tasks=self.ends_tasks, grace=LEASE_GRACE_SECONDS)
            # What others left half cancelled, and what tasks wait for, it may have to see to in one turn.
            live = self.host.client.disk.live
            edges = len(live.get(self.lease.edges, ())) + len(live.get(self.lease.claimed(CLI), ()))
            holds = len(state.running) + len(real.ports.ledger.open) + self._arrays() + edges
            before = len(self.fs.calls)
            started = self.scheduler.now
            wait = real.turn()
            self._check_cost(self.fs.calls[before:], holds, self.scheduler.now - started)
            if real.news():
                self.changed = True
                if self.pulse:
                    self.scheduler.wake(self.pulse)
            if real.may_leave():
                break
            wait = min(wait, real.look_after_keeper())
            woken, self.wakes = self.wakes, 0
            self.scheduler.pause(0.0 if woken else max(wait, 0.001))
        with suppress(OSError):  # nobody is left who could try again
            self._beat(state="stopped")
        self.has_left = state.phase.gives_back and not real.ports.ledger.open
        self.scheduler.kill(self.process)

    def terminate(self) -> None:
        """Slurm's TERM has come: its main thread tells the keeper at once, and its loop that it is to leave."""
        if self.process.dead:
            return
        if self.began is None:
            self.scheduler.kill(self.process)  # it catches no signals yet
            return
        self.procs.lease_ends = True
        self._signalled()
        self.host.asks.append(("end", "", {"grace": LEASE_GRACE_SECONDS, "runner": self.process}))
        self.host.keeper_soon()

    def stop(self) -> None:
        """A person has told it to stop."""
        if self.process.dead:
            return
        if self.began is None:
            self.scheduler.kill(self.process)
            return
        self.ends_tasks = False
        self._signalled()

    def _signalled(self) -> None:
        self.told_to_leave = True
        self.host.truth.told_by_signal.add(self.real.ports.incarnation)
        self._woken()

    def _woken(self) -> None:
        """A record changed: the kernel tells the loop."""
        self.wakes += 1

    def _arrays(self) -> int:
        """The chunks that it holds, and the arrays in which it may look for others."""
        lots = self.real.state.lots.values()
        queue = self.real.state.queue
        pending = sum("a" in name.split(".")[2] for name in (*queue.any, *queue.own))
        return sum(2 + len(lot.held) for lot in lots) + 2 * pending

    def _check_cost(self, calls: Sequence[tuple[str, ...]], holds: int, seconds: float) -> None:
        """A turn costs the server what it did, and not what is pending or finished."""
        state = self.real.state
        did = holds + len(state.running) + len(self.real.ports.ledger.open) + len(state.waiting) + self._arrays()
        # A lane is made once for ever, what an array's chunks leave is removed once, what is booked is told once;
        # what the ledger's thread has settled by the turn's end was not open at its beginning.
        did += sum(call[0] == "link" and "/lanes/" in call[-1] for call in calls)
        # Several short tasks are claimed together, and what of them does not begin is put back.
        did += sum(call[0] == "rename" and "/claimed/" in call[1] + call[-1] for call in calls)
        once = ("/arrays/", "/booking/", "/claimed/")
        did += sum(call[0] == "unlink" and any(part in call[-1] for part in once) for call in calls)
        did += 3 if state.idle.counts else 0  # it looks once more, and says what came of that
        allowed = STEP_CALLS_BASE + STEP_CALLS_EACH * did + seconds * 20
        if len(calls) > allowed:
            self.host.truth.violated(f"a turn of {self.process.name} made {len(calls)} calls, more than {allowed:.0f}")

    def _persist(self) -> None:
        ledger = self.real.ports.ledger
        while True:
            if ledger.open or ledger.trouble:
                ledger.try_to_persist()
            self.scheduler.pause(RETRY_SECONDS if ledger.trouble else 0.05 if ledger.open else 0.2)

    def _pulse(self) -> None:
        while True:
            period = self.real.beats.period
            since = self.scheduler.now - self.beats[-1]
            if since >= period or (self.changed and since >= BURST_SECONDS):
                self.changed = False
                try:
                    self._beat()
                except OSError:
                    self.scheduler.pause(BURST_SECONDS)
            self.scheduler.pause(max(BURST_SECONDS, min(period, period - (self.scheduler.now - self.beats[-1]))))

    def _beat(self, *, state: str = "") -> None:
        if self.real.beats.beat(state=state):
            self.beats.append(self.scheduler.now)
