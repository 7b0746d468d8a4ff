"""What was said to be paused and limited, and what must therefore not start."""

from __future__ import annotations

from collections.abc import Collection

from leaseq.dataclass import dataclass, field
from leaseq.names import parse_id
from tests.crash.actors import Key


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
    words: dict[tuple[str, str], int] = field(default_factory=dict)
    """How many commands about it have begun or ended so far: one that another met says nothing for certain."""
    groups: dict[str, str] = field(default_factory=dict)
    """Of acknowledged tasks."""

    def begins(self, what: str, group: str) -> int:
        """A command about that begins: what was said before may not hold any more."""
        self.said.pop((what, group), None)
        self.words[what, group] = self.words.get((what, group), 0) + 1
        return self.words[what, group]

    def told(self, what: str, group: str, word: int, going_on: Collection[Key], most: int | None = None) -> None:
        """The command that began with that word has been acknowledged."""
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
