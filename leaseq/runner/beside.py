"""Whether another runner serves the node already: asked once, before a runner touches anything.

Who serves is settled by terms: files hb/NODE.1, hb/NODE.2 and so on, each linked by one runner alone. A runner begins
the term after the newest, once it has seen that nobody lives in that one.
"""

from __future__ import annotations

from collections.abc import Callable

from leaseq.errors import Malformed, Newer, Unavailable
from leaseq.heartbeat import Heartbeat
from leaseq.layout import LeaseDir
from leaseq.protocol import history, terms
from leaseq.world import Clock, Fs

LOOK_SECONDS = 0.5
WATCHED_INTERVALS = 2.5


def begin_alone(
    fs: Fs,
    lease: LeaseDir,
    first: Heartbeat,
    *,
    clock: Clock,
    alive: Callable[[Heartbeat], bool],
    pause: Callable[[float], None],
) -> int:
    """The node is this runner's to serve, in the term of that number; raises Unavailable if another serves it or
    begins to, and Newer.

    first: what this runner says of itself before its first heartbeat. alive: whether the process of a heartbeat of
    this boot lives.
    """
    node = first.node
    term = terms.newest_term(fs, lease, node)
    beat = _read(lambda: terms.read_heartbeat(fs, lease, node))
    holder = _read(lambda: terms.read_term(fs, lease, node, term))
    suspects = {lease.heartbeat(node): beat}
    if beat is None or holder is None or beat.incarnation != holder.incarnation:
        suspects[lease.term(node, term)] = holder  # it has not beaten yet, or not lately
    watched = 0.0
    for path, each in suspects.items():
        if each is not None and _may_live(fs, lease, each, path, first, alive):
            watched = max(watched, WATCHED_INTERVALS * min(each.interval_seconds, 60.0))
    deadline = clock.monotonic() + watched
    while clock.monotonic() < deadline:
        pause(LOOK_SECONDS)
        asked = clock.monotonic()
        again = _read(lambda: terms.read_heartbeat(fs, lease, node))
        if again and (beat is None or (again.incarnation, again.counter) != (beat.incarnation, beat.counter)):
            raise Unavailable(f"{again.host} serves {node} of {lease.id}; this host is not needed")
        if clock.monotonic() - asked > watched / WATCHED_INTERVALS / 2:
            # The server kept this host waiting, and perhaps the other: its silence meanwhile says nothing.
            deadline = clock.monotonic() + watched
    if watched:
        # It may yet write into its history, which two must not; and whoever begins a later term is to find this one's.
        history.begin(fs, lease, node, term + 1)
    if not terms.begin_term(fs, lease, term + 1, first):
        raise Unavailable(f"another runner begins to serve {node} of {lease.id}; this one is not needed")
    if beat is not None and beat.alloc != first.alloc:
        terms.keep_last(fs, lease, beat)
    return term + 1


def _read(read: Callable[[], Heartbeat | None]) -> Heartbeat | None:
    try:
        return read()
    except Newer:
        raise
    except (FileNotFoundError, Malformed):
        return None


def _may_live(
    fs: Fs, lease: LeaseDir, beat: Heartbeat, path: str, first: Heartbeat, alive: Callable[[Heartbeat], bool]
) -> bool:
    """False if that runner has ended for certain; raises Unavailable if it lives for certain."""
    if beat.state == "stopped":
        return False
    if beat.boot == first.boot:
        # The node-local lock settles this, unless each of the two has a /tmp of its own.
        if alive(beat):
            raise Unavailable(f"process {beat.pid} serves {beat.node} of {lease.id} on this host")
        return False
    if beat.host != first.host:
        return True  # however old the file looks: one that was written before a link was cut may be put in place after
    try:
        return fs.age(path, lease.heartbeats) <= terms.down_seconds(beat)
    except FileNotFoundError:
        return False
