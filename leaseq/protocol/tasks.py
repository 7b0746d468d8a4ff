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

from collections.abc import Iterable, Sequence

from leaseq.dataclass import dataclass, replace
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Outcome, State, Task
from leaseq.names import Entry, is_node, new_incarnation
from leaseq.protocol.abreast import abreast
from leaseq.protocol.files import content, discard, hidden, rename_over, rename_own, stage
from leaseq.world import Fs


@dataclass(frozen=True)
class Claim:
    """A task file held by an owner: a node's runner, or a command under the name `_cli`."""

    entry: Entry
    node: str

    def path(self, lease: LeaseDir) -> str:
        return f"{lease.claimed(self.node)}/{self.entry}"


def publish(fs: Fs, directory: str, entry: Entry, task: Task) -> None:
    """The task is in the directory, durably. The id is then the submitter's to print."""
    write_pending(fs, directory, entry, task)
    fs.sync_dir(directory)


def write_pending(fs: Fs, directory: str, entry: Entry, task: Task) -> None:
    """The task is visible in the directory; it is durable once the directory has been synced (a batch shares that)."""
    show_pending(fs, stage(fs, directory, task.to_json()), directory, entry)


def show_pending(fs: Fs, staged: str, directory: str, entry: Entry) -> None:
    """The staged task is visible under its name; durable once the directory has been synced."""
    rename_own(fs, staged, directory, str(entry))


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


def unclaim(fs: Fs, lease: LeaseDir, held: Claim, target: str, *, durable: bool = True) -> None:
    """A claim that never started is pending again, same attempt; durable, or once the target has been synced."""
    _move_claim(fs, lease, held, target, held.entry.pending(), durable=durable)


def _move_claim(fs: Fs, lease: LeaseDir, held: Claim, target: str, entry: Entry, *, durable: bool = True) -> None:
    try:
        fs.rename(held.path(lease), f"{target}/{entry}")
    except FileNotFoundError:
        # Nobody but the owner (or a `recover` after it) moves a claim: gone means moved.
        if str(held.entry) in fs.names(lease.claimed(held.node)):
            raise
    if durable:
        fs.sync_dir(target)


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
            rename_over(fs, temporary, f"{lease.evidence}/{key}.{outcome.incarnation or new_incarnation()}")
        return first
    discard(fs, temporary)
    return outcome


def decide_all(fs: Fs, lease: LeaseDir, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes as they stand, durable; one sync per directory."""
    decided = [decide(fs, lease, outcome) for outcome in outcomes]
    make_durable(fs, lease, [outcome.task.id for outcome in outcomes])
    return decided


def make_durable(fs: Fs, lease: LeaseDir, task_ids: Iterable[str], *, threads: int = 0) -> None:
    """The outcomes of the tasks that stand by now are durable; one sync per directory, so many threads beside one."""
    directories = sorted({lease.done(task_id) for task_id in task_ids})
    abreast(len(directories), lambda number: fs.sync_dir(directories[number]), threads=threads)


def book(fs: Fs, lease: LeaseDir, attempts: Iterable[tuple[str, int]]) -> None:
    """The outcomes of the attempts wait in booking/, durably, until a runner has put them into its history."""
    for task_id, attempt in attempts:
        try:
            fs.link(lease.outcome(task_id, attempt), f"{lease.booking}/{task_id}.{attempt}")
        except FileExistsError:
            pass
    fs.sync_dir(lease.booking)


def cancelled(task: Task, claimed: Entry) -> Outcome:
    """The outcome of a pending task that is being cancelled; of an array, all of its indices are."""
    counts = {State.CANCELLED.name: claimed.count} if claimed.count else {}
    return Outcome(
        task=task,
        attempt=claimed.attempt,
        order=claimed.order,
        state=State.CANCELLED,
        incarnation=claimed.owner,
        counts=counts,
        last_attempt=claimed.attempt if claimed.count else 0,
    )


def settle(fs: Fs, lease: LeaseDir, held: Claim, decided: Outcome) -> None:
    """The claim is where its decided outcome says: pending again, in lost/, or gone.

    Only after the outcome is durable and, for a runner, in the history. Of an array nothing is kept in lost/: what of
    it was lost is asked for by a `retry` of those indices.
    """
    if decided.requeued:
        target = inbox_of(lease, decided.task)
        fs.mkdir(target)
        _move_claim(fs, lease, held, target, held.entry.next_attempt())
    elif decided.state is State.LOST and not held.entry.count:
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


def readable_outcome(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> Outcome | None:
    """The same, or None if it cannot be understood."""
    try:
        return read_outcome(fs, lease, task_id, attempt)
    except Malformed:
        return None


def outcome_in(fs: Fs, path: str) -> Outcome:
    """The outcome in that file; raises FileNotFoundError, and Malformed where it is not the one that the name says."""
    outcome = Outcome.from_json(content(fs, path))
    key = f"{outcome.task.id}.{outcome.attempt}"
    if key != path.rpartition("/")[2]:
        raise Malformed(f"holds the outcome of {key!r:.60}")
    return outcome


def move_pending(fs: Fs, source: str, name: str, target: str) -> bool:
    """The pending file is in the other directory (hold, release, move to another lease); False if it was gone."""
    return _moved(fs, f"{source}/{name}", target, name)


def recover_lost(fs: Fs, lease: LeaseDir, entry: Entry, target: str) -> bool:
    """A task kept in lost/ is pending again as its next attempt; False if another did it and a runner has it."""
    return _moved(fs, f"{lease.lost}/{entry}", target, str(entry.next_attempt()))


def _moved(fs: Fs, source: str, target: str, name: str) -> bool:
    """The file is in the target directory under that name, durably; False if it is in neither place."""
    try:
        fs.rename(source, f"{target}/{name}")
    except FileNotFoundError:
        if name not in fs.names(target):
            return False
    fs.sync_dir(target)
    return True
