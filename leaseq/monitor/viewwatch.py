"""Reads what an open view shows. What it has read of one is kept for the next look at it."""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.errors import LeaseqError, Malformed
from leaseq.layout import Home
from leaseq.lease.view import reader_of
from leaseq.monitor.data import Data, Seen
from leaseq.monitor.grid import GROUP_PREFIX
from leaseq.monitor.model import Pane
from leaseq.monitor.reader import said_of
from leaseq.monitor.wants import Look
from leaseq.names import parse_id
from leaseq.reading.find import Search
from leaseq.reading.snapshot import Reader
from leaseq.reading.unfolding import Unfolded, Unfolding, of_group
from leaseq.reading.views import NodeView, TaskView
from leaseq.world import Clock, Fs

READ_SECONDS = 0.2
"""So long is read before it is said how far that is."""
RECENT = 5000
"""Among so many of the tasks that ended last those of a group are looked for."""


class ViewWatch:
    """One view after the other, each read again and again."""

    def __init__(self, fs: Fs, home: Home, clock: Clock) -> None:
        self.fs, self.home, self.clock = fs, home, clock
        self.reading = False
        """True if there is more to be read at once."""
        self._reader: Reader | None = None
        self._unfolding: Unfolding | None = None

    def read(self, look: Look, data: Data) -> Seen:
        """What the view shows now."""
        if self._reader is None or self._reader.lease.id != look.lease_id:
            self._reader = reader_of(self.fs, self.home.lease(look.lease_id), self.clock)
            self._unfolding = None
        nodes = {view.node: view for view in data.lease.snapshot.nodes} if data.lease.snapshot else {}
        self.reading = False
        try:
            body = self._body(self._reader, look, nodes)
            rows = {row.id: row for row in body.rows} if body else {}
            return Seen(look.pane, look.of, body, rows or self._row(self._reader, look, nodes))
        except (OSError, LeaseqError, Malformed) as error:
            return Seen(look.pane, look.of, failure=said_of(error))

    def _body(self, reader: Reader, look: Look, nodes: Mapping[str, NodeView]) -> Unfolded | None:
        if look.pane != Pane.GRID.value:
            return None
        if look.of.startswith(GROUP_PREFIX):
            return of_group(reader, look.of.removeprefix(GROUP_PREFIX), recent=RECENT)
        if self._unfolding is None or self._unfolding.id != look.of:
            self._unfolding = Unfolding(reader, look.of)
        until = self.clock.monotonic() + READ_SECONDS
        body = self._unfolding.look(nodes, lambda: self.clock.monotonic() > until)
        self.reading = body.fraction < 1
        return body

    def _row(self, reader: Reader, look: Look, nodes: Mapping[str, NodeView]) -> dict[str, TaskView]:
        if not look.task:
            return {}
        task, index = parse_id(look.task)
        if index is None:
            return {look.task: Search(reader).view(look.task)}
        unfolding = self._unfolding if self._unfolding and self._unfolding.id == task else Unfolding(reader, task)
        return {look.task: unfolding.index(index, nodes)}
