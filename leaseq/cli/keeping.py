"""How long a lease is to be kept, as it is said."""

from __future__ import annotations

from leaseq.cli.output import stamp
from leaseq.lease.kept import Kept
from leaseq.protocol.succession import How
from leaseq.words import about


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
