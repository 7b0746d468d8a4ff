"""One bounded read of a lease directory as an immutable Snapshot.

What a read costs depends on what is pending, claimed and asked for, never on how much is finished: finished
tasks are counted by the totals that every line of history carries, and listed from the end of the history.
Directories are listed in the order in which tasks move (inbox, claimed, outcomes), so a task that moves on is
seen at least once; the inboxes are listed again because a claim may move back, and the claims because such a task
may be claimed again meanwhile. A task seen twice counts by highest attempt, then done > claimed > inbox. Files that
vanish or do not parse are rows and notes, not errors.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter

from leaseq.errors import Malformed, Refused
from leaseq.layout import CLI, PENDING, Entry, LeaseDir, attempt_of, beating, is_node, parse_key
from leaseq.models import ANY, Event, Heartbeat, Lease, State, Task
from leaseq.node.nodedir import Holder, find_node_dir
from leaseq.protocol.files import content
from leaseq.protocol.history import event_of
from leaseq.protocol.records import read_lease
from leaseq.protocol.tasks import outcome_in, read_task
from leaseq.protocol.terms import down_seconds, late_seconds
from leaseq.reading.history import Tail
from leaseq.reading.merge import Merge
from leaseq.reading.views import (
    NODE_DOWN,
    NODE_SILENT,
    RUNNER_DOWN,
    Health,
    Listing,
    News,
    NodeView,
    Place,
    Snapshot,
    TaskView,
)
from leaseq.words import count
from leaseq.world import Clock, Fs, boot_id, hostname, uptime_seconds

__all__ = ["Health", "Listing", "NodeView", "Place", "Reader", "Snapshot", "TaskView"]

BOOKED_READS_MAX = 1000
RETRIED_READS_MAX = 1000
SPECS_MAX = 5000
EVENTS_OF_EACH = 20
"""How many of its newest events are looked at in every history, however few are asked for."""


class Reader:
    """Reads one lease again and again; each read costs what changed since the last."""

    def __init__(self, lease: LeaseDir, fs: Fs, clock: Clock, *, news: Callable[[], News] = News) -> None:
        """news: asked where a runner is missed that the lease had, or that holds tasks."""
        self.lease = lease
        self.news = news
        self.fs = fs
        self.clock = clock
        self._specs: dict[tuple[str, int], Task | str] = {}
        self._booked: dict[tuple[str, int], Event] = {}
        self._counted: dict[tuple[str, int], str] = {}
        self._tails: dict[str, Tail] = {}
        self._parsed: dict[str, tuple[bytes, Heartbeat]] = {}
        self._beats: dict[str, tuple[str, int, float]] = {}

    def read(self, *, recent: int = 100, pending: int | None = 100) -> Snapshot:
        """The lease now: every claimed task, the first `pending` pending ones (None: all), the `recent` last ended."""
        listing = self.listing()
        nodes = self.nodes(listing)
        ended = self._ended(listing, recent)
        live = Merge(self.lease, self.spec, listing, nodes, ended)
        rows = live.claimed() + live.pending(pending) + live.ended(recent)
        return Snapshot(
            lease_id=self.lease.id,
            lease=self._record(listing),
            taken=self.clock.now(),
            nodes=tuple(nodes[name] for name in sorted(nodes)),
            tasks=tuple(rows),
            totals=live.totals(self._finished(), self._retried(live, listing)),
            notes=tuple(dict.fromkeys(listing.notes)),
            end="" if any(view.health.serving for view in nodes.values()) else self.news().end,
        )

    # -- names ---------------------------------------------------------------------------------------

    def names(self, directory: str) -> list[str]:
        """Fresh names in the directory; none where it does not exist."""
        try:
            return self.fs.names(directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return []  # a link to itself

    def listing(self) -> Listing:
        """Every task file that is pending, claimed, lost or waiting to be booked, by names alone."""
        lease, found = self.lease, Listing()
        seen: dict[str, set[str]] = {}
        self._list_pending(found, seen)
        self._list_claims(found, seen)
        self._list_pending(found, seen)
        self._list_claims(found, seen)
        for name in self.names(lease.lost):
            if entry := _entry(name, "lost", found.notes):
                found.lost.append(entry)
        for name in self.names(lease.booking):
            try:
                found.booked.append(parse_key(name))
            except Malformed as error:
                found.notes.append(f"booking: {error}")
        found.nodes.update(beating(self.names(lease.heartbeats)))
        found.nodes.discard(ANY)
        return found

    def _nodes_in(self, directory: str, notes: list[str], *, or_name: str) -> list[str]:
        """The nodes that have a directory there, and that one name that stands for none; others are noted, once."""
        names = self.names(directory)
        strange = [name for name in names if name != or_name and not is_node(name)]
        said = [f"{directory.rpartition('/')[2]}/{name!r:.160} is no node's" for name in strange]
        notes.extend(text for text in said if text not in notes)
        return [name for name in names if name not in strange]

    def _list_claims(self, found: Listing, seen: dict[str, set[str]]) -> None:
        for owner in self._nodes_in(self.lease.claims, found.notes, or_name=CLI):
            if owner != CLI:
                found.nodes.add(owner)
            directory = self.lease.claimed(owner)
            names = self.names(directory)
            known = seen.get(directory, set())
            seen[directory] = set(names)
            for name in names:
                if name not in known and (entry := _entry(name, f"claimed/{owner}", found.notes)):
                    found.claims.append((owner, entry))

    def _list_pending(self, found: Listing, seen: dict[str, set[str]]) -> None:
        for parent, held in ((self.lease.helds, True), (self.lease.inboxes, False)):
            for node in self._nodes_in(parent, found.notes, or_name=ANY):
                directory = f"{parent}/{node}"
                names = set(self.names(directory))
                new = names - seen.get(directory, set())
                seen[directory] = names
                found.nodes.add(node)
                where = (directory, node, held)
                found.pending.update((name, where) for name in new if PENDING.fullmatch(name))

    # -- nodes ---------------------------------------------------------------------------------------

    def nodes(self, listing: Listing) -> dict[str, NodeView]:
        """Every node of the lease with the health of its runner."""
        pinned = Counter(map(itemgetter(1), listing.pending.values()))
        claimed = Counter(map(itemgetter(0), listing.claims))
        views = {}
        for node in sorted(listing.nodes):
            try:
                view = self.health(node)
            except (Malformed, PermissionError) as error:
                listing.notes.append(f"heartbeat of {node}: {error}")
                view = NodeView(node, Health.UNKNOWN, why="its heartbeat cannot be read")
            views[node] = replace(view, pending=pinned[node], claimed=claimed[node])
        down = [node for node, view in views.items() if view.health is Health.DOWN]
        if down and (left := self._node_names()):
            gone = [node for node in down if node not in left]
            views |= {node: replace(views[node], cause=NODE_DOWN, why="no longer part of the lease") for node in gone}
        missed = [node for node, view in views.items() if view.claimed and not view.health.serving]
        if missed:
            lost = self.news().lost
            views |= {node: replace(views[node], lost=lost[node]) for node in missed if node in lost}
        return views

    def _node_names(self) -> frozenset[str]:
        """The nodes of the lease where they are written down, as Slurm's are; none before it has started."""
        try:
            return frozenset(content(self.fs, self.lease.node_names).decode("utf-8", "replace").split())
        except OSError:
            return frozenset()

    def health(self, node: str) -> NodeView:
        """The node's runner as far as this host can tell; raises Malformed."""
        beat = self._heartbeat(node)
        if beat is None:
            return NodeView(node, Health.UNKNOWN, why="no runner has reported yet")
        try:
            age = self._age(beat)
        except FileNotFoundError:
            age = 0.0
        if beat.state == "stopped":
            try:
                return NodeView(node, Health.STOPPED, beat, age, "stopped on purpose", kept=self._kept(beat))
            except Refused as error:
                return NodeView(node, Health.UNKNOWN, beat, age, error.message)  # who keeps its tasks is not known
        if beat.host == hostname() and beat.boot and beat.pid:
            if beat.boot != boot_id():
                if age > uptime_seconds():
                    return NodeView(node, Health.DOWN, beat, age, "this host was rebooted since", cause=NODE_DOWN)
            elif not Holder(beat.pid, beat.pid_start, beat.boot).alive():
                return NodeView(node, Health.DOWN, beat, age, f"its process {beat.pid} is gone", cause=RUNNER_DOWN)
        if age < late_seconds(beat):
            return NodeView(node, Health.OK, beat, age, beat.note)
        if age < down_seconds(beat):
            return NodeView(node, Health.LATE, beat, age, f"silent for {age:.0f} s")
        return NodeView(node, Health.DOWN, beat, age, f"silent for {age:.0f} s", cause=NODE_SILENT)

    def _heartbeat(self, node: str) -> Heartbeat | None:
        """The node's last heartbeat, or None; raises Malformed. One that is as it was is not parsed again."""
        try:
            data = content(self.fs, self.lease.heartbeat(node))
        except FileNotFoundError:
            return None
        known = self._parsed.get(node)
        if known is None or known[0] != data:
            known = self._parsed[node] = (data, Heartbeat.from_json(data))
        return known[1]

    def _kept(self, beat: Heartbeat) -> bool:
        """True where a keeper of the node's tasks lives on this host; raises Refused."""
        if beat.host != hostname() or beat.boot != boot_id():
            return False
        found = find_node_dir(self.lease.root.rsplit("/", 2)[0], self.lease.id, beat.node)
        return found is not None and found.alive("keeper") is not None

    def _age(self, beat: Heartbeat) -> float:
        """Seconds of silence: by the file server's clock at the first look, by this process's own afterwards."""
        now = self.clock.monotonic()
        known = self._beats.get(beat.node)
        if known is None:
            since = now - self.fs.age(self.lease.heartbeat(beat.node), self.lease.heartbeats)
        elif known[:2] != (beat.incarnation, beat.counter):
            since = now
        else:
            since = known[2]
        self._beats[beat.node] = (beat.incarnation, beat.counter, since)
        return max(0.0, now - since)

    def _record(self, listing: Listing) -> Lease | None:
        try:
            return read_lease(self.fs, self.lease)
        except FileNotFoundError:
            return None
        except (Malformed, PermissionError) as error:
            listing.notes.append(f"lease.json: {error}")
            return None

    # -- what has ended ------------------------------------------------------------------------------

    def tails(self) -> list[Tail]:
        for name in self.names(self.lease.events_dir):
            if name.endswith(".jsonl") and name not in self._tails:
                self._tails[name] = Tail(self.fs, f"{self.lease.events_dir}/{name}")
        return list(self._tails.values())

    def _ended(self, listing: Listing, recent: int) -> dict[str, Event]:
        """The newest known event of each lately ended task, by task id."""
        found: dict[str, Event] = {}
        for tail, events in self._newest(recent, listing.notes):
            _keep_highest(found, events)
            if tail.malformed:
                listing.notes.append(f"{count(tail.malformed, 'line')} of history cannot be read")
        unbooked = [key for key in listing.booked if key[0] not in found or found[key[0]].attempt < key[1]]
        listing.booked = unbooked
        _keep_highest(found, self._booked_events(unbooked, listing.notes))
        return found

    def _newest(self, recent: int, notes: list[str]) -> Iterable[tuple[Tail, list[Event]]]:
        """The end of each history; further back only where it may hold more of the `recent` last events of all."""
        read = []
        for tail in self.tails():
            try:
                read.append((tail, tail.read(EVENTS_OF_EACH, keep=recent)))
            except (Malformed, PermissionError) as error:
                notes.append(f"{tail.name}: {error}")
        times = sorted((event.ended for _, events in read for event in events), reverse=True)
        bound = times[recent - 1] if 0 < recent <= len(times) else 0.0
        for tail, events in read:
            further = recent > EVENTS_OF_EACH and (not events or events[0].ended >= bound)
            yield tail, tail.known(recent) if further else events

    def _booked_events(self, keys: list[tuple[str, int]], notes: list[str]) -> Iterable[Event]:
        if len(keys) > BOOKED_READS_MAX:
            notes.append(f"{len(keys) - BOOKED_READS_MAX} outcomes wait for a runner to book them and were not read")
        self._booked = {key: self._booked[key] for key in keys if key in self._booked}
        for key in keys[:BOOKED_READS_MAX]:
            if key not in self._booked:
                try:
                    # Not in booking/: a runner may have put it into its history, and removed it there, just now.
                    outcome = outcome_in(self.fs, self.lease.outcome(*key))
                    self._booked[key] = event_of(outcome, lease=self.lease.id)
                except FileNotFoundError:
                    continue
                except (Malformed, PermissionError) as error:
                    notes.append(f"outcome {key[0]}.{key[1]}: {error}")
        return self._booked.values()

    def _finished(self) -> dict[State, int]:
        counts: dict[State, int] = {}
        for tail in self.tails():
            for word, number in tail.totals().items():
                if word in State.__members__:
                    counts[State[word]] = counts.get(State[word], 0) + number
        return counts

    def _retried(self, live: Merge, listing: Listing) -> list[str]:
        """The states in which the histories count tasks that are not over: `retry` has queued them again."""
        later = live.later_attempts()
        new = [key for key in later if key not in self._counted]
        self._counted = {key: self._counted[key] for key in later if key in self._counted}
        if len(new) > RETRIED_READS_MAX:
            listing.notes.append(f"{len(new) - RETRIED_READS_MAX} later attempts were not read: some may count twice")
        for key in new[:RETRIED_READS_MAX]:
            task = self.spec(key[0], later[key])
            if isinstance(task, Task):
                self._counted[key] = task.retried.get(self.lease.id, "")
        return [word for word in self._counted.values() if word in State.__members__]

    def booked_event(self, task_id: str) -> Event | None:
        """The event of a task whose outcome waits in booking/, as of the last read."""
        return next((event for event in self._booked.values() if event.id == task_id), None)

    # -- specs ---------------------------------------------------------------------------------------

    def spec(self, task_id: str, path: str) -> Task | str:
        """The task in that file without its environment, read once; or why there is none to show."""
        name = path.rpartition("/")[2]
        key = task_id, attempt_of(name)
        known = self._specs.get(key)
        if isinstance(known, Task):
            return known
        try:
            task = read_task(self.fs, path, Entry.parse(name))
        except FileNotFoundError:
            return ""
        except (Malformed, PermissionError) as error:
            return f"(unreadable: {error})"
        while len(self._specs) >= SPECS_MAX:
            del self._specs[next(iter(self._specs))]
        self._specs[key] = replace(task, env={})
        return self._specs[key]


# A claim keeps its name as long as its task runs.
_parsed_name = lru_cache(maxsize=8192)(Entry.parse)


def _entry(name: str, where: str, notes: list[str]) -> Entry | None:
    try:
        return _parsed_name(name)
    except Malformed as error:
        notes.append(f"{where}: {error}")
        return None


def _keep_highest(found: dict[str, Event], events: Iterable[Event]) -> None:
    for event in events:
        if event.id not in found or found[event.id].attempt <= event.attempt:
            found[event.id] = event
