"""What was said to be paused and limited, and what must therefore not start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from leaseq.dataclass import dataclass, field
from leaseq.names import parse_id
from tests.crash.actors import Key

NONE_KNOWS = 0
"""The word of a command that has met another: which of both stands nobody knows."""


@dataclass
class Said:
    """One pause or limit as it stands: since when it was acknowledged, and what of it went on then."""

    going_on: frozenset[Key]
    most: int | None = None


@dataclass
class Limits:
    """What users were told. A word of one that is being taken back by another counts no more."""

    said: dict[tuple[str, str], Said] = field(default_factory=dict)
    """By `pause` or `limit`, and the group; of no group: the whole lease."""
    words: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many commands about it have begun so far: one that another met says nothing for certain."""
    under_way: Counter[tuple[str, str]] = field(default_factory=Counter)
    groups: dict[str, str] = field(default_factory=dict)
    """Of acknowledged tasks."""

    @contextmanager
    def command(self, what: str, group: str) -> Iterator[int]:
        """A command about that is under way, with a word of its own: what was said before may not hold any more."""
        self.said.pop((what, group), None)
        self.words[what, group] += 1
        self.under_way[what, group] += 1
        try:
            yield self.words[what, group] if self.under_way[what, group] == 1 else NONE_KNOWS
        finally:
            self.under_way[what, group] -= 1

    def told(self, what: str, group: str, word: int, going_on: Collection[Key], most: int | None = None) -> None:
        """The command of that word has been acknowledged."""
        if self.words[what, group] == word:
            self.said[what, group] = Said(frozenset(going_on), most)

    def _group_of(self, key: Key) -> str | None:
        return self.groups.get(parse_id(key[0])[0])

    def broken_by(self, key: Key, running: Collection[Key]) -> str:
        """Which word the start of that attempt breaks, beside those that run; empty if none."""
        group = self._group_of(key)
        for name in {"", group}:
            said = self.said.get(("pause", name)) if name is not None else None
            if said and key not in said.going_on:
                return f"{name or 'the lease'} is paused"
        limit = self.said.get(("limit", group)) if group else None
        if limit and limit.most is not None and key not in limit.going_on:
            beside = [each for each in running if self._group_of(each) == group]
            if len(beside) >= limit.most:
                return f"{limit.most} of {group} may run at once, and {len(beside)} do"
        return ""
