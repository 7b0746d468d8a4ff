"""Every error a person can see: a message, the next step, and an exit code.

Nothing else is raised at a user. Exit codes follow sysexits and Slurm habit: 1 a failure,
2 a usage error, 75 try again later (EX_TEMPFAIL).
"""

from __future__ import annotations

from collections.abc import Mapping

EX_TEMPFAIL = 75
"""Try again later (sysexits.h): from leaseq to a script, and from a task that its lease's end interrupts."""

HOME_UNSEEN = 72
"""The lease script's own, on a node that does not see the home (EX_OSFILE)."""


class LeaseqError(Exception):
    """Something the user can act on: `message` says what is wrong, `hint` the next step."""

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LeaseqError):
    """The command line, a setting or a name cannot be accepted; nothing was done."""

    code = "usage"
    exit_code = 2


class NotFound(LeaseqError):
    """No lease, task, node or file of that name exists."""

    code = "not_found"
    exit_code = 2


class Refused(LeaseqError):
    """The request is understood and cannot be granted: a need no node can meet, an unsafe home."""

    code = "refused"
    exit_code = 2


class Unavailable(LeaseqError):
    """Something outside does not answer now: a file system, Slurm, a runner. Trying later may work."""

    code = "unavailable"
    exit_code = EX_TEMPFAIL


class SlurmError(LeaseqError):
    """Slurm said no; the message holds its own words."""

    code = "slurm"
    exit_code = 1


class Malformed(ValueError):
    """A record or a file name read from disk is not what it must be. Never shown raw: the file is set aside."""


class Newer(Malformed):
    """A record that a later leaseq wrote: this one cannot read it, and leaves it where it is. `body` is its JSON."""

    def __init__(self, message: str, body: Mapping[str, object]) -> None:
        super().__init__(message)
        self.body = body
