"""Slurm's host lists as names: `gpu[01-03,7],login`. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from leaseq.names import is_node
from leaseq.schema import whole

HOSTS_MAX = 100_000
"""A host list that names more is not a host list."""


def expand_hosts(folded: str) -> tuple[str, ...]:
    """`gpu[01-03,7],login` as names, in that order; raises ValueError if it is no host list."""
    names: list[str] = []
    for part in _split(folded):
        choices = _choices(part)
        # Counted before it is unfolded: a line of a hundred bytes can name more hosts than there are atoms.
        if math.prod(map(len, choices)) + len(names) > HOSTS_MAX:
            raise ValueError(f"host list too long: {folded[:60]!r}")
        names += map("".join, itertools.product(*choices))
    if not all(map(is_node, names)):
        raise ValueError(f"not a host list: {folded[:60]!r}")
    return tuple(names)


def _split(folded: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(folded):
        depth += (letter == "[") - (letter == "]")
        if depth not in (0, 1):
            raise ValueError(f"not a host list: {folded[:60]!r}")
        if letter == "," and depth == 0:
            parts.append(folded[start:index])
            start = index + 1
    if depth:
        raise ValueError(f"not a host list: {folded[:60]!r}")
    return [part for part in (*parts, folded[start:]) if part]


def _choices(part: str) -> list[Sequence[str]]:
    """What may stand at each place of the name: `n[1-2]x` is n, then 1 or 2, then x."""
    choices: list[Sequence[str]] = []
    for piece in part.split("["):
        ranges, bracket, text = piece.rpartition("]")
        if bracket:
            choices.append([number for span in ranges.split(",") for number in _numbers(span, part)])
        choices.append([text])
    return choices


def _numbers(span: str, part: str) -> Iterator[str]:
    """`08-10` as 08, 09, 10."""
    first, dash, last = span.partition("-")
    low, high = whole(first), whole(last if dash else first)
    if low is None or high is None or high < low:
        raise ValueError(f"not a host list: {part[:60]!r}")
    if high - low >= HOSTS_MAX:
        raise ValueError(f"host list too long: {part[:60]!r}")
    return (f"{value:0{len(first)}d}" for value in range(low, high + 1))
