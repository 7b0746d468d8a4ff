"""Which view is open over the lists, of what, and where its cursor is: values."""

from __future__ import annotations

from leaseq.dataclass import dataclass
from leaseq.monitor.pane import VIEWS, Pane


@dataclass(frozen=True)
class Viewing:
    """A view that is open: which, of what, and where its cursor is."""

    pane: Pane
    """DETAIL: one task, with its output."""
    of: str = ""
    """What it shows, by id or name."""
    at: str = ""
    """The row that its cursor is on, by name, if its rows have any."""
    place: int = 0
    """The cursor's place: where to go if what it was on has gone."""
    top: int = 0
    first: int = 0
    last: int = 0
    """It shows what is from one place up to another; up to 0: all. A timeline shows so many seconds, up to a time;
    0: the usual ones, up to now."""
    back: Viewing | None = None
    """The view under it."""
    task: str = ""
    """The task that was selected before it was opened."""
    before: Pane = Pane.TASKS
    """The pane that had the focus before any view was open."""

    @property
    def under(self) -> Viewing | None:
        """The view itself; of a task that is shown alone the one from which it was opened."""
        return self if self.pane in VIEWS or self.back is None else self.back.under
