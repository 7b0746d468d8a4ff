"""Lanes with one thing wrong each. Each is a replacement of functions of `tests.crash.lane_rules.Taking`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leaseq.limit_names import Lane
from leaseq.protocol import lanes
from leaseq.protocol.files import discard, make
from leaseq.world import Fs


def take_by_counting(fs: Fs, directory: str, holder: str, *, limit: int) -> Lane | None:
    """A lane of one's own, if fewer are there than the limit says."""
    make(fs, [directory.rpartition("/")[0], directory])
    known = {lane.holder: lane for lane in lanes.look(fs, directory)}
    if holder in known:
        return known[holder]
    if len(known) >= limit:
        return None
    lane = Lane(1 + max((each.number for each in known.values()), default=0), 1, holder)
    fs.create(f"{directory}/{lane}", b"")
    return lane


def take_that_trusts_an_old_lane(fs: Fs, directory: str, holder: str, *, limit: int) -> Lane | None:
    """A lane that was given for an earlier claim is as good as one that is taken now."""
    return lanes.held_by(lanes.look(fs, directory)).get(holder) or lanes.take(fs, directory, holder, limit=limit)


def free_by_unlink(fs: Fs, directory: str, lane: Lane) -> None:
    """The lane's token is gone, and nobody can make another."""
    discard(fs, f"{directory}/{lane}")


def take_that_trusts_enoent(fs: Fs, directory: str, holder: str, *, limit: int) -> Lane | None:
    """A rename whose reply was lost has failed."""
    held = [lane for lane in lanes.look(fs, directory) if lane.holder]
    if len(held) >= limit:
        return None
    for lane in lanes.look(fs, directory):
        if lane.generation and not lane.holder:
            try:
                fs.rename(f"{directory}/{lane}", f"{directory}/{lane.taken_by(holder)}")
            except FileNotFoundError:
                return None
            return lane.taken_by(holder)
    return lanes.take(fs, directory, holder, limit=limit)


def free_gone_without_looking(fs: Fs, directory: str, *, stands: Callable[[str], bool]) -> int:
    """Whatever is held when the house is kept is free."""
    for lane in lanes.look(fs, directory):
        if lane.holder:
            lanes.free(fs, directory, lane)
    return 0


def free_gone_never(fs: Fs, directory: str, *, stands: Callable[[str], bool]) -> int:
    return 0


def take_that_makes_the_token_itself(fs: Fs, directory: str, holder: str, *, limit: int) -> Lane | None:
    """A lane's token is made by whoever sees none."""
    found = lanes.look(fs, directory)
    if not found:
        make(fs, [directory.rpartition("/")[0], directory])
        for number in range(1, limit + 1):
            fs.create(f"{directory}/{Lane(number, 1)}", b"")
    return lanes.take(fs, directory, holder, limit=limit)


MUTANTS: dict[str, dict[str, Any]] = {
    "lanes by counting": {"take": take_by_counting},
    "a lane of an earlier claim is kept as it is": {"take": take_that_trusts_an_old_lane},
    "a lane is freed by removing it": {"free": free_by_unlink},
    "a lane whose reply was lost is not taken": {"take": take_that_trusts_enoent},
    "every lane is freed when the house is kept": {"free_gone": free_gone_without_looking},
    "no lane of a dead one is freed": {"free_gone": free_gone_never},
    "a lane's token is made by whoever sees none": {"take": take_that_makes_the_token_itself},
}
