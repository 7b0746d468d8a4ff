"""How long a test waits for what must come, and how: a deadline, not a pause, that holds on a busy machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

LONG = os.environ.get("LEASEQ_HYPOTHESIS") == "long"
"""True if tests may take minutes, and search for what is not the same each time."""
PATIENCE_SECONDS = 60.0
REST_SECONDS_MIN, REST_SECONDS_MAX = 0.005, 0.5
T = TypeVar("T")


def wait_until(
    look: Callable[[], T],
    what: str = "what must come",
    *,
    seconds: float = PATIENCE_SECONDS,
    seen: Callable[[], object] | None = None,
) -> T:
    """What look() gave once it was true; fails with what was last seen. seen: called for that message.

    It looks less often the longer it has waited and the more a look costs: to look again and again through a
    process takes the processor from what it waits for, and from every test beside it.
    """
    began = time.monotonic()
    while True:
        looked = time.monotonic()
        value = look()
        if value:
            return value
        now = time.monotonic()
        if now - began > seconds:
            raise AssertionError(f"waited {seconds:.0f} s for {what}; last seen: {seen() if seen else value!r}")
        time.sleep(min(REST_SECONDS_MAX, max(REST_SECONDS_MIN, (now - began) / 10, 2 * (now - looked))))
