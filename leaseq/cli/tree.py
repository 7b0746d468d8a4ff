"""Tasks below those that they come after, as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.dataclass import replace
from leaseq.reading.find import submitted_as
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.upstream import Upstream


def in_tree(reader: Reader, rows: Sequence[TaskView], *, mark: str) -> list[TaskView]:
    """The rows, oldest first, each below the youngest of those that it comes after, its command set in so far."""
    place = {row.id: number for number, row in enumerate(sorted(rows, key=_age))}
    below: dict[str, list[TaskView]] = {}
    roots = []
    for row in sorted(rows, key=_age, reverse=True):
        shown = [up for up in _comes_after(reader, row) if place.get(up, len(rows)) < place[row.id]]
        if shown:
            below.setdefault(max(shown, key=lambda up: place[up]), []).append(row)
        else:
            roots.append(row)
    found: list[TaskView] = []
    stack = [(row, 0) for row in roots]
    while stack:
        row, depth = stack.pop()
        found.append(replace(row, command="  " * (depth - 1) + mark + row.command) if depth else row)
        stack += [(each, depth + 1) for each in below.get(row.id, [])]
    return found


def _age(row: TaskView) -> tuple[float, str]:
    return row.submitted or 0.0, row.id


def _comes_after(reader: Reader, row: TaskView) -> list[str]:
    ups = [wait.up for wait in row.waits]
    if not ups:
        task = submitted_as(reader, row)
        ups = [Upstream.parse(word) for word in task.after] if task else []
    return [up.id.partition("_")[0] for up in ups]
