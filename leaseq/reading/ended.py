"""What has ended lately: the ends of a lease's histories, and the outcomes that are in none yet."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.models import Event, State
from leaseq.names import histories_in
from leaseq.protocol.history import event_of
from leaseq.protocol.tasks import outcome_in
from leaseq.reading.history import Tail
from leaseq.reading.sightings import Listing, Sighting, names_in, newest, told
from leaseq.words import count
from leaseq.world import Fs

BOOKED_READS_MAX = 1000
EVENTS_OF_EACH = 20
"""How many of its newest events are looked at in every history, however few are asked for."""


class Ended:
    """The ended tasks of one lease, looked at again and again; each look reads what was added since the last."""

    def __init__(self, lease: LeaseDir, fs: Fs) -> None:
        self.lease, self.fs = lease, fs
        self._booked: dict[tuple[str, int], Event] = {}
        self._tails: dict[tuple[str, int], Tail] = {}

    def tails(self) -> list[Tail]:
        """Every history of the lease, each read on from where it was left."""
        for node, term in histories_in(names_in(self.fs, self.lease.events_dir)):
            if (node, term) not in self._tails:
                self._tails[node, term] = Tail(self.fs, self.lease.events(node, term))
        return list(self._tails.values())

    def newest(self, listing: Listing, recent: int) -> dict[str, Event]:
        """The newest known event of each lately ended task, by task id; `listing.booked` is what no history tells."""
        lines: list[Event] = []
        for tail, events in self._ends(recent, listing.notes):
            lines += events
            if tail.malformed:
                listing.notes.append(f"{count(tail.malformed, 'line')} of history cannot be read")
        found = newest(told(lines))
        # A later attempt may be told before this one is: its runner tells it, and this one waits for a look.
        known = {(event.id, event.attempt) for event in lines}
        listing.booked = [each for each in listing.booked if (each.id, each.attempt) not in known]
        found = newest([*found.values(), *told(self._booked_events(listing.booked, listing.notes))])
        # Of one task several attempts may wait there: each counts by itself.
        listing.booked = [each._replace(event=self._booked.get((each.id, each.attempt))) for each in listing.booked]
        return {task_id: each.event for task_id, each in found.items() if each.event}

    def known(self, want: int) -> list[Event]:
        """So many of the newest events of each history, as of the last look; nothing more is read for fewer."""
        found: list[Event] = []
        for tail in self._tails.values():
            with suppress(Malformed, PermissionError):
                found += tail.known(want)
        return found

    def _ends(self, recent: int, notes: list[str]) -> Iterable[tuple[Tail, list[Event]]]:
        """The end of each history; further back only if it may hold more of the `recent` last events of all."""
        read = []
        for tail in self.tails():
            try:
                read.append((tail, tail.read(EVENTS_OF_EACH, keep=recent)))
            except (Malformed, PermissionError) as error:
                notes.append(f"{tail.name}: {error}")
        ends = {(event.id, event.attempt): event.ended for _, events in read for event in events}
        times = sorted(ends.values(), reverse=True)
        bound = times[recent - 1] if 0 < recent <= len(times) else 0.0
        for tail, events in read:
            further = recent > EVENTS_OF_EACH and (not events or events[0].ended >= bound)
            yield tail, tail.known(recent) if further else events

    def _booked_events(self, booked: list[Sighting], notes: list[str]) -> Iterable[Event]:
        keys = [(each.id, each.attempt) for each in booked]
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

    def totals(self) -> dict[State, int]:
        """Finished tasks by state, as the last line of each node's newest history counts them."""
        counts: dict[State, int] = {}
        self.tails()
        last = {node: line for (node, _), tail in sorted(self._tails.items()) if (line := tail.last()) is not None}
        for line in last.values():
            for word, number in line.totals.items():
                if word in State.__members__:
                    counts[State[word]] = counts.get(State[word], 0) + number
        return counts
