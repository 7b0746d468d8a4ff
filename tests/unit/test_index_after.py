"""Tasks that come after single indices of an array, by the verbs: on a file system in memory, with no runner."""

from __future__ import annotations

import pytest

from leaseq.dataclass import replace
from leaseq.errors import NotFound, Refused, UsageError
from leaseq.indices import Indices
from leaseq.layout import ArrayDir
from leaseq.models import ANY, Array, Need, State, Task
from leaseq.names import Entry
from leaseq.protocol import arrays, chunks, dependents
from leaseq.protocol.array_places import names_of
from leaseq.protocol.facts import Ended
from leaseq.protocol.journal import Journal
from leaseq.protocol.plan import Plan
from leaseq.protocol.tasks import Claim
from leaseq.verbs.cancel import cancel
from leaseq.verbs.hold import hold
from leaseq.verbs.move import Destination, move
from leaseq.verbs.redo import redo
from leaseq.verbs.retry import retry
from leaseq.verbs.submit import Wanted, submit
from leaseq.verbs.upstreams import INDICES_MAX, resolve
from tests.unit.test_verbs import NODE, Lab
from tests.unit.test_verbs_after import Counted, after, ends, place

COUNT = 6
INC = "0000000000"


class Sweep:
    """An array in the lab's lease, whose indices begin and end as a test says; each is a chunk by itself."""

    def __init__(self, lab: Lab, count: int = COUNT, **fields: object) -> None:
        self.lab = lab
        like = Task("", (), "/", 0.0, need=Need(cpus=1), export="NONE", array=Array(f"0-{count - 1}"), **fields)  # type: ignore[arg-type]
        (self.id,) = submit(lab.access, lab.lease, Wanted(like, [(("true",), False)]), threads=0).ids
        self.journals: dict[str, Journal] = {}

    @property
    def entry(self) -> Entry:
        """Of the try that goes on."""
        names = self.lab.fs.names(self.lab.lease.inbox(ANY))
        return next(entry for entry in map(Entry.parse, names) if entry.id == self.id and entry.chunk is None)

    def _array(self) -> ArrayDir:
        return arrays.prepare(self.lab.fs, self.lab.lease, self.entry)

    def begin(self, index: int, *, place: int | None = None) -> None:
        """place: where the index stands in the try that goes on, if not at its own number."""
        chunk = Plan(self.entry.count).chunk_of(index if place is None else place)
        root = self._array()
        fresh = chunks.take(self.lab.fs, self.lab.lease, [self.entry.of_chunk(chunk)], node=NODE, incarnation=INC)
        assert fresh[0]
        journal = self.journals.setdefault(root.root, Journal(self.lab.fs, root, NODE, INC))
        journal.write(begun={chunk: [(index, self.entry.attempt)]})

    def end(self, index: int, state: State = State.DONE, *, place: int | None = None, told: bool = True) -> None:
        self.begin(index, place=place)
        chunk, entry = Plan(self.entry.count).chunk_of(index if place is None else place), self.entry
        self.journals[self._array().root].write(ended=[Ended(index, entry.attempt, chunk, state, ended=2.0)])
        chunks.end(self.lab.fs, self.lab.lease, [Claim(entry.of_chunk(chunk).claimed_by(INC), NODE)])
        if told:
            dependents.follow_indices(self.lab.fs, self.lab.lease, [f"{self.id}_{index}"])

    def finish(self, **states: State) -> None:
        """All others end, well if nothing else is said (`i3=State.FAILED`), and the array."""
        for index in range(self.entry.count):
            state = states.get(f"i{index}", State.DONE)
            if index not in names_of(self.lab.fs, self.lab.lease, self.entry).taken:
                self.end(index, state)
        self.close()

    def close(self) -> None:
        closed = arrays.close(self.lab.fs, self.lab.lease, self.entry)
        assert closed and arrays.finish(self.lab.fs, self.lab.lease, closed, now=3.0)


@pytest.fixture
def lab() -> Lab:
    return Lab()


def reason(lab: Lab, task_id: str) -> str:
    return lab.see(task_id).row.reason


def test_a_task_begins_once_its_index_has_ended_well_whatever_the_others_do(lab: Lab) -> None:
    sweep = Sweep(lab)
    (one,), (several,) = after(lab, f"ok:{sweep.id}_1"), after(lab, f"ok:{sweep.id}_1-2")
    assert reason(lab, one) == f"Dependency: {sweep.id}_1 PENDING"
    sweep.begin(0)
    sweep.end(1)
    assert place(lab, one) == "inbox" and reason(lab, several) == f"Dependency: {sweep.id}_2 PENDING"
    sweep.end(2)
    assert place(lab, several) == "inbox" and not lab.fs.names(lab.lease.edges)


def test_a_failed_index_cancels_in_cascade_and_names_itself_and_its_retry_brings_both_back(lab: Lab) -> None:
    sweep = Sweep(lab)
    (second,) = after(lab, f"ok:{sweep.id}_3")
    (third,) = after(lab, f"ok:{second}")
    (all_of_it,) = after(lab, f"ok:{sweep.id}")
    (other,) = after(lab, f"notok:{sweep.id}_3")
    sweep.end(3, State.FAILED)
    assert (place(lab, second), place(lab, third), place(lab, other)) == ("CANCELLED", "CANCELLED", "inbox")
    assert reason(lab, second) == f"Dependency: {sweep.id}_3 FAILED" and place(lab, all_of_it) == "waiting"
    sweep.finish()
    assert reason(lab, all_of_it) == f"Dependency: {sweep.id}_3 FAILED"
    with pytest.raises(Refused, match=f"{sweep.id}_3 is FAILED: what is to come after it could never start"):
        after(lab, f"ok:{sweep.id}_3")
    assert set(retry(lab.access, lab.see(sweep.id)).revived) == {second, third, all_of_it}
    assert lab.see(second).row.waits[0].up.id == f"{sweep.id}_3"
    sweep.end(3, place=0)
    assert (place(lab, second), place(lab, all_of_it)) == ("inbox", "waiting")
    sweep.close()
    assert place(lab, all_of_it) == "inbox"


def test_the_retry_of_another_index_brings_nothing_back(lab: Lab) -> None:
    sweep = Sweep(lab)
    (down,) = after(lab, f"ok:{sweep.id}_3")
    sweep.finish(i3=State.FAILED, i4=State.FAILED)
    each = lab.see(sweep.id)
    assert retry(lab.access, replace(each, indices=Indices.of([4]))).revived == ()
    assert place(lab, down) == "CANCELLED"
    (new,) = after(lab, f"any:{sweep.id}_4", f"notok:{sweep.id}_3")
    (wait,) = lab.see(new).row.waits
    assert (wait.up.id, wait.up.attempt) == (f"{sweep.id}_4", 2), "index 3 has failed, and index 4 goes on"
    sweep.end(4, place=0)
    assert place(lab, new) == "inbox"


def test_lost_is_not_failed_of_an_index_either(lab: Lab) -> None:
    sweep = Sweep(lab)
    (down,), (start,) = after(lab, f"ok:{sweep.id}_2"), after(lab, f"start:{sweep.id}_2")
    sweep.end(2, State.LOST)
    assert reason(lab, down) == f"Dependency: {sweep.id}_2 LOST" and place(lab, start) == "inbox"
    sweep.finish()
    assert reason(lab, down) == f"Dependency: {sweep.id}_2 LOST"
    new = redo(lab.access, lab.see(sweep.id)).task.id
    assert lab.see(down).row.waits[0].up.id == f"{new}_2"


def test_a_lost_array_is_told_to_be_lost(lab: Lab) -> None:
    sweep = Sweep(lab)
    (down,) = after(lab, f"ok:{sweep.id}")
    sweep.finish(i2=State.LOST)
    assert reason(lab, down) == f"Dependency: {sweep.id} LOST"


def test_indices_that_are_cancelled_before_anybody_took_them_cancel_what_waits_for_them(lab: Lab) -> None:
    sweep = Sweep(lab)
    sweep.begin(0)
    (runs,), (waits,) = after(lab, f"ok:{sweep.id}_0"), after(lab, f"ok:{sweep.id}_4")
    cancel(lab.access, replace(lab.see(sweep.id), indices=Indices.parse("0,4")))
    assert (place(lab, runs), place(lab, waits)) == ("waiting", "CANCELLED"), "nobody knows yet how index 0 ends"
    assert reason(lab, waits) == f"Dependency: {sweep.id}_4 CANCELLED"


def test_an_array_that_is_cancelled_cancels_what_waits_for_its_indices(lab: Lab) -> None:
    sweep = Sweep(lab)
    (down,), (whatever,) = after(lab, f"ok:{sweep.id}_4"), after(lab, f"any:{sweep.id}_4")
    hold(lab.access, lab.see(sweep.id))
    assert place(lab, down) == "waiting"
    cancel(lab.access, lab.see(sweep.id))
    assert (place(lab, down), place(lab, whatever)) == ("CANCELLED", "inbox")


def test_an_array_that_waits_can_be_cancelled_and_what_waits_for_its_indices_is(lab: Lab) -> None:
    first = lab.task().row.id
    (up, _), *_ = resolve(lab.access, lab.lease, [("ok", first)])
    sweep = Sweep(lab, after=(str(up),))
    (down,) = after(lab, f"ok:{sweep.id}_4")
    assert place(lab, sweep.id) == "waiting"
    cancel(lab.access, lab.see(sweep.id))
    assert (place(lab, sweep.id), place(lab, down)) == ("CANCELLED", "CANCELLED")


def test_a_cut_array_cuts_what_waits_for_its_indices(lab: Lab) -> None:
    first = lab.task().row.id
    (up, _), *_ = resolve(lab.access, lab.lease, [("ok", first)])
    sweep = Sweep(lab, after=(str(up),))
    (down,), (whatever,) = after(lab, f"ok:{sweep.id}_4"), after(lab, f"any:{sweep.id}_4")
    ends(lab, first, State.FAILED, code=1)
    assert [place(lab, each) for each in (sweep.id, down, whatever)] == ["CANCELLED", "CANCELLED", "inbox"]
    assert set(retry(lab.access, lab.see(first)).revived) == {sweep.id, down}


def test_an_array_that_moves_is_waited_for_index_by_index_where_it_goes(lab: Lab) -> None:
    sweep = Sweep(lab)
    (down,) = after(lab, f"ok:{sweep.id}_4")
    move(lab.access, lab.see(sweep.id), Destination(lab.other, lab.access.record(lab.other)))
    assert lab.see(down).row.waits[0].up.lease == lab.other.id


def test_what_no_array_has_is_refused(lab: Lab) -> None:
    sweep, single = Sweep(lab, count=INDICES_MAX + 1), lab.task().row.id
    with pytest.raises(NotFound, match=f"{sweep.id} has no index 1001: it has 0-1000"):
        after(lab, f"ok:{sweep.id}_1001")
    with pytest.raises(UsageError, match="more than 1,000 indices to wait for"):
        after(lab, f"ok:{sweep.id}_0-1000")
    with pytest.raises(UsageError, match="is one task, without indices"):
        after(lab, f"ok:{single}_3")


def test_an_edit_a_hold_or_a_late_end_of_an_earlier_try_does_not_free_what_waits_for_the_next(lab: Lab) -> None:
    sweep = Sweep(lab)
    sweep.finish(i3=State.FAILED)
    retry(lab.access, lab.see(sweep.id))
    (down,), (bad,) = after(lab, f"ok:{sweep.id}_3"), after(lab, f"notok:{sweep.id}_3")
    dependents.follow_indices(lab.fs, lab.lease, [f"{sweep.id}_3"])
    dependents.look(lab.fs, lab.lease, now=lab.now())
    assert (place(lab, down), place(lab, bad)) == ("waiting", "waiting")


# -- what it costs ---------------------------------------------------------------------------------------


def test_an_array_for_which_nobody_waits_costs_one_look_for_each_batch_of_ends() -> None:
    lab = Counted()
    sweep = Sweep(lab)
    other = lab.task().row.id
    after(lab, f"ok:{other}")
    sweep.end(1, told=False)
    begin = len(lab.fs.calls)  # type: ignore[attr-defined]
    dependents.follow_indices(lab.fs, lab.lease, [f"{sweep.id}_{index}" for index in range(COUNT)])
    assert lab.fs.calls[begin:] == [("names", lab.lease.edges)]  # type: ignore[attr-defined]


def test_who_looks_for_himself_makes_durable_what_he_goes_by_and_a_reader_changes_nothing() -> None:
    lab = Counted()
    sweep = Sweep(lab)
    (down,) = after(lab, f"ok:{sweep.id}_1")
    sweep.end(1, told=False)
    begin = len(lab.fs.calls)  # type: ignore[attr-defined]
    assert reason(lab, down) == f"Dependency: {sweep.id}_1 DONE"
    assert {call[0] for call in lab.fs.calls[begin:]} <= {"names", "read", "read_range", "age", "older"}  # type: ignore[attr-defined]
    begin = len(lab.fs.calls)  # type: ignore[attr-defined]
    dependents.look(lab.fs, lab.lease, now=lab.now())
    calls = [call[:2] for call in lab.fs.calls[begin:]]  # type: ignore[attr-defined]
    array = lab.lease.array(sweep.id, 1)
    freed = next(number for number, call in enumerate(calls) if call[0] == "unlink" and "/edges/" in call[1])
    assert {("sync", array.journal(NODE, INC)), ("sync_dir", array.root)} <= set(calls[:freed])
