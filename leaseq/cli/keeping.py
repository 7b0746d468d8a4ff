"""How long a lease is to be kept, as it is typed and as it is said."""

from __future__ import annotations

import os
from collections.abc import Mapping

from leaseq.cli.output import stamp
from leaseq.dataclass import replace
from leaseq.errors import UsageError
from leaseq.lease.kept import Kept
from leaseq.protocol.succession import How
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


def until(kept: Kept) -> str:
    """How long it is kept, in words, with when that is over; empty of one that scales."""
    if kept.how.scale:
        return ""
    if kept.until is not None:
        return f"until {stamp(kept.until)[:16]}"
    return how_long(kept.how) + (" from its start" if kept.how.seconds is not None else "")


def how_long(how: How) -> str:
    """How long it is kept, in words."""
    if how.while_busy:
        return "until nothing is left to run"
    if how.seconds is not None:
        return f"for {about(how.seconds)}"
    return "until you say otherwise"
