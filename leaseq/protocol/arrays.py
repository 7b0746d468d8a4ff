"""Arrays: one pending file that several nodes take in chunks, and how it comes to one outcome.

    inbox/NODE/ENTRY                   the array: it stays while chunks are free
    claimed/_array/ENTRY.WHO           the array, once nothing is left of it to take
    arrays/ID.ATTEMPT/                 made by whoever takes the first chunk, or ends it before
    claimed/NODE/ENTRYkK.INCARNATION   chunk K, in the hands of that node's runner; given back, inbox/NODE/ENTRYkK
    arrays/ID.ATTEMPT/c.K              chunk K is taken: an exclusive link to the file of whoever was first; of a group
                                       perhaps to one that says that it is divided: see `cover`
                      o.NODE.INC       that incarnation's journal, see `journal`
                      h.K.INC          chunk K was taken away from that incarnation, which is gone for certain
                      s.K.INC          so many bytes of its journal count of that chunk; what follows is evidence
                      x.WHO            these indices are to end, or all
                      e.K              chunk K has ended: its file, renamed
                      index            the array has ended: of c, e, s and x only the cuts are kept, here

Taking, beginning, taking away and ending a chunk are told in `chunks`. Who sees that all have ended decides the array's
outcome. To cancel is to write `x`, synced, and then to ask all nodes that have a chunk; who takes one looks for `x`
after his link, so one sees the other. An index that had not ended when its chunk did, for an `x` that means all, has no
line of its own, and is CANCELLED.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from leaseq.array_names import ArrayNames
from leaseq.dataclass import replace
from leaseq.errors import Malformed, Newer
from leaseq.layout import ArrayDir, LeaseDir
from leaseq.models import ANY, Outcome, State, Task
from leaseq.names import ARRAYS, Entry, is_node, new_incarnation
from leaseq.protocol import chunks, concluding, dependents, files, journal, requests, tasks
from leaseq.protocol.array_places import LOOKS_MAX, names_of, place_of, read_array
from leaseq.protocol.concluding import Ending
from leaseq.protocol.cover import cover_of, ended_in
from leaseq.protocol.facts import Totals
from leaseq.protocol.plan import Plan
from leaseq.protocol.stops import Stop, read_stops
from leaseq.protocol.tasks import Claim
from leaseq.world import Fs

WORST = (State.FAILED, State.TIMEOUT, State.CANCELLED, State.LOST)
"""How an array ended of whose indices some ended so: the first of these that is among them."""


def prepare(fs: Fs, lease: LeaseDir, entry: Entry) -> ArrayDir:
    """The array's directory exists, durably."""
    array = lease.array(entry.id, entry.attempt)
    files.make(fs, [array.root])
    return array


# -- the end of an array ---------------------------------------------------------------------------------------------


def give_up(fs: Fs, lease: LeaseDir, held: Claim, *, reason: str, lease_ends: bool = False) -> bool:
    """The chunk of a node that is gone for certain is pending again: see `chunks.take_away`."""
    task = read_array(fs, lease, held.entry)
    target = lease.inbox(ANY) if task is None else tasks.inbox_of(lease, task)
    return chunks.take_away(fs, lease, held, target, reason=reason, lease_ends=lease_ends)


def close(fs: Fs, lease: LeaseDir, entry: Entry, *, first: str = "") -> Claim | None:
    """The array is no longer pending: nothing is left to take. The claim on it, whoever made it; None if it is over."""
    for _ in range(LOOKS_MAX):
        place = place_of(fs, lease, entry, first=first)
        if place is None:
            return None
        directory, name = place
        if directory == lease.claimed(ARRAYS):
            return Claim(Entry.parse(name), ARRAYS)
        if claim := tasks.claim(fs, lease, directory, entry.of_array(), node=ARRAYS, incarnation=new_incarnation()):
            fs.sync_dir(lease.claimed(ARRAYS))
            return claim
    return None


def finish(fs: Fs, lease: LeaseDir, closed: Claim, *, now: float) -> Outcome | None:
    """The array's outcome stands for ever, told and settled, if all its chunks have ended; None if they have not.

    closed: the claim in `claimed/_array`. Whoever sees it may do this, and again.
    """
    entry, array = closed.entry, lease.array(closed.entry.id, closed.entry.attempt)
    # Were the outcome durable and this rename not, a loss of power would leave a decided array pending.
    fs.sync_dir(lease.claimed(ARRAYS))
    names = names_of(fs, lease, entry)
    outcome = tasks.read_outcome(fs, lease, entry.id, entry.attempt)
    if outcome is None:
        stops = read_stops(fs, array, names)
        for_all = next((stop for stop in stops if stop.indices is None), None)
        for up_id in names.again if for_all else ():
            files.discard(fs, array.again(up_id))  # nothing of it is wanted any more
        plan = Plan(entry.count)
        ended = ended_in(plan, names)
        if len(ended) < plan.chunks and (for_all is None or cover_of(fs, array, plan, names).taken - ended):
            return None
        try:
            task = tasks.read_task(fs, closed.path(lease), entry)
        except FileNotFoundError:
            return tasks.read_outcome(fs, lease, entry.id, entry.attempt)  # another has done all of this
        except Newer:
            raise
        except Malformed:
            task = Task(id=entry.id, argv=(), cwd="/", submitted=0.0)
        outcome = _outcome(entry, task, _final(fs, array, names, entry.count), for_all)
        outcome = tasks.decide(fs, lease, replace(outcome, incarnation=entry.owner, ended=now))
    ending = Ending(closed, outcome, outcome)

    def tell(endings: Sequence[Ending]) -> None:
        concluding.book(fs, lease, endings)
        _sweep_together(fs, array, names)

    concluding.conclude(fs, lease, [ending], tell=tell, settled=lambda each: None)
    return outcome


def _final(fs: Fs, array: ArrayDir, names: ArrayNames, count: int) -> Totals:
    """How all indices ended, as far as it was told."""
    found = journal.totals(fs, array, names)
    if found.all_ended != count or names.handed:
        # Somebody died, or not all have a line: it is counted line by line.
        told = journal.read(fs, array, names)
        exact = Totals(attempt=found.attempt)
        for each in told.ended.values():
            exact.add(each)
        return exact
    return found


def _outcome(entry: Entry, task: Task, totals: Totals, for_all: Stop | None) -> Outcome:
    counts = dict(totals.counts)
    if silent := entry.count - totals.all_ended:
        # Of an array that was ended as a whole, those that never began; of another, what nobody can tell any more.
        state = State.LOST if for_all is None else for_all.state
        counts[state] = counts.get(state, 0) + silent
    others = task.array.before if task.array is not None else {}
    for name, many in others.items():
        if name in State.__members__:
            counts[State[name]] = counts.get(State[name], 0) + many
    worst = next((state for state in WORST if counts.get(state)), State.DONE)
    said = ", ".join(f"{counts[state]:,} {state.name}" for state in WORST if counts.get(state))
    reason = f"{said} of {sum(counts.values()):,}" if said else ""
    if for_all is not None and for_all.reason:
        reason = f"{for_all.reason}: {reason}"
    return Outcome(
        task=task,
        attempt=entry.attempt,
        order=entry.order,
        state=State.FAILED if worst is State.TIMEOUT else worst,
        reason=reason,
        started=totals.started,
        counts={state.name: many for state, many in counts.items()},
        last_attempt=max(totals.attempt, entry.attempt),
    )


def _sweep_together(fs: Fs, array: ArrayDir, names: ArrayNames) -> None:
    """Of what the chunks left only the cuts are kept. Nothing is removed before the array is known to be over.

    And who was overruled: one of them may begin something yet, and looks then.
    """
    if not names.taken and not names.stops and not names.over:
        return
    if not names.over:
        cuts = [[chunk, owner, size] for (chunk, owner), size in journal.cuts_of(fs, array, names).items()]
        files.replace_file(fs, array.index, json.dumps({"v": 1, "cuts": cuts}).encode() + b"\n")
    # The ends before the chunks: a chunk that is taken and has no end would look as if it went on.
    for path in (
        *(array.ended(chunk) for chunk in names.ended),
        *(array.taken(chunk) for chunk in names.taken),
        *(array.cut(*whose) for whose in names.cut),
        *(array.stop(name) for name in names.stops),
    ):
        files.discard(fs, path)
    fs.sync_dir(array.root)


# -- ending indices before their time --------------------------------------------------------------------------------


def stop(fs: Fs, lease: LeaseDir, entry: Entry, what: Stop) -> bool:
    """Those indices of the array are to end, durably; False if it is over. Who has a chunk is to be asked to look."""
    array = prepare(fs, lease, entry)
    said = "" if what.indices is None else str(what.indices)
    body = {"v": 1, "indices": said, "reason": what.reason, "running": what.running, "state": what.state.name}
    staged = files.stage(fs, array.root, json.dumps(body).encode() + b"\n")
    name = f"x.{new_incarnation()}"
    files.rename_own(fs, staged, array.root, name)
    fs.sync_dir(array.root)
    if names_of(fs, lease, entry).over:
        files.discard(fs, array.stop(name))
        return False
    return True


def cancel(fs: Fs, lease: LeaseDir, entry: Entry, what: Stop, *, now: float) -> Outcome | None:
    """Those indices are to end, durably, and all nodes that have some are asked. The array's outcome, if it is over."""
    entry = entry.of_array()
    stop(fs, lease, entry, what)
    closed = None
    if what.indices is None:
        closed = close(fs, lease, entry)
        _end_given_back(fs, lease, entry)
    ask_holders(fs, lease, entry)
    outcome = finish(fs, lease, closed, now=now) if closed else None
    if outcome is None:
        dependents.follow_indices(fs, lease, [entry.id])
    return outcome


def refuse(fs: Fs, lease: LeaseDir, entry: Entry, *, reason: str, now: float) -> None:
    """The array, which is none that could run, has FAILED for that reason, and its file stays in evidence/."""
    place = place_of(fs, lease, entry)
    if place is not None:
        with suppress(FileExistsError, FileNotFoundError):
            fs.link("/".join(place), f"{lease.evidence}/{place[1]}.{new_incarnation()}")
    cancel(fs, lease, entry, Stop(None, reason, state=State.FAILED), now=now)


def _end_given_back(fs: Fs, lease: LeaseDir, entry: Entry) -> None:
    """Chunks of the array that wait for a node are at their end."""
    array = lease.array(entry.id, entry.attempt)
    for parent in (lease.helds, lease.inboxes):
        for node in fs.names(parent):
            for name in fs.names(f"{parent}/{node}"):
                chunk = _chunk(name, entry)
                if chunk is not None:
                    try:
                        fs.rename(f"{parent}/{node}/{name}", array.ended(chunk))
                    except FileNotFoundError:
                        continue  # a runner was faster, and sees that it is to end
    fs.sync_dir(array.root)


def go_on(fs: Fs, lease: LeaseDir, entry: Entry) -> None:
    """Chunks of the array that were held with it may be taken, durably, if it is held no longer.

    For whoever has let it go on, and for whoever has put a chunk into held/, after that: one of them sees the other.
    """
    parts = []
    for node in fs.names(lease.helds):
        for name in fs.names(lease.held(node)):
            found = _part(name, entry)
            if found is not None and found.chunk is None:
                return
            if found is not None:
                parts.append((node, name))
    for node, name in parts:
        tasks.move_pending(fs, lease.held(node), name, lease.inbox(node))


def go_on_from(fs: Fs, lease: LeaseDir, node: str) -> None:
    """Chunks that are held there, of arrays that are held no longer, may be taken: who put them there has died."""
    try:
        names = fs.names(lease.held(node))
    except FileNotFoundError:
        return
    found: dict[str, Entry] = {}
    for name in names:
        with suppress(Malformed):
            entry = Entry.parse(name)
            if entry.chunk is not None:
                found[entry.of_array().key] = entry.of_array()
    for entry in found.values():
        go_on(fs, lease, entry)


def _part(name: str, entry: Entry) -> Entry | None:
    """The entry that the name is of, if it is the array's, or of one of its chunks."""
    if f".{entry.id}." not in name:
        return None
    try:
        found = Entry.parse(name)
    except Malformed:
        return None
    return found if (found.id, found.attempt) == (entry.id, entry.attempt) else None


def _chunk(name: str, entry: Entry) -> int | None:
    """The number of the chunk of that array that the name is of; None if it is of none."""
    found = _part(name, entry)
    return None if found is None else found.chunk


def ask_holders(fs: Fs, lease: LeaseDir, entry: Entry) -> None:
    """The nodes that have chunks of the array are asked to look at what is to end."""
    for node in holders(fs, lease, entry):
        requests.ask(fs, lease, node, f"cancel.{entry.id}.{entry.attempt}", {"reason": "indices"})


def holders(fs: Fs, lease: LeaseDir, entry: Entry) -> dict[str, list[Claim]]:
    """The chunks of the array that nodes have, by node."""
    found: dict[str, list[Claim]] = {}
    for node in fs.names(lease.claims):
        if is_node(node):
            for name in fs.names(lease.claimed(node)):
                if _chunk(name, entry) is not None:
                    found.setdefault(node, []).append(Claim(Entry.parse(name), node))
    return found


def set_throttle(fs: Fs, lease: LeaseDir, entry: Entry, most: int) -> None:
    """At most so many of the array run at once as soon as its nodes look, durably; 0: any number. What runs goes on."""
    array = prepare(fs, lease, entry)
    files.replace_file(fs, array.throttle, json.dumps({"v": 1, "most": most}).encode() + b"\n")
    ask_holders(fs, lease, entry)


def say_held(fs: Fs, array: ArrayDir, reason: str) -> None:
    """The array's directory says why a runner holds it."""
    files.replace_file(fs, array.held, json.dumps({"v": 1, "reason": reason}).encode() + b"\n")


# -- reading ---------------------------------------------------------------------------------------------------------
