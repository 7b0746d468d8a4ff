"""Commands become tasks. The only place that decides how new tasks are published."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from leaseq.dataclass import dataclass, replace
from leaseq.errors import UsageError
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.lease.host import refuse_if_forbidden, user_name
from leaseq.lease.leases import is_own, living
from leaseq.models import ANY, Lease, Task
from leaseq.names import Entry
from leaseq.protocol import keys, records, tasks
from leaseq.protocol.edges import EACH
from leaseq.protocol.submission import THREADS, Published, entries, publish_batch
from leaseq.upstream import Upstream
from leaseq.verbs.access import Access
from leaseq.verbs.fits import refuse_impossible, refuse_strange_node
from leaseq.verbs.origin import asked_for
from leaseq.world import FILE_BYTES_MAX, hostname

Words = tuple[tuple[str, ...], bool]
"""A command, and whether it is one line for `bash -c`."""


@dataclass(frozen=True)
class Wanted:
    """Tasks to be queued."""

    like: Task
    """A task like each of them, but for its id, command, time, user and host."""
    commands: Sequence[Words]
    """The command of each."""
    priority: int = 0
    hold: bool = False
    """True if they must not start before `release`."""
    file: bool = False
    """True if the commands are lines of a file: then a key is of each line by itself."""
    ids: Sequence[str] = ()
    """The id of each, if their submitter has made them: what the commands need is in the tasks' directories by now."""


@dataclass(frozen=True)
class Submitted:
    """Tasks that are saved, durably."""

    lease: LeaseDir
    record: Lease
    ids: tuple[str, ...]
    """One for each command, in order, up to the failure. For a key that was used before it is the first task's."""
    new: tuple[Entry, ...]
    """Those of them that were queued now."""
    failure: OSError | None = None
    """What kept the other commands from being saved."""
    waits: tuple[Upstream, ...] = ()
    """What the new ones wait for."""


def submit(
    access: Access,
    lease: LeaseDir,
    wanted: Wanted,
    *,
    told: Callable[[int], None] = lambda number: None,
    threads: int = THREADS,
) -> Submitted:
    """The tasks are queued; raises LeaseqError, and OSError, if none is. The caller sees to capacity next.

    What they are to come after has been looked at before, so that a submission is refused that could never start, and
    is once they are published: it may have come in between.
    told: hears now and then how many are begun. threads: how many may write a batch's files, 0 for none.
    """
    with asked_for(access.home, wanted.like) as asked:
        record = opened(access, lease, wanted.like)
        origin = asked.answer(access.fs, access.home)
    now = access.clock.now()
    waits: tuple[Upstream, ...] = ()
    if wanted.like.after:
        from leaseq.verbs import upstreams

        waits = upstreams.weighed(access, lease, wanted.like.after, now=now)
    need, group = wanted.like.need, wanted.like.group
    indices = 0 if wanted.like.array is None else len(Indices.parse(wanted.like.array.indices))
    total = len(wanted.commands)
    named = entries(
        total,
        need=need,
        priority=wanted.priority,
        now=now,
        group=group,
        indices=indices,
        ids=wanted.ids,
        each=any(up.kind == EACH for up in waits),
    )
    like = replace(wanted.like, submitted=now, user=user_name(), host=hostname(), origin=origin)
    batch = [
        (entry, replace(like, id=entry.id, argv=argv, shell=shell))
        for entry, (argv, shell) in zip(named, wanted.commands, strict=True)
    ]
    if indices:
        _refuse_too_large(batch[0][1])
    if waits:
        upstreams.put(access, lease, like.node, waits, named)
    whole = any(up.kind != EACH for up in waits)
    done = _publish(access, lease, wanted, batch, told=told, threads=threads, waits=whole)
    new = tuple(entry for entry, task_id in zip(named, done.ids, strict=False) if entry.id == task_id)
    if waits:
        queued = set(map(str, new))
        upstreams.look(access, lease, waits, new, others=[entry for entry in named if str(entry) not in queued])
    return Submitted(lease, record, tuple(done.ids), new, done.failure, waits)


def _refuse_too_large(task: Task) -> None:
    """Raises UsageError if nobody could read the array's file."""
    if (size := len(task.to_json())) > FILE_BYTES_MAX:
        raise UsageError(
            f"the values of this array take {size >> 20} MiB, and it may have {FILE_BYTES_MAX >> 20}",
            hint="-a with $LEASEQ_ARRAY_INDEX lets each task read its own line of a file",
        )


def opened(access: Access, lease: LeaseDir, like: Task, *, make: bool = True) -> Lease:
    """The record of the lease, which can take the tasks; raises LeaseqError, and then nothing was made.

    make: the lease and the directories that it lacks are made. Else, if there is no lease yet, the record is one to be.
    """
    here = is_own(lease.id)
    host = access.host()
    if here:
        refuse_if_forbidden(access.home)
    found = host.record() if here else access.record(lease)
    if found is not None and access.learn(found):
        found = access.record(lease)
    nodes = (host.node,) if found is None else living(found).nodes
    node = "" if like.node == ANY else like.node
    refuse_strange_node(lease, nodes, node)
    refuse_impossible(access, lease, (node,) if node else nodes, like.need)
    if not make:
        return found or Lease(lease.id, "local", 0.0)
    record = found or host.ensure()
    if node and node not in nodes:
        records.prepare_node(access.fs, lease, node)
    return record


def _publish(
    access: Access,
    lease: LeaseDir,
    wanted: Wanted,
    batch: Sequence[tuple[Entry, Task]],
    *,
    told: Callable[[int], None],
    threads: int,
    waits: bool,
) -> Published:
    node = wanted.like.node
    directory = lease.held(node) if wanted.hold else lease.waiting(node) if waits else lease.inbox(node)
    if wanted.like.key:
        return publish_by_key(access, lease, directory, batch, single=not wanted.file, told=told)
    if len(batch) == 1:
        tasks.publish(access.fs, directory, *batch[0])
        return Published([batch[0][0].id])
    return publish_batch(access.fs, directory, batch, at=told, threads=threads)


def publish_by_key(
    access: Access,
    lease: LeaseDir,
    directory: str,
    batch: Sequence[tuple[Entry, Task]],
    *,
    single: bool = True,
    told: Callable[[int], None] = lambda number: None,
) -> Published:
    """Each task's key stands for one task, durably: this one, or the first. single: False if its line counts, too."""
    done = Published([])
    for number, (entry, task) in enumerate(batch):
        told(number)
        digest = _digest(task, number, single=single)
        try:
            done.ids.append(keys.publish_once(access.fs, lease, digest, directory, entry, task))
        except OSError as error:
            return Published(done.ids, error)
    return done


def _digest(task: Task, number: int, *, single: bool) -> str:
    """The file name of a key; in a file of tasks each line has its own, so that a grown file adds what is new."""
    import hashlib

    text = task.key if single else f"{task.key}\0{number}\0{task.argv[0]}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:40]


def working_directory(chosen: str) -> str:
    """The directory that is chosen, or this process's, by the path that its user sees; raises UsageError."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = ""
    if not here and not os.path.isabs(chosen):
        raise UsageError("the current directory does not exist any more", hint="cd to one that does, or name it: --cwd")
    logical = os.environ.get("PWD", "")
    try:
        if not chosen and os.path.isabs(logical) and os.path.samefile(logical, here):
            # The path that the person sees is the one that every node has; its real one may be a mount of this host.
            return logical
    except OSError:
        pass
    return os.path.normpath(os.path.join(here, os.path.expanduser(chosen)))
