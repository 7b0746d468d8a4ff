"""The one tail of an attempt, for all that end one: a runner, a command, the end of a lease.

    its outcome stands (`tasks.decide`)  ->  durable  ->  told  ->  its claim settled

Told: in the history, by the node's own runner; or in booking/, by everybody else, until a runner has put it into its
history (one of them, however often it is linked there: `tellers`). A claim goes last, so who finds it after a crash
finds the outcome too, and does what is left. What is to follow from an outcome that stands for ever is called here,
between told and settled, and nowhere else: tasks that waited for it may start, or never can (`dependents.follow`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leaseq.dataclass import dataclass, replace
from leaseq.layout import LeaseDir
from leaseq.models import Outcome, State, Task
from leaseq.names import CLI, Entry, new_incarnation
from leaseq.protocol import dependents, groups, tasks
from leaseq.protocol.tasks import Claim
from leaseq.world import Fs


@dataclass
class Ending:
    """An attempt that has ended, and how far its tail has come."""

    claim: Claim
    outcome: Outcome
    """How it ended, for its caller."""
    decided: Outcome | None = None
    """How it ended for ever; None until that is decided."""
    durable: bool = False
    """True once this process has synced the directory of the outcome, whichever process wrote it."""
    told: bool = False
    followed: bool = False
    """True once those that waited for it have been looked at."""


def conclude(
    fs: Fs,
    lease: LeaseDir,
    endings: Sequence[Ending],
    *,
    tell: Callable[[Sequence[Ending]], None],
    settled: Callable[[Ending], None],
    threads: int = 0,
) -> bool:
    """The decided endings are durable, told, and their claims settled. Raises OSError; what was done stays done.

    tell: makes sure that they are told, durably. settled: called for each whose claim is where its outcome says.
    threads: how many sync beside the caller's. True if tasks that waited for them may start now.
    """
    # An outcome that stood already may be of a runner that died before its sync.
    in_doubt = [each for each in endings if not each.durable]
    tasks.make_durable(fs, lease, [each.claim.entry.id for each in in_doubt], threads=threads)
    for each in in_doubt:
        each.durable = True
    untold = [each for each in endings if not each.told]
    tell(untold)
    for each in untold:
        each.told = True
    freed = _follow(fs, lease, [each for each in endings if not each.followed])
    failure: OSError | None = None
    for each in endings:
        assert each.decided is not None
        try:
            tasks.settle(fs, lease, each.claim, each.decided)
            settled(each)
        except OSError as error:
            failure = error
    if failure:
        raise failure
    return freed


def _follow(fs: Fs, lease: LeaseDir, endings: Sequence[Ending]) -> bool:
    """What follows from the outcomes has happened; True if tasks may start now."""
    freed = dependents.follow(fs, lease, [each.decided for each in endings if each.decided])
    for each in endings:
        each.followed = True
    return bool(freed)


def conclude_one(fs: Fs, lease: LeaseDir, claim: Claim, outcome: Outcome) -> Outcome:
    """The attempt is over for ever, as this outcome or the one that was first says, for one who has no history."""
    decided = tasks.decide_all(fs, lease, [outcome])[0]
    ending = Ending(claim, outcome, decided, durable=True)
    conclude(fs, lease, [ending], tell=lambda endings: book(fs, lease, endings), settled=lambda ending: None)
    if claim.node != CLI:
        groups.free_lane_of(fs, lease, claim)
    return decided


def book(fs: Fs, lease: LeaseDir, endings: Sequence[Ending]) -> None:
    """The outcomes wait in booking/ until a runner has put them into its history."""
    tasks.book(fs, lease, [(each.claim.entry.id, each.claim.entry.attempt) for each in endings])


def cancel_pending(fs: Fs, lease: LeaseDir, source: str, entry: Entry, *, ended: float, reason: str) -> Outcome | None:
    """The pending task is CANCELLED, durably; None if it is no longer pending there.

    Raises Malformed, Newer: a task that cannot be read is left to those who can, or who set it aside.
    """
    try:
        tasks.read_task(fs, f"{source}/{entry}", entry)
    except FileNotFoundError:
        return None
    held = tasks.claim(fs, lease, source, entry, node=CLI, incarnation=new_incarnation())
    if held is None:
        return None
    return finish_cancelled(fs, lease, held, ended=ended, reason=reason)


def finish_cancelled(fs: Fs, lease: LeaseDir, held: Claim, *, ended: float, reason: str) -> Outcome:
    """A claim in `claimed/_cli` is a cancelled task whose outcome may not stand yet; afterwards it does.

    reason: unless it was cancelled because what it waited for can never come, by one who did not come to its end.
    """
    # The claim first: were its outcome durable and its rename not, a loss of power would leave a decided task pending.
    fs.sync_dir(lease.claimed(CLI))
    try:
        task = tasks.read_task(fs, held.path(lease), held.entry)
    except FileNotFoundError:
        # The command and a runner may both finish it; the claim goes after the outcome is durable.
        decided = tasks.read_outcome(fs, lease, held.entry.id, held.entry.attempt)
        if decided is None:
            raise
        return decided
    outcome = replace(tasks.cancelled(task, held.entry), reason=reason, ended=ended)
    return conclude_one(fs, lease, held, dependents.with_cause(fs, lease, outcome) if task.after else outcome)


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
    return conclude_one(fs, lease, held, outcome)
