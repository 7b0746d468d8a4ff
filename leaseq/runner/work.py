"""How attempts come from what was claimed, and where their ends go.

A claim is one task's one attempt, `Single`, or a chunk of an array, of which each index is an `index.Index`. What makes
one attempt on several nodes is another `Work`: it alone knows when the claim is settled, and by what.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from leaseq.dataclass import dataclass, field
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.limit_names import Lane
from leaseq.models import ANY, Outcome, Task, Why
from leaseq.names import Entry, is_node
from leaseq.node.record import Rec
from leaseq.protocol import concluding, groups, tasks
from leaseq.protocol.concluding import Ending
from leaseq.protocol.tasks import Claim
from leaseq.room import Booking
from leaseq.runner.holding import Handed
from leaseq.runner.ports import Ports
from leaseq.world import Fs


class Work(Protocol):
    """What was claimed, and what becomes of it by the ends of its attempts."""

    @property
    def claim(self) -> Claim: ...

    @property
    def entry(self) -> Entry:
        """The attempt's own: its id, and its number."""
        ...

    def ended(self, ports: Ports, outcome: Outcome) -> None:
        """The attempt has that outcome; the ledger makes it durable and does with the claim what follows."""
        ...

    def put_back(self, ports: Ports, task: Task) -> None:
        """The attempt, which never ran, is pending again."""
        ...

    def cancelled(self, ports: Ports) -> None:
        """The attempt, which never ran, is a cancelled one, durably."""
        ...


@dataclass(frozen=True)
class Single:
    """A claim that is one attempt of one task: its outcome settles the claim."""

    claim: Claim

    @property
    def entry(self) -> Entry:
        return self.claim.entry

    def ended(self, ports: Ports, outcome: Outcome) -> None:
        ports.ledger.add(Ending(self.claim, outcome))

    def put_back(self, ports: Ports, task: Task) -> None:
        groups.unclaim(ports.fs, ports.lease, self.claim, ports.lease.inbox(task.node))

    def cancelled(self, ports: Ports) -> None:
        concluding.finish_cancelled(ports.fs, ports.lease, self.claim, ended=ports.clock.now(), reason="cancelled")


@dataclass
class Attempt:
    """An attempt that is this node's: its process runs, or is about to."""

    work: Work
    task: Task
    booking: Booking
    since: float
    rec: Rec | None = None
    asked_to_stop: Why | None = None
    slot: int | None = None
    """A small number that no other attempt of this node has; None if an older leaseq gave it none."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Variables of its own, for its process."""
    lane: Lane | None = None
    """The lane that it holds in its group, if that is limited and the lane is known."""

    @property
    def entry(self) -> Entry:
        return self.work.entry

    @property
    def key(self) -> str:
        return self.entry.key

    @property
    def unknown(self) -> bool:
        """True while its process is not known."""
        return self.rec is None or self.rec.pid is None

    @property
    def unwanted(self) -> bool:
        """True if somebody wanted its end: then nobody wants another attempt."""
        return self.asked_to_stop is not None and self.asked_to_stop.by_user


@dataclass(frozen=True)
class Won:
    """A claim that is not yet in the keeper's hands."""

    claim: Claim
    booking: Booking
    inbox: str = ""
    """The node in whose inbox it lay, whatever its file says, which may be older than a move; empty if not known."""
    lane: Lane | None = None
    """The lane that it holds in its group, if that is limited."""
    behind: str = ""
    """The key of the claim whose room it is to have once that has ended, or the window; it books none itself."""
    task: Task | None = None
    """What its file says, if that was read before it was claimed."""


@dataclass(eq=False)
class Several:
    """Short tasks in a window that the keeper has, or is about to have: one after the other in the room of one."""

    members: Sequence[tuple[Won, Task]]
    keys: frozenset[str]
    booking: Booking
    slot: int
    since: float
    asked_to_stop: tuple[Why, float] | None = None
    """Why, and with how much grace, what goes on of it alone is to be ended."""
    warned: tuple[int, str] | None = None
    """The signal that what goes on of it alone is to be sent, and to whom."""

    def has(self, key: str) -> bool:
        """True if the attempt is one of them."""
        return key in self.keys


def free_slot(occupants: Iterable[Attempt | Handed | Several]) -> int:
    """The smallest slot that none of them has."""
    taken = {each.slot for each in occupants}
    return next(slot for slot in itertools.count() if slot not in taken)


def read_claimed(fs: Fs, lease: LeaseDir, claim: Claim) -> Task:
    """The task of that claim; raises Malformed if it is none that could be started or put back."""
    try:
        task = tasks.read_task(fs, claim.path(lease), claim.entry)
    except PermissionError:
        task = _read_again(fs, lease, claim)
    check_task(task)
    return tasks.pinned_as_claimed(task, claim.node)


def check_task(task: Task) -> None:
    """Raises Malformed if the task is none that could be started or put back."""
    if not task.argv or (task.shell and len(task.argv) != 1):
        raise Malformed("it has no command")
    if task.node != ANY and not is_node(task.node):
        raise Malformed(f"its node is not a name: {task.node!r:.60}")


def _read_again(fs: Fs, lease: LeaseDir, claim: Claim) -> Task:
    """The task, which a first look was denied: a mount in trouble (no ticket) says so of everything for a while."""
    fs.names(lease.claimed(claim.node))
    try:
        return tasks.read_task(fs, claim.path(lease), claim.entry)
    except PermissionError as error:
        raise Malformed(f"cannot be read: {error.strerror}") from None  # somebody else's; trying again would not help
