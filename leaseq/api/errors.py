"""What a program is told of a task that did not end well."""

from __future__ import annotations

from leaseq.errors import LeaseqError
from leaseq.models import Outcome


class TaskFailed(LeaseqError):
    """The task has ended, and not well; it has raised nothing that could be raised here."""

    code = "task_failed"

    def __init__(self, message: str, *, outcome: Outcome, lines: tuple[str, ...] = ()) -> None:
        hint = "\n".join(lines) or f"`leaseq info {outcome.task.id}` says more"
        super().__init__(message, hint=hint)
        self.outcome = outcome
        """How it ended."""
        self.lines = lines
        """The last lines that it wrote to its standard error, or else to its standard output."""

    def __str__(self) -> str:
        return "\n  ".join([self.message, *self.lines])


class TaskTimeout(TaskFailed):
    """The task ran into its time limit."""


class Lost(TaskFailed):
    """Nobody knows how the task ended. It is never run again unasked: `leaseq.recover` does that."""


class RemoteError(TaskFailed):
    """The call raised an exception that no pickle can bring here."""


class RemoteTraceback(Exception):
    """The traceback of an exception where it was raised, as text: the cause of that exception here."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'
