"""What the directories of a lease's arrays say of each as a whole. What reads them is imported once there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.names import Entry
from leaseq.reading.sightings import names_in
from leaseq.world import Fs

if TYPE_CHECKING:
    from leaseq.protocol.facts import Totals


class Directories:
    """What the directories of a lease's arrays say of each as a whole."""

    def __init__(self, fs: Fs, lease: LeaseDir) -> None:
        self.fs, self.lease = fs, lease
        self._names: set[str] | None = None

    def look(self) -> None:
        """From now on what is there now counts."""
        self._names = None

    def known(self, entry: Entry) -> tuple[Totals | None, int | None]:
        if self._names is None:
            self._names = set(names_in(self.fs, self.lease.arrays))
        if f"{entry.id}.{entry.attempt}" not in self._names:
            return None, None  # nobody has taken any of it
        from leaseq.protocol import reports

        try:
            return reports.look(self.fs, self.lease, entry.id, entry.attempt)
        except Malformed:
            return None, None

    def held_because(self, entry: Entry) -> str:
        from leaseq.protocol import reports

        return reports.held_because(self.fs, self.lease, entry.id, entry.attempt)
