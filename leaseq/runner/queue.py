"""What is pending for one node, in order, and which of it this node should take first.

Only names are kept: 10,000 pending tasks cost about a megabyte. If several nodes share the `_any` inbox, each
looks at a window of its head and takes the tasks it is first for (see `decide.rank`); the others wait a moment
before they take them, so that many runners do not run for the same file. So the order within a window is loose, but
for priority. A task that is overtaken again and again (its first node may be busy for days) becomes the next of its
second node, then of its third.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain, islice

from leaseq.errors import Malformed, Newer
from leaseq.names import Entry, group_of, is_each, priority_of, task_of
from leaseq.runner.decide import LOOKAHEAD, rank, stagger_seconds

WINDOW_PER_NODE = 4


class Queue:
    """Pending file names of a node's own inbox and of `_any`."""

    def __init__(self, node: str, nodes: Sequence[str]) -> None:
        self.node = node
        self.nodes = tuple(sorted(nodes)) or (node,)
        self.own: list[str] = []
        self.any: list[str] = []
        self.seen: dict[str, tuple[float, int]] = {}
        """Names in the window: when each was first seen there, and how many had left it by then."""
        self.departed = 0
        """How many names have left the window so far."""
        self.ranks: dict[str, int] = {}
        self.each: set[str] = set()
        """Names of arrays, and of parts of them, whose indices may have to wait one by one."""
        self.malformed: list[tuple[bool, str]] = []
        """(is in the own inbox, name) of files that are no tasks, for the runner to set aside."""
        self.left: dict[bool, dict[str, str]] = {True: {}, False: {}}
        """By inbox (own or not), names of tasks that this leaseq is too old for, and why: they stay where they are."""

    def learn_nodes(self, nodes: Sequence[str]) -> None:
        """The lease has these nodes now: each takes first what is its share of them."""
        self.nodes = tuple(sorted(nodes)) or (self.node,)
        self.ranks = {}

    def __len__(self) -> int:
        return len(self.own) + len(self.any)

    def refresh(self, names: Sequence[str], *, own: bool) -> None:
        """The inbox holds just these names."""
        left = self.left[own] = {name: self.left[own][name] for name in names if name in self.left[own]}
        wanted = sorted(name for name in names if name not in left) if left else sorted(names)
        self.each = {name for name in (*wanted, *(self.any if own else self.own)) if is_each(name)}
        if own:
            self.own = wanted
        else:
            self.any = wanted

    def add(self, name: str, *, own: bool) -> None:
        """The name has appeared."""
        names = self.own if own else self.any
        at = bisect_left(names, name)
        if not name.startswith(".") and name not in self.left[own] and (at == len(names) or names[at] != name):
            insort(names, name)
            if is_each(name):
                self.each.add(name)

    def remove(self, name: str, *, own: bool) -> bool:
        """The name is gone; False if it was known to be."""
        names = self.own if own else self.any
        at = bisect_left(names, name)
        if at < len(names) and names[at] == name:
            del names[at]
            self.each.discard(name)
            return True
        return False

    def leave(self, name: str, why: str, *, own: bool) -> None:
        """The name is not this leaseq's to take, for that reason."""
        self.left[own][name] = why

    def is_own(self, name: str) -> bool:
        """True if the name is in the node's own inbox."""
        at = bisect_left(self.own, name)
        return at < len(self.own) and self.own[at] == name

    def has(self, name: str) -> bool:
        """True if the name is pending, for all that is known."""
        at = bisect_left(self.any, name)
        return self.is_own(name) or (at < len(self.any) and self.any[at] == name)

    def candidates(
        self,
        now: float,
        *,
        most: int = LOOKAHEAD,
        shut: Callable[[str], bool] | None = None,
        passed: Collection[str] = (),
    ) -> tuple[Iterator[Entry], float | None]:
        """(what this node may take now, best first; seconds until there may be more). Parsed only as far as read.

        most: so many of each inbox, at most.
        shut: whether nothing of a group may start: what is of such a group is passed over, and stands in nobody's way.
        passed: names of which nothing may start either.
        """
        own, rest = (islice(_open(names, shut, passed), most) for names in (self.own, self.any))
        if len(self.nodes) < 2:
            return self._parse(merge(own, rest)), None
        window = list(islice(_open(self.any, shut, passed), WINDOW_PER_NODE * len(self.nodes)))
        self.departed += len(self.seen.keys() - set(window))
        self.seen = {name: self.seen.get(name, (now, self.departed)) for name in window}
        self.ranks = {name: self.ranks[name] if name in self.ranks else self._rank(name) for name in window}
        waits = [stagger_seconds(self.ranks[name]) - (now - self.seen[name][0]) for name in window]
        open_now = [name for name, wait in zip(window, waits, strict=True) if wait <= 0]
        later = [wait for wait in waits if wait > 0]
        open_now.sort(key=self._preference)
        return self._parse(chain(own, open_now)), min(later) if later else None

    def _preference(self, name: str) -> tuple[str, int, str]:
        """Priority, then this node's place in the task's order of nodes, then submission.

        With each two windows of tasks that overtake it, one node more counts as its first.
        """
        overtaken = (self.departed - self.seen[name][1]) // (2 * WINDOW_PER_NODE * len(self.nodes))
        return priority_of(name), max(0, self.ranks[name] - overtaken), name

    def _rank(self, name: str) -> int:
        return rank(self.node, task_of(name), self.nodes)

    def _parse(self, names: Iterable[str]) -> Iterator[Entry]:
        for name in names:
            try:
                entry = Entry.parse(name)
                if entry.owner:
                    raise Malformed("a claim's name in an inbox")
            except Newer as error:
                self.leave(name, str(error), own=self.is_own(name))
                continue
            except Malformed:
                self.malformed.append((self.is_own(name), name))
                continue
            yield entry


def _open(names: Sequence[str], shut: Callable[[str], bool] | None, passed: Collection[str]) -> Iterator[str]:
    """The names that are not passed over, and whose group may start something."""
    found = (name for name in names if name not in passed) if passed else iter(names)
    if shut is None:
        return found
    return (name for name in found if not (group := group_of(name)) or not shut(group))
