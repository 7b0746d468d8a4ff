"""Tasks that come after others, also in another lease, by the verbs: on a file system in memory, operations counted."""

from __future__ import annotations

import pytest

from leaseq.dataclass import replace
from leaseq.errors import Refused, UsageError
from leaseq.layout import LeaseDir
from leaseq.lease.lookup import Located
from leaseq.models import ANY, Need, Outcome, State, Task
from leaseq.names import Entry, new_incarnation
from leaseq.protocol import concluding, edges, records, tasks
from leaseq.verbs.change import change, wish
from leaseq.verbs.changes import NONE, Changes
from leaseq.verbs.fits import Fits
from leaseq.verbs.hold import hold, release
from leaseq.verbs.move import Destination, move
from leaseq.verbs.redo import redo
from leaseq.verbs.retry import retry
from leaseq.verbs.submit import Wanted, submit
from leaseq.verbs.upstreams import resolve
from tests.faults import FaultFs
from tests.unit.test_verbs import NODE, Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()


def after(lab: Lab, *said: str, lease: LeaseDir | None = None, count: int = 1, **fields: object) -> list[str]:
    """The ids of new tasks that come after those: each is a kind, a colon and an id."""
    lease = lease or lab.lease
    ups = [up for up, _ in resolve(lab.access, lease, [(word.split(":")[0], word.split(":")[1]) for word in said])]
    words = tuple(map(str, ups))
    like = Task("", (), "/", 0.0, need=Need(cpus=1), export="NONE", after=words, **fields)  # type: ignore[arg-type]
    return list(submit(lab.access, lease, Wanted(like, [(("true",), False)] * count), threads=0).ids)


def ends(lab: Lab, task_id: str, state: State = State.DONE, *, lease: LeaseDir | None = None, code: int = 0) -> None:
    """The task was run by a runner of its lease, and has ended so."""
    lease = lease or lab.lease
    (name,) = [name for name in lab.fs.names(lease.inbox(ANY)) if task_id in name]
    entry = Entry.parse(name)
    claim = tasks.claim(lab.fs, lease, lease.inbox(ANY), entry, node=NODE, incarnation=new_incarnation())
    assert claim is not None
    task = tasks.read_task(lab.fs, claim.path(lease), entry)
    outcome = Outcome(task, entry.attempt, state, node=NODE, incarnation=claim.entry.owner, exit_code=code, ended=2.0)
    concluding.conclude_one(lab.fs, lease, claim, outcome)


def place(lab: Lab, task_id: str, lease: LeaseDir | None = None) -> str:
    """Where the task's file lies: `waiting`, `inbox`, `held`; or the state in which it ended."""
    row = lab.see(task_id, lease).row
    return row.place.directory.split("/")[-2] if row.place else row.state.name


def test_a_task_of_another_lease_is_waited_for(lab: Lab) -> None:
    first = lab.task().row.id
    (second,) = after(lab, f"ok:{first}", lease=lab.other)
    assert place(lab, second, lab.other) == "waiting"
    assert lab.see(second, lab.other).row.reason == f"Dependency: {first} in 1"
    ends(lab, first)
    assert place(lab, second, lab.other) == "inbox"
    assert not [name for name in lab.fs.names(lab.other.edges) if not name.startswith("@")]


def test_what_can_never_start_in_another_lease_is_cancelled_in_cascade_and_brought_back(lab: Lab) -> None:
    first = lab.task().row.id
    (second,) = after(lab, f"ok:{first}", lease=lab.other)
    (third,) = after(lab, f"ok:{second}")
    ends(lab, first, State.FAILED, code=1)
    assert (place(lab, second, lab.other), place(lab, third)) == ("CANCELLED", "CANCELLED")
    queued = retry(lab.access, lab.see(first))
    assert queued.revived == (second, third)
    assert (place(lab, second, lab.other), place(lab, third)) == ("waiting", "waiting")
    ends(lab, first)
    ends(lab, second, lease=lab.other)
    assert place(lab, third) == "inbox"


def test_a_task_that_waits_moves_with_what_it_waits_for(lab: Lab) -> None:
    first = lab.task().row.id
    (second,) = after(lab, f"ok:{first}")
    move(lab.access, lab.see(second), Destination(lab.other, lab.access.record(lab.other)))
    assert place(lab, second, lab.other) == "waiting"
    ends(lab, first)
    assert place(lab, second, lab.other) == "inbox"


def test_a_task_that_moves_is_waited_for_where_it_goes(lab: Lab) -> None:
    first = lab.task()
    (second,) = after(lab, f"ok:{first.row.id}")
    move(lab.access, first, Destination(lab.other, lab.access.record(lab.other)))
    assert lab.see(second).row.waits[0].up.lease == lab.other.id
    ends(lab, first.row.id, lease=lab.other)
    assert place(lab, second) == "inbox"


def test_both_move_and_still_know_each_other(lab: Lab) -> None:
    first = lab.task()
    (second,) = after(lab, f"ok:{first.row.id}")
    to = Destination(lab.other, lab.access.record(lab.other))
    move(lab.access, lab.see(second), to)
    move(lab.access, first, to)
    ends(lab, first.row.id, State.FAILED, lease=lab.other, code=1)
    assert place(lab, second, lab.other) == "CANCELLED"


def test_a_redo_of_a_lost_task_is_waited_for_in_its_place(lab: Lab) -> None:
    first = lab.task().row.id
    (second,) = after(lab, f"ok:{first}")
    ends(lab, first, State.LOST)
    assert lab.see(second).row.reason == f"Dependency: {first} LOST"
    again = redo(lab.access, lab.see(first)).task.id
    assert lab.see(second).row.reason == f"Dependency: {again} PENDING"
    ends(lab, again)
    assert place(lab, second) == "inbox"


def test_a_retried_task_waits_for_what_still_runs_and_not_for_what_failed(lab: Lab) -> None:
    one, other = lab.task().row.id, lab.task().row.id
    (down,) = after(lab, f"ok:{one}", f"ok:{other}")
    ends(lab, one, State.FAILED, code=1)
    assert place(lab, down) == "CANCELLED"
    with pytest.raises(Refused, match=f"{down} comes after {one}, which is FAILED"):
        retry(lab.access, lab.see(down))
    with pytest.raises(Refused, match=f"comes after {one}"):
        redo(lab.access, lab.see(down))
    assert retry(lab.access, lab.see(one)).revived == (down,)
    assert [wait.up.id for wait in lab.see(down).row.waits] == sorted([one, other])


def test_of_two_that_failed_the_last_one_retried_brings_it_back(lab: Lab) -> None:
    one, other = lab.task().row.id, lab.task().row.id
    (down,) = after(lab, f"ok:{one}", f"ok:{other}")
    ends(lab, one, State.FAILED, code=1)
    ends(lab, other, State.FAILED, code=1)
    assert retry(lab.access, lab.see(one)).revived == ()
    assert retry(lab.access, lab.see(other)).revived == (down,)
    ends(lab, one)
    ends(lab, other)
    assert place(lab, down) == "inbox"


def test_a_retry_of_what_was_cancelled_can_leave_out_what_it_waited_for(lab: Lab) -> None:
    first = lab.task().row.id
    (down,) = after(lab, f"ok:{first}")
    ends(lab, first, State.FAILED, code=1)
    retry(lab.access, lab.see(down), Changes(anyway=True))
    assert place(lab, down) == "inbox"


def test_what_has_come_by_the_time_of_the_submission_is_not_waited_for(lab: Lab) -> None:
    first = lab.task().row.id
    ends(lab, first)
    assert place(lab, after(lab, f"ok:{first}")[0]) == "inbox"
    with pytest.raises(Refused, match="is DONE: what is to come after it could never start"):
        after(lab, f"notok:{first}")


def test_a_changed_task_waits_on_and_starts_if_that_came_meanwhile(lab: Lab) -> None:
    first = lab.task().row.id
    (down,) = after(lab, f"ok:{first}")
    change(lab.access, lab.see(down), wish(NONE, priority=5, group=None), fits=Fits(lab.access))
    assert place(lab, down) == "waiting"
    ends(lab, first)
    assert place(lab, down) == "inbox"


def set_after(lab: Lab, task_id: str, *said: str, lease: LeaseDir | None = None) -> tuple[str, ...]:
    """What of the task is different once it is to come after those alone."""
    words = tuple((word.split(":", 1)[0], word.split(":", 1)[1]) for word in said)
    wished = wish(NONE, priority=None, group=None, after=words)
    return change(lab.access, lab.see(task_id, lease), wished, fits=Fits(lab.access)).said


def test_what_a_pending_task_comes_after_is_replaced(lab: Lab) -> None:
    one, other = lab.task().row.id, lab.task().row.id
    (down,) = after(lab, f"ok:{one}")
    assert set_after(lab, down, f"any:{other}") == ("after",)
    assert [wait.up.word for wait in lab.see(down).row.waits] == [f"any:{other}"]
    assert set_after(lab, down, f"any:{other}") == (), "it is so already"
    ends(lab, one, State.FAILED, code=1)
    assert place(lab, down) == "waiting"
    assert set_after(lab, down) == ("after",)
    assert place(lab, down) == "inbox" and not lab.fs.names(lab.lease.edges)
    assert set_after(lab, down, f"ok:{other}") == ("after",) and place(lab, down) == "waiting"
    ends(lab, other)
    assert place(lab, down) == "inbox"
    with pytest.raises(Refused, match=f"{one} is FAILED: what is to come after it could never start"):
        set_after(lab, down, f"ok:{one}")
    assert set_after(lab, down, f"notok:{one}") == ("after",) and place(lab, down) == "inbox"


def test_a_held_task_stays_held_and_waits_once_it_is_released(lab: Lab) -> None:
    first, down = lab.task().row.id, lab.task().row.id
    hold(lab.access, lab.see(down))
    set_after(lab, down, f"ok:{first}")
    assert place(lab, down) == "held"
    release(lab.access, lab.see(down))
    assert place(lab, down) == "waiting"


def test_a_time_that_a_task_waits_for_stays(lab: Lab) -> None:
    first, other = lab.task().row.id, lab.task().row.id
    words = str(edges.begins_at(lab.now() + 60, lab.lease)), str(resolve(lab.access, lab.lease, [("ok", first)])[0][0])
    like = Task("", (), "/", 0.0, need=Need(cpus=1), export="NONE", after=words)
    (down,) = submit(lab.access, lab.lease, Wanted(like, [(("true",), False)]), threads=0).ids
    set_after(lab, down, f"ok:{other}")
    assert sorted(wait.up.kind for wait in lab.see(down).row.waits) == ["begin", "ok"]


def test_no_circle_is_made_also_through_groups_arrays_and_other_leases(lab: Lab) -> None:
    first = lab.task().row.id
    (second,) = after(lab, f"ok:{first}", lease=lab.other, group="g")
    (third,) = after(lab, f"any:{second}", group="g")
    chain = f"{first} cannot come after {third}, which waits for {second}, which waits for {first}"
    for word in (f"ok:{third}", "any:group:g"):
        with pytest.raises(Refused, match=chain) as refused:
            set_after(lab, first, word)
        assert refused.value.hint == f"leaseq set {third} --after none"
    with pytest.raises(Refused, match=f"{first} cannot come after itself"):
        set_after(lab, first, f"start:{first}")
    set_after(lab, third, "ok:group:g", f"ok:{first}")
    assert [wait.up.id for wait in lab.see(third).row.waits] == [first], "a group stands for the others of it"
    assert place(lab, first) == "inbox"


def test_two_who_make_halves_of_a_circle_at_once_are_told(lab: Lab) -> None:
    one, other = lab.task().row.id, lab.task().row.id
    real = lab.fs.rename
    begun: list[str] = []

    def rename(source: str, target: str) -> None:
        if "/claimed/_edit/" in target and not begun:
            begun.append(target)
            set_after(lab, other, f"ok:{one}")
        real(source, target)

    lab.fs.rename = rename  # type: ignore[method-assign]
    with pytest.raises(Refused, match=f"{one} and {other} wait for each other by now"):
        set_after(lab, one, f"ok:{other}")
    set_after(lab, one)
    ends(lab, one)
    assert place(lab, other) == "inbox"


def test_a_task_is_held_and_released_as_it_waits(lab: Lab) -> None:
    first = lab.task().row.id
    (down,) = after(lab, f"ok:{first}")
    assert hold(lab.access, lab.see(down)) and place(lab, down) == "held"
    assert release(lab.access, lab.see(down)) and place(lab, down) == "waiting"
    assert not release(lab.access, lab.see(down))
    assert release(lab.access, lab.see(down), anyway=True) and place(lab, down) == "inbox"
    with pytest.raises(UsageError, match="only a pending task can be released"):
        ends(lab, down)
        release(lab.access, lab.see(down), anyway=True)


def test_a_claim_whose_next_attempt_is_to_come_is_its_runners(lab: Lab) -> None:
    each = lab.task()
    claim = lab.claim(each)
    task = tasks.read_task(lab.fs, claim.path(lab.lease), claim.entry)
    outcome = Outcome(
        task, 1, State.FAILED, node=NODE, incarnation=claim.entry.owner, ended=2.0, requeued="retry 1 of 2"
    )
    tasks.decide_all(lab.fs, lab.lease, [outcome])
    row = lab.see(each.row.id).row
    assert (row.state, row.attempt, row.place and row.place.directory) == (State.PENDING, 2, lab.lease.claimed(NODE))
    with pytest.raises(UsageError, match="on the move"):
        release(lab.access, lab.see(each.row.id), anyway=True)
    other = Destination(lab.other, records.read(lab.fs, lab.other), "")
    with pytest.raises(Refused, match="on the move"):
        move(lab.access, lab.see(each.row.id), other)
    assert lab.fs.names(lab.lease.claimed(NODE)) == [str(claim.entry)]


def test_a_chain_of_a_thousand_falls_at_once(lab: Lab) -> None:
    first = last = lab.task().row.id
    for _ in range(1000):
        last = _after_known(lab, last)
    ends(lab, first, State.FAILED, code=1)
    assert place(lab, last) == "CANCELLED"
    assert not lab.fs.names(lab.lease.waiting(ANY)) and not lab.fs.names(lab.lease.claimed("_cli"))
    assert not lab.fs.names(lab.lease.edges)


def _after_known(lab: Lab, up: str) -> str:
    """As `after`, without a look at all that is there."""
    from leaseq.upstream import Upstream
    from tests.build import make_task

    task = make_task(after=(str(Upstream("ok", up, 1, lab.lease.id)),))
    entry = Entry(f"500{lab.disk.operations:022d}", task.id, Need(), 1)
    edges.put(lab.fs, lab.lease, [Upstream("ok", up, 1, lab.lease.id)], [entry.key])
    tasks.publish(lab.fs, lab.lease.waiting(ANY), entry, task)
    return task.id


def test_a_fan_of_a_thousand_waits_for_the_last(lab: Lab) -> None:
    ups = lab.submit(*[f"w{number}" for number in range(200)]).ids
    (down,) = after(lab, *(f"ok:{each}" for each in ups))
    for each in ups[:-1]:
        ends(lab, each)
    assert place(lab, down) == "waiting" and len(lab.fs.names(lab.lease.edges)) == 1
    ends(lab, ups[-1])
    assert place(lab, down) == "inbox"


# -- what it costs ---------------------------------------------------------------------------------------


def calls(lab: Lab, begin: int, *, about: str) -> list[str]:
    return [f"{call[0]} {call[-1].rpartition('/')[0]}" for call in lab.fs.calls[begin:] if about in " ".join(call)]  # type: ignore[attr-defined]


class Counted(Lab):
    def __init__(self) -> None:
        super().__init__()
        self.fs = FaultFs(self.fs)  # type: ignore[assignment]
        self.access.fs = self.fs


def test_a_task_without_dependents_costs_one_look_for_each_batch_of_outcomes() -> None:
    lab = Counted()
    first = lab.task().row.id
    begin = len(lab.fs.calls)  # type: ignore[attr-defined]
    ends(lab, first)
    seen = [call for call in lab.fs.calls[begin:] if any(word in call[-1] for word in ("edges", "waiting", "broken"))]  # type: ignore[attr-defined]
    assert seen == [("names", lab.lease.edges)]


def test_an_edge_costs_one_name_and_its_batch_one_sync_and_a_release_one_unlink_and_one_rename() -> None:
    lab = Counted()
    first = lab.task().row.id
    begin = len(lab.fs.calls)  # type: ignore[attr-defined]
    downs = after(lab, f"ok:{first}", count=3)
    changes = [call[0] for call in lab.fs.calls[begin:] if "/edges" in call[-1] and call[0] != "names"]  # type: ignore[attr-defined]
    assert changes == ["create"] * 3 + ["sync_dir"]
    begin = len(lab.fs.calls)  # type: ignore[attr-defined]
    ends(lab, first)
    after_end = [call[0] for call in lab.fs.calls[begin:] if "/edges" in call[-1] or "/waiting" in call[1]]  # type: ignore[attr-defined]
    assert after_end.count("unlink") == len(downs) and after_end.count("rename") == len(downs)
    assert after_end.count("names") == 4, "two looks at the edges, one at waiting/, one at waiting/_any"


def test_located_is_what_a_user_sees(lab: Lab) -> None:
    each: Located = lab.task()
    assert replace(each.row, reason="") == replace(lab.see(each.row.id).row, reason="")
