"""How a lease is kept, and what of it comes next, for whoever looks. Nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.lease.base import LeaseState
from leaseq.protocol import succession
from leaseq.protocol.succession import How, Refusal
from leaseq.world import Fs


@dataclass(frozen=True)
class Kept:
    """How long one job of a lease follows the other, and what was asked for last."""

    how: How
    until: float | None = None
    """Seconds since the epoch; None: it has no such end, or has not started."""
    stopped: str = ""
    """Why none follows any more; empty if one does."""
    refused: Refusal | None = None
    paused: str = ""
    """Why no other is asked for until somebody says how many there may be; of one that scales."""
    asked: str = ""
    """The token of the job that was asked for last."""

    def goes_on(self, now: float) -> bool:
        """True if another is to follow the last, as far as is known."""
        return not self.stopped and (self.until is None or now < self.until)

    def is_next(self, token: str) -> bool:
        """True if the job with that token was asked for last, to follow another."""
        return not self.stopped and not self.how.scale and token == self.asked != self.how.first

    def next_of(self, known: Sequence[tuple[Allocation, LeaseState]]) -> tuple[Allocation, LeaseState] | None:
        """The one of these that is queued to follow."""
        if self.how.scale:
            return None
        waiting = [each for each in known if each[0].token == self.asked and each[1].word == "PENDING"]
        return waiting[0] if waiting and self.asked != self.how.first else None


def kept_of(fs: Fs, lease: LeaseDir) -> Kept | None:
    """How the lease is kept; None if it never was, or that cannot be read."""
    found = succession.names(fs, lease)
    if "how" not in found:
        return None
    try:
        how = succession.read_how(fs, lease)
        asks = succession.asks_in(found)
        asked = succession.token_of(fs, lease, asks[-1]) if asks else how.first
    except (FileNotFoundError, Malformed):
        return None
    stopped = succession.why_stopped(fs, lease) if "stopped" in found else ""
    refused = succession.refusal(fs, lease) if "refused" in found else None
    paused = succession.why_paused(fs, lease) if "paused" in found else ""
    return Kept(how, succession.until(fs, lease, how), stopped, refused, paused, asked)
