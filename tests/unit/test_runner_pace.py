"""How many of an array's indices begin ahead, how many are handed over together, and how many chunks are taken."""

from __future__ import annotations

from leaseq.arrays import Expansion
from leaseq.layout import ArrayDir
from leaseq.models import Array, Need, Task
from leaseq.names import Entry
from leaseq.node.window import MOMENT_SECONDS
from leaseq.protocol.plan import Plan
from leaseq.runner.holding import Lot
from leaseq.runner.pace import SURE, Pace


def paced(*seconds: float, every: float = 0.001) -> Pace:
    pace = Pace()
    for number, each in enumerate(seconds):
        pace.ended(number * every, each)
    return pace


def test_nothing_is_handed_over_before_it_is_known_how_long_indices_take() -> None:
    assert not paced(*[0.001] * (SURE - 1)).is_short
    assert paced(*[0.001] * SURE).is_short
    assert not paced(*[MOMENT_SECONDS] * SURE).is_short


def test_one_that_takes_long_among_many_changes_nothing_and_most_that_do_change_it() -> None:
    assert paced(*[0.001] * 5, 60.0).is_short
    assert not paced(*[0.001] * 2, *[60.0] * 4).is_short


def test_a_lost_node_costs_twice_what_runs_at_once_or_what_ends_in_a_moment() -> None:
    assert paced(*[0.09] * 6, every=0.05).ahead(8) == 16
    assert 100 <= paced(*[0.001] * 400).ahead(2) <= 101


def test_half_of_what_may_begin_waits_to_follow_and_the_other_half_is_in_windows() -> None:
    quick = paced(*[0.0015] * 400)
    assert quick.abreast(1) == 1 and quick.together(1) == 50
    assert quick.abreast(64) == 4 and quick.together(64) == 16
    assert paced(*[0.0006] * 400).abreast(2) == 2, "of the shortest the keeper starts one while another runs"
    slower = paced(*[0.09] * 400)
    assert slower.abreast(8) == 8 and slower.together(8) == 6


def test_what_a_keeper_refused_is_asked_for_alone_first() -> None:
    pace = paced(*[0.001] * 6)
    pace.refused()
    assert not pace.is_short


def quick_lot(count: int, *taken: int) -> Lot:
    """An array of which a hundred indices end in a moment here."""
    task = Task("T", ("true",), "/", 0.0, array=Array(f"0-{count - 1}"))
    assert task.array is not None
    entry = Entry("0", task.id, Need(), 1, count=count)
    made = Expansion(task, task.array)
    lot = Lot(entry, task, made, ArrayDir("/a"), Plan(count), slots=1, inbox="/inbox", own=False)
    lot.taken, lot.pace = set(taken), paced(*[0.001] * 400)
    return lot


def test_a_node_takes_as_many_short_chunks_together_as_leave_enough_for_all_nodes() -> None:
    alone = quick_lot(500)
    assert [alone.several(nodes) for nodes in (1, 4, 100)] == [64, 31, 16]
    assert alone.next_free(0, alone.several(1)) == list(range(64))
    assert alone.next_free(7, alone.several(100)) == list(range(7, 23)), "others take those before"
    ending = quick_lot(500, *range(420))
    assert ending.several(1) == 20 and ending.next_free(0, 20) == list(range(420, 440))
    slow = quick_lot(500)
    slow.pace = Pace()
    assert slow.next_free(0, slow.several(1)) == [0]
