"""Some of a lease's nodes are given back: whole allocations, or single nodes of one. The lease goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError, Malformed, NotFound, Refused, Unavailable
from leaseq.layout import LeaseDir
from leaseq.lease.kept import kept_of
from leaseq.models import Lease
from leaseq.protocol import allocs, records, requests, terms
from leaseq.protocol.allocs import Serving
from leaseq.reading import beats
from leaseq.reading.views import Snapshot
from leaseq.verbs.access import Access

LOOK_SECONDS = 0.2
LEAVE_SECONDS_MAX = 90.0
"""How long a runner that was told to leave may take: its tasks get TERM, a grace, KILL, and outcomes are written."""


@dataclass(frozen=True)
class Part:
    """What of a lease is to be given back."""

    allocs: tuple[Allocation, ...]
    """Allocations that go as a whole."""
    nodes: tuple[tuple[str, Serving], ...]
    """Single nodes of others, by their names."""
    names: tuple[str, ...]
    """The names of all nodes that go."""
    left: tuple[str, ...]
    """The names of those that stay."""
    is_all: bool
    """True if no allocation is left: then the lease ends."""


def part_of(access: Access, record: Lease, *, jobs: Sequence[str], nodes: Sequence[str]) -> Part:
    """What of the lease those jobs and nodes are; raises NotFound if it does not have one of them now.

    Raises Refused for a job that is queued to follow another, for it would be asked for again.
    """
    lease = access.home.lease(record.id)
    known = allocs.living_of(access.fs, lease, record)
    its = {each.id: allocs.nodes_of(access.fs, lease, each) for each in known}
    members = [name for names in its.values() for name in names]
    whole = {each.id: each for each in known if {each.id, each.job} & set(jobs)}
    for word in jobs:
        if not any(word in (each.id, each.job) for each in known):
            raise NotFound(f"lease {record.id} has no job {word} now", hint=_has([each.job for each in known], "job"))
    for word in nodes:
        if word not in members:
            raise NotFound(f"{word} is no node of lease {record.id} now", hint=_has(members, "node"))
    whole |= {each.id: each for each in known if its[each.id] and set(its[each.id]) <= set(nodes)}
    single = [name for name in dict.fromkeys(nodes) if not any(name in its[each] for each in whole)]
    found = [(name, allocs.serving(access.fs, lease, name)) for name in single]
    names = (*(name for each in whole for name in its[each]), *single)
    kept = kept_of(access.fs, lease)
    waiting = [each for each in whole.values() if kept and not its[each.id] and kept.is_next(each.token)]
    if waiting and len(whole) < len(known):
        raise Refused(
            f"job {waiting[0].job} is to follow another one of lease {record.id}, and would be asked for again",
            hint=f"`leaseq lease keep {record.id} off` takes it back",
        )
    return Part(
        allocs=tuple(whole.values()),
        nodes=tuple((name, serving) for name, serving in found if serving is not None),
        names=names,
        left=tuple(name for name in members if name not in names),
        is_all=len(whole) == len(known) and not (kept and kept.how.scale and kept.goes_on(access.clock.now())),
    )


def _has(words: Sequence[str], what: str) -> str:
    known = [word for word in words if word]
    return f"it has {', '.join(known[:20])}" if known else f"it has no {what} yet"


def held_by(snapshot: Snapshot, nodes: Collection[str]) -> int:
    """What the runners of those nodes have taken: tasks, and parts of arrays."""
    return sum(view.claimed for view in snapshot.nodes if view.node in nodes)


def drain_nodes(access: Access, record: Lease, nodes: Collection[str]) -> Iterator[int]:
    """No task runs on those nodes and none will start. Gives how many run yet, at each look.

    A runner that is started anew meanwhile is asked once more. A caller that stops asking leaves the nodes draining.
    """
    lease = access.home.lease(record.id)
    reader = access.reader_of(lease)
    asked: dict[str, str] = {}
    while True:
        snapshot = reader.read(recent=0, pending=0)
        for view in snapshot.nodes:
            serves = view.heartbeat.incarnation if view.heartbeat and view.health.serving else ""
            if view.node in nodes and asked.get(view.node) != serves:
                _ask(access, lease, view.node, "drain")
                asked[view.node] = serves
        held = held_by(snapshot, nodes)
        if not held:
            return
        yield held
        access.pause(LOOK_SECONDS)


def give_back(access: Access, record: Lease, part: Part) -> dict[str, str]:
    """The part is given back; the nodes that Slurm counts for their job until its end, with its words.

    What runs there ends as at the end of a lease. If one cannot be given back the others are all the same, and its
    LeaseqError is raised then.
    """
    counted: dict[str, str] = {}
    problem: LeaseqError | None = None
    acts: list[Callable[[], object]] = [partial(access.release_one, each) for each in part.allocs]
    acts += [partial(_give_back_node, access, record, *each, counted) for each in part.nodes]
    for act in acts:
        try:
            act()
        except LeaseqError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return counted


def _give_back_node(access: Access, record: Lease, node: str, serving: Serving, counted: dict[str, str]) -> None:
    """In this order: who dies in between leaves a node that is shown as stopped, and the same command goes on."""
    lease = access.home.lease(record.id)
    leave(access, lease, node)
    if words := access.let_go(serving):
        counted[node] = words
    if not access.fs.names(lease.claimed(node)):
        # What a runner left that is not heard is decided by whoever learns that the node is gone.
        place = allocs.directory(lease, serving.alloc)
        allocs.learn_nodes(access.fs, place, [name for name in allocs.node_names(access.fs, place) if name != node])


def leave(access: Access, lease: LeaseDir, node: str) -> None:
    """The node's runner has ended, and so has what ran there; raises Unavailable if it does not end."""
    asked, deadline = None, access.clock.monotonic() + LEAVE_SECONDS_MAX
    while True:
        serves = _serves(access, lease, node)
        if asked != serves:
            _ask(access, lease, node, "release")
            asked = serves
        if beats.silent(access.fs, lease, node):
            return
        if access.clock.monotonic() > deadline:
            raise Unavailable(
                f"the runner of {node} has not ended after {LEAVE_SECONDS_MAX:.0f} s",
                hint="it ends once what runs there has; the same command again does no harm",
            )
        access.pause(LOOK_SECONDS)


def _serves(access: Access, lease: LeaseDir, node: str) -> str:
    """The runner that was heard last of the node; empty if none is understood."""
    try:
        beat = terms.read_heartbeat(access.fs, lease, node)
    except (FileNotFoundError, Malformed):
        return ""
    return beat.incarnation if beat is not None else ""


def _ask(access: Access, lease: LeaseDir, node: str, request: str) -> None:
    records.prepare_node(access.fs, lease, node)
    requests.ask(access.fs, lease, node, request, {})
