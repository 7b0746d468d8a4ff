"""What doctor has found."""

from __future__ import annotations

from leaseq.dataclass import dataclass

SKEW_SECONDS_MAX = 2.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    verdict: str
    """`ok`, `note` (works, but), or `bad`."""
    words: str
    advice: str = ""
