"""How many of an array's indices begin ahead, how many are handed over together, and how many chunks are taken."""

from __future__ import annotations

from leaseq.array_names import ArrayNames
from leaseq.arrays import Expansion
from leaseq.layout import ArrayDir
from leaseq.models import Array, Need, Task
from leaseq.names import Entry
from leaseq.node.window import MOMENT_SECONDS
from leaseq.protocol.cover import Cover
from leaseq.protocol.plan import Plan
from leaseq.runner.holding import Lot
from leaseq.runner.pace import SURE, Pace
from tests.memoryfs import Disk, MemoryFs


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


def quick_lot(count: int, *taken: int, grouped: bool = False) -> Lot:
    """An array of which a hundred indices end in a moment here."""
    task = Task("T", ("true",), "/", 0.0, array=Array(f"0-{count - 1}"))
    assert task.array is not None
    entry = Entry("0", task.id, Need(), 1, count=count, grouped=grouped)
    made = Expansion(task, task.array)
    cover = Cover(MemoryFs(Disk()), ArrayDir("/a"), Plan(count))
    lot = Lot(entry, task, made, cover, slots=1, inbox="/inbox", own=False)
    cover.learn(ArrayNames(set(taken)))
    lot.pace = paced(*[0.001] * 400)
    return lot


def test_a_node_takes_as_many_short_chunks_together_as_leave_enough_for_all_nodes() -> None:
    alone = quick_lot(500)
    assert [alone.several(nodes) for nodes in (1, 4, 8, 100)] == [64, 62, 31, 16]
    assert alone.next_free(0, alone.several(1)) == list(range(64))
    assert alone.next_free(7, alone.several(100)) == list(range(7, 23)), "others take those before"
    ending = quick_lot(500, *range(420))
    assert ending.several(2) == 20 and ending.next_free(0, 20) == list(range(420, 440))
    assert ending.several(1) == 64, "nobody else would have them"
    slow = quick_lot(500)
    slow.pace = Pace()
    assert slow.next_free(0, slow.several(1)) == [0]


def test_of_short_indices_whole_groups_are_taken_and_of_others_single_chunks() -> None:
    lot = quick_lot(500, *range(4), grouped=True)
    first, *_, last = lot.plan.groups
    assert lot.next_free(0, 64) == [first, first + 1, first + 2, first + 3], "of 4, 8, 16 and 32 chunks: several"
    assert lot.next_free(1, 16) == [first + 1], "another node takes those before"
    assert lot.next_free(3, 16) == list(range(32, 48)), "a group of 32 is more than its share"
    assert lot.next_free(500, 64) == [last], "however many nodes there are, each finds something"
    slow = quick_lot(500, *range(4), grouped=True)
    slow.pace = Pace()
    assert slow.next_free(0, 64) == [4]
    assert quick_lot(500, *range(4)).next_free(0, 8) == list(range(4, 12)), "an older leaseq's array has no groups"


def test_a_group_is_taken_whole_only_if_all_of_it_will_run_in_some_moments() -> None:
    lot = quick_lot(500, *range(32), grouped=True)
    whole = lot.plan.group_of(32)
    assert whole is not None and len(lot.plan.span(whole)) == 32
    lot.pace = paced(*[0.01] * 4, every=0.01)
    assert lot.next_free(0, 32) == [whole]
    lot.pace = paced(*[0.01] * 3, every=0.01)
    assert lot.next_free(0, 64) == [32, 33, 34]
    lot.pace, lot.limits = paced(*[0.001] * 400), {"lanes": 2}
    assert lot.next_free(0, 64) == [32], "a group would run one index at a time"


def test_of_a_group_that_is_divided_or_whole_only_what_is_left_is_taken() -> None:
    lot = quick_lot(500, *range(16), grouped=True)
    divided = lot.plan.group_of(16)
    assert divided is not None
    whole = divided + 1
    fs = MemoryFs(Disk())
    fs.mkdir("/home/a")
    fs.create("/home/a/c.17", b"{}")
    fs.create(f"/home/a/c.{divided}", b'{"v":1,"divided":true}')
    fs.create(f"/home/a/c.{whole}", b'{"v":1,"token":"somebody"}')
    lot.cover = Cover(fs, ArrayDir("/home/a"), lot.plan)
    lot.cover.learn(ArrayNames({*range(16), 17, divided, whole}))
    assert lot.taken == {*range(16), 17, *lot.plan.chunks_of(whole)}
    assert lot.next_free(0, 64)[:3] == [16, 18, 19] and whole not in lot.next_free(0, 64)
