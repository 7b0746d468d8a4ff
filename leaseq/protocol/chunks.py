"""A chunk of an array: taken, begun, taken away from who is gone, ended. The states are told in `arrays`.

* divide     before one chunk of a group is taken: an exclusive link to c.GROUP that says so, synced. Who takes the
             group as a whole makes that link to his own file: what is told here of a chunk is true of such a group.
* take       write one's own file in claimed/NODE, sync; link it to c.K, sync; then look for `x` and `index`. Who comes
             second finds another's file there and withdraws. A file whose link is not known to be made is linked by
             whoever takes over from its owner: it holds the chunk, or is nothing.
* begin      the line in the journal, synced; then look for h.K.INC: if it is there, nothing starts.
* take away  h.K.INC, synced; then the size of the journal into s.K.INC, synced; then the rename. So what a late owner
             begins is either seen by his heirs, or he sees that he has been overruled and starts nothing.
* end        the chunk's last line synced, its file is renamed to e.K.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from leaseq.array_names import ArrayNames
from leaseq.dataclass import dataclass
from leaseq.errors import Malformed
from leaseq.layout import ArrayDir, LeaseDir
from leaseq.names import Entry, new_incarnation
from leaseq.protocol import files, tasks
from leaseq.protocol.cover import Cover
from leaseq.protocol.plan import Plan
from leaseq.protocol.tasks import Claim
from leaseq.schema import flag, text
from leaseq.world import Fs


def take(
    fs: Fs, lease: LeaseDir, entries: Sequence[Entry], *, node: str, incarnation: str, known: Cover | None = None
) -> tuple[list[Claim], ArrayNames | None]:
    """(those chunks of one array that are that runner's, durably; what is in its directory once the links stand)

    None of them, and None, if others have them all, or the array is over. They share their syncs.
    known: what is known of the chunks, and what is known by now.
    """
    directory = lease.claimed(node)
    if entries[0].grouped:
        known = known or Cover(fs, lease.array(entries[0].id, entries[0].attempt), Plan(entries[0].count))
        open_now = known.divide(entry.chunk for entry in entries if entry.chunk is not None)
        entries = [entry for entry in entries if entry.chunk in open_now]
    if not entries:
        return [], None
    held = [Claim(entry.claimed_by(incarnation), node) for entry in entries]
    body = {"v": 1, "node": node, "incarnation": incarnation, "token": new_incarnation()}
    # One file under a name for each chunk: it is synced once, and says of each chunk's link whose it is.
    staged = files.stage(fs, directory, json.dumps(body).encode() + b"\n")
    for each in held:
        try:
            fs.link(staged, each.path(lease))
        except FileExistsError:
            pass  # nobody else makes that name: done, and perhaps taken away since
        except OSError:
            if str(each.entry) not in fs.names(directory):
                raise
    files.discard(fs, staged)
    # Were the link durable and this name not, a loss of power would leave a chunk that nobody has.
    fs.sync_dir(directory)
    taken, names = _standing(fs, lease, [each for each in held if _is_linked(fs, lease, each)])
    if known is not None:
        known.has_whole(each.entry.chunk for each in taken if each.entry.chunk is not None)
    return taken, names


def secure(fs: Fs, lease: LeaseDir, held: Claim) -> ArrayNames | None:
    """The file is the chunk's own, durably: linked by now, or before; or it is gone, and the chunk another's.

    Gives what is in the array's directory then; None if the chunk is another's, or the array is over.
    """
    return _standing(fs, lease, [held] if _is_linked(fs, lease, held) else [])[1]


def _is_linked(fs: Fs, lease: LeaseDir, held: Claim) -> bool:
    """The file is the chunk's own, by now or before; False if the chunk is another's, and then the file is gone."""
    _, path, taken = _paths(lease, held)
    try:
        fs.link(path, taken)
    except OSError as failure:
        try:
            own = fs.read(path)
        except FileNotFoundError:
            return False
        try:
            stands = fs.read(taken)
        except FileNotFoundError:
            if str(held.entry) not in fs.names(lease.claimed(held.node)):
                return False  # taken away, and perhaps at its end by now
            raise failure from None
        if stands != own:
            files.discard(fs, path)
            return False
    return True


def _standing(fs: Fs, lease: LeaseDir, linked: list[Claim]) -> tuple[list[Claim], ArrayNames | None]:
    """The chunks whose links are durable now, and what is in their array's directory; none of an array that is over."""
    if not linked:
        return [], None
    array, _, _ = _paths(lease, linked[0])
    fs.sync_dir(array.root)
    names = ArrayNames.parse(fs.names(array.root))
    if not names.over:
        return linked, names
    for each in linked:
        _, path, taken = _paths(lease, each)
        files.discard(fs, path)
        files.discard(fs, taken)
        for number in _groups_of(each.entry):
            files.discard(fs, array.taken(number))
    return [], None


def _groups_of(entry: Entry) -> list[int]:
    """The group of the chunk, if it is in one that had to be divided before."""
    assert entry.chunk is not None
    group = Plan(entry.count).group_of(entry.chunk) if entry.grouped else None
    return [] if group is None else [group]


def _paths(lease: LeaseDir, held: Claim) -> tuple[ArrayDir, str, str]:
    entry = held.entry
    assert entry.chunk is not None
    array = lease.array(entry.id, entry.attempt)
    return array, held.path(lease), array.taken(entry.chunk)


def is_overruled(fs: Fs, lease: LeaseDir, held: Claim) -> bool:
    """True if the chunk was taken away from its holder. To be asked after each line that begins some of it."""
    entry = held.entry
    assert entry.chunk is not None
    try:
        fs.read(lease.array(entry.id, entry.attempt).handed(entry.chunk, entry.owner))
    except FileNotFoundError:
        return False
    return True


def take_away(fs: Fs, lease: LeaseDir, held: Claim, target: str, *, reason: str, lease_ends: bool = False) -> bool:
    """The chunk of a holder that is gone for certain is pending in that inbox; False if another did that, or it ended.

    lease_ends: whether it is an end of the lease for what the node ran.
    """
    if not _cut_off(fs, lease, held, {"reason": reason, "lease_ends": lease_ends}):
        return False
    fs.mkdir(target)
    tasks.unclaim(fs, lease, held, target)
    return True


def inherit(fs: Fs, lease: LeaseDir, held: Claim, *, incarnation: str, reason: str) -> Claim | None:
    """The chunk of an earlier runner of the node, which is gone, is this one's; None if it had ended or has another."""
    if not _cut_off(fs, lease, held, {"reason": reason, "heir": True}):
        return None
    heir = Claim(held.entry.claimed_by(incarnation), held.node)
    try:
        fs.rename(held.path(lease), heir.path(lease))
    except OSError as error:
        if str(heir.entry) not in fs.names(lease.claimed(held.node)):
            if isinstance(error, FileNotFoundError):
                return None
            raise
    fs.sync_dir(lease.claimed(held.node))
    return heir


def _cut_off(fs: Fs, lease: LeaseDir, held: Claim, why: dict[str, object]) -> bool:
    """From now on nothing counts that the holder writes of the chunk; False if it is his no longer."""
    # Who made the claim may have died before it was durable.
    fs.sync_dir(lease.claimed(held.node))
    if secure(fs, lease, held) is None:
        return False
    entry, array = held.entry, lease.array(held.entry.id, held.entry.attempt)
    assert entry.chunk is not None
    mark, cut = array.handed(entry.chunk, entry.owner), array.cut(entry.chunk, entry.owner)
    _fix(fs, mark, {"v": 1, "node": held.node, **why})
    try:
        _, size = fs.read_range(array.journal(held.node, entry.owner), 0, 1)
    except FileNotFoundError:
        size = 0
    _fix(fs, cut, {"v": 1, "size": size})
    return True


def _fix(fs: Fs, path: str, body: dict[str, object]) -> None:
    """The file says that, or what was said there first, durably."""
    staged = files.stage(fs, files.directory_of(path), json.dumps(body).encode() + b"\n")
    try:
        fs.link(staged, path)
    except OSError:
        names = fs.names(files.directory_of(path))
        if path.rpartition("/")[2] not in names and not ArrayNames.parse(names).over:
            raise
    files.discard(fs, staged)
    fs.sync_dir(files.directory_of(path))


@dataclass(frozen=True)
class Handed:
    """Why a chunk was taken away."""

    reason: str
    lease_ends: bool = False
    node: str = ""
    """The node from which it was taken; empty: not known."""
    heir: bool = False
    """True if the node's next runner did it: then the earlier one, and what it knew of its node, is as it left them."""


def why_handed(fs: Fs, lease: LeaseDir, entry: Entry, owner: str) -> Handed:
    """Why the chunk was taken away from that incarnation."""
    assert entry.chunk is not None
    try:
        path = lease.array(entry.id, entry.attempt).handed(entry.chunk, owner)
        body = files.json_object(files.content(fs, path))
        return Handed(
            text(body.get("reason")),
            lease_ends=flag(body.get("lease_ends", False)),
            node=text(body.get("node", "")),
            heir=flag(body.get("heir", False)),
        )
    except FileNotFoundError:
        return Handed("its node is gone", heir=True)  # given back by itself, which has told what never began
    except Malformed:
        return Handed("its node is gone")


def end(fs: Fs, lease: LeaseDir, ended: Sequence[Claim]) -> None:
    """Chunks of one array, all of whose indices have ended, durably told, are at their end; or were taken away."""
    for held in ended:
        array, path, _ = _paths(lease, held)
        assert held.entry.chunk is not None
        try:
            fs.rename(path, array.ended(held.entry.chunk))
        except FileNotFoundError:
            if str(held.entry) in fs.names(lease.claimed(held.node)):
                raise
    fs.sync_dir(array.root)
