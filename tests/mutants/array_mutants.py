"""Arrays with one thing wrong each. Each is a replacement of functions of `tests.crash.array_rules.Protocol`."""

from __future__ import annotations

import json
from typing import Any

from leaseq.array_names import ArrayNames
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Outcome
from leaseq.names import Entry
from leaseq.protocol import arrays, chunks, files, tasks
from leaseq.protocol.array_places import names_of
from leaseq.protocol.journal import Journal
from leaseq.protocol.stops import Stop
from leaseq.protocol.tasks import Claim
from leaseq.world import Fs


def _stage(fs: Fs, lease: LeaseDir, entry: Entry, node: str, incarnation: str) -> Claim:
    held = Claim(entry.claimed_by(incarnation), node)
    directory = lease.claimed(node)
    body = {"v": 1, "node": node, "incarnation": incarnation, "chunk": entry.chunk}
    files.rename_own(fs, files.stage(fs, directory, json.dumps(body).encode()), directory, str(held.entry))
    return held


def take_before_its_file_is_durable(
    fs: Fs, lease: LeaseDir, entry: Entry, *, node: str, incarnation: str
) -> ArrayNames | None:
    held = _stage(fs, lease, entry, node, incarnation)
    found = chunks.secure(fs, lease, held)
    fs.sync_dir(lease.claimed(node))
    return found


def take_that_trusts_eexist(fs: Fs, lease: LeaseDir, entry: Entry, *, node: str, incarnation: str) -> ArrayNames | None:
    """A link that was reported to exist is another's."""
    held = _stage(fs, lease, entry, node, incarnation)
    fs.sync_dir(lease.claimed(node))
    array = lease.array(entry.id, entry.attempt)
    assert entry.chunk is not None
    try:
        fs.link(held.path(lease), array.taken(entry.chunk))
    except FileExistsError:
        files.discard(fs, held.path(lease))
        return None
    fs.sync_dir(array.root)
    return names_of(fs, lease, entry)


def take_that_does_not_sync_the_link(
    fs: Fs, lease: LeaseDir, entry: Entry, *, node: str, incarnation: str
) -> ArrayNames | None:
    held = _stage(fs, lease, entry, node, incarnation)
    fs.sync_dir(lease.claimed(node))
    array = lease.array(entry.id, entry.attempt)
    assert entry.chunk is not None
    try:
        fs.link(held.path(lease), array.taken(entry.chunk))
    except OSError:
        return chunks.secure(fs, lease, held)
    return names_of(fs, lease, entry)


def give_up_without_linking(fs: Fs, lease: LeaseDir, held: Claim, **why: Any) -> bool:
    """A file that is no chunk's yet is nothing: it goes."""
    array = lease.array(held.entry.id, held.entry.attempt)
    assert held.entry.chunk is not None
    if held.entry.chunk not in names_of(fs, lease, held.entry).taken:
        files.discard(fs, held.path(lease))
        return False
    assert array
    return arrays.give_up(fs, lease, held, **why)


def give_up_without_a_mark(fs: Fs, lease: LeaseDir, held: Claim, *, reason: str) -> bool:
    """The rename alone tells the late owner, and all that it writes counts."""
    fs.sync_dir(lease.claimed(held.node))
    if chunks.secure(fs, lease, held) is None:
        return False
    tasks.unclaim(fs, lease, held, lease.inbox(ANY))
    return True


def give_up_that_cuts_before_it_marks(fs: Fs, lease: LeaseDir, held: Claim, *, reason: str) -> bool:
    """How much of the journal counts is read before its owner can know."""
    fs.sync_dir(lease.claimed(held.node))
    if chunks.secure(fs, lease, held) is None:
        return False
    entry, array = held.entry, lease.array(held.entry.id, held.entry.attempt)
    assert entry.chunk is not None
    try:
        _, size = fs.read_range(array.journal(held.node, entry.owner), 0, 1)
    except FileNotFoundError:
        size = 0
    for path, body in (
        (array.cut(entry.chunk, entry.owner), {"v": 1, "size": size}),
        (array.handed(entry.chunk, entry.owner), {"v": 1, "reason": reason}),
    ):
        chunks._fix(fs, path, dict(body))
    tasks.unclaim(fs, lease, held, lease.inbox(ANY))
    return True


def never_overruled(fs: Fs, lease: LeaseDir, held: Claim) -> bool:
    return False


class JournalThatDoesNotSync(Journal):
    def write(self, **what: Any) -> None:
        real, self.fs = self.fs, Lazy(self.fs)
        try:
            super().write(**what)
        finally:
            self.fs = real


class Lazy:
    """Appends are not durable."""

    def __init__(self, fs: Fs) -> None:
        self._fs = fs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def append(self, path: str, data: bytes) -> None:
        try:
            before = self._fs.read(path)
        except FileNotFoundError:
            before = b""
        self._fs.create(path, before + data, durable=False)


class JournalWithoutAName(Journal):
    """The journal's own name is not durable when its lines are."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._named = True


def finish_that_does_not_wait(fs: Fs, lease: LeaseDir, closed: Claim, *, now: float) -> Outcome | None:
    """An array that was cancelled as a whole is over at once, whoever runs some of it yet."""
    names = names_of(fs, lease, closed.entry)
    for chunk in names.taken - names.ended:
        path = lease.array(closed.entry.id, closed.entry.attempt).ended(chunk)
        if names.stops:
            fs.create(path, b"")
    return arrays.finish(fs, lease, closed, now=now)


def end_that_trusts_enoent(fs: Fs, lease: LeaseDir, held: Claim) -> None:
    assert held.entry.chunk is not None
    fs.rename(held.path(lease), lease.array(held.entry.id, held.entry.attempt).ended(held.entry.chunk))


def stop_that_is_not_durable(fs: Fs, lease: LeaseDir, entry: Entry, what: Stop) -> bool:
    array = arrays.prepare(fs, lease, entry)
    body = {"v": 1, "indices": "", "reason": what.reason, "running": True}
    fs.create(array.stop("x.0123456789"), json.dumps(body).encode(), durable=False)
    return True


MUTANTS: dict[str, dict[str, Any]] = {
    "take: linked before its own file is durable": {"take": take_before_its_file_is_durable},
    "take: EEXIST is believed": {"take": take_that_trusts_eexist},
    "take: the link is not synced": {"take": take_that_does_not_sync_the_link},
    "take away: what is not linked yet is removed": {"give_up": give_up_without_linking},
    "take away: no mark and no cut": {"give_up": give_up_without_a_mark},
    "take away: cut before it is marked": {"give_up": give_up_that_cuts_before_it_marks},
    "begin: nobody looks whether the chunk was taken away": {"is_overruled": never_overruled},
    "journal: not synced": {"journal": JournalThatDoesNotSync},
    "journal: its name is not synced": {"journal": JournalWithoutAName},
    "end of a chunk: ENOENT is believed": {"end_chunk": end_that_trusts_enoent},
    "end of an array: a cancelled one does not wait for who runs": {"finish": finish_that_does_not_wait},
    "cancel: not durable": {"stop": stop_that_is_not_durable},
}
CAUGHT_BY: dict[str, str] = {
    "take: the link is not synced": "power_losses: work_another",
    "take away: what is not linked yet is removed": "meetings: lose, link late",
    "take away: no mark and no cut": "meetings: work, lose and work",
    "take away: cut before it is marked": "meetings: lose, work late",
    "begin: nobody looks whether the chunk was taken away": "meetings: work, lose",
    "end of an array: a cancelled one does not wait for who runs": "meetings: take, cancel",
    "cancel: not durable": "failures: cancel_free",
}
"""What was seen to catch it, which is tried first."""
