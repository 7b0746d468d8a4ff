"""The code of tasks, as their records say it was: what differed from a commit, and between two of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError, Malformed, NotFound, Refused
from leaseq.models import Task
from leaseq.origin import Origin
from leaseq.protocol import code
from leaseq.reading.find import Detail
from leaseq.verbs.access import Access
from leaseq.verbs.git import git
from leaseq.verbs.origin import DIFF


@dataclass(frozen=True)
class Objects:
    """Where git puts what it makes, beside what the repository holds: nothing of that changes."""

    root: str
    directory: str

    @property
    def environment(self) -> dict[str, str]:
        own = f"{self.directory}/objects"
        os.makedirs(own, exist_ok=True)
        theirs = git("rev-parse", "--path-format=absolute", "--git-path", "objects", cwd=self.root).decode().strip()
        return {"GIT_OBJECT_DIRECTORY": own, "GIT_ALTERNATE_OBJECT_DIRECTORIES": theirs}

    def index(self, name: str) -> str:
        return f"{self.directory}/{name}.index"


@contextmanager
def objects(root: str) -> Iterator[Objects]:
    """A place for what git makes of that repository, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="leaseq-code-") as directory:
        yield Objects(root, directory)


def origin_of(task: Task | None, task_id: str) -> Origin:
    """What the task was queued from; raises NotFound if that is not known."""
    origin = None if task is None else task.origin
    if origin is None or not origin.commit:
        why = f": {origin.note}" if origin is not None and origin.note else ""
        raise NotFound(
            f"from which code {task_id} was queued is not known{why}",
            hint="it is recorded where the task's directory is in a git repository",
        )
    return origin


def attempts_of(detail: Detail) -> dict[int, Task]:
    """What each attempt ran, or will run, of which that is known, oldest first."""
    known = {outcome.attempt: outcome.task for outcome in detail.outcomes}
    return {**known, detail.view.attempt: detail.task} if detail.task else known


def changes_of(access: Access, task_id: str, origin: Origin) -> bytes:
    """What differed from the commit; raises NotFound if that is not kept."""
    if origin.dirty is False:
        return b""
    if not origin.diff:
        raise NotFound(f"what differed from commit {origin.commit[:10]} for {task_id} is not kept: {origin.note}")
    try:
        return code.kept(access.fs, access.home, origin.diff)
    except FileNotFoundError:
        raise NotFound(f"what differed for {task_id} is not kept any more", hint="`leaseq clean` removed it") from None
    except Malformed as error:
        raise LeaseqError(f"what differed for {task_id} cannot be read: {error}") from None


def tree_of(access: Access, task_id: str, origin: Origin, made: Objects) -> str:
    """The id of the tree that the task was submitted from, which git can read there. Raises LeaseqError."""
    environment = {**made.environment, "GIT_INDEX_FILE": made.index(task_id)}
    try:
        git("cat-file", "-e", f"{origin.commit}^{{commit}}", cwd=made.root)
    except Refused:
        raise NotFound(
            f"commit {origin.commit[:10]}, which {task_id} was submitted from, is not in {made.root} any more"
        ) from None
    git("read-tree", origin.commit, cwd=made.root, environment=environment)
    if changes := changes_of(access, task_id, origin):
        apply = ("apply", "--cached", "--binary", "--whitespace=nowarn")
        git(*apply, cwd=made.root, environment=environment, data=changes)
    return git("write-tree", cwd=made.root, environment=environment).decode().strip()


def between(access: Access, one: tuple[str, Origin], other: tuple[str, Origin]) -> bytes:
    """What differs between the trees of two tasks of one repository. Raises LeaseqError."""
    if not Path(one[1].root).is_dir():
        raise NotFound(f"the repository {one[1].root} is not here")
    with objects(one[1].root) as made:
        trees = [tree_of(access, task_id, origin, made) for task_id, origin in (one, other)]
        return git(*DIFF, *trees, cwd=made.root, environment=made.environment)
