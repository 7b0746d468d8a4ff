"""Heartbeats, and the terms in which a node is served: of several runners one has a term, by an exclusive link."""

from __future__ import annotations

from contextlib import suppress

from leaseq.alloc_layout import AllocDir
from leaseq.errors import Malformed
from leaseq.heartbeat import Heartbeat
from leaseq.layout import LeaseDir
from leaseq.names import terms_in
from leaseq.protocol.files import content, discard, hidden, rename_over
from leaseq.world import Fs


def beat(fs: Fs, lease: LeaseDir, heartbeat: Heartbeat) -> None:
    """The node's heartbeat file is this one."""
    temporary = hidden(lease.heartbeats)
    fs.create(temporary, heartbeat.to_json(), durable=False)
    rename_over(fs, temporary, lease.heartbeat(heartbeat.node))


def late_seconds(beat: Heartbeat) -> float:
    """The silence after which a runner is late. A stock NFS server restart stalls everyone for 70 s (measured)."""
    return max(60.0, 3 * beat.interval_seconds)


def down_seconds(beat: Heartbeat) -> float:
    """The silence after which a runner is taken for dead."""
    return max(120.0, 6 * beat.interval_seconds)


def read_heartbeat(fs: Fs, lease: LeaseDir, node: str) -> Heartbeat | None:
    """The node's last heartbeat, or None; raises Malformed."""
    try:
        return Heartbeat.from_json(content(fs, lease.heartbeat(node)))
    except FileNotFoundError:
        return None


def last_heartbeat(fs: Fs, lease: LeaseDir, node: str, alloc: str) -> tuple[Heartbeat, float] | None:
    """The node's last heartbeat of that allocation, and how old it is by the file server's clock.

    alloc: as heartbeats say it. Raises Malformed.
    """
    for path in (lease.heartbeat(node), _told_by(lease, alloc).heard(node)):
        with suppress(FileNotFoundError, NotADirectoryError):
            beat = Heartbeat.from_json(content(fs, path))
            if beat.alloc == alloc:
                return beat, fs.age(path, lease.heartbeats)
    return None


def keep_last(fs: Fs, lease: LeaseDir, beat: Heartbeat) -> None:
    """The node's heartbeat file stays as its allocation's, with its age: another's runner writes the next."""
    temporary = hidden(lease.heartbeats)
    with suppress(FileNotFoundError):
        fs.link(lease.heartbeat(beat.node), temporary)
        rename_over(fs, temporary, _told_by(lease, beat.alloc).heard(beat.node))
        discard(fs, temporary)  # two names of one file stay two: it was kept before


def _told_by(lease: LeaseDir, alloc: str) -> AllocDir:
    return lease.alloc(alloc) if alloc else lease.own


def newest_term(fs: Fs, lease: LeaseDir, node: str) -> int:
    """The number of the term in which the node is served, or was; 0 if it never was."""
    return max(_terms(fs, lease, node), default=0)


def _terms(fs: Fs, lease: LeaseDir, node: str) -> list[int]:
    return [number for owner, number in terms_in(fs.names(lease.heartbeats)) if owner == node]


def begin_term(fs: Fs, lease: LeaseDir, number: int, first: Heartbeat) -> bool:
    """True: the node's term of that number is this runner's alone, durably. False: another runner has begun it."""
    temporary = hidden(lease.heartbeats)
    fs.create(temporary, first.to_json())
    try:
        fs.link(temporary, lease.term(first.node, number))
    except OSError as error:
        won = _began(fs, lease, number, first)
        if not won and not isinstance(error, FileExistsError):
            raise
    else:
        won = True
    discard(fs, temporary)
    if not won:
        return False
    fs.sync_dir(lease.heartbeats)
    for other in _terms(fs, lease, first.node):
        if other > number:
            # That number was free because its runner and its successor have come and gone meanwhile.
            discard(fs, lease.term(first.node, number))
            return False
        if other < number:
            with suppress(IsADirectoryError):
                discard(fs, lease.term(first.node, other))
    return True


def _began(fs: Fs, lease: LeaseDir, number: int, first: Heartbeat) -> bool:
    """Whether a link that reported a failure was done."""
    try:
        return read_term(fs, lease, first.node, number).incarnation == first.incarnation
    except (FileNotFoundError, Malformed):
        return False


def read_term(fs: Fs, lease: LeaseDir, node: str, number: int) -> Heartbeat:
    """What the runner that began that term said of itself; raises FileNotFoundError, Malformed, Newer."""
    return Heartbeat.from_json(content(fs, lease.term(node, number)))
