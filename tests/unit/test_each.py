"""Arrays that wait index by index, by the verbs and by what a runner asks: on a file system in memory."""

from __future__ import annotations

import pytest

from leaseq.dataclass import replace
from leaseq.errors import Newer, Refused, UsageError
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Array, Need, State, Task
from leaseq.names import Entry, is_chunk, is_each
from leaseq.protocol import retention
from leaseq.protocol.facts import Ended
from leaseq.protocol.index_news import IndexNews
from leaseq.protocol.plan import Plan
from leaseq.runner.gate import ENDS, FREE, VAIN, WAITS, Gate
from leaseq.runner.queue import Queue
from leaseq.upstream import Upstream, edges_in
from leaseq.verbs.cancel import cancel
from leaseq.verbs.changes import Changes
from leaseq.verbs.hold import hold, release
from leaseq.verbs.move import Destination, move
from leaseq.verbs.redo import redo
from leaseq.verbs.retry import retry
from leaseq.verbs.submit import Wanted, submit
from leaseq.verbs.upstreams import resolve
from tests.faults import FaultFs
from tests.unit.test_index_after import COUNT, Sweep
from tests.unit.test_verbs import Lab
from tests.unit.test_verbs_after import place

EVERY = Indices.parse(f"0-{COUNT - 1}")


@pytest.fixture
def lab() -> Lab:
    return Lab()


def after_each(lab: Lab, up_id: str, *, lease: LeaseDir | None = None, **fields: object) -> str:
    """An array that waits for that one, index by index."""
    home = lease or lab.lease
    ups = [up for up, _ in resolve(lab.access, home, [("each", up_id)], array=Array(str(EVERY)))]
    fields = {"after": tuple(map(str, ups)), "array": Array(str(EVERY)), **fields}
    like = Task("", (), "/", 0.0, need=Need(cpus=1), export="NONE", **fields)  # type: ignore[arg-type]
    return submit(lab.access, home, Wanted(like, [(("true",), False)]), threads=0).ids[0]


def entry(lab: Lab, task_id: str, lease: LeaseDir | None = None) -> Entry:
    names = lab.fs.names((lease or lab.lease).inbox(ANY))
    return next(each for each in map(Entry.parse, names) if each.id == task_id)


def gate(lab: Lab, down: str, lease: LeaseDir | None = None, *, keeps: bool = False) -> Gate:
    """As a runner makes it that looks at that array."""
    home, own = lease or lab.lease, entry(lab, down, lease)
    ups = [edge.up for edge in edges_in(lab.fs.names(home.edges)) if edge.down == own.key]
    return Gate(lab.fs, home, ups, Plan(own.count), EVERY, keeps=keeps)


def fates(made: Gate) -> list[int]:
    made.look(0.0, askers=1)
    return [made.fate(index) for index in EVERY]


def test_an_array_of_any_size_costs_one_edge_and_lies_in_an_inbox(lab: Lab) -> None:
    sweep = Sweep(lab)
    down = after_each(lab, sweep.id)
    assert [str(edge.up) for edge in edges_in(lab.fs.names(lab.lease.edges))] == [f"each:{sweep.id}.1@1"]
    assert place(lab, down) == "inbox" and entry(lab, down).each
    row = lab.see(down).row
    assert row.reason == "NoRunner" and [wait.up.word for wait in row.waits] == [f"each:{sweep.id}"]
    (one,) = lab.see(down).indexed.rows(Indices.of([3]))
    assert one.reason == f"Dependency: {sweep.id}_3 PENDING"
    sweep.end(3)
    assert not lab.see(down).indexed.row(3).waits


def test_a_leaseq_of_before_does_not_know_the_name_of_such_an_array(lab: Lab) -> None:
    own = entry(lab, after_each(lab, Sweep(lab).id))
    name, chunk = str(own), str(own.of_chunk(2))
    assert ".c1pwa6." in name and is_each(name) and not is_chunk(name) and is_chunk(chunk) and is_each(chunk)
    assert Entry.parse(name) == own and Entry.parse(chunk).of_array() == own
    with pytest.raises(Newer):
        Entry.parse(name.replace("pwa6", "pw"))


def test_an_index_may_begin_once_its_own_is_done_and_never_if_that_ended_otherwise(lab: Lab) -> None:
    sweep = Sweep(lab)
    down = after_each(lab, sweep.id)
    made = gate(lab, down)
    assert fates(made) == [WAITS] * COUNT and made.decided(()) == [] and not made.is_settled
    sweep.end(1)
    sweep.end(2, State.FAILED)
    sweep.end(3, State.LOST)
    assert fates(made) == [WAITS, FREE, VAIN, WAITS, WAITS, WAITS]
    assert made.decided(()) == [1, 2] and made.decided({1}) == [2] and made.many_in([2]) == 1 and made.free_in([2]) == 0
    assert made.because(2)[1].state is State.FAILED
    assert fates(gate(lab, down, keeps=True)) == [WAITS, FREE, WAITS, WAITS, WAITS, WAITS]
    sweep.finish()
    assert fates(made) == fates(gate(lab, down)) == [FREE, FREE, VAIN, WAITS, FREE, FREE]
    retry(lab.access, lab.see(sweep.id))
    assert fates(made) == [FREE, FREE, WAITS, WAITS, FREE, FREE]
    for number, index in enumerate((2, 3)):
        sweep.end(index, place=number)
    assert fates(made) == [FREE] * COUNT and made.is_settled


def test_an_index_that_is_to_end_waits_no_more_whatever_becomes_of_its_own(lab: Lab) -> None:
    sweep = Sweep(lab)
    down = after_each(lab, sweep.id, on_dep="hold")
    made = gate(lab, down, keeps=True)
    sweep.end(2, State.FAILED)
    made.end(Indices.parse("2,4"))
    assert fates(made) == [WAITS, WAITS, ENDS, WAITS, ENDS, WAITS]
    assert made.decided(()) == made.in_vain(()) == [2, 4] and made.free_in([2, 4]) == 0
    made.end(Indices.parse("0,2,4"))
    sweep.end(4)
    assert fates(made) == [ENDS, WAITS, ENDS, WAITS, ENDS, WAITS]


def test_what_was_read_of_a_journal_is_not_read_again(lab: Lab) -> None:
    sweep = Sweep(lab)
    for index in range(4):
        sweep.end(index)
    fs = FaultFs(lab.fs)
    news = IndexNews(fs, lab.lease, sweep.id)
    assert news.look() == {0, 1, 2, 3}
    begin = len(fs.calls)
    assert news.look() == set()
    assert [call[0] for call in fs.calls[begin:]] == ["read", "names", "read_range"], (
        "its outcome, names, what was added"
    )
    sweep.end(4, State.FAILED)
    begin = len(fs.calls)
    assert news.look() == {4} and news.bad[4].state is State.FAILED
    assert sum(call[0] == "read_range" for call in fs.calls[begin:]) == 1


def test_a_journal_that_is_shorter_than_it_was_is_read_from_its_beginning(lab: Lab) -> None:
    sweep = Sweep(lab)
    sweep.end(0)
    sweep.end(1)
    news = IndexNews(lab.fs, lab.lease, sweep.id)
    assert news.look() == {0, 1}
    (name,) = [name for name in lab.fs.names(lab.lease.array(sweep.id, 1).root) if name.startswith("o.")]
    path = f"{lab.lease.array(sweep.id, 1).root}/{name}"
    lab.fs.unlink(path)
    lab.fs.append(path, Ended(2, 1, 2, State.DONE).line())
    assert news.look() == {2}


def test_a_failed_index_of_another_lease_is_seen_and_its_retry_brings_its_own_back(lab: Lab) -> None:
    sweep = Sweep(lab)
    down = after_each(lab, sweep.id, lease=lab.other)
    assert lab.see(down, lab.other).row.waits[0].text == f"each:{sweep.id} in 1"
    sweep.end(2, State.FAILED)
    made = gate(lab, down, lab.other)
    assert fates(made)[2] == VAIN and made.because(2)[0].lease == "1"


def test_what_waits_index_by_index_moves_with_its_edge_and_knows_where_the_other_one_goes(lab: Lab) -> None:
    sweep = Sweep(lab)
    down = after_each(lab, sweep.id)
    there = Destination(lab.other, lab.access.record(lab.other))
    move(lab.access, lab.see(down), there)
    (edge,) = edges_in(lab.fs.names(lab.other.edges))
    assert edge.up == Upstream("each", sweep.id, 1, "1") and not edges_in(lab.fs.names(lab.lease.edges))
    move(lab.access, lab.see(sweep.id), there)
    (edge,) = edges_in(lab.fs.names(lab.other.edges))
    assert edge.up == Upstream("each", sweep.id, 1, "2")


def test_it_is_held_released_and_let_go(lab: Lab) -> None:
    sweep = Sweep(lab)
    down = after_each(lab, sweep.id)
    hold(lab.access, lab.see(down))
    assert place(lab, down) == "held"
    assert release(lab.access, lab.see(down)) and place(lab, down) == "inbox"
    assert edges_in(lab.fs.names(lab.lease.edges))
    assert release(lab.access, lab.see(down), anyway=True) and not edges_in(lab.fs.names(lab.lease.edges))
    assert not release(lab.access, lab.see(down), anyway=True)


def test_an_array_that_is_cancelled_waits_for_nothing_more_and_the_other_may_be_cleaned(lab: Lab) -> None:
    sweep = Sweep(lab)
    down = after_each(lab, sweep.id)
    sweep.finish(i2=State.FAILED)

    def old() -> set[str]:
        found = retention.old_tasks(lab.fs, lab.lease, before=10.0**9, keep_failed=False)
        return {each.outcome.task.id for each in found}

    assert old() == set(), "it is waited for"
    cancel(lab.access, lab.see(down))
    assert not edges_in(lab.fs.names(lab.lease.edges)) and old() == {sweep.id, down}


def test_it_is_retried_and_submitted_again_index_by_index_if_that_can_come(lab: Lab) -> None:
    sweep = Sweep(lab)
    down = after_each(lab, sweep.id)
    sweep.finish(i2=State.FAILED)
    cancel(lab.access, lab.see(down))
    with pytest.raises(Refused, match="none of these is DONE there"):
        retry(lab.access, replace(lab.see(down), indices=Indices.of([2])))
    new = redo(lab.access, lab.see(down)).task.id
    assert entry(lab, new).each and fates(gate(lab, new)) == [FREE, FREE, VAIN, FREE, FREE, FREE]
    assert not entry(lab, redo(lab.access, lab.see(down), Changes(anyway=True)).task.id).each
    retry(lab.access, lab.see(down))
    assert entry(lab, down).each and entry(lab, down).attempt == 2


def test_a_redo_of_all_of_a_lost_array_is_waited_for_in_its_place_and_one_of_some_is_not(lab: Lab) -> None:
    sweep = Sweep(lab)
    after_each(lab, sweep.id)
    sweep.finish(i2=State.LOST)
    redo(lab.access, replace(lab.see(sweep.id), indices=Indices.of([2])))
    assert [edge.up.id for edge in edges_in(lab.fs.names(lab.lease.edges))] == [sweep.id]
    new = redo(lab.access, lab.see(sweep.id)).task.id
    assert [edge.up.id for edge in edges_in(lab.fs.names(lab.lease.edges))] == [new]


def test_arrays_of_other_indices_are_refused(lab: Lab) -> None:
    sweep = Sweep(lab, count=COUNT + 1)
    with pytest.raises(UsageError, match=f"has the indices 0-{COUNT}, and this array 0-{COUNT - 1}"):
        after_each(lab, sweep.id)
    with pytest.raises(UsageError, match="one task without indices"):
        resolve(lab.access, lab.lease, [("each", sweep.id)])


def test_arrays_of_which_nothing_may_begin_stand_in_nobodys_way() -> None:
    queue = Queue("n1", ["n1"])
    names = [f"500{number:022d}.T0000000000{letter}.c1wa6.1" for number, letter in enumerate("123")]
    other = "500" + "9" * 22 + ".T00000000009.c1.1"
    queue.refresh([*names, other], own=False)
    assert queue.each == set(names)
    found, _ = queue.candidates(0.0, passed=set(names[:2]))
    assert [each.id for each in found] == ["T00000000003", "T00000000009"]
    queue.remove(names[2], own=False)
    assert queue.each == set(names[:2])


def test_many_who_look_at_many_arrays_look_the_less_often(lab: Lab) -> None:
    sweep = Sweep(lab)
    sweep.end(0)
    made = gate(lab, after_each(lab, sweep.id))
    made.look(0.0, askers=1)
    made.look(10.0, askers=1)
    assert made.look_at == 11.0
    made.look(20.0, askers=100 * 50)
    assert made.look_at == 20.0 + 100 * 50 * 4 / 200, "each asks for its outcome, twice for its names, for one journal"
