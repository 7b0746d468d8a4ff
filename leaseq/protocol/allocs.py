"""What gives a lease its nodes: its allocations, and what is written of each: nodes, end, what its script had to say.

    allocs/ID/    one allocation; `alloc.json` is its record, linked once, and written again when it has ended
    allocs/_ID    that one has ended: who lists allocs/ need not read the record

The first leaseq knew one allocation for each lease: the lease's record tells of it, and its files are in the lease's
directory. `all_of` alone reads that form. It counts, too, while no allocation has a record yet: of a lease that is
being made no more is known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from leaseq.alloc_layout import AllocDir
from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, replace
from leaseq.errors import Malformed, Unavailable
from leaseq.layout import LeaseDir
from leaseq.models import Lease
from leaseq.names import allocations_in, is_node
from leaseq.protocol import files
from leaseq.protocol.records import link_first, read_lease
from leaseq.schema import whole
from leaseq.world import Fs

NONE_KNOWN: Mapping[str, Allocation] = MappingProxyType({})


@dataclass(frozen=True)
class Serving:
    """The allocation that gives a node of a lease, and what the node's host is called."""

    alloc: Allocation
    host: str


# -- which there are -------------------------------------------------------------------------------


def all_of(
    fs: Fs, lease: LeaseDir, record: Lease | None = None, *, known: Mapping[str, Allocation] = NONE_KNOWN
) -> tuple[Allocation, ...]:
    """Every allocation of the lease, oldest first; none if it is no lease, or its record cannot be read.

    record: the lease's, if it has been read. known: allocations that have ended, by id, which are not read again.
    """
    ids, over = allocations_in(files.names_in(fs, lease.allocs))
    found = [known[each] if each in over and each in known else _read(fs, lease, each) for each in ids]
    recorded = [_over(each) if each.id in over else each for each in found if each is not None]
    if recorded:
        return _in_order(recorded)
    if record is None:
        try:
            record = read_lease(fs, lease)
        except (OSError, Malformed):
            return ()
    return (record.first,) if record.has_first else ()


def living_of(fs: Fs, lease: LeaseDir, record: Lease | None = None) -> tuple[Allocation, ...]:
    """The allocations of the lease that have not ended, oldest first; see `living` if none is left.

    What has ended costs nothing, as long as there is another.
    """
    ids, over = allocations_in(files.names_in(fs, lease.allocs))
    found = [_read(fs, lease, each) for each in ids if each not in over]
    left = [each for each in found if each is not None and each.ended is None]
    return _in_order(left) if left else living(all_of(fs, lease, record))


def living(allocs: Sequence[Allocation]) -> tuple[Allocation, ...]:
    """Those that have not ended; all of them if none is left, but for hosts that may come again."""
    left = tuple(each for each in allocs if each.ended is None)
    return left or tuple(each for each in allocs if each.in_lease or not each.is_host)


def _in_order(allocs: Iterable[Allocation]) -> tuple[Allocation, ...]:
    return tuple(sorted(allocs, key=lambda each: (each.created, each.id)))


def find(fs: Fs, lease: LeaseDir, alloc_id: str) -> Allocation | None:
    """The allocation of that id as it is recorded now; None if there is none."""
    found = _read(fs, lease, alloc_id) if is_node(alloc_id) else None
    return found or next((each for each in all_of(fs, lease) if each.id == alloc_id), None)


def directory(lease: LeaseDir, alloc: Allocation) -> AllocDir:
    """Where what belongs to that allocation lies."""
    return lease.own if alloc.in_lease else lease.alloc(alloc.id)


def _over(alloc: Allocation) -> Allocation:
    """The allocation, which has ended: one whose record cannot be read as well."""
    return alloc if alloc.is_known else replace(alloc, ended=0.0, end_reason="its record cannot be read")


def age(fs: Fs, lease: LeaseDir, alloc: Allocation, probe_directory: str) -> float:
    """How long ago it was recorded, by the file server's clock; raises FileNotFoundError if it is not."""
    try:
        return fs.age(lease.alloc(alloc.id).record, probe_directory)
    except (FileNotFoundError, NotADirectoryError):
        return fs.age(lease.record, probe_directory)


def _read(fs: Fs, lease: LeaseDir, alloc_id: str) -> Allocation | None:
    """Its record; None if there is none yet. One that cannot be read is there, and has not ended for all one knows."""
    try:
        alloc = Allocation.from_json(files.content(fs, lease.alloc(alloc_id).record))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Malformed:
        return Allocation(alloc_id, "", lease.id)
    return alloc if (alloc.id, alloc.lease) == (alloc_id, lease.id) else Allocation(alloc_id, "", lease.id)


# -- their records ---------------------------------------------------------------------------------


def register(fs: Fs, lease: LeaseDir, alloc: Allocation) -> Allocation:
    """The record of that Slurm job stands, durably, as an allocation of the lease: its own, or by whoever was first.

    Its id is the job's number, or, if an allocation of the lease had that number before, `JOB.TOKEN`.
    """
    for alloc_id in (alloc.job, f"{alloc.job}.{alloc.token}"):
        stands = record_first(fs, lease, replace(alloc, id=alloc_id, lease=lease.id))
        if stands is not None and stands.is_known and stands.token == alloc.token:
            return stands
    raise Unavailable(f"the record of job {alloc.job} cannot be written", hint=f"see {lease.alloc(alloc_id).root}")


def record_first(fs: Fs, lease: LeaseDir, alloc: Allocation) -> Allocation | None:
    """The directory of that allocation and a record are there, durably; the record is that of whoever was first."""
    place = lease.alloc(alloc.id)
    files.make(fs, [lease.allocs, place.root, directory(lease, alloc).notes])
    link_first(fs, place.record, alloc.to_json())
    return _read(fs, lease, alloc.id)


def record_all(fs: Fs, lease: LeaseDir) -> None:
    """Every allocation of the lease has a record of its own: then another may be added."""
    for each in all_of(fs, lease):
        if each.is_known and _read(fs, lease, each.id) is None:
            record_first(fs, lease, each)


def mark_ended(fs: Fs, lease: LeaseDir, alloc: Allocation, *, ended: float, reason: str) -> None:
    """Its record says that it has ended and why; what it said first stays. A lease's own record is not touched."""
    if _read(fs, lease, alloc.id) is None:
        if alloc.in_lease:
            return  # the lease's record is its own, and says that the lease has ended
        record_first(fs, lease, alloc)
    found = _read(fs, lease, alloc.id)
    if found is not None and found.is_known and found.ended is None:
        _write(fs, lease, replace(found, ended=ended, end_reason=reason))
    files.replace_file(fs, lease.alloc_over(alloc.id), b"")


def has_ended(fs: Fs, lease: LeaseDir, alloc: Allocation) -> bool:
    """True if it is marked as ended."""
    return alloc.id in allocations_in(files.names_in(fs, lease.allocs))[1]


def mark_alive(fs: Fs, lease: LeaseDir, alloc: Allocation) -> None:
    """Its record says no end: Slurm has requeued a job that had ended."""
    files.discard(fs, lease.alloc_over(alloc.id))
    found = _read(fs, lease, alloc.id)
    if found is not None and found.is_known and found.ended is not None:
        _write(fs, lease, replace(found, ended=None, end_reason=""))


def learn_cluster(fs: Fs, lease: LeaseDir, alloc: Allocation, cluster: str) -> bool:
    """Its record says where its job is, which it did not; False if it has no record of its own."""
    found = _read(fs, lease, alloc.id)
    if found is not None and found.is_known and not found.cluster:
        _write(fs, lease, replace(found, cluster=cluster))
    return found is not None


def _write(fs: Fs, lease: LeaseDir, alloc: Allocation) -> None:
    files.replace_file(fs, lease.alloc(alloc.id).record, alloc.to_json())


# -- of the whole lease ----------------------------------------------------------------------------


def last_end(fs: Fs, lease: LeaseDir) -> str:
    """Why the last one ended of those that had started; if none had, of all; empty if there was none.

    All of them have ended.
    """
    found = all_of(fs, lease)
    if not found:
        return ""
    started = [each for each in found if each.nodes or ever_named(fs, lease, each) != set()]
    return max(started or found, key=lambda each: (each.ended or 0.0, each.created)).end_reason


def members(fs: Fs, lease: LeaseDir, record: Lease | None = None) -> tuple[str, ...]:
    """The nodes of the living allocations, as far as they are known; empty before one has started."""
    return merged_nodes(fs, lease, living_of(fs, lease, record))


def merged_nodes(fs: Fs, lease: LeaseDir, among: Sequence[Allocation]) -> tuple[str, ...]:
    """The nodes of those allocations of the lease."""
    return tuple(dict.fromkeys(node for each in among for node in nodes_of(fs, lease, each)))


def notes_of(fs: Fs, lease: LeaseDir) -> dict[str, str]:
    """What the scripts of the living allocations had to say, by node: see `notes`."""
    return merged_notes(fs, lease, living_of(fs, lease))


def merged_notes(fs: Fs, lease: LeaseDir, among: Sequence[Allocation]) -> dict[str, str]:
    """What the scripts of those allocations had to say."""
    found: dict[str, str] = {}
    for each in among:
        for node, words in notes(fs, directory(lease, each)).items():
            found[node] = f"{found[node]}; {words}" if node in found else words
    return found


def time_left(fs: Fs, lease: LeaseDir) -> float | None:
    """How long the lease has nodes yet; None if it has no end or that is not known."""
    lefts = []
    for each in living_of(fs, lease):
        left = seconds_left(fs, directory(lease, each))
        if left is None and nodes_of(fs, lease, each):
            return None
        lefts += [left] if left is not None else []
    return max(lefts, default=None)


def serving(fs: Fs, lease: LeaseDir, node: str) -> Serving | None:
    """What gives that node of the lease; None if no allocation is known to, and there are several."""
    found = living_of(fs, lease)
    for each in found:
        names = hosts(fs, directory(lease, each))
        if node in names or node in each.nodes:
            return Serving(each, names.get(node, node))
    return Serving(found[0], node) if len(found) == 1 else None


# -- of one allocation -----------------------------------------------------------------------------


def mark_released(fs: Fs, alloc: AllocDir) -> None:
    """Its directory says that leaseq has told Slurm to end it."""
    files.replace_file(fs, alloc.released, b"")


def is_released(fs: Fs, alloc: AllocDir) -> bool:
    """True if leaseq has told Slurm to end it."""
    return "released" in files.names_in(fs, alloc.root)


def left_at_end(fs: Fs, alloc: AllocDir) -> int | None:
    """The seconds that it had left when Slurm told its script to end; None if it was not, or has no limit."""
    try:
        words = fs.read(alloc.told_to_end).decode("ascii", "replace").strip()
    except OSError:
        return None
    return 0 if words.startswith("-") and whole(words[1:]) is not None else whole(words)


def notes(fs: Fs, alloc: AllocDir) -> dict[str, str]:
    """What the lease script had to say, by node (`_lease`: all of them): why a node has no runner."""
    found: dict[str, str] = {}
    try:
        for node in sorted(fs.names(alloc.notes)):
            found[node] = fs.read(f"{alloc.notes}/{node}").decode("utf-8", "replace").strip()[:500]
    except OSError:
        # A note comes and goes with each try of a node; the next look says more.
        return found
    return found


def nodes_of(fs: Fs, lease: LeaseDir, alloc: Allocation) -> tuple[str, ...]:
    """Its nodes as the lease calls them, in Slurm's order; empty before it has started."""
    return node_names(fs, directory(lease, alloc)) or alloc.nodes


def ever_named(fs: Fs, lease: LeaseDir, alloc: Allocation) -> set[str] | None:
    """The names of all nodes that it has ever had, none before its start; None if its script does not note them.

    A host is always its one node.
    """
    place = directory(lease, alloc)
    try:
        return {word for word in fs.read(place.named).decode("utf-8", "replace").split() if is_node(word)}
    except OSError:
        return None if node_names(fs, place) else set(alloc.nodes)


def has_had_several(fs: Fs, lease: LeaseDir) -> bool:
    """True if the lease has, or has had, more than one allocation."""
    return len(allocations_in(files.names_in(fs, lease.allocs))[0]) > 1


def node_names(fs: Fs, alloc: AllocDir) -> tuple[str, ...]:
    """Its nodes as its script has named them, in Slurm's order; empty before it has started."""
    return tuple(hosts(fs, alloc))


def hosts(fs: Fs, alloc: AllocDir) -> dict[str, str]:
    """The host of each of its nodes: `NODE` on a line, or `NODE HOST` if another allocation has a node of that name."""
    try:
        lines = fs.read(alloc.node_names).decode("utf-8", "replace").splitlines()
    except OSError:
        return {}
    words = [line.split() for line in lines]
    return {each[0]: each[-1] for each in words if each and is_node(each[0]) and is_node(each[-1])}


def learn_nodes(fs: Fs, alloc: AllocDir, nodes: Collection[str]) -> bool:
    """Its nodes are at most those; False if it has not started, or all of its own are new."""
    known = hosts(fs, alloc)
    left = {node: host for node, host in known.items() if node in nodes}
    if left and left != known:
        lines = [node if node == host else f"{node} {host}" for node, host in left.items()]
        files.replace_file(fs, alloc.node_names, "".join(f"{line}\n" for line in lines).encode())
    return bool(left)


def seconds_left(fs: Fs, alloc: AllocDir) -> float | None:
    """Until its end, by what the lease script wrote last; None if it has no end or that is not known."""
    try:
        left = whole(fs.read(alloc.ends).decode("ascii", "replace").strip())
        return None if left is None else left - fs.age(alloc.ends, alloc.root)
    except OSError:
        return None
