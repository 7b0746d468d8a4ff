"""Tasks below those that they come after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from leaseq.protocol.edges import BEGIN
from leaseq.reading.find import submitted_as
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.upstream import Upstream

Known = dict[tuple[str, int], tuple[str, ...]]
"""What tasks come after, by id and attempt: it is read once."""


class Branch(NamedTuple):
    """A task in a tree of tasks."""

    row: TaskView
    lasts: tuple[bool, ...] = ()
    """For each level above it and its own: whether nothing follows there; none for a root."""
    after: tuple[str, ...] = ()
    """The tasks that it comes after, by id."""

    @property
    def depth(self) -> int:
        return len(self.lasts)


def in_tree(reader: Reader, rows: Sequence[TaskView], known: Known | None = None) -> list[Branch]:
    """The rows, oldest first, each below the youngest of those that it comes after."""
    known = {} if known is None else known
    order = sorted(rows, key=_age)
    place = {row.id: number for number, row in enumerate(order)}
    after = {row.id: _comes_after(reader, row, known) for row in rows}
    below: dict[str, list[TaskView]] = {}
    for row in order:
        shown = [up for up in after[row.id] if place.get(up, len(rows)) < place[row.id]]
        below.setdefault(max(shown, key=lambda up: place[up]) if shown else "", []).append(row)
    found: list[Branch] = []
    stack = [Branch(row, (), after[row.id]) for row in reversed(below.get("", []))]
    while stack:
        branch = stack.pop()
        found.append(branch)
        children = below.get(branch.row.id, [])
        last = len(children) - 1
        for number in range(last, -1, -1):
            row = children[number]
            stack.append(Branch(row, (*branch.lasts, number == last), after[row.id]))
    return found


def connected(branches: Sequence[Branch]) -> list[Branch]:
    """Those that come after something, or that something comes after."""
    ups = {up for branch in branches for up in branch.after}
    return [branch for branch in branches if branch.after or branch.row.id in ups]


def _age(row: TaskView) -> tuple[float, str]:
    return row.submitted or 0.0, row.id


def _comes_after(reader: Reader, row: TaskView, known: Known) -> tuple[str, ...]:
    key = row.id, row.attempt
    if row.waits:
        return tuple(wait.up.task for wait in row.waits if wait.up.kind != BEGIN)
    if key not in known:
        task = submitted_as(reader, row)
        ups = [Upstream.parse(word) for word in task.after] if task else []
        known[key] = tuple(up.task for up in ups if up.kind != BEGIN)
    return known[key]
