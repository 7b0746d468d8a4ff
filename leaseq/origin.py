"""What an attempt of a task was queued from, as the task's record says it."""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.dataclass import dataclass, field, replace
from leaseq.schema import Record, _as, flag, maybe, number, text


@dataclass(frozen=True)
class Origin(Record):
    """What a task was queued from: a repository as it stood then, and a Python."""

    root: str = _as(text, default="")
    """The top of the repository's working tree; empty if there was none."""
    commit: str = _as(text, default="")
    branch: str = _as(text, default="")
    """Empty if no branch was checked out."""
    remote: str = _as(text, default="")
    """The URL of its remote `origin`, without what it says of who may read it."""
    dirty: bool | None = _as(maybe(flag), default=None)
    """True if tracked files differed from the commit; None: not known."""
    diff: str = _as(text, default="")
    """The name of the file that holds the difference, if it is kept: see `leaseq.protocol.code`."""
    note: str = _as(text, default="")
    """Why something of this is not known."""
    python: str = _as(text, default="")
    """The `python` that its environment finds first."""
    environment: str = _as(text, default="")
    """The name of the Python environment that was active."""
    tree: str = _as(text, default="")
    """Of a task that runs in a copy of the tree, that tree's id."""
    time: float = _as(number, default=0.0)
    """When that was so, if the task was queued again then; 0: when it was submitted."""
    extra: Mapping[str, object] = field(default_factory=dict)

    def says_as(self, other: Origin | None) -> bool:
        """True if the other says the same, whenever that was so."""
        return other is not None and bool(replace(self, time=0.0) == replace(other, time=0.0))
