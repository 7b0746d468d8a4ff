"""The life of a runner as one table, pure: what is wanted of it, what it has in hand, and what it may do then.

    wanted    claims  goes on  told as   leaves with: nothing  tasks  unwritten  ending
    SERVE     yes     yes      up                     no       no     no         no
    DRAIN     no      yes      draining               no       no     no         no
    ASIDE     no      yes      draining               no       no     no         no
    GIVE_WAY  no      yes      (nothing)              now      no     no         no
    RELEASE   no      yes      draining               now      no     no         no
    STAY      no      no       ending                 no       no     no         no
    LEAVE     no      no       draining               now      now    late       no

*Goes on*: what was claimed is started, and tasks are ended when the lease's end is near. *Late*: once it has waited
as long for the file system as it has patience; the next runner finds what it leaves. What is told is the state in
the heartbeat; a runner that has left on purpose is told as `stopped`.

    SERVE <-> DRAIN               `drain` and `resume` were asked
    SERVE, DRAIN <-> ASIDE        nothing has used its allocation for long, and whether that leaves is being agreed
    ASIDE -> RELEASE              it does
    SERVE, DRAIN, ASIDE -> GIVE_WAY   another runner serves the node: nothing is said of it any more, whatever follows
    what goes on -> STAY          the lease ends, and the node's terminals with this runner: it waits for the signal
    what goes on -> RELEASE       `release` was asked: the node is given back
    what goes on -> LEAVE         `stop` or `kill` was asked; or the lease ends, and no terminal ends with this runner
    anything -> LEAVE             a signal
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from leaseq.dataclass import dataclass, field


class Wanted(Enum):
    """What is wanted of a runner."""

    SERVE = auto()
    DRAIN = auto()
    """No task starts; those that run go on."""
    ASIDE = auto()
    """The same for a moment: nothing runs, and its allocation may be given back."""
    GIVE_WAY = auto()
    """The same, and it leaves when none is left."""
    RELEASE = auto()
    """Its tasks are ended, what has not begun goes back, and it leaves when nothing is left: its node is given back."""
    STAY = auto()
    """The lease has ended for tasks, and the terminals of its node go on."""
    LEAVE = auto()
    """It leaves its tasks to the keeper, but for those that are being ended."""


class Hand(Enum):
    """What a runner has in hand; the last of these that is so."""

    NOTHING = auto()
    TASKS = auto()
    """Or parts of arrays or a claim of which it is not known whether it was made, if the node is given back."""
    UNWRITTEN = auto()
    """Outcomes that are not in their place."""
    ENDING = auto()
    """Tasks that are being ended."""


class Leave(Enum):
    """Whether a runner may leave."""

    NO = auto()
    NOW = auto()
    LATE = auto()


@dataclass(frozen=True)
class Row:
    """What a runner may do of which that is wanted."""

    may_claim: bool
    goes_on: bool
    told_as: str
    leaves_with: Mapping[Hand, Leave] = field(default_factory=dict)


TABLE = {
    Wanted.SERVE: Row(True, True, "up"),
    Wanted.DRAIN: Row(False, True, "draining"),
    Wanted.ASIDE: Row(False, True, "draining"),
    Wanted.GIVE_WAY: Row(False, True, "", {Hand.NOTHING: Leave.NOW}),
    Wanted.RELEASE: Row(False, True, "draining", {Hand.NOTHING: Leave.NOW}),
    Wanted.STAY: Row(False, False, "ending"),
    Wanted.LEAVE: Row(
        False, False, "draining", {Hand.NOTHING: Leave.NOW, Hand.TASKS: Leave.NOW, Hand.UNWRITTEN: Leave.LATE}
    ),
}


@dataclass
class Phase:
    """Where in its life a runner is."""

    wanted: Wanted = Wanted.SERVE
    superseded: bool = False
    """True once another runner serves the node."""
    before: Wanted = Wanted.SERVE
    """What is wanted of it again if it has stood aside for nothing."""

    @property
    def may_claim(self) -> bool:
        return TABLE[self.wanted].may_claim

    @property
    def goes_on(self) -> bool:
        return TABLE[self.wanted].goes_on

    @property
    def told_as(self) -> str:
        """The state in the heartbeat; empty if this runner says nothing of its node."""
        return "" if self.superseded else TABLE[self.wanted].told_as

    def may_leave(self, hand: Hand) -> Leave:
        return TABLE[self.wanted].leaves_with.get(hand, Leave.NO)

    def drain(self) -> None:
        self.before = Wanted.DRAIN
        if self.wanted is Wanted.SERVE:
            self.wanted = Wanted.DRAIN

    def resume(self) -> None:
        self.before = Wanted.SERVE
        if self.wanted is Wanted.DRAIN:
            self.wanted = Wanted.SERVE

    def stand_aside(self) -> None:
        if self.wanted in (Wanted.SERVE, Wanted.DRAIN):
            self.before, self.wanted = self.wanted, Wanted.ASIDE

    def stand_again(self) -> None:
        if self.wanted is Wanted.ASIDE:
            self.wanted = self.before

    def give_way(self) -> None:
        self.superseded = True
        if self.goes_on:
            self.wanted = Wanted.GIVE_WAY

    def lease_ends(self, *, stays: bool) -> None:
        """stays: whether the node's terminals end with this runner."""
        if self.goes_on:
            self.wanted = Wanted.STAY if stays else Wanted.LEAVE

    @property
    def gives_back(self) -> bool:
        """True if nothing may be left on the node: no other runner follows there."""
        return self.wanted is Wanted.RELEASE

    def release(self) -> None:
        if self.goes_on and not self.superseded:
            self.wanted = Wanted.RELEASE

    def leave(self) -> None:
        """A command has asked for it."""
        if self.goes_on:
            self.wanted = Wanted.LEAVE

    def leave_by_signal(self) -> None:
        self.wanted = Wanted.LEAVE
