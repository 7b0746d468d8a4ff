"""Words for people that all of leaseq says alike: counts with their nouns, and reasons as one word."""

from __future__ import annotations

_REASON_CODES = {
    "its time limit": "TimeLimit",
    "time limit": "TimeLimit",
    "the node was rebooted": "Rebooted",
}
_MISSING = ("No such file or directory", "not found")
CODE_MAX = 12


def count(number: int, noun: str, plural: str = "") -> str:
    """The number with its noun: `1 task`, `12,400 tasks`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def verb(number: int, one: str, many: str) -> str:
    """The verb that goes with so many: `is` or `are`."""
    return one if number == 1 else many


def reason_code(reason: str) -> str:
    """The reason as one word for a narrow column; words that are codes already stay as they are."""
    known = _REASON_CODES.get(reason)
    if known is not None:
        return known
    if any(text in reason for text in _MISSING):
        return "not found"
    head = reason.partition(":")[0].partition(" (")[0]
    return head if len(head) <= CODE_MAX else head.partition(" ")[0][:CODE_MAX]
