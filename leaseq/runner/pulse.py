"""The heartbeat thread: says that this node is alive even while the runner's turn is blocked or busy."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from leaseq import __version__
from leaseq.models import Heartbeat, Running
from leaseq.node.gpus import GpuWatch
from leaseq.node.granted import memory
from leaseq.protocol import terms
from leaseq.protocol.history import command_text
from leaseq.room import room_left
from leaseq.runner.homewatch import HomeWatch
from leaseq.runner.loop import Runner
from leaseq.runner.state import Held
from leaseq.world import boot_id, hostname, process_start

BURST_SECONDS = 1.0
"""The shortest time between two heartbeats, however much changes."""


def interval_seconds(nodes: int) -> float:
    """How often a node of so many beats: the whole lease costs the file server the same, however many there are."""
    return max(5.0, nodes / 5)


def whoami() -> dict[str, Any]:
    """The fields of a heartbeat that tell this process from every other one."""
    pid = os.getpid()
    return {"host": hostname(), "boot": boot_id(), "pid": pid, "pid_start": process_start(pid)}


def heartbeat_of(runner: Runner) -> Heartbeat:
    """What the runner's state says of the node, without what only this moment's host can tell."""
    options = runner.options
    held = list(runner.held.values())
    free = room_left(options.capacity, [each.booking for each in held])
    now = runner.clock.monotonic()
    return Heartbeat(
        lease=runner.lease.id,
        node=runner.node,
        incarnation=runner.incarnation,
        counter=0,
        time=runner.clock.now(),
        interval_seconds=interval_seconds(len(options.nodes)),
        version=__version__,
        state="up" if runner.state == "up" else "draining",
        cpus=options.capacity.cpus,
        mem_mb=options.capacity.mem_mb,
        gpus=options.capacity.gpus,
        gpus_known=options.capacity.gpus_known,
        free_cpus=free.cpus,
        free_mem_mb=free.mem_mb,
        free_gpus=free.gpus,
        running=tuple(_running(each, now) for each in held),
        totals=runner.ledger.totals,
        waiting=dict(runner.waiting),
        ends=runner.ends,
        idle_seconds=0.0 if held else round(now - runner.idle_since, 1),
        note=runner.note,
    )


def _running(held: Held, now: float) -> Running:
    rec = held.rec
    return Running(
        id=held.claim.entry.id,
        attempt=held.claim.entry.attempt,
        gpus=held.booking.gpus,
        cpus=held.booking.cpus,
        mem_mb=held.booking.mem_mb,
        pid=rec.pid if rec else None,
        started=rec.started if rec else None,
        elapsed_seconds=round(now - held.since, 3),
        name=held.task.name,
        command=command_text(held.task)[:200],
        stopping="; ".join(filter(None, (held.asked_to_stop and held.asked_to_stop.value, rec.resists if rec else ""))),
    )


class Pulse:
    """Writes heartbeats: every interval, and soon after something changed."""

    def __init__(self, runner: Runner, gpus: GpuWatch, *, look: Callable[[], None], presence: HomeWatch) -> None:
        self.runner = runner
        self.presence = presence
        self.look = look
        """Raises where the home is not to be served any more."""
        self.counter = 0
        self.gpus = gpus
        self.push_logs: Callable[[], None] | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._look_at = 0.0
        """When the home is to be looked at again: not with each heartbeat of a busy second."""
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._me = {**whoami(), "started": time.time()}

    def start(self) -> None:
        """The first heartbeat is written, then the thread goes on; raises OSError where it cannot be."""
        self.beat()
        self._thread.start()

    def publish(self) -> None:
        """A heartbeat follows soon: something changed."""
        self._wake.set()

    def finish(self) -> None:
        """The last heartbeat says `stopped`: this runner ended on purpose."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=5)
        self.beat(state="stopped")

    def beat(self, *, state: str = "") -> None:
        """A heartbeat that counts one more than the last was written, unless the node is another runner's by now."""
        if self.runner.superseded:
            return
        if (moment := time.monotonic()) >= self._look_at:
            self.look()
            self._look_at = moment + interval_seconds(len(self.runner.options.nodes)) / 2
        self.counter += 1
        total, used = memory()
        use, error = self.gpus.look()
        latest = vars(heartbeat_of(self.runner))
        now = {
            "counter": self.counter,
            "time": time.time(),
            "load": os.getloadavg()[0],
            "mem_used_mb": used if total else None,
            "gpu_use": use,
            "gpu_error": error,
            "note": latest["note"] or error,
            "state": state or latest["state"],
        }
        terms.beat(self.runner.fs, self.runner.lease, Heartbeat(**{**latest, **self._me, **now}))

    def _run(self) -> None:
        period = interval_seconds(len(self.runner.options.nodes))
        beaten = time.monotonic()
        while not self._stop.is_set():
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
                    self.beat()
                    beaten = time.monotonic()
                    self.presence.seen()
            except OSError:
                # Who reads no new heartbeat knows as much; the next one is tried in its turn.
                self.presence.look()
