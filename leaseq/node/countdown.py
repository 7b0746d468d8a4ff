"""A lease's end is announced on the terminals in it, before it comes. Standard library only."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

MARKS_SECONDS = (600.0, 300.0, 60.0)
"""How long before the end it is said."""
LOOK_SECONDS = 15.0
"""How often it is looked at: an end may be put off, or brought forward, and of a lease that has just begun it is not
known yet."""


class Countdown:
    """What is to be said of the end, once for each mark. `seconds_left`: None if no end is known."""

    def __init__(self, seconds_left: Callable[[], float | None]) -> None:
        self._seconds_left = seconds_left
        self._said = float("inf")

    def look(self) -> tuple[str, float]:
        """(`ends in 5 min`, or nothing to be said now; the seconds until the next look)."""
        left = self._seconds_left()
        if left is None or left <= 0:
            return "", LOOK_SECONDS
        mark = min((mark for mark in MARKS_SECONDS if left <= mark), default=float("inf"))
        word = f"ends in {_about(left)}" if mark < self._said else ""
        self._said = mark
        following = min((left - mark for mark in MARKS_SECONDS if left > mark), default=LOOK_SECONDS)
        return word, min(LOOK_SECONDS, max(1.0, following))


@contextlib.contextmanager
def counting(seconds_left: Callable[[], float | None], say: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile the end is said before it comes. A file system that hangs silences that, and nothing else."""
    over = threading.Event()
    countdown = Countdown(seconds_left)

    def count() -> None:
        wait = 0.0
        while not over.wait(wait):
            word, wait = countdown.look()
            if word:
                say(word)

    with contextlib.suppress(RuntimeError):  # no thread is to be had: the terminal is what matters
        threading.Thread(target=count, daemon=True, name="countdown").start()
    try:
        yield
    finally:
        over.set()


def _about(seconds: float) -> str:
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{round(seconds)} s"
