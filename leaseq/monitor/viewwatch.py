"""Reads what an open view shows. What it has read of one is kept for the next look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from leaseq.errors import LeaseqError, Malformed, NotFound
from leaseq.layout import Home
from leaseq.lease import leases
from leaseq.lease.view import reader_of
from leaseq.models import State
from leaseq.monitor.data import Books, Data, Forest, Seen, said_of
from leaseq.monitor.grid import GROUP_PREFIX
from leaseq.monitor.pane import Pane
from leaseq.monitor.wants import Look
from leaseq.names import parse_id
from leaseq.reading.find import Search
from leaseq.reading.lately import Recorder
from leaseq.reading.snapshot import Reader
from leaseq.reading.timeline import Story
from leaseq.reading.tree import Known, connected, in_tree
from leaseq.reading.unfolding import Unfolded, Unfolding, of_group
from leaseq.reading.usage import Stay, of_lease, row_of, stays_of
from leaseq.reading.views import NodeView, TaskView
from leaseq.world import Clock, Fs

READ_SECONDS = 0.2
"""So long is read before it is said how far that is."""
STAYS_SECONDS = 10.0
"""What the lease holds is looked at so seldom."""
BOOKS_SECONDS, BOOKS_FACTOR = 30.0, 100.0
"""What allocations have used is counted so seldom, and so many times its own time apart."""
TREE_PENDING, TREE_ENDED, TREE_DEPTH = 300, 200, 20
"""So many pending tasks and so many that ended last are looked at for what they come after."""
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
        self._after: Known = {}
        self._nowhere: set[str] = set()
        self._last_forest: Forest | None = None
        self._forest_of: object = None
        self._last_group: Unfolded | None = None
        self._group_of: object = None
        self._booked = ""
        self._book_at = 0.0
        self._last_books: Books | None = None
        self._stays: Sequence[Stay] = ()
        self._stays_at = 0.0

    def read(self, look: Look, data: Data) -> Seen:
        """What the view shows now."""
        if self._reader is None or self._reader.lease.id != look.lease_id:
            self._reader = reader_of(self.fs, self.home.lease(look.lease_id), self.clock)
            self._unfolding = self._recorder = None
            self._after, self._nowhere = {}, set()
            self._last_forest = self._last_group = None
        nodes = {view.node: view for view in data.lease.snapshot.nodes} if data.lease.snapshot else {}
        self.reading = False
        try:
            if look.pane == Pane.TIMELINE.value:
                story = self._story(self._reader, look, nodes)
                return Seen(look.pane, look.of, story, self._row(self._reader, look, nodes, story))
            if look.pane == Pane.TREE.value:
                forest = self._forest(self._reader, data)
                return Seen(look.pane, look.of, forest, {each.row.id: each.row for each in forest.branches})
            if look.pane == Pane.JOBS.value:
                return Seen(look.pane, look.of, self._books(look.of))
            if look.of.startswith(GROUP_PREFIX):
                group = self._group(self._reader, look.of.removeprefix(GROUP_PREFIX), data)
                return Seen(look.pane, look.of, group, {row.id: row for row in group.rows})
            body = self._unfolded(self._reader, look, nodes)
            return Seen(look.pane, look.of, body, self._row(self._reader, look, nodes))
        except (OSError, LeaseqError, Malformed) as error:
            return Seen(look.pane, look.of, failure=said_of(error))

    def _group(self, reader: Reader, name: str, data: Data) -> Unfolded:
        """The group's tasks, as they were when the lease was last seen to change."""
        key = name, _changing(data)
        if self._last_group is None or key != self._group_of:
            self._last_group, self._group_of = of_group(reader, name, recent=RECENT), key
        return self._last_group

    def _unfolded(self, reader: Reader, look: Look, nodes: Mapping[str, NodeView]) -> Unfolded:
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

    def _forest(self, reader: Reader, data: Data) -> Forest:
        """What comes after what, as it was when the lease was last seen to change."""
        key = _changing(data)
        if self._last_forest is None or key != self._forest_of:
            self._last_forest, self._forest_of = self._grown(reader), key
        return self._last_forest

    def _grown(self, reader: Reader) -> Forest:
        """With what the shown tasks come after, however long ago that ended."""
        snapshot = reader.read(recent=TREE_ENDED, pending=TREE_PENDING)
        rows = {row.id: row for row in snapshot.tasks}
        branches = connected(in_tree(reader, list(rows.values()), self._after))
        for _ in range(TREE_DEPTH):
            missing = {up for branch in branches for up in branch.after} - rows.keys() - self._nowhere
            if not missing:
                break
            search = Search(reader)
            for task in sorted(missing)[:TREE_ENDED]:
                try:
                    rows[task] = search.view(task)
                except NotFound:
                    self._nowhere.add(task)  # of another lease, or cleaned up
            branches = connected(in_tree(reader, list(rows.values()), self._after))
        pending = sum(row.state is State.PENDING for row in snapshot.tasks)
        ended = sum(count for state, count in snapshot.totals.items() if state.ended)
        return Forest(
            tuple(branches),
            TREE_PENDING if pending >= TREE_PENDING else 0,
            TREE_ENDED if ended > TREE_ENDED else 0,
        )

    def _books(self, lease_id: str) -> Books | None:
        """What the lease's allocations have held and used; that is a story, and is read seldom."""
        now, lease = self.clock.now(), self.home.lease(lease_id)
        if self._booked != lease_id or now > self._book_at:
            began = self.clock.monotonic()
            record = leases.read_record(self.fs, lease)
            held = leases.holding(self.fs, self.home, record).allocs if record else ()
            self._last_books = Books(tuple(of_lease(self.fs, lease, held, now=now)))
            cost = self.clock.monotonic() - began
            self._booked, self._book_at = lease_id, now + max(BOOKS_SECONDS, BOOKS_FACTOR * cost)
        return self._last_books

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


def _changing(data: Data) -> object:
    """What is another value once something of the lease has begun, ended, or come."""
    seen = data.lease.snapshot
    return seen and (dict(seen.totals), [(row.id, row.attempt, row.state, row.reason) for row in seen.tasks])


def _open(stay: Stay, now: float) -> Stay:
    """One that goes on has no end."""
    goes_on, heard = stay.until >= now, stay.heard >= now
    return stay._replace(until=inf if goes_on else stay.until, heard=inf if heard else stay.heard)
