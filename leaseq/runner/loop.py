"""The runner of one node: gather what happened, decide, do. One `step` is one turn; nothing in it waits.

The caller waits between steps for at most what `step` returns, and hands over hints (names that appeared) if the kernel
gives them; without hints the runner polls. Everything goes through the ports Fs, Clock and Procs.
"""

from __future__ import annotations

from collections.abc import Callable

from leaseq.models import Why
from leaseq.runner import control, ends, gates, housework, leaving, limits, lot_ends, lots, short, windows
from leaseq.runner.intake import Intake
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Options, Ports
from leaseq.runner.work import Several

HOUSEKEEPING_SECONDS = 60.0


class Runner:
    """The turn of one node. One thread turns it."""

    def __init__(self, ports: Ports, options: Options) -> None:
        self.ports = ports
        self.state = NodeState(ports.lease, ports.node, options, now=ports.clock.monotonic())
        self.intake = Intake(self.state, ports)

    def step(self) -> float:
        """One turn; the seconds until the next is due. File system errors are noted and tried again later."""
        state, clock = self.state, self.ports.clock
        now = clock.monotonic()
        state.next_claim = None
        self.ports.procs.reap()
        self.collect(now)
        if self.ports.ledger.freed:
            self.ports.ledger.freed = False
            if not state.options.notified:
                state.look_for_tasks()  # else the kernel tells of each
            gates.look_soon(state)
        lots.absorb(state, self.ports)
        state.poll(now)
        if state.look_at_control:
            self.guard(self._serve_control)
        self._watch_the_end(now)
        for attempt in list(state.running.values()) if state.phase.gives_back else ():
            if not attempt.asked_to_stop:
                ends.stop(state, self.ports, attempt, Why.LEASE)
        if now >= state.retry_at:
            if self._may_fill(now):
                self.guard(self.intake.fill)
            elif not state.phase.may_claim:
                self._see_claims_through()
            if not state.phase.may_claim and not self.ports.ledger.trouble:
                self.guard(lambda: lot_ends.give_back(state, self.ports))
        if not state.awaited.isdisjoint(state.begun()):
            state.awaited.clear()
            self.guard(lambda: housework.look_again(state, self.ports))
        if now >= state.house_at:
            state.house_at = now + HOUSEKEEPING_SECONDS
            self.guard(lambda: housework.keep_house(state, self.ports))
        if state.idle.counts:
            self.guard(lambda: leaving.look(state, self.ports, self.intake.look_once_more))
        return state.wait(clock.monotonic())

    @property
    def note(self) -> str:
        """What is wrong now, in words."""
        return self.ports.ledger.trouble or self.state.note or self.state.hook_trouble

    def guard(self, action: Callable[[], None]) -> None:
        """The action was done, or the node knows of its trouble."""
        try:
            action()
        except OSError as error:
            self.state.failed(ends.trouble_of(error), self.ports.clock.monotonic())

    def collect(self, now: float) -> None:
        """Attempts whose record is over are no longer running, and what they booked is free."""
        state, ports = self.state, self.ports
        ended: list[str] = []
        alone: list[str] = []
        over = windows.free(state, ports, now)
        if over and self._may_fill(now):
            self.guard(self.intake.hand_on)
        over |= windows.over(state, ports, now)
        for name, handed in over.items():
            if isinstance(handed, Several):
                going_on, gone = short.tell(state, ports, name, handed)
                ended += gone
            else:
                going_on = windows.tell(state, ports, name, handed)
            alone += going_on
        for key in dict.fromkeys([*state.to_look_at(now), *alone]):
            attempt = state.running[key]
            rec = ports.procs.record(key)
            if rec is not None and rec.gone and rec.status is None:
                # Gone for a keeper that is not its parent: it may wait here to be reaped since this turn began.
                ports.procs.reap()
                rec = ports.procs.record(key)
            if rec is not None and rec != attempt.rec:
                if ends.tells_of_the_end(attempt, rec):
                    state.hear_of_the_end(now)
                attempt.rec = rec
                state.changed = True
            if rec is None or not rec.over:
                continue
            state.active = now
            if rec.again or rec.void:
                ends.put_back(state, ports, attempt, rec)
            else:
                ends.end(state, ports, attempt, rec)
                ended.append(attempt.entry.id)
        if ended and state.heard_of_edges:
            self.guard(lambda: ends.see_who_waits(state, ports, ended))

    def _may_fill(self, now: float) -> bool:
        """Nothing starts while outcomes cannot be written: a whole queue would run unrecorded."""
        state = self.state
        ready = now >= state.retry_at and not self.ports.ledger.trouble
        return state.phase.may_claim and ready and not state.waits_for_the_end(now)

    def _see_claims_through(self) -> None:
        """Nothing is claimed any more: what was has started, or is pending again if nothing is to start here."""
        state, goes_on = self.state, self.state.phase.goes_on
        if state.claims_in_doubt and goes_on and not state.phase.superseded:
            self.guard(self.intake.find_claims)
        if goes_on:
            if not state.phase.gives_back:
                self.guard(self.intake.launch)
            self.guard(lambda: self.intake.let_go(everything=state.phase.gives_back))
        elif state.won:
            self.guard(lambda: limits.put_back_won(state, self.ports))

    def _serve_control(self) -> None:
        self.state.look_at_control = not control.serve(self.state, self.ports)

    def _watch_the_end(self, now: float) -> None:
        state = self.state
        left = state.seconds_left(now)
        if left is not None and left <= 0 and state.phase.goes_on:
            state.phase.lease_ends(stays=state.options.stays)
            ends.stop_all(state, self.ports, Why.LEASE, max(1.0, state.end_lead_seconds / 2))
