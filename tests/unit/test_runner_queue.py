"""The pending names of one node, in the order in which it takes them."""

from __future__ import annotations

import random

from leaseq.models import Need
from leaseq.names import Entry, new_incarnation
from leaseq.runner.decide import LOOKAHEAD, STAGGER_SECONDS_MAX, rank
from leaseq.runner.queue import Queue
from tests.build import make_entry


def name(place: int, *, priority: int = 0, owner: str = "") -> str:
    return str(make_entry(priority=priority, micros=place, need=Need(cpus=1), owner=owner))


def taken(queue: Queue, now: float = 0.0) -> list[str]:
    return [str(entry) for entry in queue.candidates(now)[0]]


def test_names_come_by_priority_then_submission_from_both_inboxes() -> None:
    first, second, third, urgent = name(1), name(2), name(3), name(4, priority=10)
    queue = Queue("n", ("n",))
    queue.refresh([third, first], own=False)
    queue.refresh([urgent, second], own=True)
    assert taken(queue) == [urgent, first, second, third]
    assert queue.is_own(second) and not queue.is_own(first)
    assert len(queue) == 4


def test_what_appears_and_what_leaves_is_followed() -> None:
    names = [name(place) for place in range(50)]
    queue = Queue("n", ("n",))
    for each in random.Random(1).sample(names, 50):
        queue.add(each, own=False)
        queue.add(each, own=False)
    for each in names[::2]:
        queue.remove(each, own=False)
        queue.remove(each, own=False)
    queue.add(".hidden", own=False)
    assert queue.any == names[1::2]


def test_names_that_are_no_tasks_are_set_aside_and_not_taken() -> None:
    good, claimed = name(5), name(1, owner=new_incarnation())
    queue = Queue("n", ("n",))
    queue.refresh(["hello", good, claimed], own=True)
    assert taken(queue) == [good]
    assert sorted(queue.malformed) == [(True, claimed), (True, "hello")]


def test_only_the_head_of_a_long_queue_is_read() -> None:
    queue = Queue("n", ("n",))
    queue.refresh([name(place) for place in range(1000)], own=False)
    assert len(taken(queue)) == LOOKAHEAD


def test_of_many_nodes_each_takes_at_once_what_it_is_first_for_and_later_all() -> None:
    nodes = ("n1", "n2", "n3")
    names = [name(place) for place in range(12)]
    queues = {node: Queue(node, nodes) for node in nodes}
    now = {}
    for node, queue in queues.items():
        queue.refresh(names, own=False)
        entries, wait = queue.candidates(100.0)
        now[node] = [str(entry) for entry in entries]
        assert now[node] == [each for each in names if rank(node, Entry.parse(each).id, nodes) == 0]
        assert wait is not None and 0 < wait <= STAGGER_SECONDS_MAX
    assert sorted(each for mine in now.values() for each in mine) == names
    assert taken(queues["n1"], 100.1)[: len(now["n1"])] == now["n1"]
    assert sorted(taken(queues["n1"], 100.1 + STAGGER_SECONDS_MAX)) == names


def test_many_nodes_with_an_old_list_of_a_long_queue_run_for_different_tasks() -> None:
    nodes = tuple(f"n{number}" for number in range(16))
    names = [name(place) for place in range(1000)]
    heads = []
    for node in nodes:
        queue = Queue(node, nodes)
        queue.refresh(names, own=False)
        taken(queue, 0.0)
        heads.append(taken(queue, 60.0)[0])
    assert len(set(heads)) >= 13


def test_among_many_nodes_priority_goes_first_whichever_node_is_first_for_it() -> None:
    nodes = ("n1", "n2", "n3")
    urgent = [name(100 + place, priority=5) for place in range(3)]
    for node in nodes:
        queue = Queue(node, nodes)
        queue.refresh([*urgent, *(name(place) for place in range(9))], own=False)
        taken(queue, 0.0)
        assert sorted(taken(queue, 60.0)[:3]) == urgent


def test_a_task_whose_first_node_is_busy_is_overtaken_by_no_more_than_two_windows() -> None:
    nodes = ("n1", "n2")
    queue = Queue("n1", nodes)
    names = [name(place) for place in range(200)]
    others = next(each for each in names if rank("n1", Entry.parse(each).id, nodes) == 1)
    taken_before = 0
    queue.refresh(names, own=False)
    now = 0.0
    while True:
        now += 10.0
        first = taken(queue, now)[:1]
        if not first:
            continue
        if first[0] == others:
            break
        queue.remove(first[0], own=False)
        taken_before += 1
        assert taken_before <= len(names)
    assert taken_before <= 2 * 4 * len(nodes)
