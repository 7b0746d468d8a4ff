"""A shared file system in memory: fast, with clients that cache, and a disk that can lose power.

`Disk` is the server: the names and contents that everybody sees now, and apart from them what is on stable
storage. `MemoryFs` is one client of it and implements `leaseq.world.Fs`. What is modelled, and why:

* A change of names is durable once one of its directories was synced, a rename whole or not at all (ext4). A
  change also needs the earlier changes of the same names. `Disk.losses` gives the disks that a power loss can
  leave: any subset of the other changes that respects this, harsher than a journal, which keeps a prefix.
* The data of a file is durable once it was synced; otherwise a power loss leaves what was synced before, or all,
  or half of what came after.
* A client that failed to find a name believes so until it opens that directory by path (NFS, measured: a rename
  fails with ENOENT for up to 60 s without asking the server). Listings and reads open it, so they are fresh.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from itertools import combinations
from random import Random

from leaseq.dataclass import dataclass, field

ALL_SUBSETS_MAX = 6
"""Up to so many changes that are not durable, a power loss is tried with each subset of them."""


@dataclass
class Inode:
    data: bytes = b""
    synced: bytes = b""
    directory: bool = False
    changed: float = 0.0


Change = dict[str, Inode | None]
"""The names that one operation set (an inode) or removed (None), by path: all of them or none become durable."""


@dataclass
class Disk:
    """The server. `hook` is called before each operation of any client with its name and its paths."""

    root: str = "/home"
    seconds: float = 0.0
    operations: int = 0
    hook: Callable[[str, tuple[str, ...]], None] | None = None
    live: dict[str, dict[str, Inode]] = field(default_factory=dict)
    stable: dict[str, dict[str, Inode]] = field(default_factory=dict)
    unsynced: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.live.setdefault(self.root, {})
        self.stable.setdefault(self.root, {})

    def files(self) -> dict[str, bytes]:
        """Every file that is visible now, hidden ones included, by path."""
        return {
            f"{directory}/{name}": inode.data
            for directory, names in self.live.items()
            for name, inode in names.items()
            if not inode.directory
        }

    def directory(self, path: str) -> dict[str, Inode]:
        try:
            return self.live[path]
        except KeyError:
            raise _error(errno.ENOENT, path) from None

    def find(self, path: str) -> Inode:
        directory, _, name = path.rpartition("/")
        inode = self.directory(directory).get(name)
        if inode is None:
            raise _error(errno.ENOENT, path)
        return inode

    def change(self, names: Change) -> None:
        """The names are so for every client, not yet durably."""
        for path in names:
            self.directory(path.rpartition("/")[0])
        _apply(self.live, names)
        self.unsynced.append(names)

    def sync(self, directory: str) -> None:
        """Each change that touched the directory is durable, with the changes it rests on."""
        self.directory(directory)
        if not self.unsynced:
            return
        wanted = [n for n, names in enumerate(self.unsynced) if any(p.rpartition("/")[0] == directory for p in names)]
        kept = self._with_causes(wanted)
        for n in sorted(kept):
            _apply(self.stable, self.unsynced[n])
        self.unsynced = [names for n, names in enumerate(self.unsynced) if n not in kept]

    def sync_all(self) -> None:
        for names in self.unsynced:
            _apply(self.stable, names)
        self.unsynced = []
        for inodes in self.live.values():
            for inode in inodes.values():
                inode.synced = inode.data

    def copy(self) -> Disk:
        """Another disk that holds the same, durably or not."""
        copies: dict[int, Inode] = {}

        def copied(inode: Inode) -> Inode:
            if inode.directory:
                return inode  # nothing of it changes
            known = copies.get(id(inode))
            if known is None:
                known = copies[id(inode)] = Inode(inode.data, inode.synced, False, inode.changed)
            return known

        live, stable = (
            {path: {name: copied(inode) for name, inode in names.items()} if names else {} for path, names in each}
            for each in (self.live.items(), self.stable.items())
        )
        unsynced = [{path: inode and copied(inode) for path, inode in names.items()} for names in self.unsynced]
        return Disk(self.root, seconds=self.seconds, live=live, stable=stable, unsynced=unsynced)

    def losses(self) -> Iterator[Disk]:
        """The disks that a loss of power now can leave; this one stays as it is."""
        for kept in self._subsets():
            for content in ("synced", "all", "half"):
                yield self._after_loss(kept, content)
                if all(inode.data == inode.synced for names in self.live.values() for inode in names.values()):
                    break

    def lose_power(self, chance: Random) -> None:
        """What was not synced is lost, kept or torn on this disk itself: one mixture, as `losses` gives them."""
        kept = self._with_causes({n for n in range(len(self.unsynced)) if chance.random() < 0.5})
        left = self._after_loss(kept, chance.choice(("synced", "all", "half")))
        self.live, self.stable, self.unsynced = left.live, left.stable, []

    def _subsets(self) -> Iterator[set[int]]:
        count = len(self.unsynced)
        seen: list[set[int]] = []
        if count <= ALL_SUBSETS_MAX:
            chosen = [set(some) for size in range(count + 1) for some in combinations(range(count), size)]
        else:
            prefixes = [set(range(end)) for end in range(count + 1)]
            chosen = prefixes + [{n} for n in range(count)] + [set(range(count)) - {n} for n in range(count)]
        for subset in chosen:
            closed = self._with_causes(subset)
            if closed not in seen:
                seen.append(closed)
                yield closed

    def _with_causes(self, chosen: set[int] | list[int]) -> set[int]:
        kept = set(chosen)
        needed: set[str] = set()
        for number in range(len(self.unsynced) - 1, -1, -1):
            names = self.unsynced[number].keys()
            if number in kept or not needed.isdisjoint(names):
                kept.add(number)
                needed.update(names)
        return kept

    def _after_loss(self, kept: set[int], content: str) -> Disk:
        names = {directory: dict(inodes) for directory, inodes in self.stable.items()}
        for n in sorted(kept):
            _apply(names, self.unsynced[n])
        copies: dict[int, Inode] = {}
        left = Disk(self.root, seconds=self.seconds)
        waiting = [self.root]
        while waiting:
            directory = waiting.pop()
            left.live[directory] = {}
            for name, inode in names.get(directory, {}).items():
                if inode.directory:
                    waiting.append(f"{directory}/{name}")
                elif id(inode) not in copies:
                    copies[id(inode)] = _after_loss(inode, content)
                left.live[directory][name] = copies.get(id(inode), inode)
        left.stable = {directory: dict(inodes) for directory, inodes in left.live.items()}
        return left


def _after_loss(inode: Inode, content: str) -> Inode:
    data = inode.synced if content == "synced" else inode.data
    if content == "half" and inode.data != inode.synced:
        data = inode.data[: len(inode.synced) + (len(inode.data) - len(inode.synced)) // 2]
    return Inode(data, data, False, inode.changed)


def _apply(tree: dict[str, dict[str, Inode]], names: Change) -> None:
    for path, inode in names.items():
        directory, _, name = path.rpartition("/")
        if inode is None:
            tree[directory].pop(name, None)
        else:
            tree.setdefault(directory, {})[name] = inode
            if inode.directory:
                tree.setdefault(path, {})


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


class MemoryFs:
    """One client of a disk. Implements `leaseq.world.Fs`."""

    def __init__(self, disk: Disk, *, remote: bool = True) -> None:
        self.disk = disk
        self.remote = remote
        self._absent: dict[str, set[str]] = {}
        """Names that this client believes not to exist, by directory."""

    def names(self, directory: str) -> list[str]:
        self._called("names", directory)
        self._refresh(directory)
        return [name for name in self.disk.directory(directory) if name[0] != "."]

    def read(self, path: str) -> bytes:
        self._called("read", path)
        return self._open(path).data

    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        self._called("read_range", path)
        data = self._open(path).data
        start = offset if offset >= 0 else max(0, len(data) + offset)
        return data[start : start + length], len(data)

    def create(self, path: str, data: bytes, *, durable: bool = True) -> None:
        self._called("create", path)
        inode = self._open_to_write(path)
        inode.data, inode.changed = data, self.disk.seconds
        if durable:
            inode.synced = data

    def append(self, path: str, data: bytes) -> None:
        self._called("append", path)
        inode = self._open_to_write(path)
        inode.data, inode.changed = inode.data + data, self.disk.seconds
        inode.synced = inode.data

    def rename(self, source: str, target: str) -> None:
        self._called("rename", source, target)
        inode = self._known(source)
        if self.disk.directory(target.rpartition("/")[0]).get(target.rpartition("/")[2]) is inode:
            return  # POSIX: two names of one file, nothing happens
        self.disk.change({source: None, target: inode})
        self._exists(source)
        self._exists(target)

    def link(self, source: str, target: str) -> None:
        self._called("link", source, target)
        inode = self._known(source)
        directory, _, name = target.rpartition("/")
        if name in self.disk.directory(directory):
            raise _error(errno.EEXIST, target)
        self.disk.change({target: inode})
        self._exists(target)

    def unlink(self, path: str) -> None:
        self._called("unlink", path)
        self._known(path)
        self.disk.change({path: None})

    def mkdir(self, path: str) -> None:
        self._called("mkdir", path)
        directory, _, name = path.rpartition("/")
        there = self.disk.directory(directory).get(name)
        if there is None:
            self.disk.change({path: Inode(directory=True)})
        elif not there.directory:
            raise _error(errno.EEXIST, path)

    def remove_tree(self, directory: str) -> None:
        self._called("remove_tree", directory)
        inside = [path for path in self.disk.live if path == directory or path.startswith(f"{directory}/")]
        gone = [f"{path}/{name}" for path in sorted(inside, reverse=True) for name in self.disk.live[path]]
        there = directory.rpartition("/")[2] in self.disk.live.get(directory.rpartition("/")[0], {})
        for path in [*gone, *([directory] if there else [])]:
            self.disk.change({path: None})

    def sync(self, path: str) -> None:
        self._called("sync", path)
        inode = self._open(path)
        inode.synced = inode.data

    def sync_dir(self, directory: str) -> None:
        self._called("sync_dir", directory)
        self.disk.sync(directory)

    def older(self, directory: str, *, seconds: float, hidden: bool) -> list[str]:
        self._called("older", directory)
        self._refresh(directory)
        return [
            f"{directory}/{name}"
            for name, inode in self.disk.live.get(directory, {}).items()
            if name.startswith(".") is hidden and not inode.directory and self.disk.seconds - inode.changed > seconds
        ]

    def age(self, path: str, probe_directory: str) -> float:
        self._called("age", path, probe_directory)
        self.disk.directory(probe_directory)
        return max(0.0, self.disk.seconds - self._open(path).changed)

    def _called(self, operation: str, *paths: str) -> None:
        self.disk.operations += 1
        if self.disk.hook is not None:
            self.disk.hook(operation, paths)

    def _refresh(self, directory: str) -> None:
        self._absent.pop(directory, None)

    def _exists(self, path: str) -> None:
        """What the client believed of that name it believes no longer."""
        directory, _, name = path.rpartition("/")
        self._absent.get(directory, set()).discard(name)

    def _open(self, path: str) -> Inode:
        self._refresh(path.rpartition("/")[0])
        inode = self._known(path)
        if inode.directory:
            raise _error(errno.EISDIR, path)
        return inode

    def _open_to_write(self, path: str) -> Inode:
        directory, _, name = path.rpartition("/")
        inode = self.disk.directory(directory).get(name)
        if inode is None:
            inode = Inode()
            self.disk.change({path: inode})
        self._exists(path)
        return inode

    def _known(self, path: str) -> Inode:
        directory, _, name = path.rpartition("/")
        if name in self._absent.get(directory, ()):
            raise _error(errno.ENOENT, path)
        try:
            return self.disk.find(path)
        except FileNotFoundError:
            self._absent.setdefault(directory, set()).add(name)
            raise
