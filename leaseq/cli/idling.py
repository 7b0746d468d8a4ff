"""How long a lease may stand unused, as it is said."""

from __future__ import annotations

from leaseq.words import about


def said(limit_seconds: float | None) -> str:
    """What becomes of a lease with that limit, in words."""
    if limit_seconds is None:
        return "keeps its nodes, however long nothing uses them"
    return f"is given back once nothing has used it for {about(limit_seconds)}"
