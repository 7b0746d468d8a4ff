"""What starts next, and who waits for whom."""

from __future__ import annotations

import pytest

from leaseq.dataclass import replace
from leaseq.models import ALL_GPUS, Need
from leaseq.names import Entry, new_task_id
from leaseq.room import Booking, Room, booking_of, how_many, never_fits, room_left
from leaseq.runner.decide import LEASE_ENDS, LEASE_TIME, LOOKAHEAD, choose, rank, stagger_seconds
from tests.build import make_entry

NODE = Room(cpus=8, mem_mb=1000, gpus=("a", "b", "c", "d"))


def entry(need: Need, place: int = 0) -> Entry:
    return make_entry(micros=place, need=need)


def starts(*needs: Need, held: tuple[Booking, ...] = (), left: float | None = None) -> tuple[list[int], dict[int, str]]:
    """(places of those that start, reasons of those that wait by place)"""
    entries = [entry(need, place) for place, need in enumerate(needs)]
    chosen, waiting = choose(entries, NODE, held, seconds_left=left)
    places = {each.id: place for place, each in enumerate(entries)}
    told = {places[id]: reason for id, reason in waiting.items()}
    for place, each in enumerate(entries):
        told = {at: reason.replace(each.id, str(place)) for at, reason in told.items()}
    return [places[choice.entry.id] for choice in chosen], told


def test_a_task_that_names_nothing_takes_the_whole_node() -> None:
    assert booking_of(Need(), NODE, NODE) == Booking(8, 1000, NODE.gpus, alone=True)
    assert starts(Need(), Need(), Need(cpus=1)) == ([0], {})


def test_nothing_starts_beside_a_task_that_runs_alone() -> None:
    assert starts(Need(cpus=1), held=(Booking(8, 1000, NODE.gpus, alone=True),)) == (
        [],
        {0: "Node: another task has it alone"},
    )


def test_a_task_that_wants_to_be_alone_waits_for_the_others_and_lets_nobody_pass() -> None:
    assert starts(Need(), Need(cpus=1), held=(Booking(cpus=1),)) == ([], {0: "Node: needs it whole, 1 running"})
    assert starts(Need(cpus=1), Need()) == ([0], {1: "Node: needs it whole, 1 running"})


def test_gpus_are_given_out_in_their_order_and_never_twice() -> None:
    chosen, _ = choose(
        [entry(Need(gpus=1), 1), entry(Need(gpus=2), 2)], NODE, [Booking(gpus=("b",))], seconds_left=None
    )
    assert [choice.booking.gpus for choice in chosen] == [("a",), ("c", "d")]


def test_a_task_of_gpus_books_a_cpu_unless_the_node_has_fewer_cpus_than_gpus() -> None:
    lean = Room(cpus=1, mem_mb=1000, gpus=("a", "b"))
    assert booking_of(Need(gpus=1), NODE, NODE) == Booking(1, 0, ("a",))
    assert booking_of(Need(gpus=1), lean, lean) == Booking(0, 0, ("a",))
    assert booking_of(Need(gpus=0), lean, lean) == Booking(1, 0, ())
    assert booking_of(Need(gpus=1, cpus=1), lean, lean) == Booking(1, 0, ("a",))
    chosen, waiting = choose([entry(Need(gpus=1), place) for place in range(3)], lean, [], seconds_left=None)
    assert [choice.booking.gpus for choice in chosen] == [("a",), ("b",)]
    assert list(waiting.values()) == ["GPU: needs 1, 0 free"]


def test_all_gpus_means_all_of_the_node() -> None:
    assert starts(Need(gpus=ALL_GPUS)) == ([0], {})
    assert starts(Need(gpus=ALL_GPUS), held=(Booking(gpus=("d",)),)) == ([], {0: "GPU: needs 4, 3 free"})
    assert starts(Need(gpus=ALL_GPUS, cpus=1), held=(Booking(cpus=1),)) == ([0], {})


def test_a_need_of_memory_alone_books_a_cpu() -> None:
    assert booking_of(Need(mem_mb=10), NODE, NODE) == Booking(1, 10, ())


def test_a_blocked_head_keeps_what_it_waits_for() -> None:
    held = (Booking(cpus=1, gpus=("a", "b")),)
    rivals = (Need(gpus=3, cpus=1), Need(gpus=1, cpus=1), Need(gpus=0, cpus=1), Need(cpus=4), Need(cpus=1))
    chosen, waiting = starts(*rivals, held=held)
    assert chosen == [2, 3]
    assert waiting.keys() == {0, 1, 4}
    assert waiting[0] == "GPU: needs 3, 2 free"
    assert waiting[1] == "Behind: 0", "two are free, and kept for the first"


def test_who_waits_behind_another_is_told_behind_whom() -> None:
    entries = [entry(need, place) for place, need in enumerate((Need(gpus=4), Need(mem_mb=900), Need(gpus=1), Need()))]
    held = [Booking(gpus=("a",)), Booking(mem_mb=200)]
    _, waiting = choose([*entries, last := entry(Need(mem_mb=850), 9)], NODE, held, seconds_left=None)
    assert waiting == {
        entries[0].id: "GPU: needs 4, 3 free",
        entries[1].id: "Memory: needs 900M, 800M free",
        entries[2].id: f"Behind: {entries[0].id}",
        entries[3].id: "Node: needs it whole, 2 running",
    }
    assert last.id not in waiting
    _, waiting = choose([entries[1], fits := entry(Need(mem_mb=700), 9)], NODE, held, seconds_left=None)
    assert waiting[fits.id] == f"Behind: {entries[1].id}"


def test_memory_of_a_blocked_head_is_reserved_too() -> None:
    held = (Booking(cpus=1, mem_mb=600),)
    assert starts(Need(mem_mb=500), Need(mem_mb=300), Need(cpus=1), held=held) == (
        [2],
        {0: "Memory: needs 500M, 400M free", 1: "Behind: 0"},
    )


def test_what_can_never_fit_blocks_nobody_and_says_why() -> None:
    wants = (Need(gpus=5), Need(cpus=9), Need(mem_mb=1001), Need(cpus=1))
    chosen, waiting = starts(*wants)
    assert chosen == [3]
    assert waiting == {
        0: "Resources: needs 5 GPUs, the node has 4",
        1: "Resources: needs 9 CPUs, the node has 8",
        2: "Resources: needs 1001 MiB of memory, the node has 1000",
    }
    assert never_fits(Need(gpus=ALL_GPUS), Room(1, 1, ())) == "needs all GPUs, the node has none"
    assert never_fits(Need(gpus=0), Room(1, 1, ())) == ""


def test_a_task_longer_than_the_lease_waits_and_blocks_nobody() -> None:
    assert starts(Need(cpus=1, time_seconds=61), Need(cpus=1, time_seconds=60), left=60.0) == ([1], {0: LEASE_TIME})


def test_a_task_with_a_time_limit_only_still_runs_alone() -> None:
    assert starts(Need(time_seconds=5), Need(cpus=1)) == ([0], {})


def test_names_of_one_need_are_judged_together_as_each_alone() -> None:
    needs = [Need(cpus=6), Need(gpus=3), *[Need(cpus=3), Need(gpus=2), Need(cpus=0), Need(gpus=1, mem_mb=600)] * 9]
    alone = [entry(need, place) for place, need in enumerate(needs)]
    named = [Entry.parse(str(each)) for each in alone]
    assert len({id(each.need) for each in named}) == len(set(map(str, needs)))
    held = (Booking(2, 500),)
    assert choose(named, NODE, held, seconds_left=None) == choose(alone, NODE, held, seconds_left=None)


def test_only_so_many_are_looked_at_behind_a_blocked_head() -> None:
    read = []

    def pending() -> object:
        for place in range(10 * LOOKAHEAD):
            read.append(place)
            yield entry(Need(cpus=8), place)

    choose(pending(), NODE, [Booking(cpus=1)], seconds_left=None)  # type: ignore[arg-type]
    assert len(read) <= LOOKAHEAD + 1


def test_room_is_never_negative() -> None:
    assert room_left(NODE, [Booking(cpus=20, mem_mb=5000, gpus=("x",))]) == Room(0, 0, NODE.gpus)


def test_every_node_is_first_for_its_share_and_all_agree() -> None:
    nodes = ["n1", "n2", "n3"]
    tasks = [new_task_id() for _ in range(300)]
    ranks = [[rank(node, task, nodes) for node in nodes] for task in tasks]
    assert all(sorted(each) == [0, 1, 2] for each in ranks)
    assert all(60 < sum(each[place] == 0 for each in ranks) < 140 for place in range(3))
    assert rank("n1", tasks[0], ["n1"]) == rank("stranger", tasks[0], nodes) == 0
    assert stagger_seconds(0) == 0.0
    assert stagger_seconds(1000) == 1.0


@pytest.mark.parametrize("count", [2, 4, 7, 12, 64, 101])
def test_what_a_busy_node_leaves_goes_to_all_the_others(count: int) -> None:
    nodes = [f"n{number}" for number in range(count)]
    seconds = set()
    for _ in range(100 * count):
        task = new_task_id()
        places = {rank(node, task, nodes): node for node in nodes[:2]}
        if places.get(0) == "n0":
            order = {rank(node, task, nodes): node for node in nodes}
            assert sorted(order) == list(range(count)), "no two nodes have one place"
            seconds.add(order[1])
    assert len(seconds) > (count - 1) / 3


def test_once_the_end_was_told_what_it_interrupted_does_not_begin_again() -> None:
    again, limited, first = (
        replace(entry(Need(cpus=1), 0), attempt=2),
        replace(entry(Need(cpus=1, time_seconds=5), 1), attempt=2),
        entry(Need(cpus=1), 2),
    )
    chosen, waiting = choose([again, limited, first], NODE, (), seconds_left=60.0, warned=True)
    assert [choice.entry for choice in chosen] == [limited, first]
    assert waiting == {again.id: LEASE_ENDS}


def test_of_attempts_that_book_nothing_64_have_room_at_once() -> None:
    room = Room(8, 1000, ("0", "1"))
    assert how_many(Need(cpus=0), room) == 64
    assert how_many(Need(cpus=2), room) == 4 and how_many(Need(cpus=1, gpus=1), room) == 2
    assert how_many(Need(), room) == 1 == how_many(Need(cpus=9), room)
