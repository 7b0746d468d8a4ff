"""What old results leave behind, and its removal. Never anything pending, held, running, or waiting to be recovered."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator

from leaseq.dataclass import dataclass
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.models import Outcome, State, Task
from leaseq.names import ALPHABET, LEASE_ID, ids_in, is_key, parse_key
from leaseq.origin import Origin
from leaseq.protocol import calls, edges, files, tasks
from leaseq.upstream import edges_in
from leaseq.world import Fs

LEFTOVER_SECONDS = 86400.0
"""A hidden file older than this belongs to no operation that still runs."""


@dataclass(frozen=True)
class Old:
    """A finished task whose results may go: its last outcome and the files that are its own."""

    outcome: Outcome
    files: tuple[str, ...]
    directories: tuple[str, ...] = ()
    """Those that are its own: of what its command has made; of an array's indices their logs, lanes and ends."""


def old_tasks(fs: Fs, lease: LeaseDir, *, before: float, keep_failed: bool) -> Iterator[Old]:
    """Tasks that ended before that time (by the clock of the node they ended on), oldest place first."""
    kept, links = alive(fs, lease) | _waited_for(fs, lease), _links(fs, lease)
    for letter in ALPHABET:
        attempts: dict[str, list[int]] = defaultdict(list)
        for name in files.names_in(fs, f"{lease.root}/done/{letter}"):
            try:
                task_id, attempt = parse_key(name)
            except Malformed:
                continue
            attempts[task_id].append(attempt)
        for task_id, numbers in attempts.items():
            if task_id in kept:
                continue
            outcome = tasks.readable_outcome(fs, lease, task_id, max(numbers))
            if outcome is None or outcome.requeued or outcome.ended >= before:
                continue
            if keep_failed and outcome.state is not State.DONE:
                continue
            own = tuple(_files(lease, task_id, sorted(numbers), links.get(task_id, [])))
            yield Old(tasks.without_env(outcome), own, tuple(_directories(lease, outcome, numbers)))


def _files(lease: LeaseDir, task_id: str, attempts: list[int], links: list[str]) -> Iterator[str]:
    """Everything of the task but the key that its submitter gave it, which stands for it for ever."""
    for attempt in attempts:
        yield lease.log(task_id, attempt, "out")
        yield lease.log(task_id, attempt, "err")
    # Oldest first: an attempt whose outcome is gone is not asked for again by `retry` while an older one stands.
    for attempt in attempts:
        yield lease.outcome(task_id, attempt)
    yield from links


def _directories(lease: LeaseDir, outcome: Outcome, attempts: list[int]) -> Iterator[str]:
    yield lease.results(outcome.task.id)
    if other := calls.elsewhere(lease, outcome.task):
        yield other
    if outcome.task.array is not None:
        yield lease.logs_of(outcome.task.id)
        yield lease.lanes(outcome.task.id)
        for attempt in attempts:
            yield lease.array(outcome.task.id, attempt).root


def remove(fs: Fs, lease: LeaseDir, old: Old) -> None:
    """Nothing of the task is left but its line of history; if no history has it yet, what waits to become one.

    Raises OSError if something in its own directory cannot be removed; all else is still there then.
    """
    for directory in old.directories:
        fs.remove_tree(directory)
    key = f"{old.outcome.task.id}.{old.outcome.attempt}"
    if key in files.names_in(fs, lease.booking):
        # Another link to the outcome, which would keep the task's environment.
        files.replace_file(fs, f"{lease.booking}/{key}", old.outcome.to_json())
    for path in old.files:
        files.discard(fs, path)


def leftovers(fs: Fs, lease: LeaseDir) -> list[str]:
    """Hidden files of operations that died, and evidence, older than a day. In keys/ and redone/ one is a task."""
    places = [
        path
        for path in lease.directories()
        if path not in (lease.keys, lease.redone) and not path.startswith(lease.logs)
    ]
    parents = (lease.inboxes, lease.waitings, lease.controls)
    nodes = [f"{parent}/{name}" for parent in parents for name in files.names_in(fs, parent)]
    unique = dict.fromkeys([*places, *nodes])
    found = [path for place in unique for path in fs.older(place, seconds=LEFTOVER_SECONDS, hidden=True)]
    strays = _stray_edges(fs, lease) + _stray_calls(fs, lease)
    return found + strays + fs.older(lease.evidence, seconds=LEFTOVER_SECONDS, hidden=False)


def _stray_edges(fs: Fs, lease: LeaseDir) -> list[str]:
    """Edges of tasks that never came: their submitter died before he had published them."""
    old = fs.older(lease.edges, seconds=LEFTOVER_SECONDS, hidden=False)
    downs = {path: edge.down for path in old for edge in edges_in([path.rpartition("/")[2]])}
    known = alive(fs, lease) if downs else set()
    return [path for path, down in downs.items() if parse_key(down)[0] not in known]


def _stray_calls(fs: Fs, lease: LeaseDir) -> list[str]:
    """Files of calls whose task is in no lease: it was never queued. One that was moved has its call here."""
    known = alive(fs, lease)
    old = [each for each in calls.strays(fs, lease, seconds=LEFTOVER_SECONDS) if each[0] not in known]
    if not old:
        return []
    names = files.names_in(fs, lease.root.rpartition("/")[0])
    others = [lease.beside(name) for name in names if LEASE_ID.fullmatch(name) and name != lease.id]
    known = set().union(*(alive(fs, other) for other in others))
    for letter in {task_id[1] for task_id, _ in old}:
        known.update(*(calls.ended(fs, other, letter) for other in others))
    return [path for task_id, path in old if task_id not in known]


def alive(fs: Fs, lease: LeaseDir) -> set[str]:
    """Ids of tasks that wait, are pending, held, claimed, or lost and waiting to be recovered."""
    parents = (lease.waitings, lease.helds, lease.inboxes, lease.claims)
    places = [f"{parent}/{node}" for parent in parents for node in files.names_in(fs, parent)]
    return set().union(*(ids_in(files.names_in(fs, place)) for place in (*places, lease.lost)))


def origins(fs: Fs, lease: LeaseDir) -> Iterator[Origin]:
    """What each task that the lease knows, whole, was submitted from. Reads every record."""
    parents = (lease.waitings, lease.helds, lease.inboxes, lease.claims)
    places = [f"{parent}/{node}" for parent in parents for node in files.names_in(fs, parent)]
    for place in (*places, lease.lost):
        for name in files.names_in(fs, place):
            with contextlib.suppress(FileNotFoundError, Malformed):
                yield from _origin(Task.from_json(files.content(fs, f"{place}/{name}")))
    for letter in ALPHABET:
        for name in files.names_in(fs, f"{lease.root}/done/{letter}"):
            with contextlib.suppress(FileNotFoundError, Malformed):
                yield from _origin(tasks.outcome_in(fs, f"{lease.root}/done/{letter}/{name}").task)


def _origin(task: Task) -> Iterator[Origin]:
    if task.origin is not None:
        yield task.origin


def _waited_for(fs: Fs, lease: LeaseDir) -> set[str]:
    """Ids of tasks for which others wait: how they ended is still to be looked at."""
    return {edge.up.task for _, edge in edges.edges_seen_from(fs, lease)}


def _links(fs: Fs, lease: LeaseDir) -> dict[str, list[str]]:
    """The files by which `retry`, `redo` and whoever told its end made sure to act once, by the task."""
    found = defaultdict(list)
    for directory in (lease.keys, lease.redone, lease.broken, lease.told):
        for name in files.names_in(fs, directory):
            if is_key(name):
                found[parse_key(name)[0]].append(f"{directory}/{name}")
    return found
