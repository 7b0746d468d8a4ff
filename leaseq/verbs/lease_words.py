"""What is said of a lease that is asked for, as values: how long it is kept, how many jobs, when it is unused."""

from __future__ import annotations

import os
from collections.abc import Mapping

from leaseq.dataclass import replace
from leaseq.errors import UsageError
from leaseq.forms import Form
from leaseq.protocol.succession import How
from leaseq.schema import whole
from leaseq.values import seconds
from leaseq.words import about

FOREVER, UNTIL_EMPTY, OFF = "forever", "until-empty", "off"


def kept(keep: str, overlap: str, options: Mapping[str, str], *, otherwise: str = "") -> How | None:
    """How a lease of such jobs is to be kept; None if it is not. Raises UsageError for what contradicts itself.

    options: of its jobs, by Slurm's long names. otherwise: the overlap of one that is kept, if none is given.
    """
    if not keep or keep == OFF:
        if overlap:
            raise UsageError(
                "--overlap says when the next job may start, and without --keep there is none",
                hint="--keep 3d, --keep until-empty, or --keep forever",
            )
        return None
    how, overlap = _how_long(keep), overlap or otherwise
    limit = limit_minutes(options)
    if how.seconds is not None and how.seconds < (limit or 1) * 60:
        what = f"one job, which has {about(limit * 60)}" if limit else "a minute"
        raise UsageError(f"--keep {keep} is shorter than {what}", hint="without --keep there is one job alone")
    return replace(how, overlap_minutes=_overlap(overlap, limit)) if overlap else how


def _how_long(text: str) -> How:
    if text == FOREVER:
        return How("")
    if text == UNTIL_EMPTY:
        return How("", while_busy=True)
    try:
        return How("", seconds=seconds(text, what="--keep"))
    except UsageError as error:
        raise UsageError(error.message, hint=f"like 12h, 3d, {UNTIL_EMPTY}, {FOREVER}, {OFF}") from None


def _overlap(text: str, limit: int | None) -> int:
    minutes = -int(-seconds(text, what="--overlap") // 60)
    if limit and minutes >= limit:
        raise UsageError(
            f"--overlap {text} is not shorter than one job, which has {about(limit * 60)}",
            hint="it is how long before the end of one job the next may start",
        )
    return minutes


def limit_minutes(options: Mapping[str, str]) -> int | None:
    """The time limit that the options, or else the environment, ask for; None if they do not say it."""
    from leaseq.lease.slurm.estimate import minutes_of

    return minutes_of(options.get("time") or os.environ.get("SBATCH_TIMELIMIT", ""))


# -- how many jobs it has

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


# -- how long it may stand unused

LEAST_SECONDS = 60.0


def unused_limit(text: str, *, what: str) -> float | None:
    """The seconds; None for `off`. Raises UsageError."""
    if text.lower() == OFF:
        return None
    try:
        value = seconds(text, what=what)
    except UsageError as error:
        raise UsageError(error.message, hint=f"like 10m, 30m, 2h, or {OFF}") from None
    if value < LEAST_SECONDS:
        raise UsageError(f"{what} {text} is below a minute", hint=f"like 10m, 30m, 2h, or {OFF}")
    return float(round(value))
