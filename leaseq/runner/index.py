"""An attempt of an index of an array, and what follows from its end."""

from __future__ import annotations

from contextlib import suppress

from leaseq.dataclass import dataclass, replace
from leaseq.models import Outcome, State, Task
from leaseq.names import Entry
from leaseq.protocol import lanes
from leaseq.protocol.tasks import Claim
from leaseq.runner.holding import Attempted, ChunkEnds, Holding, IndexEnds, NeverBegan
from leaseq.runner.ports import Ports

FIRST = 3
"""How many of an array's indices tell what would become of the others."""


@dataclass(frozen=True)
class Index:
    """One attempt of one index of a chunk: its end is a line in the array's journal."""

    holding: Holding
    entry: Entry
    index: int

    @property
    def claim(self) -> Claim:
        return self.holding.claim

    def ended(self, ports: Ports, outcome: Outcome) -> None:
        self.holding.running.discard(self.entry.key)
        end_index(ports, self.holding, (self.index, self.entry.attempt), outcome)

    def put_back(self, ports: Ports, task: Task) -> None:
        self.holding.running.discard(self.entry.key)
        attempted = self.index, self.entry.attempt
        if self.entry.owner == self.claim.entry.owner:
            self.holding.begun.appendleft(attempted)
        else:
            never_began(ports, self.holding, attempted, self.entry.owner)

    def cancelled(self, ports: Ports) -> None:
        self.holding.running.discard(self.entry.key)
        cancel_waiting(ports, self.holding, (self.index, self.entry.attempt), "cancelled")


def never_began(ports: Ports, holding: Holding, attempted: Attempted, owner: str) -> None:
    """What an earlier incarnation has begun never ran, and begins anew."""
    ports.ledger.add(NeverBegan(holding, [attempted], owner))
    holding.waiting.appendleft(attempted)


def end_index(ports: Ports, holding: Holding, attempted: Attempted, outcome: Outcome) -> None:
    """That attempt of the index has that outcome; another follows if it says so, and nobody wanted the index to end."""
    index, number = attempted
    _watch_the_first(holding, outcome)
    holding.lot.pace.ended(ports.clock.monotonic(), outcome.elapsed_seconds)
    if outcome.requeued and holding.lot.stop_of(index):
        outcome = replace(outcome, requeued="")
    entry = holding.lot.entry.of_index(index, number)
    ports.ledger.add(IndexEnds(holding, holding.ended(number, index, outcome), entry.key))
    if outcome.requeued:
        holding.again.append((index, number + 1))
    else:
        _one_less(ports, holding)


def cancel_waiting(ports: Ports, holding: Holding, attempted: Attempted, reason: str, *, because: str = "") -> None:
    """That attempt of the index, which has not started, is a cancelled one. because: as in `Ended`."""
    index, number = attempted
    entry = holding.lot.entry.of_index(index, number)
    ended = holding.cancelled(number, index, reason=reason, now=ports.clock.now(), because=because)
    ports.ledger.add(IndexEnds(holding, ended, entry.key))
    _one_less(ports, holding)


def _one_less(ports: Ports, holding: Holding) -> None:
    holding.left -= 1
    end_if_done(ports, holding)


def end_if_done(ports: Ports, holding: Holding) -> None:
    if holding.left <= 0 and holding in holding.lot.held and not holding.overruled:
        holding.lot.held.remove(holding)
        free_lanes(ports, holding)
        ports.ledger.add(ChunkEnds(holding))


def free_lanes(ports: Ports, holding: Holding) -> None:
    """The chunk has no lane any more; if that fails, housekeeping frees what nobody holds."""
    for directory, lane in holding.lanes.items():
        with suppress(OSError):
            lanes.free(ports.fs, directory, lane)
        holding.lot.no_lane_before = 0.0
    holding.lanes = {}


def _watch_the_first(holding: Holding, outcome: Outcome) -> None:
    """An array whose first three indices here fail within a second, with one code, is to be held: so would the rest."""
    first = holding.lot.first_ends
    if len(first) >= FIRST:
        return
    failed = outcome.state is State.FAILED
    first.append((outcome.exit_code if failed else None, outcome.elapsed_seconds or 0.0))
    code = first[0][0]
    if len(first) == FIRST and code is not None and all(each == code and took < 1.0 for each, took in first):
        holding.lot.tripped = f"its first {FIRST} indices failed within a second with exit code {code}"
