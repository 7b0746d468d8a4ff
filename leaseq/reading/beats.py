"""Whether a lease's runners are heard: by the file server's clock alone, and silent only if nobody can be late."""

from __future__ import annotations

from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.models import Heartbeat
from leaseq.names import beating, is_node, terms_in
from leaseq.protocol import files, terms
from leaseq.world import Fs

RECENT_SECONDS = 30.0
"""A heartbeat that is not older, or not older than four of its intervals, is a runner's that lives."""
UNREADABLE_SECONDS = 600.0
"""The silence after which a runner whose heartbeat cannot be read is taken for dead."""


def nodes(fs: Fs, lease: LeaseDir) -> list[str]:
    """The nodes that a runner has ever served, or begun to."""
    try:
        names = fs.names(lease.heartbeats)
        return sorted({*beating(names), *(node for node, _ in terms_in(names))})
    except (FileNotFoundError, NotADirectoryError):
        return []


def age(fs: Fs, lease: LeaseDir, node: str) -> tuple[Heartbeat, float] | None:
    """(the last heartbeat of a runner that has not stopped, its age); None if there is none, or it says nothing."""
    try:
        beat = terms.read_heartbeat(fs, lease, node)
        if beat is None or beat.state == "stopped":
            return None
        return beat, fs.age(lease.heartbeat(node), lease.heartbeats)
    except (FileNotFoundError, Malformed):
        return None


def lives(fs: Fs, lease: LeaseDir, node: str) -> bool:
    """True if the node's runner was heard lately."""
    heard = age(fs, lease, node)
    return heard is not None and heard[1] < max(RECENT_SECONDS, 4 * heard[0].interval_seconds)


def newest(fs: Fs, lease: LeaseDir) -> float | None:
    """How long ago a runner of the lease was heard last that has not stopped; None if there is none."""
    heard = [age(fs, lease, node) for node in nodes(fs, lease)]
    return min((each[1] for each in heard if each is not None), default=None)


def silent(fs: Fs, lease: LeaseDir, node: str) -> bool:
    """True if no runner of the node can be alive by what it says: it stopped, or is silent for too long."""
    if not is_node(node):
        return True
    try:
        term = terms.newest_term(fs, lease, node)
    except (FileNotFoundError, NotADirectoryError):
        return True
    stopped = ""
    for path in (lease.heartbeat(node), *([lease.term(node, term)] if term else [])):
        try:
            beat: Heartbeat | None = Heartbeat.from_json(files.content(fs, path))
        except FileNotFoundError:
            continue
        except Malformed:
            beat = None
        if beat is not None and (beat.state == "stopped" or beat.incarnation == stopped):
            stopped = beat.incarnation
            continue
        try:
            if fs.age(path, lease.heartbeats) < (terms.down_seconds(beat) if beat else UNREADABLE_SECONDS):
                return False
        except FileNotFoundError:
            return False  # replaced just now
    return True
