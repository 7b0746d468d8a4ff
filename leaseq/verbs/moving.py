"""A task that is on the move between two places is looked for again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from leaseq.dataclass import replace
from leaseq.errors import UsageError
from leaseq.lease.lookup import Located
from leaseq.names import EDIT, Entry
from leaseq.protocol import edits
from leaseq.protocol.tasks import Claim
from leaseq.reading.find import find
from leaseq.verbs.access import Access

MOVING_SECONDS_MAX = 3.0
"""How long a task that is on the move is looked for."""
LOOK_SECONDS = 0.05
Made = TypeVar("Made")


def act_on(access: Access, each: Located, act: Callable[[Access, Located], Made | None]) -> Made:
    """What the act makes of the task. It gives None if the task was not where it had been seen, and is tried again.

    Raises NotFound and UsageError, and what the act raises.
    """
    deadline = access.clock.monotonic() + MOVING_SECONDS_MAX
    while (made := act(access, each)) is None:
        if access.clock.monotonic() > deadline:
            raise UsageError(f"{each.row.id} is on the move between two states; try again")
        row, lease = each.row, each.reader.lease
        if row.place is not None and row.place.directory == lease.claimed(EDIT):
            # A command is changing it, and may have died of that.
            edits.finish(access.fs, lease, Claim(Entry.parse(row.place.name), EDIT))
        else:
            access.pause(LOOK_SECONDS)
        (row,) = find(each.reader, each.row.id)
        each = replace(each, row=row)
    return made
