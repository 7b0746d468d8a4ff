"""What old results leave behind, and its removal. Never anything pending, held, running, or waiting to be recovered."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from leaseq import protocol
from leaseq.errors import Malformed
from leaseq.layout import ALPHABET, LeaseDir, parse_outcome
from leaseq.models import Outcome, State
from leaseq.world import Fs

LEFTOVER_SECONDS = 86400.0
"""A hidden file older than this belongs to no operation that still runs."""


@dataclass(frozen=True)
class Old:
    """A finished task whose results may go: its last outcome and the files that are its own."""

    outcome: Outcome
    files: tuple[str, ...]


def old_tasks(fs: Fs, lease: LeaseDir, *, before: float, keep_failed: bool) -> Iterator[Old]:
    """Tasks that ended before that time (by the clock of the node they ended on), oldest place first."""
    alive, keys = _alive(fs, lease), _keys(fs, lease)
    for letter in ALPHABET:
        attempts: dict[str, list[int]] = defaultdict(list)
        for name in _names(fs, f"{lease.root}/done/{letter}"):
            try:
                task_id, attempt = parse_outcome(name)
            except Malformed:
                continue
            attempts[task_id].append(attempt)
        for task_id, numbers in attempts.items():
            if task_id in alive:
                continue
            outcome = _outcome(fs, lease, task_id, max(numbers))
            if outcome is None or outcome.requeued or outcome.ended >= before:
                continue
            if keep_failed and outcome.state is not State.DONE:
                continue
            yield Old(protocol.without_env(outcome), tuple(_files(lease, task_id, sorted(numbers), keys.get(task_id))))


def _files(lease: LeaseDir, task_id: str, attempts: list[int], key: str | None) -> Iterator[str]:
    """Everything of the task, its outcomes last: while one stands, a removal cut short can be repeated."""
    for attempt in attempts:
        yield lease.log(task_id, attempt, "out")
        yield lease.log(task_id, attempt, "err")
    if key:
        yield key
    for attempt in attempts:
        yield lease.outcome(task_id, attempt)


def remove(fs: Fs, lease: LeaseDir, old: Old) -> None:
    """Nothing of the task is left but its line of history; where no history has it yet, what waits to become one."""
    key = f"{old.outcome.task.id}.{old.outcome.attempt}"
    if key in _names(fs, lease.booking):
        # Another link to the outcome, which would keep the task's environment.
        protocol.replace_file(fs, f"{lease.booking}/{key}", old.outcome.to_json())
    for path in old.files:
        protocol.discard(fs, path)


def leftovers(fs: Fs, lease: LeaseDir) -> list[str]:
    """Hidden files of operations that died, and evidence, older than a day. In keys/ a hidden file is a task."""
    places = [path for path in lease.directories() if path != lease.keys and not path.startswith(lease.logs)]
    nodes = [f"{parent}/{name}" for parent in (lease.inboxes, lease.controls) for name in _names(fs, parent)]
    unique = dict.fromkeys([*places, *nodes])
    found = [path for place in unique for path in fs.older(place, seconds=LEFTOVER_SECONDS, hidden=True)]
    return found + fs.older(lease.evidence, seconds=LEFTOVER_SECONDS, hidden=False)


def _alive(fs: Fs, lease: LeaseDir) -> set[str]:
    """Ids of tasks that are pending, held, claimed, or lost and waiting to be recovered."""
    found = set()
    places = [
        f"{parent}/{node}" for parent in (lease.inboxes, lease.helds, lease.claims) for node in _names(fs, parent)
    ]
    for place in [*places, lease.lost]:
        found |= {name.split(".")[1] for name in _names(fs, place) if name.count(".") >= 3}
    return found


def _keys(fs: Fs, lease: LeaseDir) -> dict[str, str]:
    """The key files of `submit --key`, by the task they stand for."""
    found = {}
    for digest in _names(fs, lease.keys):
        try:
            found[protocol.read_key(fs, lease, digest)[0].id] = lease.key(digest)
        except (Malformed, FileNotFoundError):
            continue
    return found


def _outcome(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> Outcome | None:
    try:
        return protocol.read_outcome(fs, lease, task_id, attempt)
    except Malformed:
        return None


def _names(fs: Fs, directory: str) -> list[str]:
    try:
        return fs.names(directory)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return []
        raise
