"""Every mutant of the protocol and of the runner is caught; `make mutants` prints by what."""

from __future__ import annotations

import re
from unittest import mock

import pytest

from leaseq.dataclass import replace
from leaseq.protocol.plan import divided_into
from leaseq.runner.holding import Lot
from tests.crash import array_rules, each_rules, host_rules, index_rules, lane_rules
from tests.crash.actors import REAL
from tests.crash.check import Violated
from tests.crash.leaving_world import every_leave
from tests.crash.suite import first_violation
from tests.mutants import (
    array_mutants,
    each_mutants,
    end_mutants,
    group_mutants,
    host_mutants,
    index_mutants,
    lane_mutants,
    leaving_mutants,
    limit_mutants,
    log_mutants,
    order_mutants,
    runner_mutants,
    window_mutants,
)
from tests.mutants.mutants import CAUGHT_BY, MUTANTS
from tests.sim.history import run
from tests.sim.plan import Plan, draw, draw_arrays, draw_each, draw_groups
from tests.sim.service import REAL_PARTS
from tests.sim.test_sim import beside_one_of_no_group
from tests.sim.test_windows import told_before_a_restart

HISTORIES_MAX = 400


ALL_MUTANTS = {**MUTANTS, **order_mutants.MUTANTS}
ALL_CAUGHT_BY = {**CAUGHT_BY, **order_mutants.CAUGHT_BY}


@pytest.mark.parametrize("name", ALL_MUTANTS)
def test_a_mutant_of_the_protocol_is_caught(name: str) -> None:
    violation = first_violation(replace(REAL, **ALL_MUTANTS[name]), first=ALL_CAUGHT_BY.get(name, ""))
    assert violation is not None, f"{name}: nothing is caught"
    _tell(name, f"crash: {violation[0]}", violation[1])


RUNNER_MUTANTS = {
    **runner_mutants.MUTANTS,
    **limit_mutants.MUTANTS,
    **order_mutants.RUNNER_MUTANTS,
    **end_mutants.MUTANTS,
}
SEEN = {**runner_mutants.CAUGHT_BY, **limit_mutants.CAUGHT_BY, **order_mutants.SEEN, **end_mutants.CAUGHT_BY}


@pytest.mark.parametrize("name", RUNNER_MUTANTS)
def test_a_mutant_of_the_runner_is_caught(name: str) -> None:
    mutant, first = RUNNER_MUTANTS[name], SEEN.get(name, 1)
    for number in (first, *range(1, HISTORIES_MAX + 1)):
        plan = _plan(mutant, f"mutant {number}")
        violation = run(plan, mutant.parts).violation
        if violation:
            _tell(name, f"sim: history {number}", violation)
            return
    pytest.fail(f"{name}: nothing is caught")


def _plan(mutant: runner_mutants.Mutant, seed: str) -> Plan:
    if mutant.arrays:
        return draw_arrays(seed, only=mutant.troubles, steps=mutant.steps)
    return draw(seed, only=mutant.troubles, steps=mutant.steps, dependents=mutant.dependents)


@pytest.mark.parametrize("name", window_mutants.MUTANTS)
def test_a_mutant_of_windows_is_caught(name: str) -> None:
    mutant, first = window_mutants.MUTANTS[name], window_mutants.CAUGHT_BY.get(name, 1)
    for number in (first, *range(1, HISTORIES_MAX + 1)):
        violation = run(mutant.draw(f"mutant {number}", only=mutant.troubles), mutant.parts).violation
        if violation:
            _tell(name, f"sim: quick history {number}", violation)
            return
    pytest.fail(f"{name}: nothing is caught")


def test_a_mutant_that_frees_a_lane_by_its_nodes_last_claim_is_caught() -> None:
    parts = replace(REAL_PARTS, runner=limit_mutants.JudgesByTheLastClaim)
    assert "may run at once" in run(beside_one_of_no_group(), parts).violation


def test_a_mutant_that_tells_what_another_node_tells_is_caught() -> None:
    parts = replace(REAL_PARTS, ledger=runner_mutants.TellsWhatAnotherNodeTells)
    assert "are counted as DONE" in run(told_before_a_restart(), parts).violation


@pytest.mark.parametrize("name", lane_mutants.MUTANTS)
def test_a_mutant_of_lanes_is_caught(name: str) -> None:
    mutant = replace(lane_rules.REAL, **lane_mutants.MUTANTS[name])
    for case in lane_rules.CASES:
        try:
            for _ in case(mutant):
                pass
        except (Violated, OSError) as caught:
            _tell(name, f"lanes: {case.__name__}", str(caught))
            return
    pytest.fail(f"{name}: nothing is caught")


ARRAY_MUTANTS = {**array_mutants.MUTANTS, **log_mutants.MUTANTS}
CATCHES = {**array_mutants.CAUGHT_BY, **log_mutants.CAUGHT_BY}


@pytest.mark.parametrize("name", ARRAY_MUTANTS)
def test_a_mutant_of_arrays_is_caught(name: str) -> None:
    mutant = replace(array_rules.REAL, **ARRAY_MUTANTS[name])
    with divided_into(array_rules.CHUNKS):
        violation = array_rules.first_violation(array_rules.cases(mutant), first=CATCHES.get(name, ""))
    assert violation is not None, f"{name}: nothing is caught"
    _tell(name, f"arrays: {violation[0]}", violation[1])


@pytest.mark.parametrize("name", group_mutants.MUTANTS)
def test_a_mutant_of_groups_of_chunks_is_caught(name: str) -> None:
    mutants = {which: replace(p, **group_mutants.MUTANTS[name]) for which, p in array_rules.OF_GROUPS.items()}
    with array_rules.in_groups():
        tries = array_rules.cases_of_groups(mutants)
        violation = array_rules.first_violation(tries, first=group_mutants.CAUGHT_BY.get(name, ""))
    assert violation is not None, f"{name}: nothing is caught"
    _tell(name, f"groups: {violation[0]}", violation[1])


def test_a_mutant_of_a_runner_that_has_only_a_part_of_a_group_is_caught() -> None:
    with mock.patch.object(Lot, "indices", group_mutants.indices_of_the_first_chunk):
        for number in range(1, HISTORIES_MAX + 1):
            if violation := run(draw_groups(f"mutant {number}", only=())).violation:
                _tell("group: a runner has its first chunk alone", f"sim: history {number}", violation)
                return
    pytest.fail("nothing is caught")


@pytest.mark.parametrize("name", group_mutants.INDEX_MUTANTS)
def test_a_mutant_of_what_waits_for_indices_of_groups_is_caught(name: str) -> None:
    mutants = {which: replace(p, **group_mutants.INDEX_MUTANTS[name]) for which, p in index_rules.OF_GROUPS.items()}
    with array_rules.in_groups():
        violation = array_rules.first_violation(index_rules.cases_of_groups(mutants), first="n1 takes groups, meetings")
    assert violation is not None, f"{name}: nothing is caught"
    _tell(name, f"indices of groups: {violation[0]}", violation[1])


@pytest.mark.parametrize("name", leaving_mutants.MUTANTS)
def test_a_mutant_of_an_allocation_that_leaves_is_caught(name: str) -> None:
    parts, kinds = leaving_mutants.MUTANTS[name]
    try:
        every_leave("n1", parts=parts, kinds=kinds, submits=True)
    except AssertionError as caught:
        _tell(name, "leaving", str(caught))
        return
    pytest.fail(f"{name}: nothing is caught")


@pytest.mark.parametrize("name", host_mutants.MUTANTS)
def test_a_mutant_of_hosts_that_come_and_go_is_caught(name: str) -> None:
    violation = host_rules.first_violation(host_mutants.MUTANTS[name], first=host_mutants.CAUGHT_BY[name])
    assert violation is not None, f"{name}: nothing is caught"
    _tell(name, f"hosts: {violation[0]}", violation[1])


@pytest.mark.parametrize("name", index_mutants.MUTANTS)
def test_a_mutant_of_what_waits_for_indices_is_caught(name: str) -> None:
    mutant = replace(index_rules.REAL, **index_mutants.MUTANTS[name])
    with divided_into(array_rules.CHUNKS):
        violation = array_rules.first_violation(index_rules.cases(mutant), first=index_mutants.CAUGHT_BY.get(name, ""))
    assert violation is not None, f"{name}: nothing is caught"
    _tell(name, f"indices: {violation[0]}", violation[1])


@pytest.mark.parametrize("name", each_mutants.MUTANTS)
def test_a_mutant_of_arrays_that_wait_index_by_index_is_caught(name: str) -> None:
    mutant = replace(each_rules.REAL, **each_mutants.MUTANTS[name])
    with divided_into(array_rules.CHUNKS):
        violation = array_rules.first_violation(each_rules.cases(mutant), first=each_mutants.CAUGHT_BY.get(name, ""))
    assert violation is not None, f"{name}: nothing is caught"
    _tell(name, f"each: {violation[0]}", violation[1])


@pytest.mark.parametrize("name", each_mutants.RUNNER_MUTANTS)
def test_a_mutant_of_a_runner_with_such_arrays_is_caught(name: str) -> None:
    mutant, first = each_mutants.RUNNER_MUTANTS[name], each_mutants.SEEN.get(name, 1)
    for number in (first, *range(1, HISTORIES_MAX + 1)):
        violation = run(draw_each(f"mutant {number}", only=mutant.troubles), mutant.parts).violation
        if violation:
            _tell(name, f"sim: history {number}", violation)
            return
    pytest.fail(f"{name}: nothing is caught")


MISTAKES = re.compile("ended by (AttributeError|NameError|TypeError)")


def _tell(mutant: str, caught_by: str, rule: str) -> None:
    assert not MISTAKES.search(rule), f"{mutant}: the mutant itself is broken: {rule}"
    print(f"\n{mutant:54} {caught_by:28} {rule[:200]}")
