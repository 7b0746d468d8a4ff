"""Groups: labels that tasks share, in the names of their files. A group may be paused, and may be limited.

    groups/NAME.paused       nothing of the group starts
    groups/_all.paused       nothing of the lease starts
    groups/NAME.parallel.N   at most N of the group run at once, over all nodes; of several, the smallest N counts

They are empty files: a runner knows all of them from one listing, and they outlive every runner. A runner lists them
at each poll, and once more between its claims and their starts, if there is a groups/: so whoever has written one, and
then lists the claims, sees every task that starts all the same. Of a limited group an attempt holds a lane while it
runs (`lanes`); those that run when the limit is made are given one before the limit is there to be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from leaseq.array_names import ArrayNames
from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.limit_names import (
    ALL_GROUPS,
    Lane,
    chunks_of,
    holder_parts,
    holders_of,
    parallel_name,
    parse_limit,
    pause_name,
)
from leaseq.names import Entry, is_node, parse_id
from leaseq.protocol import lanes, tasks
from leaseq.protocol.files import discard, make, names_in, replace_file
from leaseq.protocol.tasks import Claim
from leaseq.world import Fs


@dataclass(frozen=True)
class Limits:
    """Which groups of a lease are paused, and how many of a group may run at once."""

    paused: frozenset[str] = frozenset()
    """With `_all`, the whole lease is."""
    parallel: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    """How many lanes of a limited group are held, if that was looked at."""
    made: bool = False
    """True if there is, or was, anything of that kind."""

    def stop(self, group: str) -> bool:
        """True if nothing of the group may start. Without a group: nothing of the lease."""
        return ALL_GROUPS in self.paused or group in self.paused

    @property
    def groups(self) -> list[str]:
        """Those of which anything is said."""
        return sorted((self.paused | self.parallel.keys()) - {ALL_GROUPS})

    def __bool__(self) -> bool:
        return bool(self.paused or self.parallel)


NONE = Limits()


def limits(fs: Fs, lease: LeaseDir) -> Limits:
    """What is paused and limited in the lease now."""
    try:
        names = fs.names(lease.groups)
    except FileNotFoundError:
        return NONE
    paused, parallel = set(), dict[str, int]()
    for name in names:
        try:
            group, most = parse_limit(name)
        except Malformed:
            continue
        if most is None:
            paused.add(group)
        else:
            parallel[group] = min(most, parallel.get(group, most))
    return Limits(frozenset(paused), parallel, made=True)


def limits_seen(fs: Fs, lease: LeaseDir) -> Limits:
    """The same, with how many lanes are held."""
    found = limits(fs, lease)
    held = {each: len(lanes.held_by(lanes.look(fs, lease.group_lanes(each)))) for each in found.parallel}
    return replace(found, held=held) if held else found


def pause(fs: Fs, lease: LeaseDir, group: str) -> None:
    """Nothing of the group starts any more, durably."""
    make(fs, [lease.groups])
    replace_file(fs, f"{lease.groups}/{pause_name(group)}", b"")


def resume(fs: Fs, lease: LeaseDir, group: str) -> None:
    """The group's tasks start again, durably."""
    discard(fs, f"{lease.groups}/{pause_name(group)}")
    fs.sync_dir(lease.groups)


def set_parallel(fs: Fs, lease: LeaseDir, group: str, most: int | None) -> None:
    """At most so many of the group run at once, durably; None: any number. What runs goes on.

    Of several commands at once each removes what was there before it alone: one of their limits stands.
    """
    make(fs, [lease.groups])
    earlier = fs.names(lease.groups)
    if most is not None:
        _give_lanes(fs, lease, group)
        replace_file(fs, f"{lease.groups}/{parallel_name(group, most)}", b"")
        _give_lanes(fs, lease, group)
        _free_ended(fs, lease, group)
        free_gone(fs, lease, group)
    stays = "" if most is None else parallel_name(group, most)
    for name in earlier:
        if name.startswith(parallel_name(group, 0)[:-1]) and name != stays:
            discard(fs, f"{lease.groups}/{name}")
    fs.sync_dir(lease.groups)


def claims_of(fs: Fs, lease: LeaseDir, group: str) -> Iterator[Claim]:
    """What nodes hold of the group; of the group `_all`, all that they hold."""
    for node in filter(is_node, fs.names(lease.claims)):
        for name in fs.names(lease.claimed(node)):
            try:
                entry = Entry.parse(name)
            except Malformed:
                continue
            if entry.owner and group in (entry.group, ALL_GROUPS):
                yield Claim(entry, node)


def take_lane(fs: Fs, lease: LeaseDir, claim: Claim, *, limit: int | None) -> Lane | None:
    """The claim's lane in its group; None if there is none now. Without a limit, the claim's attempt runs already."""
    directory = lease.group_lanes(claim.entry.group)
    return lanes.take(fs, directory, claim.entry.holder(claim.node), limit=limit)


def unclaim(fs: Fs, lease: LeaseDir, claim: Claim, target: str, *, durable: bool = True) -> None:
    """A claim that never started is pending again. Its lane goes first: the claim may be made again at once.

    durable: if not, it is once the target has been synced.
    """
    free_lane_of(fs, lease, claim)
    tasks.unclaim(fs, lease, claim, target, durable=durable)


def free_lane_of(fs: Fs, lease: LeaseDir, claim: Claim) -> None:
    """The claim holds no lane."""
    if claim.entry.group:
        directory = lease.group_lanes(claim.entry.group)
        held = lanes.held_by(lanes.look(fs, directory))
        if lane := held.get(claim.entry.holder(claim.node)):
            lanes.free(fs, directory, lane)


def free_gone(fs: Fs, lease: LeaseDir, group: str) -> None:
    """No claim that is gone holds a lane of the group."""
    lanes.free_gone(fs, lease.group_lanes(group), stands=standing(fs, lease))


def groups_with_lanes(fs: Fs, lease: LeaseDir) -> list[str]:
    """The groups that are, or were, limited."""
    try:
        return [name[1:] for name in fs.names(lease.all_lanes) if name.startswith("~")]
    except FileNotFoundError:
        return []


def begun_in(fs: Fs, lease: LeaseDir, group: str) -> Iterator[Claim]:
    """What of the group runs, or may: what is claimed, and of arrays each index that has begun where its chunk is."""
    from leaseq.protocol import journal  # for whoever limits a group, and no other command

    chunks: dict[str, list[Claim]] = {}
    for claim in claims_of(fs, lease, group):
        if claim.entry.chunk is None:
            yield claim
        else:
            chunks.setdefault(claim.entry.of_array().pending().key, []).append(claim)
    for claims in chunks.values():
        entry = claims[0].entry.of_array()
        array = lease.array(entry.id, entry.attempt)
        held = {(claim.entry.chunk, claim.node) for claim in claims}
        told = journal.read(fs, array, ArrayNames.parse(fs.names(array.root)))
        for index, each in told.begun.items():
            if (each.chunk, each.node) in held:
                yield Claim(entry.of_index(index, each.attempt).claimed_by(each.owner), each.node)


def _give_lanes(fs: Fs, lease: LeaseDir, group: str) -> None:
    """Whatever of the group runs, or may, holds a lane, however many that are."""
    for claim in begun_in(fs, lease, group):
        take_lane(fs, lease, claim, limit=None)


def _free_ended(fs: Fs, lease: LeaseDir, group: str) -> None:
    """No index of an array holds a lane of the group that had ended before it was given the lane.

    Lanes are looked at first: what holds one had begun before that, and so stands in a journal that is read then.
    """
    directory = lease.group_lanes(group)
    held = lanes.held_by(lanes.look(fs, directory))
    runs = {claim.entry.holder(claim.node) for claim in begun_in(fs, lease, group)} if held else set()
    for holder in held.keys() - runs:
        with suppress(Malformed):
            if parse_id(holder_parts(holder)[0].partition(".")[0])[1] is not None:
                lanes.free(fs, directory, held[holder])


def standing(fs: Fs, lease: LeaseDir) -> Callable[[str], bool]:
    """Whether a holder has its claim yet, by a listing of its node's claims that is made when it is first asked for."""
    claimed: dict[str, set[str]] = {}

    def stands(holder: str) -> bool:
        try:
            key, _, node = holder_parts(holder)
        except Malformed:
            return False
        if node not in claimed:
            claimed[node] = {each for name in names_in(fs, lease.claimed(node)) for each in holders_of(name, node)}
        # An index has no claim of its own, but its chunk's.
        array, index = parse_id(key.partition(".")[0])
        return (holder if index is None else chunks_of(array, node)) in claimed[node]

    return stands
