"""Whether anything may be changed: the environment can forbid it."""

from __future__ import annotations

from leaseq.commands import COMMANDS, READONLY, readonly
from leaseq.errors import Refused


def allow(name: str) -> None:
    """Raises Refused if that command would change something and the environment forbids it."""
    if COMMANDS[name].changes:
        allow_change(f"`leaseq {name}`")


def allow_change(what: str) -> None:
    """Raises Refused if the environment forbids every change; what: the command that is not run then."""
    if readonly():
        looks = ", ".join(each for each, known in COMMANDS.items() if not known.changes and " " not in each)
        raise Refused(
            f"{what} was not run: {READONLY} is set, and it would change something",
            hint=f"what only looks is run: {looks}",
        )
