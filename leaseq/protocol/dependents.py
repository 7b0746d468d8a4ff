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
from leaseq.models import Outcome, State, Task
from leaseq.names import CLI, Entry, new_incarnation, parse_key
from leaseq.protocol import broken, edges, keys, tasks
from leaseq.protocol.edges import BEGIN, START, verdict
from leaseq.protocol.retention import alive
from leaseq.protocol.tasks import Claim
from leaseq.upstream import Edge, Upstream
from leaseq.world import Fs


@dataclass(frozen=True)
class End:
    """A task that has ended for ever, by the attempt with which it did."""

    lease: LeaseDir
    id: str
    attempt: int
    state: State
    ended: float

    @property
    def key(self) -> str:
        return f"{self.id}.{self.attempt}"


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
    ends = [_end(lease, each) for each in final]
    work = _Work(fs, lease, causes={each.because for each in final if each.because})
    work.carry_out(ends)
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
    kept = {edge.down for edge in all_edges}
    work = _Work(fs, lease)
    work.freed.update(edges.release(fs, lease, {key: spot for key, spot in spots.items() if key not in kept}))
    ends: dict[Upstream, End] = {}
    come, due, awaited = [], [], set()
    over = _over(fs, lease, kept - spots.keys()) if only is None else set()
    for edge in all_edges:
        up = edge.up
        if edge.down in over:
            edges.drop(fs, lease, [edge])
        elif up.kind == BEGIN:
            come += [] if edges.is_later(up, now) else [(lease, edge)]
            due += [float(up.id)] if edges.is_later(up, now) else []
        elif up.kind == START and up.id in begun:
            come.append((lease, edge))
        elif (place := up._replace(kind="")) not in ends:
            awaited.update([up.id] if up.kind == START else [])
            home = lease.beside(up.lease)
            if outcome := edges.standing(fs, home, up.id, up.attempt):
                ends[place] = _end(home, outcome, up.id)
    work.carry_out(list(ends.values()), come)
    return Looked(frozenset(work.freed), min(due, default=None), frozenset(awaited))


def _end(lease: LeaseDir, outcome: Outcome, task_id: str = "") -> End:
    return End(lease, task_id or outcome.task.id, edges.last_of(outcome), outcome.state, outcome.ended)


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
    for edge in edges.edges_of(fs, lease):
        if edge.down != key or edge.up.kind == BEGIN:
            continue
        ended = edges.standing(fs, lease.beside(edge.up.lease), edge.up.id, edge.up.attempt)
        if ended is not None and verdict(edge.up.kind, ended.state) is False:
            return _because(outcome, edge.up._replace(attempt=edges.last_of(ended)), ended.state)
    return outcome


def _because(outcome: Outcome, up: Upstream, state: State) -> Outcome:
    return replace(outcome, reason=edges.why(up, state), because=str(up))


@dataclass(frozen=True)
class _Cut:
    """An attempt that is to be cancelled, because of whom, and what it is."""

    lease: LeaseDir
    edge: Edge
    up: End
    parent: _Cut | None
    """The cut because of which the upstream ends; None if it has ended."""

    @property
    def key(self) -> str:
        return self.edge.down

    @property
    def end(self) -> End:
        task_id, attempt = parse_key(self.key)
        return End(self.lease, task_id, attempt, State.CANCELLED, self.up.ended)


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

    def carry_out(self, ends: list[End], come: Sequence[tuple[LeaseDir, Edge]] = ()) -> None:
        """All that follows has happened. come: edges of which that is known besides."""
        while ends or come:
            seen = self._seen(ends)
            cut = self._cancel(self._plan(seen, ends)) if seen else []
            self._free([*ends, *cut], seen, come)
            # Who waits for one of those may have been submitted since they were looked at.
            ends, come = cut, ()
        for word in sorted(self.causes):
            cause = Upstream.parse(word)
            home = self.lease.beside(cause.lease)
            if keys.was_retried(self.fs, home, cause.id, cause.attempt):
                revive(self.fs, home, cause.id, now=0.0)
        for lease, claim, outcome in reversed(self.unsettled):
            tasks.settle(self.fs, lease, claim, outcome)

    def _seen(self, ends: list[End]) -> dict[str, list[tuple[LeaseDir, Edge]]]:
        """The edges that may be of these ends, by the upstream's id."""
        found: dict[tuple[str, Edge], LeaseDir] = {}
        for lease in {lease.id: lease for lease in (self.lease, *(end.lease for end in ends))}.values():
            found.update(((home.id, edge), home) for home, edge in edges.edges_seen_from(self.fs, lease))
        by_up = defaultdict(list)
        for (_, edge), home in found.items():
            by_up[edge.up.id].append((home, edge))
        return by_up

    # -- what never can come -----------------------------------------------------------------------------

    def _plan(self, seen: dict[str, list[tuple[LeaseDir, Edge]]], ends: list[End]) -> list[_Cut]:
        """Who is to be cancelled if all of these are, each after the one because of whom."""
        plan: dict[tuple[str, str], _Cut] = {}
        queue: list[tuple[End, _Cut | None]] = [(end, None) for end in ends]
        for end, parent in queue:
            for lease, edge in seen.get(end.id, ()):
                if edge.up.attempt > end.attempt or verdict(edge.up.kind, end.state) is not False:
                    continue
                if (lease.id, edge.down) not in plan and (parent or not self._was_retried(end)):
                    cut = plan[lease.id, edge.down] = _Cut(lease, edge, end, parent)
                    queue.append((cut.end, cut))
        return list(plan.values())

    def _was_retried(self, end: End) -> bool:
        if end.key not in self.retried:
            self.retried[end.key] = keys.was_retried(self.fs, end.lease, end.id, end.attempt)
        return self.retried[end.key]

    def _cancel(self, plan: list[_Cut]) -> list[End]:
        """Those of the plan that still waited are CANCELLED, durably, and told; their claims are not settled yet."""
        found = self._found(plan)
        if not found:
            return []
        self._write_down([cut for cut, *_ in found])
        won: dict[str, tuple[_Cut, Claim, Task]] = {}
        for cut, directory, entry, task in found:
            if cut.parent is None or cut.parent.key in won:
                claim = tasks.claim(self.fs, cut.lease, directory, entry, node=CLI, incarnation=new_incarnation())
                if claim is not None:
                    won[cut.key] = cut, claim, task
        by_lease = defaultdict(list)
        for each in won.values():
            by_lease[each[0].lease.id].append(each)
        return [end for group in by_lease.values() for end in self._decide(group[0][0].lease, group)]

    def _found(self, plan: list[_Cut]) -> list[tuple[_Cut, str, Entry, Task]]:
        """Where those of the plan wait that can be cancelled; those that are to be held instead are."""
        spots = {
            lease.id: {**edges.pending_in(self.fs, lease.waitings), **edges.pending_in(self.fs, lease.helds)}
            for lease in {cut.lease.id: cut.lease for cut in plan}.values()
        }
        found: dict[str, tuple[_Cut, str, Entry, Task]] = {}
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

    def _write_down(self, cuts: Sequence[_Cut]) -> None:
        by_up: dict[tuple[str, str], list[_Cut]] = defaultdict(list)
        for cut in cuts:
            by_up[cut.up.lease.id, cut.up.id].append(cut)
        for group in by_up.values():
            up = group[0].up
            broken.write(self.fs, up.lease, up.id, [(cut.key, cut.lease.id) for cut in group])
        for lease in {cut.up.lease.id: cut.up.lease for cut in cuts}.values():
            self.fs.sync_dir(lease.broken)

    def _decide(self, lease: LeaseDir, won: Sequence[tuple[_Cut, Claim, Task]]) -> list[End]:
        self.fs.sync_dir(lease.claimed(CLI))
        outcomes = []
        for cut, claim, task in won:
            entry = claim.entry
            outcome = tasks.cancelled(task, entry)
            cause = cut.edge.up._replace(attempt=cut.up.attempt, lease=cut.up.lease.id)
            outcomes.append(replace(_because(outcome, cause, cut.up.state), ended=cut.up.ended))
        decided = tasks.decide_all(self.fs, lease, outcomes)
        tasks.book(self.fs, lease, [(each.task.id, each.attempt) for each in decided])
        self.causes.update(each.because for each in decided if each.because)
        self.unsettled += [(lease, claim, each) for (_, claim, _), each in zip(won, decided, strict=True)]
        return [_end(lease, each) for each in decided]

    # -- what has come -----------------------------------------------------------------------------------

    def _free(
        self,
        ends: list[End],
        seen: dict[str, list[tuple[LeaseDir, Edge]]],
        come: Sequence[tuple[LeaseDir, Edge]],
    ) -> None:
        """Edges of which that has come are gone, and tasks that wait for nothing more are in their inboxes."""
        gone = list(come)
        ended = {(end.lease.id, end.id): end.attempt for end in ends}
        for end in ends:
            for lease, edge in seen.get(end.id, ()):
                if edge.up.attempt <= end.attempt and verdict(edge.up.kind, end.state):
                    gone.append((lease, edge))
        downs: dict[str, set[str]] = defaultdict(set)
        leases = {lease.id: lease for lease, _ in gone}
        for lease, edge in gone:
            edges.drop(self.fs, lease, [edge])
            downs[lease.id].add(edge.down)
        for group in seen.values():
            for lease, edge in group:
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
    if not any(edge.down == key for edge in edges.edges_of(fs, lease)):
        return tasks.move_pending(fs, directory, name, lease.inbox(node))
    edges.prepare(fs, lease, node)
    if not tasks.move_pending(fs, directory, name, lease.waiting(node)):
        return False
    look(fs, lease, now=now, only=[key])
    return True


# -- another attempt -----------------------------------------------------------------------------------


def revive(fs: Fs, lease: LeaseDir, task_id: str, *, now: float) -> list[str]:
    """What was cancelled because of that task, which has been retried, waits for it as its next attempt, durably.

    So does what was cancelled because of those. Gives their ids. What waits for something else that never comes stays.
    """
    revived: list[str] = []
    queue = [(lease, task_id)]
    for home, up in queue:
        for key, lease_id in dict.fromkeys(broken.read(fs, home, up)):
            there, (down, attempt) = lease.beside(lease_id), parse_key(key)
            if (there, down) in queue:
                continue
            if keys.was_retried(fs, there, down, attempt):
                queue.append((there, down))  # by one who may not have come to the end of it
            elif _again(fs, there, key, up, now=now):
                queue.append((there, down))
                revived.append(down)
    return revived


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
            if up.id != cause and (key, lease.id) not in broken.read(fs, home, up.id):
                broken.write(fs, home, up.id, [(key, lease.id)])
                fs.sync_dir(home.broken)
        return False
    array = ended.task.array
    indices = 0 if array is None else len(Indices.parse(array.indices))
    entry, task = keys.next_attempt(lease, ended, ended.task, indices=indices)
    publish_again(fs, lease, ended, entry, task, weighed.open, now=now)
    return True


def _is_known(fs: Fs, lease: LeaseDir, up: Upstream) -> bool:
    """False if what is waited for is a task of which nothing is left."""
    if up.kind == BEGIN or up.id in alive(fs, lease):
        return True
    try:
        return tasks.read_outcome(fs, lease, up.id, up.attempt) is not None
    except Malformed:
        return True


def publish_again(
    fs: Fs, lease: LeaseDir, ended: Outcome, entry: Entry, task: Task, ups: Sequence[Upstream], *, now: float
) -> Entry:
    """The next attempt of the ended task waits for that, durably, or may start: this one, or the one that was first."""
    if not ups:
        return keys.retry(fs, lease, ended, tasks.inbox_of(lease, task), entry, task)
    node = tasks.inbox_of(lease, task).rpartition("/")[2]
    edges.prepare(fs, lease, node)
    edges.put(fs, lease, ups, [entry.key])
    first = keys.retry(fs, lease, ended, lease.waiting(node), entry, task)
    look(fs, lease, now=now, only=[first.key])
    return first
