"""Which attempts windows tell of, for a runner: its own ones, and what earlier runners of the node left."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import Protocol

from leaseq.dataclass import replace
from leaseq.node import record, window
from leaseq.node.nodedir import NodeDir, removed
from leaseq.node.record import Rec
from leaseq.node.window import Window
from leaseq.world import boot_id


class Records(Protocol):
    """Where windows are asked for and told of."""

    @property
    def boot(self) -> str:
        """The boot of now."""
        ...

    def asked(self) -> list[str]:
        """Windows that are asked for, and that no keeper has taken, or not until now."""
        ...

    def withdraw(self, name: str) -> None:
        """The window has a record that a keeper has made, or neither it nor a request, and never will."""
        ...

    def names(self) -> list[str]:
        """Windows that have a record."""
        ...

    def read(self, name: str) -> Window | None:
        """What its record says; None if it has none."""
        ...

    def is_done(self, name: str) -> bool:
        """True if nothing of the window begins any more, and nothing of it goes on alone; quicker than `read`."""
        ...

    def drop(self, name: str) -> None:
        """The record is gone."""
        ...


class WindowFiles:
    """The real ones, in a node-local directory."""

    def __init__(self, directory: NodeDir) -> None:
        self.directory = directory

    @property
    def boot(self) -> str:
        return boot_id()

    def asked(self) -> list[str]:
        words = [each.partition("-") for each in os.listdir(self.directory.ask)]
        return [name for verb, _, name in words if verb == "window" and window.is_window(name)]

    def withdraw(self, name: str) -> None:
        fd = record.begin(self._path(name), {"e": "void"})
        if fd is not None:
            os.close(fd)
            # The request first: a keeper that has it in hand, but not the record, finds it withdrawn.
            removed(f"{self.directory.ask}/window-{name}")
            removed(self._path(name))

    def names(self) -> list[str]:
        return window.windows_in(self.directory.rec)

    def read(self, name: str) -> Window | None:
        return window.read(self._path(name))

    def is_done(self, name: str) -> bool:
        return window.is_done(self._path(name))

    def drop(self, name: str) -> None:
        removed(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.directory.rec}/{name}"


class Members:
    """The attempts of which a window tells, or may yet. Two threads ask."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self._windows: dict[str, str] = {}
        """The window of each."""
        self._left: dict[str, set[str]] = {}
        """By window, those whose end is not durable elsewhere yet."""
        self._over: dict[str, Window] = {}
        """Windows that say no more than this."""

    def __contains__(self, key: str) -> bool:
        return key in self._windows

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._windows))

    def add(self, name: str, keys: Collection[str]) -> None:
        """That window tells of these."""
        self._left[name] = set(keys)
        self._windows.update(dict.fromkeys(keys, name))

    def leave(self, name: str, keys: Collection[str]) -> None:
        """Of all that the window may have told of, only these are still to be told elsewhere."""
        for key in self._left[name].difference(keys):
            if self._windows.get(key) == name:
                del self._windows[key]
        self._left[name].intersection_update(keys)
        self._drop_if_told(name)

    def find(self) -> None:
        """What earlier runners asked for and no keeper has will never begin; what keepers tell of the rest is known."""
        for name in self.records.asked():
            self.records.withdraw(name)
        for name in self.records.names():
            found = self.records.read(name)
            if found is not None:
                self.add(name, [key for place, key in enumerate(found.keys) if self._tells(found, place)])
                self._drop_if_told(name)

    def _tells(self, found: Window, place: int) -> bool:
        """True if the window says what became of the one at that place.

        One that has an own record is told of by that alone, even once that is gone. One that has not run here may
        have been asked for again since: whoever wants to know finds that no record says so, and sees to it.
        """
        rec = found.rec(place)
        return place not in found.own and not (found.boot == self.records.boot and (rec.void or rec.again))

    def read(self, name: str) -> Window | None:
        """What is known of the window; None as long as no keeper has it."""
        if name not in self._over:
            found = self.records.read(name)
            if found is None or not found.over:
                return found
            self._over[name] = found
        return self._over[name]

    def record(self, key: str) -> Rec | None:
        """What its window tells of the attempt; None if none does."""
        name = self._windows.get(key)
        found = None if name is None else self.read(name)
        if found is None or key not in found.keys:
            return None
        place = found.keys.index(key)
        if place in found.own:
            return None
        rec = found.rec(place)
        # After a loss of power a record may lack what was appended last.
        return replace(rec, void=False) if rec.void and rec.boot != self.records.boot else rec

    def forget(self, key: str) -> bool:
        """The window need not tell of the attempt any more; True if it was told of there, to its end."""
        name = self._windows.pop(key, None)
        if name is None:
            return False
        found = self.read(name)
        self._left[name].discard(key)
        self._drop_if_told(name)
        return found is not None and key in found.keys and found.keys.index(key) not in found.own

    def _drop_if_told(self, name: str) -> None:
        if not self._left[name]:
            self.records.drop(name)
            del self._left[name]
            self._over.pop(name, None)
