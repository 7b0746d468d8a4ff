"""Whether anything of a lease is left to run: what waits in vain is not, and unknown is."""

from __future__ import annotations

import pytest

from leaseq.models import State
from leaseq.reading.backlog import is_empty
from leaseq.verbs.hold import hold
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
