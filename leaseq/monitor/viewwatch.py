"""Reads what an open view shows. What it has read of one is kept for the next look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from leaseq.errors import LeaseqError, Malformed, NotFound
from leaseq.layout import Home
from leaseq.lease import leases
from leaseq.lease.view import reader_of
from leaseq.monitor.data import Data, Seen
from leaseq.monitor.grid import GROUP_PREFIX
from leaseq.monitor.model import Pane
from leaseq.monitor.reader import said_of
from leaseq.monitor.wants import Look
from leaseq.names import parse_id
from leaseq.reading.find import Search
from leaseq.reading.lately import Recorder
from leaseq.reading.snapshot import Reader
from leaseq.reading.timeline import Story
from leaseq.reading.unfolding import Unfolded, Unfolding, of_group
from leaseq.reading.usage import Stay, row_of, stays_of
from leaseq.reading.views import NodeView, TaskView
from leaseq.world import Clock, Fs

READ_SECONDS = 0.2
"""So long is read before it is said how far that is."""
STAYS_SECONDS = 10.0
"""What the lease holds is looked at so seldom."""
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
        self._recorder: Recorder | None = None
        self._stays: Sequence[Stay] = ()
        self._stays_at = 0.0

    def read(self, look: Look, data: Data) -> Seen:
        """What the view shows now."""
        if self._reader is None or self._reader.lease.id != look.lease_id:
            self._reader = reader_of(self.fs, self.home.lease(look.lease_id), self.clock)
            self._unfolding = self._recorder = None
        nodes = {view.node: view for view in data.lease.snapshot.nodes} if data.lease.snapshot else {}
        self.reading = False
        try:
            if look.pane == Pane.TIMELINE.value:
                story = self._story(self._reader, look, nodes)
                return Seen(look.pane, look.of, story, self._row(self._reader, look, nodes, story))
            body = self._unfolded(self._reader, look, nodes)
            rows = {row.id: row for row in body.rows} if body else {}
            return Seen(look.pane, look.of, body, rows or self._row(self._reader, look, nodes))
        except (OSError, LeaseqError, Malformed) as error:
            return Seen(look.pane, look.of, failure=said_of(error))

    def _unfolded(self, reader: Reader, look: Look, nodes: Mapping[str, NodeView]) -> Unfolded | None:
        if look.of.startswith(GROUP_PREFIX):
            return of_group(reader, look.of.removeprefix(GROUP_PREFIX), recent=RECENT)
        if self._unfolding is None or self._unfolding.id != look.of:
            self._unfolding = Unfolding(reader, look.of)
        until = self.clock.monotonic() + READ_SECONDS
        body = self._unfolding.look(nodes, lambda: self.clock.monotonic() > until)
        self.reading = body.fraction < 1
        return body

    def _story(self, reader: Reader, look: Look, nodes: Mapping[str, NodeView]) -> Story:
        now, lease = self.clock.now(), reader.lease
        if self._recorder is None or now - self._stays_at > STAYS_SECONDS:
            record = leases.read_record(self.fs, lease)
            held = leases.holding(self.fs, self.home, record).allocs if record else ()
            self._stays = [_open(stay, now) for stay in stays_of(self.fs, lease, held, now=now)[0]]
            self._stays_at = now
        self._recorder = self._recorder or Recorder(reader)
        return self._recorder.look(nodes.values(), self._stays, now - look.back)

    def _row(
        self, reader: Reader, look: Look, nodes: Mapping[str, NodeView], story: Story | None = None
    ) -> dict[str, TaskView]:
        """The row of the task that is asked for; of one that was cleaned up what is known of its run."""
        if not look.task:
            return {}
        task, index = parse_id(look.task)
        try:
            if index is None:
                return {look.task: Search(reader).view(look.task)}
            unfolding = self._unfolding if self._unfolding and self._unfolding.id == task else Unfolding(reader, task)
            return {look.task: unfolding.index(index, nodes)}
        except NotFound:
            bars = (run for lane in story.lanes for run in lane.bars) if story else ()
            return {run.id: row_of(run) for run in bars if run.id == look.task}


def _open(stay: Stay, now: float) -> Stay:
    """One that goes on has no end."""
    goes_on, heard = stay.until >= now, stay.heard >= now
    return stay._replace(until=inf if goes_on else stay.until, heard=inf if heard else stay.heard)
