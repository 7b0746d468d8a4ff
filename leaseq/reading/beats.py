"""Whether a lease's runners are heard: by the file server's clock alone, and silent only if nobody can be late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.errors import Malformed
from leaseq.heartbeat import Heartbeat
from leaseq.layout import LeaseDir
from leaseq.names import beating, is_node, terms_in
from leaseq.protocol import allocs, files, terms
from leaseq.world import Fs

RECENT_SECONDS = 30.0
"""A heartbeat that is not older, or not older than four of its intervals, is a runner's that lives."""
COARSE_SECONDS = 1.0
"""How exactly the time of a file is known."""
UNREADABLE_SECONDS = 600.0
"""The silence after which a runner whose heartbeat cannot be read is taken for dead."""


def nodes(fs: Fs, lease: LeaseDir) -> list[str]:
    """The nodes that a runner has ever served, or begun to."""
    try:
        names = fs.names(lease.heartbeats)
        return sorted({*beating(names), *(node for node, _ in terms_in(names))})
    except (FileNotFoundError, NotADirectoryError):
        return []


@dataclass(frozen=True)
class Nodes:
    """The nodes of a lease that were ever heard or hold tasks, as far as they are one allocation's."""

    own: tuple[str, ...]
    perhaps: tuple[str, ...] = ()
    """Nodes of which nobody can tell whose they are."""

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.own, *self.perhaps)


def nodes_of(fs: Fs, lease: LeaseDir, alloc: Allocation, others: Sequence[Allocation], *, left: bool = False) -> Nodes:
    """The nodes that are that allocation's, or were, by what its script has named, else by what their runners said.

    others: the allocations of the lease that have not ended, at least. left: if there is no other, also the nodes that
    hold tasks yet and were an ended one's. A lease that never had another has all that was ever heard of it.
    """
    rivals = [each for each in others if each.ended is None and each.id != alloc.id]
    if not rivals and not allocs.has_had_several(fs, lease):
        return Nodes(tuple(_every(fs, lease)))
    named = [allocs.ever_named(fs, lease, each) for each in (alloc, *rivals)]
    known = [each for each in named if each is not None]
    if len(known) < len(named):
        return _by_heartbeats(fs, lease, alloc, rivals)
    mine, theirs = known[0], set[str]().union(*known[1:])
    holding = _holding(fs, lease) if left and not rivals else set[str]()
    own, both = (mine | holding) - theirs, mine & theirs
    if both:  # it is one's that has it now
        now, others_now = (set(allocs.merged_nodes(fs, lease, each)) for each in ((alloc,), rivals))
        own |= (both & now) - others_now
        both -= now ^ others_now
    return Nodes(tuple(sorted(own)), tuple(sorted(both)))


def _every(fs: Fs, lease: LeaseDir) -> list[str]:
    """The nodes that were ever heard, or have ever held tasks."""
    return sorted({*nodes(fs, lease), *_owners(fs, lease)})


def _owners(fs: Fs, lease: LeaseDir) -> list[str]:
    try:
        return [name for name in fs.names(lease.claims) if is_node(name)]
    except FileNotFoundError:
        return []


def _holding(fs: Fs, lease: LeaseDir) -> set[str]:
    return {node for node in _owners(fs, lease) if fs.names(lease.claimed(node))}


def _by_heartbeats(fs: Fs, lease: LeaseDir, alloc: Allocation, rivals: Sequence[Allocation]) -> Nodes:
    """The same if a script has not noted all names that it has given."""
    every = _every(fs, lease)
    if not rivals:
        return Nodes(tuple(every))
    theirs = {node for each in rivals for node in allocs.nodes_of(fs, lease, each)}
    mine = set(allocs.nodes_of(fs, lease, alloc))
    first = next((each.id for each in (alloc, *rivals) if each.in_lease), "")
    own, perhaps = [], []
    for node in every:
        written = node in mine, node in theirs
        told = alloc.id if written == (True, False) else None if any(written) else _alloc_of(fs, lease, node) or first
        if told == alloc.id:
            own.append(node)
        elif told == "" or all(written):
            perhaps.append(node)
    return Nodes(tuple(own), tuple(perhaps))


def _alloc_of(fs: Fs, lease: LeaseDir, node: str) -> str:
    """Whose node it is by its runner's own word; empty where none is understood."""
    try:
        term = terms.newest_term(fs, lease, node)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    for path in (lease.heartbeat(node), *([lease.term(node, term)] if term else [])):
        try:
            return Heartbeat.from_json(files.content(fs, path)).alloc
        except (FileNotFoundError, Malformed):
            continue
    return ""


def age(fs: Fs, lease: LeaseDir, node: str) -> tuple[Heartbeat, float] | None:
    """(the last heartbeat of a runner that has not stopped, its age); None if there is none, or it says nothing."""
    try:
        beat = terms.read_heartbeat(fs, lease, node)
        if beat is None or beat.state == "stopped":
            return None
        return beat, fs.age(lease.heartbeat(node), lease.heartbeats)
    except (FileNotFoundError, Malformed):
        return None


def heard(fs: Fs, lease: LeaseDir, node: str) -> Heartbeat | None:
    """The last heartbeat of the node's runner, if that was lately and it has not stopped."""
    last = age(fs, lease, node)
    return last[0] if last is not None and last[1] < max(RECENT_SECONDS, 4 * last[0].interval_seconds) else None


def lives(fs: Fs, lease: LeaseDir, node: str) -> bool:
    """True if the node's runner was heard lately."""
    return heard(fs, lease, node) is not None


def newest(fs: Fs, lease: LeaseDir, of: Iterable[str] | None = None) -> float | None:
    """How long ago a runner of the lease was heard last that has not stopped; None if there is none.

    of: the nodes that count; None: all.
    """
    heard = [age(fs, lease, node) for node in (nodes(fs, lease) if of is None else of)]
    return min((each[1] for each in heard if each is not None), default=None)


def silent(fs: Fs, lease: LeaseDir, node: str, *, within: float = 0.0) -> bool:
    """True if no runner of the node can be alive by what it says: it stopped, or is silent for too long.

    within: and if none has said anything for so many seconds, not even that it stopped.
    """
    within -= COARSE_SECONDS
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
        quiet = terms.down_seconds(beat) if beat else UNREADABLE_SECONDS
        if beat is not None and (beat.state == "stopped" or beat.incarnation == stopped):
            stopped, quiet = beat.incarnation, 0.0
        try:
            if max(quiet, within) > 0.0 and fs.age(path, lease.heartbeats) < max(quiet, within):
                return False
        except FileNotFoundError:
            return False  # replaced just now
    return True
