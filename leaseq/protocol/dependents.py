"""What follows for tasks that wait: they may start, or they never can and are cancelled, in cascade.

follow      by whoever has decided outcomes, once they are durable: one look at the edges, and no more if nobody waits
look        by whoever has published tasks that wait, and by runners once a minute: at what there is, whoever made it so
revive      by whoever has retried a task: what was cancelled because of it waits again, as its next attempt

So submitter and decider each write, sync, and then look for what the other has written: one of them sees both. What a
crash leaves undone, the minute finds. A task is cancelled as `cancel` does it: claimed into `claimed/_cli`, decided,
told, and what waits for it is dealt with before its claim goes, without recursion. Before that, who is cancelled
because of whom is written down (`broken`), for `revive`; after it, who cancels looks whether the cause was retried
meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.models import Outcome, Task
from leaseq.names import CLI, Entry, new_incarnation, parse_key
from leaseq.protocol import broken, edges, keys, tasks
from leaseq.protocol.cuts import Cut, Edges, End, Seen, plan
from leaseq.protocol.edges import BEGIN, EACH, START, Place, of_outcome, standings, verdict, was_retried
from leaseq.protocol.retention import alive
from leaseq.protocol.tasks import Claim
from leaseq.upstream import Edge, Upstream
from leaseq.world import Fs


@dataclass(frozen=True)
class Looked:
    """What a look at the tasks that wait has brought."""

    freed: frozenset[str] = frozenset()
    """The attempts that may start now, by their keys."""
    due: float | None = None
    """When the next of those that wait for a time may start, in seconds since the epoch."""
    awaited: frozenset[str] = frozenset()
    """The tasks for whose beginning others wait."""


def follow(fs: Fs, lease: LeaseDir, outcomes: Sequence[Outcome]) -> frozenset[str]:
    """What follows from these outcomes, durable and told, has happened; the attempts that may start, by their keys."""
    final = [each for each in outcomes if not each.requeued]
    if not final:
        return frozenset()
    ends = [End.of(lease, each.task.id, of_outcome(each)) for each in final]
    work = _Work(fs, lease, causes={each.because for each in final if each.because})
    work.carry_out(ends)
    for each in final:
        if each.task.array is not None and each.task.after:
            _go_on_with(fs, lease, each)
    return frozenset(work.freed)


def follow_indices(fs: Fs, lease: LeaseDir, ended: Collection[str]) -> frozenset[str]:
    """What follows from the ends of indices, durably told, has happened; the attempts that may start, by their keys.

    ended: their ids; of an array, some of whose indices have ended in whatever way, its id.
    """
    work = _Work(fs, lease)
    work.carry_out([], ids=ended)
    return frozenset(work.freed)


def look(
    fs: Fs, lease: LeaseDir, *, now: float, begun: Collection[str] = (), only: Collection[str] | None = None
) -> Looked:
    """Tasks of the lease that wait for what has come, or for what never can, do so no more.

    begun: tasks that certainly run now. only: look at these attempts, by their keys; None: at all.
    """
    # In this order: an attempt has its edges before it has its file.
    spots = edges.pending_in(fs, lease.waitings)
    all_edges = edges.edges_of(fs, lease)
    if only is not None:
        spots = {key: spot for key, spot in spots.items() if key in only}
        all_edges = [edge for edge in all_edges if edge.down in only]
    kept = {edge.down for edge in all_edges if edge.up.kind != EACH}
    work = _Work(fs, lease)
    work.freed.update(edges.release(fs, lease, {key: spot for key, spot in spots.items() if key not in kept}))
    asked: dict[Place, Upstream] = {}
    come, due, awaited = [], [], set()
    over = _over(fs, lease, {edge.down for edge in all_edges} - spots.keys()) if only is None else set()
    for edge in all_edges:
        up = edge.up
        if edge.down in over:
            edges.drop(fs, lease, [edge])
        elif up.kind == BEGIN:
            come += [] if edges.is_later(up, now) else [(lease, edge)]
            due += [float(up.id)] if edges.is_later(up, now) else []
        elif up.kind == START and up.id in begun:
            come.append((lease, edge))
        elif up.kind != EACH:
            awaited.update([up.id] if up.kind == START else [])
            asked[up.lease, up.id, up.attempt] = up
    stand = standings(fs, lease, asked.values())
    work.carry_out([End.of(lease.beside(place[0]), place[1], each) for place, each in stand.items()], come)
    return Looked(frozenset(work.freed), min(due, default=None), frozenset(awaited))


def _over(fs: Fs, lease: LeaseDir, downs: Iterable[str]) -> set[str]:
    """Those of the attempts that have ended: what they waited for waits no more."""
    found = set()
    for key in downs:
        try:
            if tasks.read_outcome(fs, lease, *parse_key(key)) is not None:
                found.add(key)
        except Malformed:
            continue
    return found


def with_cause(fs: Fs, lease: LeaseDir, outcome: Outcome) -> Outcome:
    """The outcome of a task that was cancelled as it waited, with what never could come, if that is why."""
    key = f"{outcome.task.id}.{outcome.attempt}"
    ups = [edge.up for edge in edges.edges_of(fs, lease) if edge.down == key and edge.up.kind not in (BEGIN, EACH)]
    for (lease_id, up_id, _), stands in standings(fs, lease, ups).items():
        end = End.of(lease.beside(lease_id), up_id, stands)
        for up in ups:
            if (up.lease, up.id) == (lease_id, up_id) and verdict(up.kind, end.state) is False:
                return _because(fs, outcome, up._replace(attempt=end.attempt), end)
    return outcome


def _because(fs: Fs, outcome: Outcome, cause: Upstream, end: End) -> Outcome:
    return replace(outcome, reason=f"Dependency: {_who(fs, end)}", because=str(cause))


def _who(fs: Fs, end: End) -> str:
    """Who it was that ended so; of an array that did because of its indices, the first of them."""
    if not end.is_array:
        return f"{end.id} {end.state.name}"
    from leaseq.protocol.index_ends import first_index

    bad = first_index(fs, end.lease, end.id, end.state)
    return f"{end.id} {end.state.name}" if bad is None else f"{end.id}_{bad[0]} {bad[1].name}"


@dataclass
class _Work:
    """What follows from some ends, step by step. `lease`: whose edges are looked at, beside those of the ends."""

    fs: Fs
    lease: LeaseDir
    causes: set[str] = field(default_factory=set)
    """Because of what tasks were cancelled, as words of `Upstream`."""
    freed: set[str] = field(default_factory=set)
    unsettled: list[tuple[LeaseDir, Claim, Outcome]] = field(default_factory=list)
    retried: dict[str, bool] = field(default_factory=dict)

    def carry_out(self, ends: list[End], come: Sequence[Seen] = (), ids: Collection[str] = ()) -> None:
        """All that follows has happened.

        come: edges of which that is known besides. ids: indices that have ended, and arrays of which some have.
        """
        while ends or come or ids:
            seen = self._seen(ends)
            ends = [*ends, *self._indices(seen, [*ids, *(end.id for end in ends if end.is_array)])]
            cut = self._cancel(plan(seen, ends, self._was_retried)) if seen.all else []
            self._free([*ends, *cut], seen, come)
            # Who waits for one of those may have been submitted since they were looked at.
            ends, come, ids = cut, (), ()
        for word in sorted(self.causes):
            cause = Upstream.parse(word)
            home = self.lease.beside(cause.lease)
            if was_retried(self.fs, home, cause.id, cause.attempt):
                revive(self.fs, home, cause.task, now=0.0)
        for lease, claim, outcome in reversed(self.unsettled):
            tasks.settle(self.fs, lease, claim, outcome)

    def _seen(self, ends: list[End]) -> Edges:
        """The edges that may be of these ends."""
        found: dict[tuple[str, Edge], LeaseDir] = {}
        for lease in {lease.id: lease for lease in (self.lease, *(end.lease for end in ends))}.values():
            found.update(((home.id, edge), home) for home, edge in edges.edges_seen_from(self.fs, lease))
        return Edges((home, edge) for (_, edge), home in found.items())

    def _indices(self, seen: Edges, ended: Collection[str]) -> list[End]:
        """How the indices ended that are waited for, of those that have, and of those arrays."""
        found = standings(self.fs, self.lease, seen.indices(ended)).items()
        return [End.of(self.lease.beside(lease_id), up_id, each) for (lease_id, up_id, _), each in found]

    # -- what never can come -----------------------------------------------------------------------------

    def _was_retried(self, end: End) -> bool:
        if end.key not in self.retried:
            self.retried[end.key] = was_retried(self.fs, end.lease, end.id, end.attempt)
        return self.retried[end.key]

    def _cancel(self, plan: list[Cut]) -> list[End]:
        """Those of the plan that still waited are CANCELLED, durably, and told; their claims are not settled yet."""
        found = self._found(plan)
        if not found:
            return []
        self._write_down([cut for cut, *_ in found])
        won: dict[str, tuple[Cut, Claim, Task]] = {}
        for cut, directory, entry, task in found:
            if cut.parent is None or cut.parent.key in won:
                claim = tasks.claim(self.fs, cut.lease, directory, entry, node=CLI, incarnation=new_incarnation())
                if claim is not None:
                    won[cut.key] = cut, claim, task
        by_lease = defaultdict(list)
        for each in won.values():
            by_lease[each[0].lease.id].append(each)
        return [end for group in by_lease.values() for end in self._decide(group[0][0].lease, group)]

    def _found(self, plan: list[Cut]) -> list[tuple[Cut, str, Entry, Task]]:
        """Where those of the plan wait that can be cancelled; those that are to be held instead are."""
        spots = {
            lease.id: {**edges.pending_in(self.fs, lease.waitings), **edges.pending_in(self.fs, lease.helds)}
            for lease in {cut.lease.id: cut.lease for cut in plan}.values()
        }
        found: dict[str, tuple[Cut, str, Entry, Task]] = {}
        for cut in plan:
            if cut.key not in spots[cut.lease.id] or (cut.parent and cut.parent.key not in found):
                continue
            directory, name = spots[cut.lease.id][cut.key]
            try:
                entry = Entry.parse(name)
                task = tasks.read_task(self.fs, f"{directory}/{name}", entry)
            except (FileNotFoundError, Malformed):
                continue  # it has moved on; or nobody can tell what it is, and it stays for who can
            if task.on_dep != "hold":
                found[cut.key] = cut, directory, entry, task
            elif directory.startswith(cut.lease.waitings):
                target = cut.lease.held(directory.rpartition("/")[2])
                self.fs.mkdir(target)
                tasks.move_pending(self.fs, directory, name, target)
        return list(found.values())

    def _write_down(self, cuts: Sequence[Cut]) -> None:
        by_up: dict[tuple[str, str], list[Cut]] = defaultdict(list)
        for cut in cuts:
            by_up[cut.up.lease.id, cut.cause.task].append(cut)
        for group in by_up.values():
            up = group[0].cause
            broken.write(self.fs, group[0].up.lease, up.task, [(cut.key, cut.lease.id) for cut in group])
        for lease in {cut.up.lease.id: cut.up.lease for cut in cuts}.values():
            self.fs.sync_dir(lease.broken)

    def _decide(self, lease: LeaseDir, won: Sequence[tuple[Cut, Claim, Task]]) -> list[End]:
        self.fs.sync_dir(lease.claimed(CLI))
        outcomes = []
        for cut, claim, task in won:
            entry = claim.entry
            outcome = tasks.cancelled(task, entry)
            outcomes.append(replace(_because(self.fs, outcome, cut.cause, cut.up), ended=cut.up.ended))
        decided = tasks.decide_all(self.fs, lease, outcomes)
        tasks.book(self.fs, lease, [(each.task.id, each.attempt) for each in decided])
        self.causes.update(each.because for each in decided if each.because)
        self.unsettled += [(lease, claim, each) for (_, claim, _), each in zip(won, decided, strict=True)]
        return [replace(End.of(lease, each.task.id, of_outcome(each)), never_began=True) for each in decided]

    # -- what has come -----------------------------------------------------------------------------------

    def _free(
        self,
        ends: list[End],
        seen: Edges,
        come: Sequence[Seen],
    ) -> None:
        """Edges of which that has come are gone, and tasks that wait for nothing more are in their inboxes."""
        gone = list(come)
        ended = {(end.lease.id, end.id): end.attempt for end in ends}
        for end in ends:
            gone += [(lease, edge) for lease, edge in seen.to(end) if end.decides(edge)]
        downs: dict[str, set[str]] = defaultdict(set)
        leases = {lease.id: lease for lease, _ in gone}
        for lease, edge in gone:
            edges.drop(self.fs, lease, [edge])
            downs[lease.id].add(edge.down)
        for lease, edge in seen.all:
            task_id, attempt = parse_key(edge.down)
            if ended.get((lease.id, task_id), 0) >= attempt:
                edges.drop(self.fs, lease, [edge])
        for lease_id, keys_ in downs.items():
            waiting = edges.pending_in(self.fs, leases[lease_id].waitings)
            spots = {key: spot for key, spot in waiting.items() if key in keys_}
            self.freed.update(edges.release(self.fs, leases[lease_id], spots))


def back_in_line(fs: Fs, lease: LeaseDir, directory: str, name: str, *, now: float) -> bool:
    """The held task is pending where it would be had it not been held, durably; False if it was not held any more."""
    node, key = directory.rpartition("/")[2], Entry.parse(name).key
    if not any(edge.down == key and edge.up.kind != EACH for edge in edges.edges_of(fs, lease)):
        return tasks.move_pending(fs, directory, name, lease.inbox(node))
    edges.prepare(fs, lease, node)
    if not tasks.move_pending(fs, directory, name, lease.waiting(node)):
        return False
    look(fs, lease, now=now, only=[key])
    return True


# -- another attempt -----------------------------------------------------------------------------------


def revive(fs: Fs, lease: LeaseDir, task_id: str, *, now: float) -> list[str]:
    """What was cancelled because of that task, which has been retried, waits for it as its next attempt, durably.

    So does what was cancelled because of an index of it, or because of those. Gives their ids. What waits for
    something else that never comes stays.
    """
    from leaseq.protocol import each_again

    revived: list[str] = []
    queue = [(lease, task_id)]
    for home, up in queue:
        for key, lease_id in dict.fromkeys(broken.read(fs, home, up)):
            there, (down, attempt) = lease.beside(lease_id), parse_key(key)
            if (there, down) in queue:
                continue
            if (comes := each_again.again(fs, there, down, up, publish=publish_again)) is not None:
                queue += [(there, down)] if comes else []
                revived += [down] if comes else []
            elif keys.was_retried(fs, there, down, attempt):
                queue.append((there, down))  # by one who may not have come to the end of it
            elif _again(fs, there, key, up, now=now):
                queue.append((there, down))
                revived.append(down)
    return revived


def _go_on_with(fs: Fs, lease: LeaseDir, ended: Outcome) -> None:
    """Those indices of the array wait once more that were cancelled because of others, which were retried meanwhile."""
    from leaseq.protocol import each_again

    for up_id in each_again.remembered(fs, lease, ended.task):
        if each_again.again(fs, lease, ended.task.id, up_id, publish=publish_again):
            revive(fs, lease, ended.task.id, now=0.0)


def _again(fs: Fs, lease: LeaseDir, key: str, cause: str, *, now: float) -> bool:
    """The task waits once more, as its next attempt; False if it was not cancelled because of what it waits for, or if
    something else that it waits for can never come.
    """
    try:
        ended = tasks.read_outcome(fs, lease, *parse_key(key))
        if ended is None or not ended.because:
            return False
        ups = [Upstream.parse(word) for word in ended.task.after]
    except Malformed:
        return False
    weighed = edges.weigh(fs, lease, ups, now=now)
    if any(not _is_known(fs, lease.beside(up.lease), up) for up in weighed.open):
        return False
    if weighed.never:
        for up, _ in weighed.never:
            home = lease.beside(up.lease)
            if up.task != cause and (key, lease.id) not in broken.read(fs, home, up.task):
                broken.write(fs, home, up.task, [(key, lease.id)])
                fs.sync_dir(home.broken)
        return False
    array = ended.task.array
    indices = 0 if array is None else len(Indices.parse(array.indices))
    each = any(up.kind == EACH for up in weighed.open)
    entry, task = keys.next_attempt(lease, ended, ended.task, indices=indices, each=each)
    publish_again(fs, lease, ended, entry, task, weighed.open, now=now)
    return True


def _is_known(fs: Fs, lease: LeaseDir, up: Upstream) -> bool:
    """False if what is waited for is a task of which nothing is left."""
    if up.kind == BEGIN or up.task in alive(fs, lease):
        return True
    try:
        return tasks.read_outcome(fs, lease, up.task, up.attempt) is not None
    except Malformed:
        return True


def publish_again(
    fs: Fs, lease: LeaseDir, ended: Outcome, entry: Entry, task: Task, ups: Sequence[Upstream], *, now: float
) -> Entry:
    """The next attempt of the ended task waits for that, durably, or may start: this one, or the one that was first."""
    inbox = tasks.inbox_of(lease, task)
    node = inbox.rpartition("/")[2]
    if ups:
        edges.prepare(fs, lease, node)
        edges.put(fs, lease, ups, [entry.key])
    if all(up.kind == EACH for up in ups):
        return keys.retry(fs, lease, ended, inbox, entry, task)
    first = keys.retry(fs, lease, ended, lease.waiting(node), entry, task)
    look(fs, lease, now=now, only=[first.key])
    return first
