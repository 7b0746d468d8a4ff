"""Tasks that are Python calls: where the files of their call are, which are in `payload`.

A call is in the directory of its task (`LeaseDir.call`), before the task is queued, and so are its results. The task's
command names that directory. So a task that was moved to another lease, or submitted again, finds its call where it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from leaseq.installation import main_file
from leaseq.layout import LeaseDir
from leaseq.models import Task
from leaseq.names import ALPHABET, LEASE_ID, TASK_ID, ids_in
from leaseq.protocol import files
from leaseq.world import Fs

VERB = "_call"
"""`leaseq _call DIRECTORY NAME`: what such a task runs."""


def command(python: str, directory: str, name: str) -> tuple[str, ...]:
    """The words that make the call. name: its function's, for whoever reads the command."""
    return python, main_file(), VERB, directory, name


def directory_in(argv: Sequence[str]) -> str:
    """The directory of the call that such a command makes; empty if it makes none."""
    return argv[3] if len(argv) > 3 and argv[2] == VERB and argv[1].endswith("/__main__.py") else ""


def was_call(task: Task) -> bool:
    """True if of the task no more is known than its line of history, and that is of a call."""
    return task.shell and f"/__main__.py {VERB} " in task.argv[0]


def put(fs: Fs, lease: LeaseDir, task_id: str, call: bytes) -> str:
    """The call is in the directory of that task, which is to be queued, durably; gives the call's directory."""
    from leaseq.payload import CALL  # and pickle with it, which no command needs

    directory = lease.call(task_id)
    files.make_all(fs, directory)
    files.replace_file(fs, f"{directory}/{CALL}", call)
    return directory


def take_back(fs: Fs, lease: LeaseDir, task_id: str) -> None:
    """The call of a task that was not queued is gone."""
    fs.remove_tree(lease.results(task_id))


def elsewhere(lease: LeaseDir, task: Task) -> str:
    """The task's directory in another lease, in which its call was put before it came to this one; empty if none is."""
    directory = directory_in(task.argv)
    match = re.fullmatch(r".*/([^/]+)/results/./[^/]+/\.leaseq", directory)
    if not match or match[1] == lease.id or not LEASE_ID.fullmatch(match[1]):
        return ""
    other = lease.beside(match[1])
    return other.results(task.id) if directory == other.call(task.id) else ""


def strays(fs: Fs, lease: LeaseDir, *, seconds: float) -> Iterator[tuple[str, str]]:
    """(id, file) of calls older than that, of tasks that have not ended here: their submitter may have died first."""
    results = f"{lease.root}/results"
    for letter in filter(ALPHABET.__contains__, files.names_in(fs, results)):
        ids = [name for name in files.names_in(fs, f"{results}/{letter}") if TASK_ID.fullmatch(name)]
        over = ended(fs, lease, letter) if ids else set()
        for task_id in ids:
            if task_id not in over:
                yield from ((task_id, path) for path in fs.older(lease.call(task_id), seconds=seconds, hidden=False))


def ended(fs: Fs, lease: LeaseDir, letter: str) -> set[str]:
    """The ids of the lease's tasks that begin so and of which an attempt has ended."""
    return ids_in(files.names_in(fs, lease.done(f"T{letter}")))
