"""Waiting for tasks: for the outcome file of an attempt, polled politely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError, Malformed, Unavailable
from leaseq.layout import LeaseDir
from leaseq.models import Outcome, State
from leaseq.names import parse_id
from leaseq.protocol.tasks import read_outcome, without_env
from leaseq.reading.find import Search, find
from leaseq.reading.merge import NOBODY
from leaseq.reading.snapshot import Reader
from leaseq.world import Fs

if TYPE_CHECKING:
    from leaseq.reading.indexed import Indexed

POLL_SECONDS = 0.05
POLL_SECONDS_MAX = 1.0
POLL_SECONDS_MAX_REMOTE = 2.0
ADVICE_SECONDS = 5.0
"""How often a wait looks whether anybody will ever run its task."""


def final_outcome(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> tuple[int, Outcome | None]:
    """(the newest attempt from that one on, its outcome if it has ended and no other follows)."""
    while True:
        try:
            outcome = read_outcome(fs, lease, task_id, attempt)
        except Malformed as error:
            raise Unavailable(
                f"the result of {task_id} cannot be read: {error}", hint=f"see {lease.outcome(task_id, attempt)}"
            ) from None
        if outcome is None or not outcome.requeued:
            return attempt, None if outcome is None else without_env(outcome)
        attempt += 1


class Awaited:
    """A task, or an index of an array, that is looked at until it has ended."""

    def __init__(self, reader: Reader, task_id: str, attempt: int) -> None:
        self.reader, self.task_id, self.attempt = reader, task_id, attempt
        self._array: Indexed | None = None
        self._looked = 0.0

    def look(self, now: float) -> tuple[int, Outcome | None]:
        """(its newest attempt, its outcome if it has ended and no other follows). now: by the monotonic clock.

        An index is looked for in the array's journals, and now and then in the array as a whole.
        """
        task_id, index = parse_id(self.task_id)
        if index is None:
            self.attempt, outcome = final_outcome(self.reader.fs, self.reader.lease, task_id, self.attempt)
            return self.attempt, outcome
        if self._array is None or now - self._looked >= ADVICE_SECONDS:
            self._array, self._looked = Search(self.reader).indexed(task_id), now
        self.attempt, outcome = self._array.final(index)
        return self.attempt, outcome


def wait_code(outcome: Outcome) -> int:
    """The exit code that `wait` and `follow` give for the outcome."""
    if outcome.state in (State.DONE, State.FAILED) and outcome.exit_code is not None:
        return outcome.exit_code
    return outcome.state.exit_code


def pauses(fs: Fs) -> Iterator[float]:
    """Seconds to pause between looks: short at first, then longer; longer still if other hosts share the server."""
    pause, most = POLL_SECONDS, POLL_SECONDS_MAX_REMOTE if fs.remote else POLL_SECONDS_MAX
    while True:
        yield pause
        pause = min(most, pause * 1.3)


@dataclass
class Advice:
    """Says once that a task waits for a runner that is not there."""

    reader: Reader
    upkeep: Callable[[LeaseDir], object]
    """Called if the task's node is not heard, or there is none: what is known of the lease is done."""
    last_look: float = 0.0
    told: str = ""

    def look(self, task_id: str, now: float) -> str:
        """Something new to tell the person, or nothing."""
        if now - self.last_look < ADVICE_SECONDS:
            return ""
        self.last_look = now
        try:
            (row,) = find(self.reader, parse_id(task_id)[0])
        except LeaseqError:
            return ""
        lost = [wait.up.id for wait in row.waits if wait.state == State.LOST.name]
        alone = row.state is State.PENDING and row.reason.partition(":")[0] in NOBODY
        if row.state in (State.STUCK, State.LOST) or row.reason == "Requeue" or row.waits or alone:
            self.upkeep(self.reader.lease)
        text = ""
        if row.state is State.STUCK:
            text = f"{task_id} is stuck, its runner is down: `leaseq recover` shows the next step"
        elif alone:
            text = f"{task_id} is pending and no runner takes it: `leaseq status` shows how the nodes are"
        elif lost:
            text = f"{task_id} waits for {lost[0]}, which is lost: `leaseq retry {lost[0]}` queues that one again"
        elif row.held:
            text = f"{task_id} is held: `leaseq release {task_id}` lets it start"
        if text == self.told:
            return ""
        self.told = text
        return text
