"""Groups of chunks with one thing wrong each: replacements of functions of `tests.crash.array_rules.Protocol`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from unittest import mock

from leaseq.array_names import ArrayNames
from leaseq.layout import ArrayDir, LeaseDir
from leaseq.models import Outcome
from leaseq.names import Entry
from leaseq.protocol import arrays, chunks, cover, dependents, files
from leaseq.protocol.array_places import names_of
from leaseq.protocol.cover import Cover
from leaseq.protocol.plan import Plan
from leaseq.protocol.tasks import Claim
from leaseq.runner.holding import Lot
from leaseq.world import Fs


def take_by(known: type[Cover]) -> Any:
    """Chunks are taken by who divides groups so."""

    def take(fs: Fs, lease: LeaseDir, entry: Entry, *, node: str, incarnation: str) -> object:
        it = known(fs, lease.array(entry.id, entry.attempt), Plan(entry.count))
        return chunks.take(fs, lease, [entry], node=node, incarnation=incarnation, known=it)[1]

    return take


class DividesNothing(Cover):
    """A chunk is taken, whatever its group is."""

    def divide(self, numbers: Iterable[int]) -> set[int]:
        return set(numbers)


class LooksInsteadOfDividing(Cover):
    """A group that nobody has is as good as divided."""

    def divide(self, numbers: Iterable[int]) -> set[int]:
        self.learn(ArrayNames.parse(self._fs.names(self.array.root)))
        return {number for number in numbers if number not in self.taken}


class DividesForAWhile(Cover):
    """That a group is divided is not durable before its chunk is."""

    def divide(self, numbers: Iterable[int]) -> set[int]:
        with mock.patch.object(self, "_fs", Unsynced(self._fs)):
            return super().divide(numbers)


class Unsynced:
    """Names are not durable."""

    def __init__(self, fs: Fs) -> None:
        self._fs = fs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def sync_dir(self, path: str) -> None:
        pass


class BelievesWhatOthersSaw(Cover):
    """What somebody else has divided is taken for durable."""

    def divide(self, numbers: Iterable[int]) -> set[int]:
        wanted = list(numbers)
        self.learn(ArrayNames.parse(self._fs.names(self.array.root)))
        self._durably |= self._divided
        return super().divide(wanted)


class TakesOneThatIsThereForWhole(Cover):
    """A group's file that is there already says that somebody has it as a whole."""

    def divide(self, numbers: Iterable[int]) -> set[int]:
        with mock.patch.object(cover, "_is_divided", lambda fs, array, group: False):
            return super().divide(numbers)


def take_whole_though_divided(fs: Fs, lease: LeaseDir, entry: Entry, *, node: str, incarnation: str) -> object:
    """A group of which no chunk is taken is nobody's, whatever its file says."""
    assert entry.chunk is not None
    plan, taken = Plan(entry.count), names_of(fs, lease, entry).taken
    if entry.chunk in plan.groups and entry.chunk in taken:
        files.discard(fs, lease.array(entry.id, entry.attempt).taken(entry.chunk))
    return chunks.take(fs, lease, [entry], node=node, incarnation=incarnation)[1]


class LooksForChunks(Cover):
    """A group of which no chunk is taken is nobody's."""

    def learn(self, names: ArrayNames) -> None:
        super().learn(names)
        self.settled = {group for group in self.settled if not self.taken.isdisjoint(self.plan.chunks_of(group))}


class TakesEachForWhole(Cover):
    """Of a group of which nobody has a chunk yet it is not looked whether it is divided."""

    def _is_whole(self, group: int) -> bool:
        return group not in self._divided


class TakesEachForDivided(Cover):
    """A group that has not ended as a whole is none."""

    def _is_whole(self, group: int) -> bool:
        return group in self._whole


def cover_by(kind: type[Cover]) -> Any:
    def cover_of(fs: Fs, array: ArrayDir, plan: Plan, names: ArrayNames) -> Cover:
        found = kind(fs, array, plan)
        found.learn(names)
        return found

    return cover_of


def finish_by(kind: type[Cover]) -> Any:
    """The array is over by what such a look says of its chunks."""

    def finish(fs: Fs, lease: LeaseDir, closed: Claim, *, now: float) -> Outcome | None:
        with mock.patch.object(arrays, "cover_of", cover_by(kind)):
            return arrays.finish(fs, lease, closed, now=now)

    return finish


def finish_by_numbers(fs: Fs, lease: LeaseDir, closed: Claim, *, now: float) -> Outcome | None:
    """A group that has ended is one chunk of the array."""
    with mock.patch.object(arrays, "ended_in", lambda plan, names: set(names.ended)):
        return arrays.finish(fs, lease, closed, now=now)


def only_the_first(plan: Plan, number: int) -> range:
    """Who has a group in other hands goes on with its first chunk alone."""
    return plan.span(plan.chunks_of(number)[0])


def follow_by_chunks(fs: Fs, lease: LeaseDir, ended: Collection[str]) -> frozenset[str]:
    """How an index stands is looked for among the lines of its chunk alone, not of its group."""
    with mock.patch.object(Plan, "numbers_of", lambda plan, place: (plan.chunk_of(place),)):
        return dependents.follow_indices(fs, lease, ended)


MUTANTS: dict[str, dict[str, Any]] = {
    "group: taken as a whole though it is divided": {
        "take": take_whole_though_divided,
        "cover": cover_by(LooksForChunks),
    },
    "group: a chunk is taken and its group is not divided": {"take": take_by(DividesNothing)},
    "group: one that nobody has is as good as divided": {"take": take_by(LooksInsteadOfDividing)},
    "group: that it is divided is not synced": {"take": take_by(DividesForAWhile)},
    "group: what another has divided is not synced": {"take": take_by(BelievesWhatOthersSaw)},
    "group: what is there already is whole": {"take": take_by(TakesOneThatIsThereForWhole)},
    "group: whole as long as nobody has a chunk of it": {"cover": cover_by(TakesEachForWhole)},
    "group: nobody's until it has ended as a whole": {"finish": finish_by(TakesEachForDivided)},
    "group: counted as one chunk": {"finish": finish_by_numbers},
    "group: only its first chunk is run": {"span": only_the_first},
}
INDEX_MUTANTS: dict[str, dict[str, Any]] = {
    "group: an index is looked for in its chunk alone": {"follow": follow_by_chunks},
}


def indices_of_the_first_chunk(lot: Lot, number: int) -> list[int]:
    """A runner has of a group the indices of its first chunk."""
    return [lot.expansion.indices[place] for place in only_the_first(lot.plan, number)]


CAUGHT_BY: dict[str, str] = {
    "group: whole as long as nobody has a chunk of it": "n2 takes groups, deaths: take_one",
    "group: that it is divided is not synced": "n2 takes groups, power_losses: take_one",
    "group: what another has divided is not synced": "n2 takes groups, power_losses: take_after_a_predecessor",
    "group: nobody's until it has ended as a whole": "n1 takes groups, meetings: take, cancel",
    "group: taken as a whole though it is divided": "n1 takes groups, meetings: take, take",
}
"""What was seen to catch it, which is tried first."""
