"""Worlds that are alike: from like worlds the same follows, so each is followed to its end once.

Most faults leave what the one before left: a process that dies before a read dies as it does before the next change,
and of a loss of power at two operations many mixtures are the same. For worlds to be alike, names are counted and not
drawn: `NAMES` gives each case of a sweep the same ones.
"""

from __future__ import annotations

import marshal

from tests.memoryfs import Disk


class Counted:
    """A source of names, none twice since it began."""

    def __init__(self) -> None:
        self.count = 0

    def begin(self, after: int = 0) -> None:
        """The first name comes next, or the one after so many: a new world is made."""
        self.count = after

    def __call__(self, length: int) -> bytes:
        self.count += 1
        return bytes(self.count >> 5 * place & 31 for place in range(length))


NAMES = Counted()


class Followed:
    """Worlds that were met, each once."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def is_new(self, disk: Disk, *known: object) -> bool:
        """True if none was met before with a disk like this one, in which the same was known and told to whom."""
        files: dict[int, int] = {}
        tree = [
            (name, [(key, files.setdefault(id(of), len(files)), of.data, of.changed) for key, of in there.items()])
            for name, there in disk.live.items()
            if there  # an empty one is named in the one above it
        ]
        # Not by pickle: its words for what is equal differ with what is the same object.
        like = marshal.dumps((tree, disk.seconds, repr(known)), 2)
        new = like not in self._seen
        self._seen.add(like)
        return new
