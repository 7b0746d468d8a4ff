"""Many things done one after another: how far it is, and one sum at the end, if somebody watches."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from leaseq.cli.output import Output
from leaseq.words import count

MANY = 10
"""So many things get a line each; more get one sum, on a terminal."""
TOLD_MAX = 5
"""So many problems of many things are said one by one."""
SECONDS_MIN = 0.1
"""The count moves no more often."""
Thing = TypeVar("Thing")


class Progress:
    """What becomes of many tasks. On a terminal a count moves (`cancelling 12,400/20,000`) and a sum ends it.

    Elsewhere, and if they are few, each is told by itself; `quiet` tells of none, as JSON wants it.
    """

    def __init__(self, out: Output, doing: str, total: int, *, quiet: bool = False) -> None:
        self.out = out
        self.doing = doing
        self.total = total
        self.quiet = quiet
        self.brief = total > MANY and sys.stderr.isatty()
        self.ids: list[str] = []
        self.problems: list[str] = []
        self._kinds: Counter[str] = Counter()
        self._shown = ""
        self._next = 0.0

    def over(self, things: Sequence[Thing]) -> Iterator[Thing]:
        """Each of the things, while the count moves."""
        try:
            for number, thing in enumerate(things):
                self.at(number)
                yield thing
        finally:
            self.clear()

    def at(self, number: int) -> None:
        """So many are done."""
        now = time.monotonic()
        if self.brief and now >= self._next:
            self._next = now + SECONDS_MIN
            self._shown = f"{self.doing} {number:,}/{self.total:,}"
            print(f"\r{self._shown}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """The count is gone from the terminal."""
        if self._shown:
            print(f"\r{' ' * len(self._shown)}\r", end="", file=sys.stderr, flush=True)
            self._shown = ""

    def did(self, task_id: str, kind: str, words: str = "") -> None:
        """The task is now what `kind` says; `words` say so in a sentence of its own."""
        self.ids.append(task_id)
        self._kinds[kind] += 1
        if words and not self.brief and not self.quiet:
            self.out.talk(f"leaseq: {words}")

    def left(self, words: str) -> None:
        """Why a task needed nothing."""
        if self.brief:
            self._kinds["left as before"] += 1
        elif not self.quiet:
            self.out.talk(f"leaseq: {words}")

    def problem(self, words: str) -> None:
        """Why a task was left as it is."""
        self.problems.append(words)
        if not self.quiet and (not self.brief or len(self.problems) <= TOLD_MAX):
            self.clear()
            self.out.talk(f"leaseq: {words}")

    def print_ids(self, ids: Iterable[str]) -> None:
        """The ids are on stdout, one a line: always for a program, for a person if they are few."""
        if not self.quiet and not (self.brief and self.out.watched):
            for task_id in ids:
                self.out.line(task_id)

    def end(self, *, summed: bool = False) -> int:
        """The sum is said, unless each was or the caller has `summed`; the exit code, 1 if there was a problem."""
        self.clear()
        if self.brief and not self.quiet and not summed:
            parts = [f"{count(number, 'task')} {kind}" for kind, number in self._kinds.items()]
            if self.problems:
                parts.append(
                    f"{count(len(self.problems), 'task')} left as {'it is' if len(self.problems) == 1 else 'they are'}"
                )
            self.out.talk(f"leaseq: {', '.join(parts) or 'nothing was done'}")
        return 1 if self.problems else 0
