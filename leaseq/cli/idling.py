"""How long a lease may stand unused, as it is typed and as it is said."""

from __future__ import annotations

from leaseq.errors import UsageError
from leaseq.values import seconds
from leaseq.words import about

OFF = "off"
LEAST_SECONDS = 60.0


def limit(text: str, *, what: str) -> float | None:
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


def said(limit_seconds: float | None) -> str:
    """What becomes of a lease with that limit, in words."""
    if limit_seconds is None:
        return "keeps its nodes, however long nothing uses them"
    return f"is given back once nothing has used it for {about(limit_seconds)}"
