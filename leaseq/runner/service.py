"""The runner of one node from its first word to its last, without threads and signals: its caller has them.

begin       nobody else serves the node, and this one has its term
take_over   what the last runner left is settled, running, or pending again
turn        again and again, when it is due; meanwhile, by whatever threads there are, the ledger persists what is
            added to it, and `beats` beats
may_leave   asked after each turn
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, replace
from leaseq.errors import Malformed, Newer, Refused, Unavailable
from leaseq.heartbeat import Heartbeat
from leaseq.layout import LeaseDir
from leaseq.models import Why
from leaseq.node.procs import Procs
from leaseq.node.terminals import Terminals
from leaseq.protocol import records
from leaseq.runner import beside, ends, housework, leaving, recover
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.node_state import NodeState
from leaseq.runner.phase import Leave
from leaseq.runner.ports import NO_TERMINALS, Options, Ports
from leaseq.runner.pulse import Beats, first_word
from leaseq.world import Clock, Fs

PATIENCE_SECONDS = 12.0
"""How long a runner that was told to stop waits for the file system; the next runner finds what it leaves."""
KEEPER_SECONDS = 2.0
KEEPER_SECONDS_IDLE = 30.0
"""How often the runner looks whether its keeper is alive, while tasks run and while none do."""


@dataclass(frozen=True)
class Parts:
    """What a runner is made of."""

    runner: Callable[[Ports, Options], Runner] = Runner
    ledger: Callable[..., Ledger] = Ledger
    begin_alone: Callable[..., int] = beside.begin_alone
    take_over: Callable[[NodeState, Ports], None] = recover.take_over
    begin_to_count: Callable[[NodeState, Ports], None] = leaving.begin


class Service:
    """One runner of one node."""

    runner: Runner
    beats: Beats

    def __init__(
        self,
        *,
        fs: Fs,
        clock: Clock,
        procs: Procs,
        lease: LeaseDir,
        alloc: Allocation,
        node: str,
        incarnation: str,
        who: Mapping[str, Any],
        parts: Parts = Parts(),  # noqa: B008
        lock: AbstractContextManager[object] | None = None,
        ask_slurm: Callable[[], None] | None = None,
        terminals: Terminals = NO_TERMINALS,
    ) -> None:
        ledger = parts.ledger(
            fs=fs,
            procs=procs,
            lease=lease,
            node=node,
            totals={},
            incarnation=incarnation,
            lock=lock,
            now=clock.now,
        )
        self.ports = Ports(fs, clock, procs, lease, node, incarnation, ledger, alloc, ask_slurm, terminals)
        self.parts, self.who = parts, who
        """who: the fields of a heartbeat that tell this runner from every other one."""
        self.term = 0
        self.patience_seconds = PATIENCE_SECONDS
        self.idle_since: float | None = None
        """When a leaving runner had nothing left to end."""
        self.keeper_looked_at = clock.monotonic()

    @property
    def state(self) -> NodeState:
        return self.runner.state

    def begin(self, nodes: int, *, alive: Callable[[Heartbeat], bool], pause: Callable[[float], None]) -> None:
        """The node is this runner's to serve; raises Unavailable if another serves it, and Refused."""
        ports = self.ports
        try:
            records.prepare_node(ports.fs, ports.lease, ports.node)
            first = first_word(ports, nodes, self.who)
            self.term = self.parts.begin_alone(
                ports.fs, ports.lease, first, clock=ports.clock, alive=alive, pause=pause
            )
        except Newer as error:
            raise outdated(ports.lease, ports.node, error) from None

    def take_over(
        self,
        options: Options,
        *,
        facts: Callable[[Heartbeat], Mapping[str, Any]] = lambda beat: {},
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """The runner is there, with what the last one left, and may turn and beat. facts, look: see `Beats`."""
        ports = self.ports
        try:
            past = recover.history(ports.fs, ports.lease, ports.node, term=self.term)
        except Newer as error:
            raise outdated(ports.lease, ports.node, error) from None
        except Malformed as error:
            raise Refused(str(error), hint="move it away") from None
        ledger = ports.ledger
        ledger.term, ledger.totals, ledger.earlier, ledger.recorded = (
            past.term,
            past.totals,
            past.earlier,
            past.recorded,
        )
        self.runner = self.parts.runner(ports, replace(options, term=self.term))
        self.beats = Beats(self.runner, who=self.who, facts=facts, look=look)
        ports.procs.born(ports.incarnation)
        ports.procs.ensure()
        self.parts.take_over(self.state, ports)
        housework.read_end(self.state, ports)
        housework.read_nodes(self.state, ports)
        self.parts.begin_to_count(self.state, ports)

    def turn(self) -> float:
        """One turn; seconds until the next is due."""
        return self.runner.step()

    def news(self) -> bool:
        """True if something has changed since this was asked last."""
        changed, self.state.changed = self.state.changed, False
        return changed

    def leave(self, *, ends_tasks: bool, grace: float) -> None:
        """It was told to leave, by a signal. ends_tasks: because its tasks are to end now."""
        if ends_tasks and self.state.phase.goes_on:
            ends.stop_all(self.state, self.ports, Why.LEASE, grace)
        self.state.phase.leave_by_signal()

    def may_leave(self) -> bool:
        """True if it has nothing left to do here, by the table of `phase`."""
        leave = self.state.phase.may_leave(self.state.hand(unwritten=bool(self.ports.ledger.open)))
        if leave is not Leave.LATE:
            self.idle_since = None
            return leave is Leave.NOW
        now = self.ports.clock.monotonic()
        self.idle_since = now if self.idle_since is None else self.idle_since
        return now - self.idle_since > self.patience_seconds

    def look_after_keeper(self) -> float:
        """A keeper is alive; seconds until it is looked at again."""
        idle = not self.state.occupants() and not self.state.won and not self.ports.ledger.open
        period = KEEPER_SECONDS_IDLE if idle else KEEPER_SECONDS
        now = self.ports.clock.monotonic()
        if now - self.keeper_looked_at >= period:
            self.keeper_looked_at = now
            try:
                self.ports.procs.ensure()
            except Unavailable as error:
                self.state.trouble = error.message
                self.state.changed = True
        return self.keeper_looked_at + period - now


def outdated(lease: LeaseDir, node: str, error: Newer) -> Refused:
    """A newer leaseq serves this node, or has: what it left there is not for this one to take over."""
    return Refused(
        f"a newer leaseq has served {node} of {lease.id}: {error}",
        hint="start its runner with that leaseq, or a later one",
    )
