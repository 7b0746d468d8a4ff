"""Worlds that are alike: from like worlds the same follows, so each is followed to its end once.

Most faults leave what the one before left: a process that dies before a read dies as it does before the next change,
and of a loss of power at two operations many mixtures are the same. For worlds to be alike, names are counted and not
drawn: `NAMES` gives each case of a sweep the same ones.
"""

from __future__ import annotations

import pickle

from tests.crash.actors import World


class Counted:
    """A source of names, none twice since it began."""

    def __init__(self) -> None:
        self._count = 0

    def begin(self) -> None:
        """The first name comes next: a new world is made."""
        self._count = 0

    def __call__(self, length: int) -> bytes:
        self._count += 1
        return bytes(self._count >> 5 * place & 31 for place in range(length))


NAMES = Counted()


class Followed:
    """Worlds that were met, each once."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def is_new(self, world: World, *, with_runners: bool = False) -> bool:
        """True if no world like it was met before; with_runners: what living runners know counts, too."""
        like = _like(world, with_runners=with_runners)
        new = like not in self._seen
        self._seen.add(like)
        return new


def _like(world: World, *, with_runners: bool) -> bytes:
    """All that the further course depends on: the disk, the machines, and what was told to whom."""
    files: dict[int, int] = {}
    disk = [
        (
            directory,
            [(name, files.setdefault(id(of), len(files)), of.data, of.changed) for name, of in sorted(names.items())],
        )
        for directory, names in sorted(world.disk.live.items())
    ]
    hosts = [
        (node, sorted(host.alive), sorted(host.born), sorted(host.asked), sorted(host.running), host.exits)
        for node, host in world.hosts.items()
    ]
    runners = [(each.incarnation, each.alive, [str(held.entry) for held in each.held]) for each in world.runners]
    return pickle.dumps((disk, world.disk.seconds, hosts, vars(world.truth), with_runners and runners))
