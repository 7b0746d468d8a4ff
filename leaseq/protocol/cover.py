"""Which chunks of an array are taken, and which have ended: each by itself or with its group.

A group's file in the array's directory says one of two things, for ever. It is the claim of whoever took the group as a
whole, or it says that the group is divided: then its chunks are taken one by one, as those that are in no group. Mostly
the names tell which it is: a whole group ends as one, and of a divided one single chunks are taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from leaseq.array_names import ArrayNames
from leaseq.errors import Malformed
from leaseq.layout import ArrayDir
from leaseq.protocol import files
from leaseq.protocol.plan import Plan
from leaseq.world import Fs

_DIVIDED = "divided"


class Cover:
    """What is known of the chunks of one array, and learnt again and again."""

    def __init__(self, fs: Fs, array: ArrayDir, plan: Plan) -> None:
        self._fs, self.array, self.plan = fs, array, plan
        self.taken: set[int] = set()
        """The chunks that are no longer to be taken from the array, at the last look."""
        self.settled: set[int] = set()
        """The groups of which it is settled, at the last look, whether they are whole or divided."""
        self._whole: set[int] = set()
        self._divided: set[int] = set()
        self._durably: set[int] = set()
        """Those of the divided ones of which that is known to be durable."""

    def learn(self, names: ArrayNames) -> None:
        """What is in the array's directory is known."""
        plan = self.plan
        chunks = range(plan.chunks)
        self.taken = {number for number in names.taken if number in chunks}
        self.settled = {number for number in names.taken if number in plan.groups}
        for group in self.settled:
            members = plan.chunks_of(group)
            if group in names.ended:
                self._whole.add(group)
            elif group in self._durably or (group not in self._whole and not self.taken.isdisjoint(members)):
                self._divided.add(group)
            if self._is_whole(group):
                self.taken.update(members)

    def divide(self, numbers: Iterable[int]) -> set[int]:
        """Those of the chunks whose group nobody has as a whole, nor ever will: it is divided, durably. And all groups.

        Were a chunk's link durable and this not, a loss of power would let another take its group.
        """
        groups = {number: self.plan.group_of(number) for number in numbers}
        new = {group for group in groups.values() if group is not None} - self._durably
        if found := {group for group in new if _divide(self._fs, self.array, group)}:
            self._fs.sync_dir(self.array.root)
            self._durably |= found
        return {number for number, group in groups.items() if group is None or group in self._durably}

    def has_whole(self, numbers: Iterable[int]) -> None:
        """Those of these that are groups are known to be whole: this process has them."""
        self._whole.update(number for number in numbers if number in self.plan.groups)

    def _is_whole(self, group: int) -> bool:
        if group not in self._whole and group not in self._divided:
            # A file that is gone since it was seen was swept together: the array is over.
            (self._divided if _is_divided(self._fs, self.array, group) else self._whole).add(group)
        return group in self._whole


def ended_in(plan: Plan, names: ArrayNames) -> set[int]:
    """The chunks that have ended, by the names in the array's directory."""
    numbers = range(plan.groups.stop)
    return {chunk for number in names.ended if number in numbers for chunk in plan.chunks_of(number)}


def cover_of(fs: Fs, array: ArrayDir, plan: Plan, names: ArrayNames) -> Cover:
    """What those names say of the chunks."""
    found = Cover(fs, array, plan)
    found.learn(names)
    return found


def _divide(fs: Fs, array: ArrayDir, group: int) -> bool:
    """The group is divided, though perhaps not durably yet; False if somebody has it as a whole."""
    staged = files.stage(fs, array.root, json.dumps({"v": 1, _DIVIDED: True}).encode() + b"\n")
    failure = None
    try:
        fs.link(staged, array.taken(group))
    except OSError as error:
        failure = error
    files.discard(fs, staged)
    if failure is None:
        return True
    # Another was first, or the reply was lost: what stands there is for ever.
    stands = _is_divided(fs, array, group)
    if stands is None and not isinstance(failure, FileExistsError):
        raise failure
    return stands is True


def _is_divided(fs: Fs, array: ArrayDir, group: int) -> bool | None:
    """Whether the group's file says that it is divided; None if it is not there."""
    try:
        return files.json_object(files.content(fs, array.taken(group))).get(_DIVIDED) is True
    except FileNotFoundError:
        return None
    except Malformed:
        return False
