"""Pending tasks that are changed: the new file in the place of the old one, under the same id and attempt.

    edits/.NEW.INCARNATION           the changed task, until the rename that queues it
    edits/INCARNATION                where it goes: {"entry", "directory"}; and if it is to wait for something else than
                                     before, for what: {"after"}
    claimed/_edit/OLD.INCARNATION    the old file, once it is taken: from then on the change is made

1. The new file and where it goes are durable, hidden from every runner. 2. The old file is claimed, as a runner would
claim it: of an edit, another edit and all runners, one has it. With that the change is decided. 3. The new file is
renamed to its place: once, by whoever does so; if it waits for other things than before, their edges come first, and
those of the others go after it. 4. The claim and then what `edits/` holds of it are removed.

Who dies before 2 has changed nothing. Who dies after it leaves a claim in `claimed/_edit`, which anybody may finish, at
any time and beside others: never a claim that means cancelled, as in `claimed/_cli`. An entry's name says how often the
task was edited, so a name still stands for one content: an edit that was made of an older one finds no such file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.models import Task
from leaseq.names import EDIT, Entry, new_incarnation
from leaseq.protocol import edges, tasks
from leaseq.protocol.files import content, discard, json_object, make
from leaseq.protocol.keys import target_of
from leaseq.protocol.tasks import Claim
from leaseq.schema import several, text
from leaseq.upstream import Upstream
from leaseq.world import Fs


def change(
    fs: Fs,
    lease: LeaseDir,
    source: str,
    old: Entry,
    directory: str,
    new: Entry,
    task: Task,
    *,
    ups: Sequence[Upstream] | None = None,
) -> bool:
    """The pending task is the new one, durably, in that directory; False if it was no longer there as the old one.

    ups: what it waits for from now on; None: for what it does.
    """
    incarnation = new_incarnation()
    make(fs, [lease.edits, lease.claimed(EDIT)])
    waiting, target = _waiting(lease, new, incarnation), f"{lease.edits}/{incarnation}"
    fs.create(waiting, task.to_json())
    body: dict[str, object] = {"v": 1, "entry": str(new), "directory": directory[len(lease.root) + 1 :]}
    if ups is not None:
        body["after"] = list(map(str, ups))
    fs.create(target, json.dumps(body).encode() + b"\n")
    fs.sync_dir(lease.edits)
    held = tasks.claim(fs, lease, source, old, node=EDIT, incarnation=incarnation)
    if held is None:
        try:
            fs.read(waiting)
        except FileNotFoundError:
            return True  # the reply was lost, and somebody has finished it
        discard(fs, waiting)
        discard(fs, target)
        return False
    finish(fs, lease, held)
    return True


def finish(fs: Fs, lease: LeaseDir, held: Claim) -> None:
    """The change that has this claim is made, durably, by whomever."""
    fs.sync_dir(lease.claimed(EDIT))
    target = f"{lease.edits}/{held.entry.owner}"
    try:
        body = json_object(content(fs, target))
    except FileNotFoundError:
        # It goes last: the change was made, and the claim's removal was not durable.
        discard(fs, held.path(lease))
        return
    new, directory = target_of(lease, body)
    ups = None if "after" not in body else [Upstream.parse(word) for word in several(text)(body["after"])]
    if ups and str(held.entry) in fs.names(lease.claimed(EDIT)):
        # Whoever sees that it is gone comes too late: the task may wait for something else by now.
        edges.put(fs, lease, ups, [new.key])
    try:
        fs.rename(_waiting(lease, new, held.entry.owner), f"{directory}/{new}")
    except FileNotFoundError:
        pass  # done before, or just now and the reply was lost
    fs.sync_dir(directory)
    if ups is not None and str(held.entry) in fs.names(lease.claimed(EDIT)):
        own = [edge for edge in edges.edges_of(fs, lease) if edge.down == new.key]
        edges.drop(fs, lease, [edge for edge in own if edge.up not in ups])
    discard(fs, held.path(lease))
    fs.sync_dir(lease.claimed(EDIT))
    discard(fs, target)


def finish_all(fs: Fs, lease: LeaseDir) -> None:
    """Every change that somebody has begun to make is made."""
    try:
        names = fs.names(lease.claimed(EDIT))
    except FileNotFoundError:
        return
    for name in names:
        try:
            finish(fs, lease, Claim(Entry.parse(name), EDIT))
        except Malformed:
            continue  # a later leaseq's to finish, or nobody's


def _waiting(lease: LeaseDir, new: Entry, incarnation: str) -> str:
    return f"{lease.edits}/.{new.claimed_by(incarnation)}"
