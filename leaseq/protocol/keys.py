"""Keys: what may be queued once, however many ask: a submitter's own key, a redo, a retry.

    keys/DIGEST                 the one task of that key: {"entry", "directory"}; its reader moves the task on
    keys/ID.ATTEMPT             the attempt that follows an ended one
    redone/ID.N                 the Nth task that repeats that one
    .ENTRY beside the key       the task file, until the rename that queues it

A key is an exclusive link, so of several who ask at once one has it, and its task is queued once.
"""

from __future__ import annotations

import json
from typing import Any

from leaseq.dataclass import replace
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Outcome, Task
from leaseq.names import Entry, is_key, is_node, new_incarnation, order
from leaseq.protocol.files import content, directory_of, discard, hidden, json_object, make
from leaseq.protocol.tasks import move_pending
from leaseq.schema import text
from leaseq.world import Fs


def publish_once(fs: Fs, lease: LeaseDir, digest: str, directory: str, entry: Entry, task: Task) -> str:
    """The one task of that key is published, durably: this one, or the one that was first. Gives its id."""
    return _publish_by(fs, lease, lease.key(digest), directory, entry, task).id


def publish_redo(fs: Fs, lease: LeaseDir, number: int, directory: str, entry: Entry, task: Task) -> str:
    """The redo of that number of `task.redo_of` is published, durably: this one, or the one that was first."""
    make(fs, [lease.redone])
    return _publish_by(fs, lease, lease.redo(task.redo_of, number), directory, entry, task).id


def retry(fs: Fs, lease: LeaseDir, ended: Outcome, directory: str, entry: Entry, task: Task) -> Entry:
    """Another attempt follows the ended one, durably: this one, or the one that was first.

    The entry is the next attempt's, with an incarnation of the caller's own: of several who ask at once, one has it.
    """
    # Were the outcome not durable, a loss of power would leave a claim that is decided again beside its next attempt.
    fs.sync_dir(lease.done(ended.task.id))
    fs.mkdir(directory)
    return _publish_by(fs, lease, _retry_key(lease, ended.task.id, entry.attempt), directory, entry, task)


def next_attempt(
    lease: LeaseDir, ended: Outcome, task: Task, *, indices: int = 0, each: bool = False
) -> tuple[Entry, Task]:
    """What `retry` queues after the ended attempt: an entry with an incarnation of the caller's own, and the task.

    indices: how many, of an array. each: whether these may have to wait one by one.
    """
    place = ended.order or order(priority=0, micros=int(task.submitted * 1e6), sequence=0)
    number, who = ended.last + 1, new_incarnation()
    entry = Entry(
        place, task.id, task.need, number, who, group=task.group, count=indices, each=each, grouped=indices > 0
    )
    return entry, replace(task, retried={**task.retried, lease.id: ended.state.name})


def was_retried(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> bool:
    """True if `retry` has queued the attempt after that one, wherever it is now."""
    path = _retry_key(lease, task_id, attempt + 1)
    try:
        return _published(fs, path, _read_key(fs, lease, path)[0])
    except (FileNotFoundError, Malformed):
        return False


def redos(fs: Fs, lease: LeaseDir, task_id: str) -> list[tuple[str, bool]]:
    """Each redo of the task in order: the id of the new task, and whether it was ever queued."""
    found = []
    for number in range(1, 1_000_000):
        path = lease.redo(task_id, number)
        try:
            entry, _ = _read_key(fs, lease, path)
            found.append((entry.id, _published(fs, path, entry)))
        except FileNotFoundError:
            break
        except Malformed:
            found.append(("", False))
    return found


def redone(fs: Fs, lease: LeaseDir, task_id: str) -> list[str]:
    """The ids of the tasks that repeat that one, oldest first."""
    return [new_id for new_id, queued in redos(fs, lease, task_id) if queued]


def _published(fs: Fs, key: str, entry: Entry) -> bool:
    """False if the submitter died between the key and the rename that queues its task."""
    try:
        fs.read(_waiting(key, entry))
    except FileNotFoundError:
        return True
    return False


def _publish_by(fs: Fs, lease: LeaseDir, key: str, directory: str, entry: Entry, task: Task) -> Entry:
    """The one task that the file `key` stands for is published, durably: this one, or the one that was first.

    The task file waits as .ENTRY beside the key, the key names it, and a reader of the key moves it on: one rename
    of one name, so that a submitter who dies leaves neither a key without its task nor a task twice.
    """
    try:
        first, target = _read_key(fs, lease, key)
    except FileNotFoundError:
        first, target = _reserve_key(fs, lease, key, directory, entry, task)
    fs.sync_dir(directory_of(key))
    try:
        fs.rename(_waiting(key, first), f"{target}/{first.pending()}")
    except FileNotFoundError:
        pass  # published before, or just now and the reply was lost
    fs.sync_dir(target)
    return first


def _reserve_key(fs: Fs, lease: LeaseDir, key: str, directory: str, entry: Entry, task: Task) -> tuple[Entry, str]:
    fs.create(_waiting(key, entry), task.to_json())
    fs.sync_dir(directory_of(key))
    first, target = _link_key(fs, lease, key, directory, entry)
    if str(first) != str(entry):
        discard(fs, _waiting(key, entry))
    return first, target


def _link_key(fs: Fs, lease: LeaseDir, key: str, directory: str, entry: Entry) -> tuple[Entry, str]:
    """What the key stands for: the entry, or what was first. Not yet synced."""
    temporary = hidden(directory_of(key))
    body = {"v": 1, "entry": str(entry), "directory": directory[len(lease.root) + 1 :]}
    fs.create(temporary, json.dumps(body).encode() + b"\n")
    failure = None
    try:
        fs.link(temporary, key)
    except OSError as error:
        failure = error
    discard(fs, temporary)
    try:
        return _read_key(fs, lease, key)
    except FileNotFoundError:
        raise failure or Malformed(f"the key {key} was removed") from None


def read_key(fs: Fs, lease: LeaseDir, digest: str) -> tuple[Entry, str]:
    """(entry, directory) that the key stands for; raises FileNotFoundError, Malformed."""
    return _read_key(fs, lease, lease.key(digest))


def keys_by_task(fs: Fs, lease: LeaseDir) -> dict[str, str]:
    """The names of the keys that submitters gave, by the tasks for which they stand."""
    found = {}
    for digest in fs.names(lease.keys):
        try:
            if not is_key(digest):
                found[read_key(fs, lease, digest)[0].id] = digest
        except (Malformed, FileNotFoundError):
            continue
    return found


def _read_key(fs: Fs, lease: LeaseDir, path: str) -> tuple[Entry, str]:
    return target_of(lease, json_object(content(fs, path)))


def target_of(lease: LeaseDir, body: dict[str, Any]) -> tuple[Entry, str]:
    """(entry, directory of pending tasks) that such a file tells of; raises Malformed."""
    kind, _, node = text(body.get("directory")).partition("/")
    if kind not in ("inbox", "held", "waiting") or not (node == ANY or is_node(node)):
        raise Malformed(f"not a directory of pending tasks: {kind!r:.40} {node!r:.160}")
    return Entry.parse(text(body.get("entry"))), f"{lease.root}/{kind}/{node}"


def _waiting(key: str, entry: Entry) -> str:
    return f"{directory_of(key)}/.{entry}"


def _retry_key(lease: LeaseDir, task_id: str, attempt: int) -> str:
    return lease.key(f"{task_id}.{attempt}")


def move_with_key(fs: Fs, target: LeaseDir, digest: str, source: str, name: str, directory: str) -> str:
    """The pending file is in that directory of another lease, and so is its key, durably. Gives its id.

    Or another's, which has the key there already: then nothing has moved. Or nothing: it was pending no longer. The
    key goes first, so that who finds the task there finds the key; a task that has not moved has it in both leases.
    """
    entry = Entry.parse(name)
    first, _ = _link_key(fs, target, target.key(digest), directory, entry.pending())
    fs.sync_dir(target.keys)
    if first.id != entry.id:
        return first.id
    return entry.id if move_pending(fs, source, name, directory) else ""
