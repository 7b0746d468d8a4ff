"""Words as people type them, as values: nothing is guessed from their looks."""

from __future__ import annotations

import re
from collections.abc import Iterable

from leaseq.errors import UsageError
from leaseq.forms import Form
from leaseq.models import ALL_GPUS

WORD_MAX = 60
"""A duration that takes more letters is none."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_PARTS = Form(
    r"(?:([0-9]+(?:\.[0-9]+)?)w)?(?:([0-9]+(?:\.[0-9]+)?)d)?(?:([0-9]+(?:\.[0-9]+)?)h)?(?:([0-9]+(?:\.[0-9]+)?)m(?:in)?)?(?:([0-9]+(?:\.[0-9]+)?)s)?"
)
_SLURM = Form(r"(?:([0-9]+)-)?([0-9]+)(?::([0-9]+))?(?::([0-9]+))?")


def yes(text: str, *, what: str) -> bool:
    """The truth of a flag; an absent one is false."""
    lowered = text.lower()
    if lowered in ("", "false", "no", "0", "off"):
        return False
    if lowered in ("true", "yes", "1", "on"):
        return True
    raise UsageError(f"{what} takes no value like {text!r}", hint=f"write {what}, or leave it out")


def text_itself(text: str, *, what: str) -> str:
    """The text as it stands, an empty one too."""
    return text


def integer(text: str, *, what: str, low: int, high: int = 10**9, word: str = "") -> int:
    """A whole number within the bounds. word: what could be said instead, and was not."""
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", text) or not low <= int(text) <= high:
        bounds = f"from {low} to {high}" if high < 10**9 else f"of at least {low}"
        raise UsageError(f"{what} {text!r} is not a whole number {bounds}{f', nor `{word}`' if word else ''}")
    return int(text)


def gpu_count(text: str, *, what: str) -> int:
    """How many GPUs; `all` is every GPU of the node."""
    return ALL_GPUS if text.lower() == "all" else integer(text, what=what, low=0, high=9999, word="all")


def seconds(text: str, *, what: str, plain: int = 1) -> float:
    """A duration in seconds: 0.5s, 90s, 30m, 1h30m, 2d, H:M:S, D-H:M:S; a bare number counts `plain` seconds each."""
    value = _seconds(text.strip().lower(), plain)
    if value is None:
        unit = "minutes, as Slurm reads it" if plain == 60 else "seconds"
        raise UsageError(
            f"{what} {text!r} is not a duration", hint=f"like 90s, 30m, 2h, 1h30m, 1-12:00:00; a bare number is {unit}"
        )
    return value


def _seconds(text: str, plain: int) -> float | None:
    if len(text) > WORD_MAX:
        return None
    if re.fullmatch(r"[0-9]{1,10}", text):
        return int(text) * plain
    slurm = _SLURM.fullmatch(text)
    if slurm:
        days, first, second, third = slurm.groups()
        if days is not None:
            hours, minutes, rest = int(first), int(second or 0), int(third or 0)
        elif third is not None:
            hours, minutes, rest = int(first), int(second or 0), int(third)
        else:
            hours, minutes, rest = 0, int(first), int(second or 0)
        return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + rest
    parts = _PARTS.fullmatch(text)
    if not text or not parts:
        return None
    return sum(float(value or 0) * _UNITS[unit] for value, unit in zip(parts.groups(), "wdhms", strict=True))


def mebibytes(text: str, *, what: str) -> int:
    """Memory in MiB: 512M, 8G, 1.5T; a bare number is MiB, as Slurm reads it."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if not match:
        raise UsageError(f"{what} {text!r} is not an amount of memory", hint="like 8G or 512M; a bare number is MiB")
    kib = float(match[1]) * {"k": 1, "m": 1 << 10, "": 1 << 10, "g": 1 << 20, "t": 1 << 30}[match[2]]
    return -int(-kib // (1 << 10))


def one_of(text: str, *, what: str, allowed: Iterable[str]) -> str:
    """The text, if it is allowed."""
    allowed = list(allowed)
    if text not in allowed:
        raise UsageError(
            f"{what} {text!r} is not known", hint=nearest_hint(text, allowed) or f"one of {', '.join(allowed)}"
        )
    return text


def nearest_hint(word: str, known: Iterable[str]) -> str:
    """`did you mean ...?`, or nothing if no known word is near."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""
