"""The protocol of the lease directory: the only code that creates, moves or removes tasks.

A task is one file that moves forward by rename and never changes:

    inbox/NODE/NAME  ->  claimed/OWNER/NAME.INCARNATION  ->  gone, once done/x/ID.ATTEMPT holds its outcome

* publish   write `.tmp`, fsync, rename into the inbox, fsync the directory; then the id may be printed.
* claim     rename to a name that only this claimant uses, fsync the directory; then the task may start.
* decide    write the outcome to a hidden name, fsync, link it to `done/x/ID.ATTEMPT` (the link is exclusive:
            an attempt is decided once, whoever asks), fsync; then note it in the history, then settle the claim.
* retry     an attempt that ended for good is followed by another through a key of its own: of several who ask, one
            has it, and it is queued once.
* settle    after the outcome: drop the claim, or rename it back into the inbox under the next attempt's name
            (retry), or into lost/, whole, so that `recover` can put it back.
* unclaim   rename a claim that provably never started back into the inbox, same attempt.
* cancel    a pending task is claimed by the command itself and finished as CANCELLED; a running one is asked
            of its runner by a file in control/NODE.

A task seen in two places counts by highest attempt, then done > claimed > inbox; each function resolves the
state that a crash between two steps of another leaves. On NFS a call can succeed and report failure
(measured: 12 of 48 server crashes), so no error of rename or link is believed before the directory was
listed afresh. Functions take the file system as a port and raise OSError where the truth cannot be had.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from leaseq.errors import Malformed, Newer, Refused
from leaseq.layout import CLI, Entry, LeaseDir, is_node, is_outcome, new_incarnation
from leaseq.models import ANY, Event, Heartbeat, Lease, Outcome, State, Task, check_schema, text, whole
from leaseq.words import joined
from leaseq.world import Fs

NEVER_READABLE = frozenset((errno.EISDIR, errno.ELOOP, errno.EFBIG, errno.ENXIO))
"""What reading a directory, a link, a file without end or a socket says: trying again would not help."""

NAME_BYTES_KEPT = 100
"""Of a name that is set aside: with what is added to it, it must still be one that a file may have."""


@dataclass(frozen=True)
class Claim:
    """A task file held by an owner: a node's runner, or a command under the name `_cli`."""

    entry: Entry
    node: str

    def path(self, lease: LeaseDir) -> str:
        return f"{lease.claimed(self.node)}/{self.entry}"


def read_lease(fs: Fs, lease: LeaseDir) -> Lease:
    """The lease's record; raises FileNotFoundError, and Malformed where it is not this lease's."""
    try:
        record = Lease.from_json(content(fs, lease.record))
    except Newer as error:
        raise Newer(f"{lease.record}: {error}", error.body) from None
    if record.id != lease.id:
        raise Malformed(f"holds lease {record.id!r:.60}, not {lease.id}")
    return record


def read_own_lease(fs: Fs, lease: LeaseDir, token: str) -> Lease:
    """The record of the lease that bears that token; raises as `read_lease`, and Refused where it is another's.

    A job's number comes again. token: empty for whoever was told none.
    """
    record = read_lease(fs, lease)
    if token and record.token != token:
        raise Refused(f"{lease.root} is another lease's: its token is {record.token}, not {token}")
    return record


def prepare(fs: Fs, lease: LeaseDir) -> None:
    """Every directory of the lease exists, durably."""
    _make(fs, lease.directories())


def prepare_node(fs: Fs, lease: LeaseDir, node: str) -> None:
    """Every directory that a node of the lease needs exists, durably."""
    _make(fs, lease.node_directories(node))


def _make(fs: Fs, directories: Sequence[str]) -> None:
    for directory in directories:
        fs.mkdir(directory)
    for parent in dict.fromkeys(directory.rpartition("/")[0] for directory in directories):
        fs.sync_dir(parent)


# -- submit ----------------------------------------------------------------------------------------


def publish(fs: Fs, directory: str, entry: Entry, task: Task) -> None:
    """The task is in the directory, durably. The id is then the submitter's to print."""
    write_pending(fs, directory, entry, task)
    fs.sync_dir(directory)


def write_pending(fs: Fs, directory: str, entry: Entry, task: Task) -> None:
    """The task is visible in the directory; it is durable once the directory has been synced (a batch shares that)."""
    show_pending(fs, stage(fs, directory, task.to_json()), directory, entry)


def stage(fs: Fs, directory: str, data: bytes) -> str:
    """The data waits, durably, under a hidden name of the directory; gives its path."""
    temporary = hidden(directory)
    fs.create(temporary, data)
    return temporary


def show_pending(fs: Fs, staged: str, directory: str, entry: Entry) -> None:
    """The staged task is visible under its name; durable once the directory has been synced."""
    _rename_own(fs, staged, directory, str(entry))


def publish_once(fs: Fs, lease: LeaseDir, digest: str, directory: str, entry: Entry, task: Task) -> str:
    """The one task of that key is published, durably: this one, or the one that was first. Gives its id."""
    return _publish_by(fs, lease, lease.key(digest), directory, entry, task).id


def publish_redo(fs: Fs, lease: LeaseDir, number: int, directory: str, entry: Entry, task: Task) -> str:
    """The redo of that number of `task.redo_of` is published, durably: this one, or the one that was first."""
    _make(fs, [lease.redone])
    return _publish_by(fs, lease, lease.redo(task.redo_of, number), directory, entry, task).id


def retry(fs: Fs, lease: LeaseDir, ended: Outcome, directory: str, entry: Entry, task: Task) -> Entry:
    """Another attempt follows the ended one, durably: this one, or the one that was first.

    The entry is the next attempt's, with an incarnation of the caller's own: of several who ask at once, one has it.
    """
    # Were the outcome not durable, a loss of power would leave a claim that is decided again beside its next attempt.
    fs.sync_dir(lease.done(ended.task.id))
    fs.mkdir(directory)
    return _publish_by(fs, lease, _retry_key(lease, ended.task.id, entry.attempt), directory, entry, task)


def was_retried(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> bool:
    """True where `retry` has queued the attempt after that one, wherever it is now."""
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
    """False where the submitter died between the key and the rename that queues its task."""
    try:
        fs.read(_waiting(key, entry))
    except FileNotFoundError:
        return True
    return False


def _publish_by(fs: Fs, lease: LeaseDir, key: str, directory: str, entry: Entry, task: Task) -> Entry:
    """The one task that the file `key` stands for is published, durably: this one, or the one that was first.

    The task file waits as .ENTRY beside the key, the key names it, and whoever reads the key moves it on: one rename
    of one name, so that a submitter who dies leaves neither a key without its task nor a task twice.
    """
    try:
        first, target = _read_key(fs, lease, key)
    except FileNotFoundError:
        first, target = _reserve_key(fs, lease, key, directory, entry, task)
    fs.sync_dir(_directory_of(key))
    try:
        fs.rename(_waiting(key, first), f"{target}/{first.pending()}")
    except FileNotFoundError:
        pass  # published before, or just now and the reply was lost
    fs.sync_dir(target)
    return first


def _reserve_key(fs: Fs, lease: LeaseDir, key: str, directory: str, entry: Entry, task: Task) -> tuple[Entry, str]:
    fs.create(_waiting(key, entry), task.to_json())
    fs.sync_dir(_directory_of(key))
    first, target = _link_key(fs, lease, key, directory, entry)
    if str(first) != str(entry):
        discard(fs, _waiting(key, entry))
    return first, target


def _link_key(fs: Fs, lease: LeaseDir, key: str, directory: str, entry: Entry) -> tuple[Entry, str]:
    """What the key stands for: the entry, or what was first. Not yet synced."""
    temporary = hidden(_directory_of(key))
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
            if not is_outcome(digest):
                found[read_key(fs, lease, digest)[0].id] = digest
        except (Malformed, FileNotFoundError):
            continue
    return found


def _read_key(fs: Fs, lease: LeaseDir, path: str) -> tuple[Entry, str]:
    body = json_object(content(fs, path))
    kind, _, node = text(body.get("directory")).partition("/")
    if kind not in ("inbox", "held") or not (node == ANY or is_node(node)):
        raise Malformed(f"not a directory of pending tasks: {kind!r:.40} {node!r:.160}")
    return Entry.parse(text(body.get("entry"))), f"{lease.root}/{kind}/{node}"


def _waiting(key: str, entry: Entry) -> str:
    return f"{_directory_of(key)}/.{entry}"


def _directory_of(path: str) -> str:
    return path.rpartition("/")[0]


def _retry_key(lease: LeaseDir, task_id: str, attempt: int) -> str:
    return lease.key(f"{task_id}.{attempt}")


# -- claim -----------------------------------------------------------------------------------------


def claim(fs: Fs, lease: LeaseDir, source: str, entry: Entry, *, node: str, incarnation: str) -> Claim | None:
    """The claim on a pending task, or None where another was first. Durable once `claimed/NODE` is synced."""
    won = Claim(entry.claimed_by(incarnation), node)
    directory = lease.claimed(node)
    try:
        fs.rename(f"{source}/{entry}", f"{directory}/{won.entry}")
    except OSError as error:
        if str(won.entry) not in fs.names(directory):
            if isinstance(error, FileNotFoundError):
                return None
            raise
    return won


def read_task(fs: Fs, path: str, entry: Entry) -> Task:
    """The task in that file; raises Malformed where the content does not belong to the name."""
    task = Task.from_json(content(fs, path))
    if task.id != entry.id:
        raise Malformed(f"holds task {task.id!r:.40}, not {entry.id}")
    return task


def inbox_of(lease: LeaseDir, task: Task) -> str:
    """The inbox that a later attempt of the task goes to; a node that is no name leads nowhere else."""
    return lease.inbox(task.node if is_node(task.node) else ANY)


def pinned_as_claimed(task: Task, node: str) -> Task:
    """The task that this node has claimed: if its file pins it to another, it was moved, and is pinned to none."""
    return task if task.node in (ANY, node) else replace(task, node=ANY)


def unclaim(fs: Fs, lease: LeaseDir, held: Claim, target: str) -> None:
    """A claim that never started is pending again, same attempt."""
    _move_claim(fs, lease, held, target, held.entry.pending())


def _move_claim(fs: Fs, lease: LeaseDir, held: Claim, target: str, entry: Entry) -> None:
    try:
        fs.rename(held.path(lease), f"{target}/{entry}")
    except FileNotFoundError:
        # Nobody but the owner (or a `recover` after it) moves a claim: gone means moved.
        if str(held.entry) in fs.names(lease.claimed(held.node)):
            raise
    fs.sync_dir(target)


# -- finish ----------------------------------------------------------------------------------------


def decide(fs: Fs, lease: LeaseDir, outcome: Outcome) -> Outcome:
    """The outcome of the attempt as it stands for ever: this one, or the one that was first. Not yet synced.

    Where another was first, ours stays in evidence/ and is never applied.
    """
    key = f"{outcome.task.id}.{outcome.attempt}"
    directory = lease.done(outcome.task.id)
    temporary = hidden(directory)
    fs.create(temporary, outcome.to_json())
    try:
        fs.link(temporary, f"{directory}/{key}")
    except OSError as error:
        first = read_outcome(fs, lease, outcome.task.id, outcome.attempt)
        if first is None:
            discard(fs, temporary)
            raise error
        if (first.incarnation, first.state, first.ended) == (outcome.incarnation, outcome.state, outcome.ended):
            discard(fs, temporary)
        else:
            _rename_over(fs, temporary, f"{lease.evidence}/{key}.{outcome.incarnation or new_incarnation()}")
        return first
    discard(fs, temporary)
    return outcome


def decide_all(fs: Fs, lease: LeaseDir, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes as they stand, durable; one sync per directory."""
    decided = [decide(fs, lease, outcome) for outcome in outcomes]
    for directory in sorted({lease.done(outcome.task.id) for outcome in outcomes}):
        fs.sync_dir(directory)
    return decided


def settle(fs: Fs, lease: LeaseDir, held: Claim, decided: Outcome) -> None:
    """The claim is where its decided outcome says: pending again, in lost/, or gone.

    Only after the outcome is durable and, for a runner, in the history.
    """
    if decided.requeued:
        target = inbox_of(lease, decided.task)
        fs.mkdir(target)
        _move_claim(fs, lease, held, target, held.entry.next_attempt())
    elif decided.state is State.LOST:
        _move_claim(fs, lease, held, lease.lost, held.entry)
    else:
        discard(fs, held.path(lease))


def without_env(outcome: Outcome) -> Outcome:
    """The outcome without the task's environment, which is the greater part of it: for whoever keeps many."""
    return replace(outcome, task=replace(outcome.task, env={}))


def read_outcome(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> Outcome | None:
    """The decided outcome of an attempt, or None; raises Malformed."""
    try:
        return outcome_in(fs, lease.outcome(task_id, attempt))
    except FileNotFoundError:
        return None


def outcome_in(fs: Fs, path: str) -> Outcome:
    """The outcome in that file; raises FileNotFoundError, and Malformed where it is not the one that the name says."""
    outcome = Outcome.from_json(content(fs, path))
    key = f"{outcome.task.id}.{outcome.attempt}"
    if key != path.rpartition("/")[2]:
        raise Malformed(f"holds the outcome of {key!r:.60}")
    return outcome


def event_of(outcome: Outcome, totals: dict[str, int] | None = None, *, lease: str = "") -> Event:
    """The line of history of that lease that tells the outcome."""
    return Event(
        id=outcome.task.id,
        attempt=outcome.attempt,
        state=outcome.state,
        ended=outcome.ended,
        node=outcome.node,
        name=outcome.task.name,
        command=command_text(outcome.task)[:200],
        exit_code=outcome.exit_code,
        reason=outcome.reason,
        requeued=outcome.requeued,
        submitted=outcome.task.submitted,
        started=outcome.started,
        elapsed_seconds=outcome.elapsed_seconds,
        gpus=outcome.gpus,
        retried=outcome.task.retried.get(lease, ""),
        totals=dict(totals or {}),
    )


def counted(event: Event) -> list[tuple[str, int]]:
    """What the line of history changes in the numbers of finished tasks: state and number.

    A LOST task is not over: what it was counted as before stays counted until its last attempt is.
    """
    if event.requeued:
        return []
    over = event.retried in State.__members__ and event.state is not State.LOST
    before = [(event.retried, -1)] if over else []
    return [(event.state.name, 1), *before]


def command_text(task: Task) -> str:
    """The command as a person would type it."""
    if task.shell:
        return task.argv[0]
    return joined(task.argv)


# -- history ---------------------------------------------------------------------------------------


def record_events(fs: Fs, lease: LeaseDir, node: str, events: Iterable[Event], *, mend: bool = True) -> None:
    """The lines are at the end of the node's history, durably. Only the node's own runner calls this.

    mend: a line that a crash may have torn is ended first, or it would take the next line with it; and the name of
    the file is made durable first, which the runner that created it may not have lived to do.
    """
    path = lease.events(node)
    lines = b"".join(event.to_json() for event in events)
    if mend:
        try:
            last, size = fs.read_range(path, -1, 1)
        except FileNotFoundError:
            fs.append(path, b"")
            last, size = b"", 0
        fs.sync_dir(lease.events_dir)
        if size and last != b"\n":
            lines = b"\n" + lines
    fs.append(path, lines)


# -- what commands do ------------------------------------------------------------------------------


def cancel_pending(fs: Fs, lease: LeaseDir, source: str, entry: Entry, *, ended: float, reason: str) -> Outcome | None:
    """The pending task is CANCELLED, durably; None where it is no longer pending there.

    Raises Malformed, Newer: a task that cannot be read is left to those who can, or who set it aside.
    """
    try:
        read_task(fs, f"{source}/{entry}", entry)
    except FileNotFoundError:
        return None
    held = claim(fs, lease, source, entry, node=CLI, incarnation=new_incarnation())
    if held is None:
        return None
    return finish_cancelled(fs, lease, held, ended=ended, reason=reason)


def finish_cancelled(fs: Fs, lease: LeaseDir, held: Claim, *, ended: float, reason: str) -> Outcome:
    """A claim in `claimed/_cli` is a cancelled task whose outcome may not stand yet; afterwards it does."""
    # The claim first: were its outcome durable and its rename not, a loss of power would leave a decided task pending.
    fs.sync_dir(lease.claimed(CLI))
    try:
        task = read_task(fs, held.path(lease), held.entry)
    except FileNotFoundError:
        # The command and a runner may both finish it; the claim goes after the outcome is durable.
        decided = read_outcome(fs, lease, held.entry.id, held.entry.attempt)
        if decided is None:
            raise
        return decided
    outcome = Outcome(
        task=task,
        attempt=held.entry.attempt,
        order=held.entry.order,
        state=State.CANCELLED,
        incarnation=held.entry.owner,
        reason=reason,
        ended=ended,
    )
    decided = decide_and_book(fs, lease, outcome)
    settle(fs, lease, held, decided)
    return decided


def decide_and_book(fs: Fs, lease: LeaseDir, outcome: Outcome) -> Outcome:
    """The outcome stands, durably, and waits in booking/ until a runner has put it into its history."""
    decided = decide_all(fs, lease, [outcome])[0]
    key = f"{outcome.task.id}.{outcome.attempt}"
    try:
        fs.link(lease.outcome(outcome.task.id, outcome.attempt), f"{lease.booking}/{key}")
    except FileExistsError:
        pass
    fs.sync_dir(lease.booking)
    return decided


def ask(fs: Fs, lease: LeaseDir, node: str, request: str, body: dict[str, object]) -> None:
    """A request for the node's runner is in its control directory, durably. `request` is a file name's start."""
    directory = lease.control(node)
    temporary = hidden(directory)
    fs.create(temporary, json.dumps({"v": 1, **body}).encode() + b"\n")
    _rename_own(fs, temporary, directory, f"{request}.{new_incarnation()}")
    fs.sync_dir(directory)


def read_request(fs: Fs, path: str) -> dict[str, object]:
    """The body of a request; raises Malformed."""
    return json_object(content(fs, path))


def move_pending(fs: Fs, source: str, name: str, target: str) -> bool:
    """The pending file is in the other directory (hold, release, move to another lease); False if it was gone."""
    try:
        fs.rename(f"{source}/{name}", f"{target}/{name}")
    except FileNotFoundError:
        if name not in fs.names(target):
            return False
    fs.sync_dir(target)
    return True


def move_with_key(fs: Fs, target: LeaseDir, digest: str, source: str, name: str, directory: str) -> str:
    """The pending file is in that directory of another lease, and so is its key, durably. Gives its id.

    Or another's, which has the key there already: then nothing has moved. Or nothing: it was pending no longer. The
    key goes first, so that whoever finds the task there finds the key; a task that has not moved has it in both leases.
    """
    entry = Entry.parse(name)
    first, _ = _link_key(fs, target, target.key(digest), directory, entry.pending())
    fs.sync_dir(target.keys)
    if first.id != entry.id:
        return first.id
    return entry.id if move_pending(fs, source, name, directory) else ""


def recover_lost(fs: Fs, lease: LeaseDir, entry: Entry, target: str) -> bool:
    """A task kept in lost/ is pending again as its next attempt; False if another did it and a runner has it."""
    name = str(entry.next_attempt())
    try:
        fs.rename(f"{lease.lost}/{entry}", f"{target}/{name}")
    except FileNotFoundError:
        if name not in fs.names(target):
            return False
    fs.sync_dir(target)
    return True


def recover_stuck(fs: Fs, lease: LeaseDir, held: Claim, task: Task, *, ended: float) -> Outcome:
    """The attempt of a runner that is gone is LOST and another follows, or it stands as its late owner decided it."""
    outcome = Outcome(
        task=task,
        attempt=held.entry.attempt,
        order=held.entry.order,
        state=State.LOST,
        node=held.node,
        incarnation=new_incarnation(),
        reason="NodeDown",
        requeued="recover",
        ended=ended,
    )
    return lose(fs, lease, held, outcome)


def lose(fs: Fs, lease: LeaseDir, held: Claim, outcome: Outcome) -> Outcome:
    """The attempt is decided (as LOST, or as its late owner decided first), and its claim settled.

    For a claim whose runner is gone for certain, perhaps before it had made the claim durable.
    """
    fs.sync_dir(lease.claimed(held.node))
    decided = decide_and_book(fs, lease, outcome)
    settle(fs, lease, held, decided)
    return decided


# -- heartbeats ------------------------------------------------------------------------------------


def beat(fs: Fs, lease: LeaseDir, heartbeat: Heartbeat) -> None:
    """The node's heartbeat file is this one."""
    temporary = hidden(lease.heartbeats)
    fs.create(temporary, heartbeat.to_json(), durable=False)
    _rename_over(fs, temporary, lease.heartbeat(heartbeat.node))


def late_seconds(beat: Heartbeat) -> float:
    """The silence after which a runner is late. A stock NFS server restart stalls everyone for 70 s (measured)."""
    return max(60.0, 3 * beat.interval_seconds)


def down_seconds(beat: Heartbeat) -> float:
    """The silence after which a runner is taken for dead."""
    return max(120.0, 6 * beat.interval_seconds)


def read_heartbeat(fs: Fs, lease: LeaseDir, node: str) -> Heartbeat | None:
    """The node's last heartbeat, or None; raises Malformed."""
    try:
        return Heartbeat.from_json(content(fs, lease.heartbeat(node)))
    except FileNotFoundError:
        return None


def newest_term(fs: Fs, lease: LeaseDir, node: str) -> int:
    """The number of the term in which the node is served, or was; 0 where it never was."""
    return max(_terms(fs, lease, node), default=0)


def _terms(fs: Fs, lease: LeaseDir, node: str) -> list[int]:
    found = (name.rpartition(".") for name in fs.names(lease.heartbeats))
    return [number for owner, _, digits in found if owner == node and (number := whole(digits))]


def begin_term(fs: Fs, lease: LeaseDir, number: int, first: Heartbeat) -> bool:
    """True: the node's term of that number is this runner's alone, durably. False: another runner has begun it."""
    temporary = hidden(lease.heartbeats)
    fs.create(temporary, first.to_json())
    try:
        fs.link(temporary, lease.term(first.node, number))
    except OSError as error:
        won = _began(fs, lease, number, first)
        if not won and not isinstance(error, FileExistsError):
            raise
    else:
        won = True
    discard(fs, temporary)
    if not won:
        return False
    fs.sync_dir(lease.heartbeats)
    for other in _terms(fs, lease, first.node):
        if other > number:
            # That number was free because its runner and its successor have come and gone meanwhile.
            discard(fs, lease.term(first.node, number))
            return False
        if other < number:
            with suppress(IsADirectoryError):
                discard(fs, lease.term(first.node, other))
    return True


def _began(fs: Fs, lease: LeaseDir, number: int, first: Heartbeat) -> bool:
    """Whether a link that reported a failure was done."""
    try:
        return read_term(fs, lease, first.node, number).incarnation == first.incarnation
    except (FileNotFoundError, Malformed):
        return False


def read_term(fs: Fs, lease: LeaseDir, node: str, number: int) -> Heartbeat:
    """What the runner that began that term said of itself; raises FileNotFoundError, Malformed, Newer."""
    return Heartbeat.from_json(content(fs, lease.term(node, number)))


# -- shared ----------------------------------------------------------------------------------------


def content(fs: Fs, path: str) -> bytes:
    """The fresh content of a record's file; raises Malformed where it is no file that could ever be read."""
    with never_readable_is_malformed():
        return fs.read(path)


@contextmanager
def never_readable_is_malformed() -> Iterator[None]:
    """An OSError of a read that no trying again would mend is raised as Malformed."""
    try:
        yield
    except OSError as error:
        if error.errno in NEVER_READABLE:
            raise Malformed(f"cannot be read: {error.strerror}") from None
        raise


def replace_file(fs: Fs, path: str, data: bytes) -> None:
    """The file holds the data, durably; a reader sees the old content or the new, never none."""
    directory = path.rpartition("/")[0]
    temporary = hidden(directory)
    fs.create(temporary, data)
    _rename_over(fs, temporary, path)
    fs.sync_dir(directory)


def set_aside(fs: Fs, lease: LeaseDir, path: str, reason: str) -> None:
    """A file that is not what its place says is in evidence/, with its reason beside it; the queue goes on."""
    name = os.fsdecode(os.fsencode(path.rpartition("/")[2])[:NAME_BYTES_KEPT]) + f".{new_incarnation()}"
    fs.create(f"{lease.evidence}/{name}.reason", reason.encode("utf-8", "replace") + b"\n", durable=False)
    try:
        fs.rename(path, f"{lease.evidence}/{name}")
    except FileNotFoundError:
        pass


def json_object(data: bytes) -> dict[str, object]:
    """The JSON object, of a schema that this leaseq reads; raises Malformed, Newer."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Malformed("not an object")
    check_schema(body)
    return body


def hidden(directory: str) -> str:
    """A path in the directory that no listing shows and no other process uses."""
    return f"{directory}/.{new_incarnation()}{new_incarnation()}"


def _rename_own(fs: Fs, temporary: str, directory: str, name: str) -> None:
    """Rename to a name that nobody else makes; a lost reply is told from a failure by a fresh listing."""
    try:
        fs.rename(temporary, f"{directory}/{name}")
    except OSError as error:
        # ENOENT of a file that this process just wrote: the rename was done, and a runner may have moved it on.
        # The listing raises where the directory itself is missing.
        if name not in fs.names(directory) and not isinstance(error, FileNotFoundError):
            raise


def _rename_over(fs: Fs, temporary: str, path: str) -> None:
    """Rename to a name that may be taken, where seeing the name proves nothing."""
    try:
        fs.rename(temporary, path)
    except FileNotFoundError:
        # ENOENT of a file that this process just wrote: done. The listing raises where the directory is missing.
        fs.names(path.rpartition("/")[0])


def discard(fs: Fs, path: str) -> None:
    """The file is gone, whoever removed it."""
    try:
        fs.unlink(path)
    except FileNotFoundError:
        pass
