"""Heartbeats, and their thread: this node is told as alive even while the runner's turn is blocked or busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from leaseq import __version__
from leaseq.heartbeat import Heartbeat, Running
from leaseq.protocol import terms
from leaseq.protocol.history import command_text
from leaseq.room import room_left
from leaseq.runner.homewatch import HomeWatch
from leaseq.runner.loop import Runner
from leaseq.runner.ports import Ports
from leaseq.runner.starting import ends_of_day
from leaseq.runner.work import Attempt

BURST_SECONDS = 1.0
"""The shortest time between two heartbeats, however much changes."""


def interval_seconds(nodes: int) -> float:
    """How often a node of so many beats: the whole lease costs the file server the same, however many there are."""
    return max(5.0, nodes / 5)


def first_word(ports: Ports, nodes: int, who: Mapping[str, Any]) -> Heartbeat:
    """What a runner says of itself before it has taken over. who: as `whoami`."""
    return Heartbeat(
        lease=ports.lease.id,
        node=ports.node,
        alloc=ports.alloc.told_as,
        incarnation=ports.incarnation,
        counter=0,
        time=ports.clock.now(),
        interval_seconds=interval_seconds(nodes),
        version=__version__,
        **who,
    )


def heartbeat_of(runner: Runner) -> Heartbeat:
    """What the runner's state says of the node, without what only this moment's host can tell."""
    state, ports = runner.state, runner.ports
    capacity = state.options.capacity
    running = list(state.running.values())
    free = room_left(capacity, [each.booking for each in state.occupants()])
    now = ports.clock.monotonic()
    return Heartbeat(
        lease=ports.lease.id,
        node=ports.node,
        alloc=ports.alloc.told_as,
        incarnation=ports.incarnation,
        counter=0,
        time=ports.clock.now(),
        interval_seconds=interval_seconds(len(state.nodes)),
        version=__version__,
        state=state.phase.told_as,
        cpus=capacity.cpus,
        mem_mb=capacity.mem_mb,
        gpus=capacity.gpus,
        gpus_known=capacity.gpus_known,
        free_cpus=free.cpus,
        free_mem_mb=free.mem_mb,
        free_gpus=free.gpus,
        running=tuple(_running(each, now) for each in running),
        totals=ports.ledger.totals,
        waiting=dict(state.waiting) if state.phase.may_claim else {},
        ends=ends_of_day(state, ports.clock),
        idle_seconds=0.0 if state.occupants() else round(now - state.idle_since, 1),
        idle_limit_seconds=state.idle.limit,
        unused_seconds=state.idle.unused_seconds(now),
        used_by=state.idle.used_by if state.idle.counts else "",
        note=runner.note,
    )


def _running(attempt: Attempt, now: float) -> Running:
    rec, why = attempt.rec, attempt.asked_to_stop
    return Running(
        id=attempt.entry.id,
        attempt=attempt.entry.attempt,
        gpus=attempt.booking.gpus,
        cpus=attempt.booking.cpus,
        mem_mb=attempt.booking.mem_mb,
        pid=rec.pid if rec else None,
        started=rec.started if rec else None,
        elapsed_seconds=round(now - attempt.since, 3),
        name=attempt.task.name,
        command=command_text(attempt.task)[:200],
        stopping="; ".join(filter(None, (why and why.value, rec.resists if rec else ""))),
    )


class Beats:
    """Heartbeats, each written when it is asked for."""

    def __init__(
        self,
        runner: Runner,
        *,
        who: Mapping[str, Any],
        facts: Callable[[Heartbeat], Mapping[str, Any]] = lambda beat: {},
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self.runner, self.who, self.facts = runner, who, facts
        """facts: what only this moment's host can tell of itself, beside what the runner knows."""
        self.look = look
        """Raises if the home is not to be served any more."""
        self.counter = 0
        self._look_at = 0.0
        """When the home is to be looked at again: not with each heartbeat of a busy second."""

    @property
    def period(self) -> float:
        """Seconds between two heartbeats."""
        return interval_seconds(len(self.runner.state.nodes))

    def beat(self, *, state: str = "") -> bool:
        """A heartbeat that counts one more than the last was written, unless the node is another runner's by now."""
        if not self.runner.state.phase.told_as:
            return False
        ports = self.runner.ports
        if (moment := ports.clock.monotonic()) >= self._look_at:
            self.look()
            self._look_at = moment + self.period / 2
        self.counter += 1
        known = heartbeat_of(self.runner)
        latest, facts = vars(known), self.facts(known)
        now = {
            "counter": self.counter,
            "time": ports.clock.now(),
            "note": latest["note"] or facts.get("gpu_error", ""),
            "state": state or latest["state"],
        }
        terms.beat(ports.fs, ports.lease, Heartbeat(**{**latest, **self.who, **facts, **now}))
        return True


class Pulse:
    """The thread of the heartbeats: one each period, and one soon after something changed."""

    def __init__(self, beats: Beats, presence: HomeWatch, *, push_logs: Callable[[], None] | None) -> None:
        self.beats, self.presence, self.push_logs = beats, presence, push_logs
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """The first heartbeat is written, then the thread goes on; raises OSError if it cannot be."""
        self.beats.beat()
        self._thread.start()

    def publish(self) -> None:
        """A heartbeat follows soon: something changed."""
        if not self._wake.is_set():  # a turn of the runner costs less than setting it again
            self._wake.set()

    def finish(self) -> None:
        """The last heartbeat says `stopped`, if it can be written: this runner ended on purpose."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=5)
        with suppress(OSError):  # a full disk: who reads no last heartbeat sees a silent node, and nothing is owed
            self.beats.beat(state="stopped")

    def _run(self) -> None:
        beaten = time.monotonic()
        while not self._stop.is_set():
            period = self.beats.period
            woken = self._wake.wait(min(BURST_SECONDS, period) if self.push_logs else period)
            if self._stop.is_set():
                return
            if woken:
                self._stop.wait(max(0.0, beaten + BURST_SECONDS - time.monotonic()))
                self._wake.clear()
            try:
                if self.push_logs:
                    self.push_logs()
                if woken or time.monotonic() - beaten >= period:
                    self.beats.beat()
                    beaten = time.monotonic()
                    self.presence.seen()
            except OSError:
                # Who reads no new heartbeat knows as much; the next one is tried in its turn.
                self.presence.look()
