"""Lanes under every fault at every operation, with two takers at once, and after a loss of power."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from leaseq.limit_names import Lane
from leaseq.protocol import files, lanes
from leaseq.world import Fs
from tests.crash import lane_rules
from tests.crash.lane_rules import REAL, Taking
from tests.faults import Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

NAME = "/home/lanes/x"


def _fs() -> MemoryFs:
    return MemoryFs(Disk())


@pytest.mark.parametrize("case", lane_rules.CASES, ids=lambda case: case.__name__)
def test_no_fault_gives_a_lane_to_two_or_loses_one(case: Callable[[Taking], Iterator[str]]) -> None:
    assert sum(1 for _ in case(REAL)) > 5


def test_as_many_are_given_as_the_limit_says_and_a_freed_one_is_given_again() -> None:
    fs = _fs()
    first, second = (lanes.take(fs, NAME, holder, limit=2) for holder in ("a", "b"))
    assert first and second and (first.number, second.number) == (1, 2)
    assert lanes.take(fs, NAME, "c", limit=2) is None
    lanes.free(fs, NAME, first)
    assert lanes.take(fs, NAME, "c", limit=2) == Lane(1, 2, "c")


def test_who_has_a_lane_is_given_the_same_one() -> None:
    fs = _fs()
    first, again = (lanes.take(fs, NAME, "a", limit=1) for _ in range(2))
    assert first and again and first.number == again.number == 1
    assert lanes.take(fs, NAME, "a", limit=None) == again
    lanes.free(fs, NAME, first)
    assert lanes.look(fs, NAME) == [again], "who saw it before it was given again frees nothing"


def test_a_lane_that_was_given_before_a_start_counts_as_any_other() -> None:
    fs = _fs()
    for holder in "ab":
        lanes.take(fs, NAME, holder, limit=None)
    assert lanes.take(fs, NAME, "b", limit=2) == Lane(2, 2, "b")
    assert lanes.take(fs, NAME, "b", limit=1) is None
    assert list(lanes.held_by(lanes.look(fs, NAME))) == ["a"], "who is refused holds none"


def test_none_is_given_while_a_greater_limits_holders_are_as_many_as_the_smaller_limit() -> None:
    fs = _fs()
    held = [lanes.take(fs, NAME, holder, limit=4) for holder in "abcd"]
    for lane in held[:2]:
        assert lane
        lanes.free(fs, NAME, lane)
    assert lanes.take(fs, NAME, "e", limit=2) is None, "the third and the fourth run yet"
    assert held[2]
    lanes.free(fs, NAME, held[2])
    assert lanes.take(fs, NAME, "e", limit=2)
    assert lanes.take(fs, NAME, "f", limit=2) is None, "the fourth runs yet"


def test_what_runs_already_has_a_lane_however_many_are_held() -> None:
    fs = _fs()
    for holder in "abc":
        assert lanes.take(fs, NAME, holder, limit=None)
    assert lanes.take(fs, NAME, "d", limit=3) is None


def test_a_lane_whose_holder_has_no_claim_is_freed_and_others_are_not() -> None:
    fs = _fs()
    for holder in "abc":
        lanes.take(fs, NAME, holder, limit=3)
    assert lanes.free_gone(fs, NAME, stands=lambda holder: holder != "b") == 1
    assert set(lanes.held_by(lanes.look(fs, NAME))) == {"a", "c"}


def test_who_frees_on_an_old_look_frees_nobody_elses() -> None:
    fs = _fs()
    lane = lanes.take(fs, NAME, "a", limit=1)
    assert lane
    old = lanes.look(fs, NAME)[0]
    lanes.free(fs, NAME, lane)
    again = lanes.take(fs, NAME, "a", limit=1)
    lanes.free(fs, NAME, old)
    assert lanes.look(fs, NAME) == [again]


def test_strange_names_are_passed_over() -> None:
    fs = _fs()
    files.make(fs, [NAME.rpartition("/")[0], NAME])
    for name in ("x", "01", "1.0", "1.2.", "0.1"):
        fs.create(f"{NAME}/{name}", b"")
    assert lanes.look(fs, NAME) == []


def test_taking_and_freeing_are_one_change_each() -> None:
    inner = _fs()
    lanes.free(inner, NAME, lanes.take(inner, NAME, "a", limit=1) or Lane(1))
    fs = FaultFs(inner)
    lane = lanes.take(fs, NAME, "b", limit=1)
    assert lane
    lanes.free(fs, NAME, lane)
    assert [call[0] for call in fs.calls] == ["names", "rename", "rename"]


def test_a_lane_whose_token_is_not_known_is_not_given() -> None:
    fs = _fs()
    files.make(fs, [NAME.rpartition("/")[0], NAME])
    fs.create(f"{NAME}/1", b"nonsense, not a token")
    assert lanes.take(fs, NAME, "a", limit=1) is None
    assert lanes.take(fs, NAME, "a", limit=2) == Lane(2, 1, "a")


def test_a_failure_of_the_file_system_is_told() -> None:
    fs: Fs = FaultFs(_fs(), Fault(1, Kind.FAILS, 5))
    with pytest.raises(OSError):
        lanes.take(fs, NAME, "a", limit=1)
