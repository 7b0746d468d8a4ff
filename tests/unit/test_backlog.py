"""Whether anything of a lease is left to run: what waits in vain is not, and unknown is."""

from __future__ import annotations

import pytest

from leaseq.models import State
from leaseq.reading.backlog import WAITING, is_empty, pending
from leaseq.verbs.hold import hold, release
from leaseq.verbs.retry import retry
from tests.unit.test_each import after_each
from tests.unit.test_index_after import COUNT, Sweep
from tests.unit.test_verbs import Lab
from tests.unit.test_verbs_after import after, ends


@pytest.fixture
def lab() -> Lab:
    return Lab()


def empty(lab: Lab) -> bool:
    return is_empty(lab.fs, lab.lease)


def test_what_is_pending_or_runs_is_left_to_run(lab: Lab) -> None:
    assert empty(lab)
    first = lab.task().row.id
    assert not empty(lab)
    lab.claim(lab.see(first))
    assert not empty(lab)


@pytest.mark.parametrize(("state", "left"), [(State.LOST, False), (State.DONE, True)])
def test_what_waits_for_a_lost_task_waits_for_somebody(lab: Lab, state: State, left: bool) -> None:
    first = lab.task().row.id
    (second,) = after(lab, f"any:{first}")
    after(lab, f"ok:{second}")
    assert not empty(lab)
    ends(lab, first, state)
    assert empty(lab) is not left


def test_what_is_held_and_what_waits_for_it_is_not_left_to_run(lab: Lab) -> None:
    first = lab.task()
    after(lab, f"ok:{first.row.id}")
    hold(lab.access, first)
    assert empty(lab)


def test_what_waits_for_another_lease_may_start_for_all_that_is_known(lab: Lab) -> None:
    first = lab.task().row.id
    after(lab, f"ok:{first}", lease=lab.other)
    assert not is_empty(lab.fs, lab.other)


def test_of_an_array_that_waits_index_by_index_only_what_may_begin_could_start(lab: Lab) -> None:
    sweep = Sweep(lab)
    down = after_each(lab, sweep.id)
    assert pending(lab.fs, lab.lease).others == {WAITING: COUNT}
    sweep.end(1)
    sweep.end(2, State.FAILED)
    sweep.end(4)
    found = pending(lab.fs, lab.lease)
    assert sum(number for _, number in found.ready) == COUNT - 3 + 2 and found.others == {WAITING: COUNT - 2}
    release(lab.access, lab.see(down), anyway=True)
    assert not pending(lab.fs, lab.lease).others


@pytest.mark.parametrize(
    ("state", "on_dep", "left"), [(State.LOST, "", False), (State.FAILED, "hold", False), (State.FAILED, "", True)]
)
def test_an_array_whose_indices_wait_for_somebody_is_not_left_to_run(
    lab: Lab, state: State, on_dep: str, left: bool
) -> None:
    sweep = Sweep(lab)
    after_each(lab, sweep.id, lease=lab.other, on_dep=on_dep)
    assert not is_empty(lab.fs, lab.other)
    sweep.finish(**{f"i{index}": state for index in range(COUNT)})
    assert is_empty(lab.fs, lab.other) is not left
    retry(lab.access, lab.see(sweep.id))
    assert not is_empty(lab.fs, lab.other)
