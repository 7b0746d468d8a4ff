"""Futures of tasks: they resolve by the task's outcome, in whichever process they are."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import Any, TypeVar

from leaseq.api import home
from leaseq.api.results import value_of
from leaseq.lease.lookup import How, Located
from leaseq.models import Outcome, State
from leaseq.reading.logtail import chunks
from leaseq.reading.output import log_of
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.verbs import cancel as cancelling
from leaseq.verbs.allowed import allow

T = TypeVar("T")


class Future(concurrent.futures.Future[T]):
    """A task, as a future. It is never run again by itself, and none of this ends with the process.

    `result` raises the exception of the call, `TaskFailed`, `TaskTimeout`, `Lost`, or `CancelledError`.
    """

    def __init__(self, task_id: str, lease: str) -> None:
        super().__init__()
        self.id = task_id
        """The task's."""
        self.lease = lease
        """The lease in which the task was when it was last looked for."""
        self.attempt = 1
        """The attempt whose end, or that of one that follows by itself, is waited for."""
        self.outcome: Outcome | None = None
        """How the task has ended, once it has."""
        self._settling = threading.Lock()
        self._settled = False

    def __repr__(self) -> str:
        state = self.outcome.state.name if self.outcome else "not ended"
        return f"<leaseq.Future {self.id}: {state}>"

    # -- looks, each of which reads the lease's files -------------------------------------------------------------

    def task(self) -> TaskView:
        """The task as it is now; raises NotFound."""
        return self._located().row

    def running(self) -> bool:
        """True if the task has started, and has not ended."""
        return not self.done() and self.task().state is State.RUNNING

    def log(self, stream: str = "out") -> str:
        """What the task's newest attempt has written so far to its standard output, or error (`err`)."""
        each = self._located()
        if each.row.state is State.PENDING and each.row.attempt == 1:
            return ""
        try:
            data = b"".join(chunks(log_of(each.reader, self.id, each.row.attempt, stream), 0))
        except FileNotFoundError:
            return ""
        return data.decode("utf-8", "replace")

    # -- its end before its time -----------------------------------------------------------------------------------

    def cancel(self) -> bool:
        """The task never starts; False if it has started, or has ended otherwise. `kill` ends one that runs."""
        if self.done():
            return self.cancelled()
        if not cancelling.cancel_waiting(home.access(), self._located(acts=True)):
            return False
        self._end_cancelled()
        return True

    def kill(self) -> None:
        """The task is to end, whether or not it has started: TERM, then KILL; the future says once it has."""
        if not self.done():
            cancelling.cancel(home.access(), self._located(acts=True))

    def _located(self, *, acts: bool = False) -> Located:
        if acts:
            allow("cancel")
        (found,) = home.access().find([self.id], lease="", acts=acts, indices=How.EACH).tasks
        return found

    # -- its end ---------------------------------------------------------------------------------------------------

    def settle(self, reader: Reader, outcome: Outcome) -> None:
        """The future says how the task has ended; whoever says so first is heard."""
        if outcome.state is State.CANCELLED:
            self._end_cancelled(outcome)
            return
        value: Any = None
        error: BaseException | None = None
        try:
            value = self._value(reader, outcome)
        except BaseException as problem:
            error = problem
        if self._claimed(outcome):
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(value)

    def _value(self, reader: Reader, outcome: Outcome) -> Any:
        return value_of(reader, outcome)

    def _end_cancelled(self, outcome: Outcome | None = None) -> None:
        if self._claimed(outcome):
            super().cancel()
            self.set_running_or_notify_cancel()

    def _claimed(self, outcome: Outcome | None) -> bool:
        """True for one caller, who says how the task has ended."""
        with self._settling:
            first, self._settled = not self._settled, True
            if first:
                self.outcome = outcome
            return first
