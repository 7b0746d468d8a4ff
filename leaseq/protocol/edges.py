"""What a pending task waits for, by names alone.

    waiting/NODE/ENTRY                     pending, and out of every runner's sight: it waits for something
    edges/UP.ATTEMPT.KIND.DOWN.LEASE       the attempt DOWN waits for that: one name for each thing it waits for
    edges/@LEASE                           in that lease are tasks that wait for tasks of this one

The edges of a task are in its own lease, durably, before its file appears in waiting/. So a file there without any edge
waits for nothing more, and whoever sees that may let it go. LEASE is where the upstream's end is looked for, from
ATTEMPT on. An edge goes once what it waits for has come, and its task's file goes to its inbox after the last of them.

Which of two states of an upstream counts is said once, in `verdict`. LOST is no end: nobody knows how that one ended.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.forms import Form
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Outcome, State
from leaseq.names import PENDING, attempt_of, parse_id, parse_key, task_of
from leaseq.protocol import files, keys, tasks
from leaseq.upstream import Edge, Standing, Upstream, edges_in, pointed_at
from leaseq.values import nearest_hint
from leaseq.world import Fs

OK, ENDS, NOT_OK, START, BEGIN = "ok", "any", "notok", "start", "begin"
"""Kinds: it ended well; it ended; it ended and not well; it began; it is that time of the day."""
EACH = "each"
"""The kind of an edge between two arrays of the same indices: each of the one waits until that one of the other ended
well. It keeps no file in waiting/: runners begin no index of an array before (`runner.gate`)."""
KINDS = (OK, ENDS, NOT_OK, START, EACH)
SLURM_WORDS = {"afterok": OK, "afterany": ENDS, "afternotok": NOT_OK, "after": START, "aftercorr": EACH}
"""What Slurm's `--dependency` calls what is waited for."""
_HOW = "--after T3k9 (ended well), any:T3k9, notok:T3k9, start:T3k9, each:T3k9, `last`, group:NAME; several with commas"
_NUMBERS = Form(r"[0-9][0-9:-]*")
QUERIES = ("group", "name", "state")
"""What stands before a colon for several tasks at once."""
BADLY = (State.FAILED, State.TIMEOUT, State.CANCELLED)
_COMES = {
    OK: {State.DONE: True, **dict.fromkeys(BADLY, False)},
    ENDS: {State.DONE: True, **dict.fromkeys(BADLY, True)},
    NOT_OK: {State.DONE: False, **dict.fromkeys(BADLY, True)},
    START: dict.fromkeys((State.DONE, State.LOST, *BADLY), True),
}
Place = tuple[str, str, int]
"""(lease, task or index, attempt): what an edge says of its upstream."""
Spots = Mapping[str, tuple[str, str]]
"""(directory, name) of pending files, by the key of the attempt."""


def verdict(kind: str, state: State) -> bool | None:
    """True if what is waited for has come with that end, False if it never will, None if that is not known yet."""
    return _COMES.get(kind, {}).get(state)


def standings(fs: Fs, lease: LeaseDir, ups: Iterable[Upstream]) -> dict[Place, Standing]:
    """How each of those has ended, with its attempt or a later one; without those that go on, or are not known."""
    found: dict[Place, Standing] = {}
    indices: dict[tuple[str, str], set[int]] = defaultdict(set)
    asked = {(up.lease, up.id, up.attempt): up for up in ups}
    for place, up in asked.items():
        if up.number is not None:
            indices[up.lease, up.task].add(up.number)
        elif outcome := standing(fs, lease.beside(up.lease), up.id, up.attempt):
            found[place] = of_outcome(outcome)
    if indices:
        from leaseq.protocol.index_ends import of_indices

        ends = {
            (lease_id, task_id): of_indices(fs, lease.beside(lease_id), task_id, some).ended
            for (lease_id, task_id), some in indices.items()
        }
        for place, up in asked.items():
            end = ends[up.lease, up.task].get(up.number) if up.number is not None else None
            if end is not None and end.attempt >= up.attempt:
                found[place] = end
    return found


def standing(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> Outcome | None:
    """How the task ended, with that attempt or a later one, durably; None as long as it goes on, or is not known.

    LOST: nobody knows how it ended, and no other attempt has ended since.
    """
    outcome = tasks.readable_outcome(fs, lease, task_id, attempt)
    while outcome is not None and outcome.state is not State.DONE:
        later = tasks.readable_outcome(fs, lease, task_id, outcome.last + 1)
        if later is None:
            if outcome.requeued or keys.was_retried(fs, lease, task_id, outcome.last):
                return None
            break
        outcome = later
    if outcome is not None:
        # It may be of somebody who died before its sync; what is to begin after it must not be there without it.
        fs.sync_dir(lease.done(task_id))
    return outcome


def of_outcome(outcome: Outcome) -> Standing:
    """What an outcome says that no attempt follows."""
    return Standing(outcome.state, outcome.last, outcome.ended, outcome.task.array is not None)


def was_retried(fs: Fs, lease: LeaseDir, up_id: str, attempt: int) -> bool:
    """True if the task, or the index of an array, which had ended with that attempt, was queued once more."""
    task_id, index = parse_id(up_id)
    if index is None:
        return keys.was_retried(fs, lease, task_id, attempt)
    from leaseq.protocol import index_ends

    return index_ends.was_retried(fs, lease, task_id, index, attempt)


# -- names ---------------------------------------------------------------------------------------------


def edges_of(fs: Fs, lease: LeaseDir) -> list[Edge]:
    """What the tasks of that lease wait for."""
    return edges_in(files.names_in(fs, lease.edges))


def edges_seen_from(fs: Fs, lease: LeaseDir) -> list[tuple[LeaseDir, Edge]]:
    """What tasks of that lease wait for, and what others wait for that may be there; with the lease of each."""
    names = files.names_in(fs, lease.edges)
    found = [(lease, edge) for edge in edges_in(names)]
    for lease_id in pointed_at(names):
        other = lease.beside(lease_id)
        found += [(other, edge) for edge in edges_of(fs, other)]
    return found


def put(fs: Fs, lease: LeaseDir, ups: Iterable[Upstream], downs: Iterable[str]) -> None:
    """Each of the attempts waits for all of that, durably, as soon as its file is there."""
    ups = list(ups)
    for lease_id in dict.fromkeys(up.lease for up in ups if up.lease != lease.id):
        point(fs, lease.beside(lease_id), lease)
    for down in downs:
        for up in ups:
            _touch(fs, lease, f"{lease.edges}/{Edge(up, down)}")
    fs.sync_dir(lease.edges)


def point(fs: Fs, at: LeaseDir, lease: LeaseDir) -> None:
    """Whoever decides how tasks of the one lease end looks for those of the other, durably, that wait for them."""
    if at.id == lease.id:
        return
    if lease.id not in pointed_at(files.names_in(fs, at.edges)):
        _touch(fs, at, at.pointer(lease.id))
    fs.sync_dir(at.edges)


def drop(fs: Fs, lease: LeaseDir, edges: Iterable[Edge]) -> None:
    """Nothing waits for that any more. Not durably: an edge that comes back is looked at again."""
    for edge in edges:
        files.discard(fs, f"{lease.edges}/{edge}")


def _touch(fs: Fs, lease: LeaseDir, path: str) -> None:
    """The name is there; it holds nothing, so that it is whole as soon as it is there."""
    try:
        fs.create(path, b"", durable=False)
    except FileNotFoundError:
        prepare(fs, lease)
        fs.create(path, b"", durable=False)


def prepare(fs: Fs, lease: LeaseDir, node: str = ANY) -> None:
    """The directories are there, durably; an older leaseq's lease has none."""
    files.make(fs, [lease.edges, lease.waitings, lease.waiting(node)])


# -- tasks that wait -----------------------------------------------------------------------------------


def pending_in(fs: Fs, parent: str) -> dict[str, tuple[str, str]]:
    """The pending files in the directories of a parent (waiting/, held/), by the keys of their attempts."""
    found = {}
    for node in files.names_in(fs, parent):
        directory = f"{parent}/{node}"
        for name in files.names_in(fs, directory):
            if PENDING.fullmatch(name):
                found[f"{task_of(name)}.{attempt_of(name)}"] = directory, name
    return found


def release(fs: Fs, lease: LeaseDir, spots: Spots) -> list[str]:
    """Those of the waiting files that no edge keeps are in their inboxes, durably; the keys of those that moved.

    spots: as they were listed before this looks at the edges. An attempt has its edges before it has its file.
    """
    if not spots:
        return []
    kept = {edge.down for edge in edges_of(fs, lease) if edge.up.kind != EACH}
    moved, targets = [], set()
    for key, (directory, name) in spots.items():
        if key in kept:
            continue
        target = lease.inbox(directory.rpartition("/")[2])
        try:
            fs.rename(f"{directory}/{name}", f"{target}/{name}")
        except FileNotFoundError:
            # Somebody was faster, or the reply was lost. Is it there, it is for a runner, and has to be durable.
            if name not in files.names_in(fs, target):
                continue
        moved.append(key)
        targets.add(target)
    for target in targets:
        fs.sync_dir(target)
    return moved


# -- whether it has come -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weighed:
    """What of some upstreams has not come yet, and what never will."""

    open: tuple[Upstream, ...]
    never: tuple[tuple[Upstream, State], ...]
    """With how they ended."""


def weigh(fs: Fs, lease: LeaseDir, ups: Iterable[Upstream], *, now: float) -> Weighed:
    """What of that a task of the lease has to wait for now. What has come is durable."""
    waits, never = [], []
    asked = list(dict.fromkeys(ups))
    ends = standings(fs, lease, [up for up in asked if up.kind not in (BEGIN, EACH)])
    for up in asked:
        if up.kind == BEGIN:
            waits += [up] if is_later(up, now) else []
            continue
        end = ends.get((up.lease, up.id, up.attempt))
        comes = verdict(up.kind, end.state) if end else None
        if end is not None and comes is False:
            never.append((up, end.state))
        elif comes is None:
            waits.append(up)
    return Weighed(tuple(waits), tuple(never))


def each_of(fs: Fs, lease: LeaseDir, key: str) -> tuple[Upstream, ...]:
    """The arrays for whose indices those of that attempt wait one by one."""
    return tuple(sorted(edge.up for edge in edges_of(fs, lease) if edge.down == key and edge.up.kind == EACH))


def begins_at(seconds: float, lease: LeaseDir) -> Upstream:
    """That time of the day, as something that a task of the lease waits for."""
    return Upstream(BEGIN, str(max(1, math.ceil(seconds))), 1, lease.id)


def is_later(up: Upstream, now: float) -> bool:
    """True if the time that is waited for is still to come, by the clock of who asks."""
    return int(up.id) > now


# -- upstreams that become another, or go elsewhere ----------------------------------------------------


def retarget(fs: Fs, lease: LeaseDir, old: Upstream, new: Upstream, *, downs: Collection[str] | None = None) -> int:
    """What waits in the lease for the one waits for the other, durably: these attempts, or all. How many did.

    Each has an edge at any time, for it is renamed.
    """
    names = [edge for edge in edges_of(fs, lease) if edge.up == old and (downs is None or edge.down in downs)]
    if names and new.lease != lease.id:
        point(fs, lease.beside(new.lease), lease)
    for edge in names:
        try:
            fs.rename(f"{lease.edges}/{edge}", f"{lease.edges}/{Edge(new, edge.down)}")
        except FileNotFoundError:
            continue  # it has come meanwhile; or the reply was lost
    if names:
        fs.sync_dir(lease.edges)
    return len(names)


def waiting_for(fs: Fs, lease: LeaseDir, task_id: str) -> list[tuple[LeaseDir, Edge]]:
    """The edges to a task of the lease, or to an index of it, each with the lease of who waits."""
    return [(home, edge) for home, edge in edges_seen_from(fs, lease) if edge.up.task == task_id]


def bring_along(fs: Fs, lease: LeaseDir, target: LeaseDir, key: str) -> list[Edge]:
    """A task that is about to move has its edges in the other lease, too, and who waits for it is looked for there.

    Durably. Gives its edges, for `leave_behind`.
    """
    task_id, _ = parse_key(key)
    for home in {home.id: home for home, _ in waiting_for(fs, lease, task_id)}.values():
        point(fs, target, home)
    own = [edge for edge in edges_of(fs, lease) if edge.down == key]
    if own:
        put(fs, target, [edge.up for edge in own], [key])
    return own


def leave_behind(fs: Fs, lease: LeaseDir, target: LeaseDir, key: str, own: Iterable[Edge]) -> None:
    """A task that has moved has no edges in the lease that it left, and the edges to it say where it is."""
    drop(fs, lease, own)
    task_id, attempt = parse_key(key)
    # Once more: one that waits for it may have come since.
    for home, edge in waiting_for(fs, lease, task_id):
        point(fs, target, home)
        retarget(fs, home, edge.up, edge.up._replace(attempt=attempt, lease=target.id))


# -- as it is typed ---------------------------------------------------------------------------------


class After(NamedTuple):
    """A word that names tasks, and what of them is waited for."""

    kind: str
    word: str


def after(texts: Sequence[str], *, what: str) -> tuple[After, ...]:
    """What the words say, each with its own kind: `T3k9`, `any:T3k9`, several with commas."""
    found: list[After] = []
    for text in texts:
        for number, part in enumerate(filter(None, (part.strip() for part in text.split(",")))):
            if number and _NUMBERS.fullmatch(part) and "_" in found[-1].word:
                found[-1] = After(found[-1].kind, f"{found[-1].word},{part}")  # T3k9_1,5,7-9
                continue
            kind, colon, word = part.partition(":")
            if colon and kind in SLURM_WORDS:
                raise UsageError(f"{what} {part}: that is Slurm's word", hint=f"--dependency {part}, or {_HOW}")
            if not colon or kind in QUERIES:
                kind, word = OK, part
            if kind not in KINDS:
                raise UsageError(f"{what} {part}: {kind!r} is not known", hint=nearest_hint(kind, KINDS) or _HOW)
            if not word:
                raise UsageError(f"{what} {part}: after which task?", hint=_HOW)
            if kind == EACH and word.partition(":")[0] in KINDS:
                raise UsageError(
                    f"{what} {part}: index by index each waits until the other ended well, and for nothing else",
                    hint=f"each:{word.rpartition(':')[2]}",
                )
            found.append(After(kind, word))
    if not found and texts:
        raise UsageError(f"{what}: after which task?", hint=_HOW)
    return tuple(found)
