"""Arrays that wait index by index, with one thing wrong each: of `tests.crash.each_rules.Protocol`, and of a runner."""

from __future__ import annotations

from functools import partial
from typing import Any

from leaseq.layout import ArrayDir, LeaseDir
from leaseq.models import Outcome, State
from leaseq.protocol import arrays, dependents, each_again, files
from leaseq.protocol.array_places import names_of
from leaseq.protocol.index_ends import tries_of
from leaseq.protocol.index_news import IndexNews
from leaseq.protocol.tasks import Claim
from leaseq.runner.gate import FREE, WAITS, Gate
from leaseq.runner.holding import Lot
from leaseq.runner.intake import Intake
from leaseq.upstream import Standing
from leaseq.world import Fs
from tests.crash.each_rules import DOWN
from tests.mutants.runner_mutants import Mutant, _intake

# -- of the protocol ---------------------------------------------------------------------------------------------------


class CountsEveryLine(IndexNews):
    """What a journal says counts, whoever has taken its chunk away."""

    def _read_journal(self, array: ArrayDir, node: str, owner: str) -> None:
        super()._read_journal(array, node, owner)
        for line in self._lines:
            self._note(line.end.index, Standing(line.end.state, 1, 0.0))


class NeverSyncs:
    """A file system on which nothing is made durable by who reads it."""

    def __init__(self, fs: Fs) -> None:
        self.fs = fs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fs, name)

    def sync(self, path: str) -> None:
        return None

    sync_dir = sync


class TellsWhatIsNotDurable(IndexNews):
    def look(self) -> set[int]:
        real, self.fs = self.fs, NeverSyncs(self.fs)
        try:
            return super().look()
        finally:
            self.fs = real


class TakesLostForAnEnd(IndexNews):
    def _note(self, index: int, end: Standing) -> None:
        super()._note(index, end._replace(state=State.FAILED) if end.state is State.LOST else end)


def _goes_on(fs: Fs, lease: LeaseDir) -> bool:
    return (tries_of(fs, lease, DOWN) or [])[-1].outcome is None


def retry_that_tells_nobody(fs: Fs, lease: LeaseDir, task_id: str, *, now: float) -> list[str]:
    """An array that goes on does not hear that the other one was retried."""
    return [] if _goes_on(fs, lease) else dependents.revive(fs, lease, task_id, now=now)


def retry_that_looks_first(fs: Fs, lease: LeaseDir, task_id: str, *, now: float) -> list[str]:
    """Whether the array goes on is looked at before it is told, and not after that."""
    if not _goes_on(fs, lease):
        return dependents.revive(fs, lease, task_id, now=now)
    each_again.remember(fs, lease, DOWN, 1, task_id)
    return []


def end_that_does_not_look(fs: Fs, lease: LeaseDir, closed: Claim, *, now: float) -> Outcome | None:
    """Whoever ends an array does not look whether the other one was retried meanwhile."""
    array = lease.array(closed.entry.id, closed.entry.attempt)
    for up_id in names_of(fs, lease, closed.entry).again:
        files.discard(fs, array.again(up_id))
    return arrays.finish(fs, lease, closed, now=now)


MUTANTS: dict[str, dict[str, Any]] = {
    "each: a line counts that was written too late": {"news": CountsEveryLine},
    "each: what is told is not durable": {"news": TellsWhatIsNotDurable},
    "each: LOST counts as an end": {"news": TakesLostForAnEnd},
    "each: a retry tells nobody who goes on": {"revive": retry_that_tells_nobody},
    "each: a retry looks before it has told": {"revive": retry_that_looks_first},
    "each: whoever ends it does not look": {"end_down": end_that_does_not_look},
}
CAUGHT_BY: dict[str, str] = {
    "each: a line counts that was written too late": "meetings: lose, end late",
    "each: what is told is not durable": "power_losses: look_at_what_is_not_durable",
    "each: LOST counts as an end": "deaths: look_at_lost_ones",
    "each: a retry tells nobody who goes on": "retry dies: goes on",
    "each: a retry looks before it has told": "retry, end meanwhile: goes on",
    "each: whoever ends it does not look": "retry, end meanwhile: goes on",
}
"""What was seen to catch it, which is tried first."""

# -- of the runner -----------------------------------------------------------------------------------------------------


class Altered(Intake):
    """A runner that is wrong about what may begin."""

    def alter(self, lot: Lot) -> None:
        raise NotImplementedError

    def _look_at_gates(self) -> None:
        super()._look_at_gates()
        for lot in self.state.lots.values():
            if lot.gate is not None:
                self.alter(lot)


class BeginsWhatWaits(Altered):
    def alter(self, lot: Lot) -> None:
        lot.gate = None


class BeginsAfterAnyEnd(Altered):
    """An index may begin once that of the other array has ended, however."""

    def alter(self, lot: Lot) -> None:
        gate = lot.gate
        assert gate is not None
        gate._fate = partial(_has_ended, gate)  # type: ignore[method-assign]


def _has_ended(gate: Gate, index: int) -> int:
    return FREE if any(index in each.good or index in each.bad for each in gate._news) else WAITS


class WritesNothingDown(Altered):
    """It is not written down because of which array an index is cancelled."""

    def alter(self, lot: Lot) -> None:
        lot.written_down = True


class TakesAllChunks(Altered):
    """A chunk of which nothing may begin is taken, and what waits in it is taken for what may begin."""

    def alter(self, lot: Lot) -> None:
        for holding in lot.held:
            holding.waiting.extend(holding.shut)
            holding.shut.clear()


RUNNER_MUTANTS: dict[str, Mutant] = {
    "each: an index begins that waits": _intake(BeginsWhatWaits),
    "each: an index begins after any end": _intake(BeginsAfterAnyEnd),
    "each: it is not written down because of whom one is cancelled": _intake(WritesNothingDown),
    "each: what waits in a chunk begins with the rest": _intake(TakesAllChunks),
}
SEEN = {"each: it is not written down because of whom one is cancelled": 25}
"""The history in which it was seen to be caught, which is tried first."""
