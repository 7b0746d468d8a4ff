"""How many jobs a lease that scales may have, as it is typed, and what is said of it."""

from __future__ import annotations

from leaseq.errors import UsageError
from leaseq.forms import Form
from leaseq.schema import whole
from leaseq.words import count

_RANGE = Form(r"(?P<least>[0-9]{1,4})\.\.(?P<most>[0-9]{1,4})")
HINT = "like 0..4: none without a task, and at most four jobs at once"
IDLE_SECONDS = 600.0
"""How long a job of such a lease may stand unused, if nobody says it."""

AGAINST = {
    "dependency": "its first job comes when a task needs it",
    "begin": "a job comes when a task needs it",
    "hold": "nobody would let its jobs go",
    "deadline": "it lasts until it is released",
}
"""Options of Slurm that say when a job may start, and why they contradict it."""


def bounds(text: str, *, what: str) -> tuple[int, int]:
    """(at least, at most); raises UsageError."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageError(f"{what} {text!r} is no range", hint=HINT)
    least, most = whole(match["least"]), whole(match["most"])
    if least is None or most is None:
        raise UsageError(f"{what} {text!r} is no range", hint=HINT)
    if least > most:
        raise UsageError(f"{what} {text} has its end below its beginning", hint=f"{most}..{least}, or {HINT}")
    return least, most


def of_add(text: str, *, what: str) -> tuple[int, int]:
    """The same, for a new lease."""
    least, most = bounds(text, what=what)
    if not most:
        raise UsageError(f"{what} {text}: such a lease would never have a node", hint=HINT)
    return least, most


def said(scale: tuple[int, ...]) -> str:
    """How many jobs it has, in words."""
    least, most = scale
    if least == most:
        return f"has {count(most, 'job')}, with or without tasks" if most else "asks for no job any more"
    few = f"keeps {count(least, 'job')}" if least else "has no job without a task"
    return f"{few}, and asks for up to {most} as tasks need them"
