"""Tasks that are unlike each other are queued as one batch: all of them are checked before the first is there."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from leaseq.dataclass import dataclass, replace
from leaseq.errors import LeaseqError, Malformed, UsageError
from leaseq.layout import LeaseDir
from leaseq.lease.host import user_name
from leaseq.models import Task
from leaseq.names import Entry, new_task_id, order
from leaseq.origin import Origin
from leaseq.protocol.submission import SEQUENCES_MAX, THREADS, Published, publish_batch
from leaseq.upstream import Upstream
from leaseq.verbs import upstreams
from leaseq.verbs.access import Access
from leaseq.verbs.origin import Origins
from leaseq.verbs.submit import Submitted, opened, publish_by_key
from leaseq.world import hostname


@dataclass(frozen=True)
class Each:
    """One task to be queued. The id, the time, the user and the host are not looked at."""

    task: Task
    priority: int = 0
    hold: bool = False
    after: tuple[tuple[str, str], ...] = ()
    """What it is to come after: what is waited for, and the word that names tasks."""


class Wrong(UsageError):
    """That one of the tasks cannot be queued, and so none was."""

    def __init__(self, number: int, error: LeaseqError) -> None:
        super().__init__(error.message, hint=error.hint)
        self.number = number
        """Which it is, from 0."""


def submit_each(
    access: Access,
    lease: LeaseDir,
    wanted: Sequence[Each],
    *,
    told: Callable[[int], None] = lambda number: None,
    threads: int = THREADS,
) -> Submitted:
    """The tasks are queued, in their order; raises LeaseqError if one cannot be (`Wrong`), and OSError: then none is.

    Ids are given in order, up to the first that could not be saved.
    """
    if len(wanted) > SEQUENCES_MAX:
        raise UsageError(f"{len(wanted):,} tasks at once are too many", hint=f"at most {SEQUENCES_MAX}")
    now = access.clock.now()
    waits: dict[int, tuple[Upstream, ...]] = {}
    checked: set[tuple[str, str]] = set()
    for number, each in enumerate(wanted):
        if (each.task.node, str(each.task.need)) not in checked:
            checked.add((each.task.node, str(each.task.need)))
            try:
                opened(access, lease, each.task, make=False)
            except LeaseqError as error:
                raise Wrong(number, error) from None
    known: dict[object, tuple[tuple[str, ...], tuple[Upstream, ...]]] = {}
    wanted = [_with_upstreams(access, lease, number, each, waits, known, now) for number, each in enumerate(wanted)]
    origins = Origins(access.fs, access.home)
    batch = [_named(number, each, now, origins.of(each.task)) for number, each in enumerate(wanted)]
    record = opened(access, lease, wanted[0].task)
    for node in {each.task.node for each in wanted}:
        opened(access, lease, replace(wanted[0].task, node=node))
    alike = _alike(batch, waits)
    for (node, ups), entries in alike.items():
        upstreams.put(access, lease, node, ups, entries)
    done = _published(access, lease, wanted, batch, waits, told=told, threads=threads)
    new = tuple(entry for (entry, _), task_id in zip(batch, done.ids, strict=False) if entry.id == task_id)
    queued = set(map(str, new))
    for (_, ups), entries in alike.items():
        ours = [entry for entry in entries if str(entry) in queued]
        upstreams.look(access, lease, ups, ours, others=[entry for entry in entries if str(entry) not in queued])
    return Submitted(lease, record, tuple(done.ids), new, done.failure)


def _with_upstreams(
    access: Access,
    lease: LeaseDir,
    number: int,
    each: Each,
    waits: dict[int, tuple[Upstream, ...]],
    known: dict[object, tuple[tuple[str, ...], tuple[Upstream, ...]]],
    now: float,
) -> Each:
    """The task with what it is to come after in its record; what it has to wait for is in `waits`.

    known: what others come after, so that what all of them do is looked at once.
    """
    if not each.after:
        return each
    if each.after not in known:
        try:
            words = tuple(dict.fromkeys(str(up) for up, _ in upstreams.resolve(access, lease, each.after)))
            known[each.after] = words, upstreams.weighed(access, lease, words, now=now)
        except LeaseqError as error:
            raise Wrong(number, error) from None
    words, found = known[each.after]
    if found:
        waits[number] = found
    return replace(each, task=replace(each.task, after=words))


def _alike(
    batch: Sequence[tuple[Entry, Task]], waits: dict[int, tuple[Upstream, ...]]
) -> dict[tuple[str, tuple[Upstream, ...]], list[Entry]]:
    """The tasks that wait, by their nodes and by what they wait for: they share a sync of their edges and a look."""
    found: dict[tuple[str, tuple[Upstream, ...]], list[Entry]] = {}
    for number, ups in waits.items():
        entry, task = batch[number]
        found.setdefault((task.node, ups), []).append(entry)
    return found


def _named(number: int, each: Each, now: float, origin: Origin) -> tuple[Entry, Task]:
    place = order(priority=each.priority, micros=int(now * 1e6), sequence=number)
    entry = Entry(place, new_task_id(), each.task.need, 1, group=each.task.group)
    try:
        Entry.parse(str(entry))
    except Malformed:
        raise Wrong(number, UsageError("no node has as much as this task needs", hint="ask for less")) from None
    task = replace(each.task, id=entry.id, submitted=now, user=user_name(), host=hostname(), origin=origin)
    return entry, task


def _published(
    access: Access,
    lease: LeaseDir,
    wanted: Sequence[Each],
    batch: Sequence[tuple[Entry, Task]],
    waits: Container[int],
    *,
    told: Callable[[int], None],
    threads: int,
) -> Published:
    """What has no key is published by directory with shared syncs, then the rest one by one."""
    ids: dict[int, str] = {}
    failure: OSError | None = None
    directories: dict[str, list[int]] = {}
    for number, each in enumerate(wanted):
        node = each.task.node
        directory = lease.held(node) if each.hold else lease.waiting(node) if number in waits else lease.inbox(node)
        directories.setdefault(directory, []).append(number)
    for directory, numbers in directories.items():
        plain = [number for number in numbers if not wanted[number].task.key]
        done = publish_batch(access.fs, directory, [batch[number] for number in plain], at=told, threads=threads)
        ids.update(zip(plain, done.ids, strict=False))
        failure = failure or done.failure
        for number in numbers if failure is None else ():
            if wanted[number].task.key:
                one = publish_by_key(access, lease, directory, [batch[number]])
                ids.update(zip([number], one.ids, strict=False))
                failure = failure or one.failure
    saved = [ids[number] for number in range(len(wanted)) if number in ids]
    return Published(saved, failure)
