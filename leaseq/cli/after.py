"""What a task is to come after, as it is typed: `--after`, Slurm's `--dependency`, and `--begin`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leaseq.cli.command import Option
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.forms import Form
from leaseq.protocol.edges import SLURM_WORDS, After, after
from leaseq.values import nearest_hint, seconds

_CLOCK = Form(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_DATE = Form(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ](.+))?")


@dataclass(frozen=True)
class Begin:
    """A time that is still to come: so many seconds from now, or a time of a day, the next one if no day is named."""

    seconds: float | None = None
    clock: tuple[int, int, int] = (0, 0, 0)
    day: tuple[int, int, int] | None = None

    def at(self, now: float) -> float:
        """In seconds since the epoch."""
        from datetime import datetime, timedelta

        if self.seconds is not None:
            return now + self.seconds
        today = datetime.fromtimestamp(now)
        hour, minute, second = self.clock
        year, month, day = self.day or (today.year, today.month, today.day)
        when = datetime(year, month, day, hour, minute, second)
        if self.day is None and when <= today:
            when += timedelta(days=1)
        return when.timestamp()


def dependency(texts: Sequence[str], *, what: str) -> tuple[After, ...]:
    """The same in Slurm's words: `afterok:T3k9:T7aa,afterany:T8bb`."""
    found: list[After] = []
    for text in texts:
        if "?" in text:
            raise UsageError(f"{what} {text}: leaseq waits for all of several, and knows no `?` (any of them)")
        for part in filter(None, (part.strip() for part in text.split(","))):
            word, *ids = part.split(":")
            if word not in SLURM_WORDS:
                hint = nearest_hint(word, SLURM_WORDS) or f"one of {', '.join(SLURM_WORDS)}"
                raise UsageError(f"{what} {part}: {word!r} is not known", hint=hint)
            if not any(ids) or not all(ids):
                raise UsageError(f"{what} {part}: after which task?", hint=f"{word}:ID, several as {word}:ID:ID")
            for each in ids:
                if "+" in each:
                    raise UsageError(f"{what} {part}: no delay can be said", hint=f"{word}:{each.partition('+')[0]}")
                found.append(After(SLURM_WORDS[word], each))
    return tuple(found)


def begin(text: str, *, what: str) -> Begin:
    """When a task may start at the earliest: 22:00, +2h, 2026-12-24, 2026-12-24T08:00."""
    word = text.strip().lower()
    if word.startswith(("+", "now+")):
        return Begin(seconds(word.partition("+")[2].strip(), what=what))
    if match := _CLOCK.fullmatch(word):
        return _checked(Begin(clock=_clock(match)), text, what)
    match = _DATE.fullmatch(word.upper())
    clock = _CLOCK.fullmatch(match[4]) if match and match[4] else None
    if match and (clock or not match[4]):
        day = int(match[1]), int(match[2]), int(match[3])
        return _checked(Begin(clock=_clock(clock) if clock else (0, 0, 0), day=day), text, what)
    raise _no_time(text, what)


def _clock(match: re.Match[str]) -> tuple[int, int, int]:
    return int(match[1]), int(match[2]), int(match[3] or 0)


def _checked(value: Begin, text: str, what: str) -> Begin:
    from datetime import datetime

    try:
        datetime(*(value.day or (2000, 1, 1)), *value.clock)
    except ValueError:
        raise _no_time(text, what) from None
    return value


def _no_time(text: str, what: str) -> UsageError:
    return UsageError(f"{what} {text!r} is not a time", hint="like 22:00, +2h, 2026-12-24, 2026-12-24T08:00")


AFTER = Option(
    "after",
    "start once that task or index (ID_3) ended well; any:ID ended, notok:ID not well, start:ID began; each:ID: "
    "index by index of an array (repeatable)",
    kind="list",
    metavar="ID",
    read=after,
    completes="task",
)
AFTER_OPTIONS = (
    AFTER,
    Option(
        "dependency",
        "the same in Slurm's words: afterok:ID:ID,afterany:ID, aftercorr:ID",
        kind="list",
        short="d",
        metavar="WHAT",
        read=dependency,
    ),
    Option(
        "on-dep",
        "if that can never come: cancel it, or keep it held",
        metavar="WHAT",
        choices=("cancel", "hold"),
        default="cancel",
    ),
    Option("begin", "not before that time, to the minute: 22:00, +2h, 2026-12-24T08:00", metavar="TIME", read=begin),
)
ANYWAY = Option("anyway", "do not wait for what it was submitted to come after", kind="flag")
