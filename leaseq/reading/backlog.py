"""Whether anything of a lease is left to run, and what of it could start now: by names alone, but for arrays whose
indices wait one by one.

What is held, or waits for what is held or LOST, does not start by itself and is not left to run. What waits for another
lease's task may start, for all that is known here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from leaseq.dataclass import dataclass, field
from leaseq.errors import Malformed, Newer
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Need, State, Task
from leaseq.names import PENDING, Entry, is_each, need_of, parse_key
from leaseq.protocol import array_places, edges, groups, lanes
from leaseq.protocol.cover import cover_of
from leaseq.protocol.edges import BEGIN, EACH
from leaseq.protocol.plan import Plan
from leaseq.upstream import Upstream
from leaseq.world import Fs

PAUSED, LIMITED, PINNED, HELD, WAITING = "paused", "limited", "pinned to a node", "held", "waiting"


@dataclass(frozen=True)
class Backlog:
    """What of a lease is pending."""

    ready: tuple[tuple[Need, int], ...] = ()
    """What could start now on any node with room: how many of each need, in the order of the queue."""
    others: Mapping[str, int] = field(default_factory=dict)
    """How many tasks could not, by what keeps them."""


def pending(fs: Fs, lease: LeaseDir) -> Backlog:
    """What of the lease is pending, and which of it could start now if there were room."""
    names = sorted(name for name in _listed(fs, lease.inbox(ANY)) if PENDING.fullmatch(name))
    limits = groups.limits_seen(fs, lease)
    left = {group: max(0, most - limits.held.get(group, 0)) for group, most in limits.parallel.items()}
    ready: dict[tuple[int | None, ...], tuple[Need, int]] = {}
    others: Counter[str] = Counter()
    for entry, every in _entries(fs, lease, names):
        number = _may_begin(fs, lease, entry) if entry.each else every
        others[WAITING] += every - number
        if limits.stop(entry.group):
            others[PAUSED] += number
            continue
        may = min(number, left.get(entry.group, number))
        if entry.group in left:
            left[entry.group] -= may
        if may:
            need = entry.need
            said = (need.gpus, need.cpus, need.mem_mb, need.time_seconds)
            ready[said] = need, may + ready.get(said, (need, 0))[1]
        others[LIMITED] += number - may
    for word, parent in ((PINNED, lease.inboxes), (HELD, lease.helds), (WAITING, lease.waitings)):
        nodes = [node for node in _listed(fs, parent) if parent != lease.inboxes or node != ANY]
        others[word] += sum(len(_listed(fs, f"{parent}/{node}")) for node in nodes)
    return Backlog(tuple(ready.values()), +others)


def _entries(fs: Fs, lease: LeaseDir, names: Iterable[str]) -> Iterator[tuple[Entry, int]]:
    """(one of them, for how many attempts they stand) of the names that say the same of their need and group.

    A name that a later leaseq spells counts for nothing. Of an array it is what nobody has taken.
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        said = need_of(name)
        alike.setdefault(name if "a" in said.partition("~")[0] else said, []).append(name)
    for some in alike.values():
        try:
            entry = Entry.parse(some[0])
        except (Malformed, Newer):
            continue
        yield entry, len(some) if not entry.count else _indices_left(fs, lease, entry)


def _indices_left(fs: Fs, lease: LeaseDir, entry: Entry) -> int:
    """How many of its indices nobody has taken; no more than may run at once beside those that do."""
    left = sum(map(len, _spans_left(fs, lease, entry)))
    most = _throttle(fs, lease, entry) if left > 1 and entry.chunk is None else 0
    held = len(lanes.held_by(lanes.look(fs, lease.lanes(entry.id)))) if most else 0
    return min(left, max(0, most - held)) if most else left


def _throttle(fs: Fs, lease: LeaseDir, entry: Entry) -> int:
    """How many of the array's indices may run at once; 0: as many as have room, or that is not known."""
    said = array_places.throttle(fs, lease.array(entry.id, entry.attempt))
    if said is not None:
        return said
    with suppress(Malformed, Newer):
        task = array_places.read_array(fs, lease, entry, first=lease.inbox(ANY))
        return task.array.throttle if task and task.array else 0
    return 0


def _spans_left(fs: Fs, lease: LeaseDir, entry: Entry) -> list[range]:
    """The places of the array, or of the part of it, that nobody has taken."""
    plan = Plan(entry.count)
    if entry.chunk is not None:
        with suppress(IndexError):
            return [plan.span(entry.chunk)]
        return []
    array = lease.array(entry.id, entry.attempt)
    taken = cover_of(fs, array, plan, array_places.names_in(fs, array)).taken
    return [plan.span(chunk) for chunk in range(plan.chunks) if chunk not in taken]


def _may_begin(fs: Fs, lease: LeaseDir, entry: Entry) -> int:
    """How many of its indices that nobody has taken may begin. Costs a read of the other array's journals."""
    _, fates = _fates(fs, lease, entry)
    return sum(all(state is State.DONE for state in states) for states in fates.values())


def _fates(fs: Fs, lease: LeaseDir, entry: Entry) -> tuple[Task | None, dict[int, list[State | None]]]:
    """(the array, of each of its indices that nobody has taken how those have ended that it waits for)."""
    from leaseq.protocol.index_ends import of_indices

    try:
        task = array_places.read_array(fs, lease, entry)
        every = Indices.parse(task.array.indices) if task is not None and task.array is not None else Indices()
        left = [every[place] for span in _spans_left(fs, lease, entry) for place in span]
    except (Malformed, FileNotFoundError, LookupError):
        return None, {}
    found: dict[int, list[State | None]] = {index: [] for index in left}
    for up in edges.each_of(fs, lease, entry.of_array().key) if left else ():
        ended = of_indices(fs, lease.beside(up.lease), up.task, left, durably=False).ended
        for index, states in found.items():
            states.append(ended[index].state if index in ended else None)
    return task, found


def _waits_in_vain(fs: Fs, lease: LeaseDir, name: str) -> bool:
    """True of an array all of whose indices that nobody has taken wait for such as are LOST, or as have failed if it is
    to be kept then: somebody has to see to those.
    """
    try:
        entry = Entry.parse(name)
    except Malformed:
        return False
    task, fates = _fates(fs, lease, entry) if entry.each else (None, {})
    never = {State.LOST, *(edges.BADLY if task is not None and task.on_dep == "hold" else ())}
    return bool(fates) and all(not never.isdisjoint(states) for states in fates.values())


def _listed(fs: Fs, directory: str) -> list[str]:
    try:
        return list(fs.names(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_empty(fs: Fs, lease: LeaseDir) -> bool:
    """True if nothing pends, runs, or waits for what will come."""
    # Twice, for a task may be on its way back from a node; who begins to run one has it among its claims first.
    return not any(_names(fs, lease, parent) for parent in (lease.inboxes, lease.claims, lease.inboxes)) and not _comes(
        fs, lease
    )


def _comes(fs: Fs, lease: LeaseDir) -> bool:
    """True if a task that waits may start without anybody's doing. Nothing else of the lease pends or runs."""
    waiting = set(edges.pending_in(fs, lease.waitings))
    ups: dict[str, list[Upstream]] = defaultdict(list)
    for edge in edges.edges_of(fs, lease) if waiting else ():
        ups[edge.down] += [edge.up] if edge.up.kind != EACH else []
    ends = edges.standings(fs, lease, [up for some in ups.values() for up in some if up.kind != BEGIN])

    def may_come(up: Upstream, ids: set[str]) -> bool:
        end = ends.get((up.lease, up.id, up.attempt))
        if end is not None:
            return end.state is not State.LOST or edges.verdict(up.kind, State.LOST) is True
        return up.kind == BEGIN or up.lease != lease.id or up.task in ids

    # What waits in vain is left out again and again, until all that is left may come.
    left = waiting
    while left:
        ids = {parse_key(key)[0] for key in left}
        vain = {key for key in left if not all(may_come(up, ids) for up in ups[key])}
        if not vain:
            return True
        left = left - vain
    return False


def _names(fs: Fs, lease: LeaseDir, parent: str) -> bool:
    """True if there is a file in a directory of that one, but for arrays that wait in vain."""
    some = (each for name in fs.names(parent) for each in fs.names(f"{parent}/{name}"))
    return any(not (is_each(each) and parent == lease.inboxes and _waits_in_vain(fs, lease, each)) for each in some)
