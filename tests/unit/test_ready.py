"""What of a lease could start now if there were room: by need, and without what waits, is held, paused, limited."""

from __future__ import annotations

import pytest

from leaseq.dataclass import replace
from leaseq.models import Array, Need
from leaseq.names import Entry
from leaseq.protocol import groups, lanes, tasks
from leaseq.reading.backlog import HELD, LIMITED, PAUSED, PINNED, WAITING, Backlog, pending
from tests.build import make_entry, make_task
from tests.unit.test_verbs import Lab
from tests.unit.test_verbs_after import after


@pytest.fixture
def lab() -> Lab:
    return Lab()


def queue(
    lab: Lab,
    *,
    need: Need | None = None,
    group: str = "",
    node: str = "_any",
    count: int = 0,
    most: int = 0,
    place: int = 0,
) -> Entry:
    entry = replace(make_entry(need=need, count=count, sequence=place), group=group)
    array = Array(f"0-{count - 1}", throttle=most) if count else None
    tasks.publish(lab.fs, lab.lease.inbox(node), entry, make_task(entry.id, need=entry.need, group=group, array=array))
    return entry


def ready(lab: Lab) -> Backlog:
    return pending(lab.fs, lab.lease)


def test_what_is_alike_is_counted_in_the_order_of_the_queue(lab: Lab) -> None:
    for place, need in enumerate((Need(gpus=1), Need(), Need(gpus=1))):
        queue(lab, need=need, place=place)
    assert [(need.gpus, number) for need, number in ready(lab).ready] == [(1, 2), (None, 1)]
    assert not ready(lab).others


def test_what_waits_is_held_or_pinned_does_not_count(lab: Lab) -> None:
    first = queue(lab)
    after(lab, f"ok:{first.id}")
    tasks.publish(lab.fs, lab.lease.held("_any"), make_entry(), make_task())
    queue(lab, node="n1")
    assert ready(lab).others == {WAITING: 1, HELD: 1, PINNED: 1}
    assert sum(number for _, number in ready(lab).ready) == 1


def test_of_a_group_no_more_count_than_may_run_and_none_while_it_is_paused(lab: Lab) -> None:
    for _ in range(5):
        queue(lab, group="eval")
    groups.set_parallel(lab.fs, lab.lease, "eval", 3)
    assert lanes.take(lab.fs, lab.lease.group_lanes("eval"), f"{make_entry().key}.{'0' * 10}.n1", limit=3)
    assert (sum(number for _, number in ready(lab).ready), ready(lab).others) == (2, {LIMITED: 3})
    groups.pause(lab.fs, lab.lease, "eval")
    assert ready(lab) == Backlog((), {PAUSED: 5})


def test_of_an_array_as_many_count_as_its_indices_that_may_run_at_once(lab: Lab) -> None:
    queue(lab, need=Need(cpus=1), count=10)
    assert [number for _, number in ready(lab).ready] == [10]
    queue(lab, need=Need(cpus=1), count=1000, most=4)
    assert [number for _, number in ready(lab).ready] == [14]


def test_a_name_that_is_no_tasks_counts_for_nothing(lab: Lab) -> None:
    for name in ("junk", "5" * 25 + ".Tabcdefghjkm.zz9.1"):
        lab.fs.create(f"{lab.lease.inbox('_any')}/{name}", b"{}")
    assert ready(lab) == Backlog()
