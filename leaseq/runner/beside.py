"""Whether another runner serves the node already: asked once, before a runner touches anything."""

from __future__ import annotations

from collections.abc import Callable

from leaseq import protocol
from leaseq.errors import Malformed, Newer, Unavailable
from leaseq.layout import LeaseDir
from leaseq.models import Heartbeat
from leaseq.world import Clock, Fs

LOOK_SECONDS = 0.5
WATCHED_INTERVALS = 2.5


def refuse_beside_another(
    fs: Fs,
    lease: LeaseDir,
    node: str,
    *,
    clock: Clock,
    boot: str,
    alive: Callable[[Heartbeat], bool],
    pause: Callable[[float], None],
) -> None:
    """Nobody else was seen to serve the node; raises Unavailable where its heartbeat's counter moves, and Newer.

    boot, alive: this boot of this host, and whether the process of a heartbeat of this boot lives.
    """
    try:
        beat = protocol.read_heartbeat(fs, lease, node)
        if beat is None or beat.state == "stopped":
            return
        if beat.boot == boot:
            # The node-local lock settles this, unless each of the two has a /tmp of its own.
            if alive(beat):
                raise Unavailable(f"process {beat.pid} serves {node} of {lease.id} on this host")
            return
        if fs.age(lease.heartbeat(node), lease.heartbeats) > protocol.down_seconds(beat):
            return
        watched = WATCHED_INTERVALS * min(beat.interval_seconds, 60.0)
        deadline = clock.monotonic() + watched
        while clock.monotonic() < deadline:
            pause(LOOK_SECONDS)
            asked = clock.monotonic()
            again = protocol.read_heartbeat(fs, lease, node)
            if again and (again.incarnation, again.counter) != (beat.incarnation, beat.counter):
                raise Unavailable(f"{again.host} serves {node} of {lease.id}; this host is not needed")
            if clock.monotonic() - asked > beat.interval_seconds / 2:
                # The server kept this host waiting, and perhaps the other: its silence meanwhile says nothing.
                deadline = clock.monotonic() + watched
    except Newer:
        raise
    except (FileNotFoundError, Malformed):
        return
