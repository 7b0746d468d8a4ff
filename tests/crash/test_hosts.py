"""Hosts come to a lease and leave it under every fault."""

from __future__ import annotations

from unittest import mock

import pytest

from leaseq.lease import joined
from leaseq.protocol import records
from leaseq.world import Fs
from tests.crash.answers import HOME, every_fault
from tests.crash.host_rules import CASES, REAL, of_host
from tests.memoryfs import Disk


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_no_fault_breaks_a_rule_of_hosts(case) -> None:  # type: ignore[no-untyped-def]
    assert sum(1 for _ in case(REAL)) > 20


def test_a_lease_of_hosts_is_made_once_whoever_begins_it() -> None:
    def make(fs: Fs) -> object:
        with mock.patch.object(joined, "make_home"):
            return joined.made(fs, HOME, "lab", now=1.0).id

    act, cases = of_host("gpu1", make), 0
    for fs, case in every_fault(Disk, act):
        cases += 1
        assert act(fs) == "lab", case
        assert fs.names(HOME.runs) == ["lab"], case
        # Once it has ended the name is the next one's.
        records.mark_ended(fs, HOME.lease("lab"), ended=2.0, reason="released")
        assert (act(fs), act(fs)) == ("lab.2", "lab.2"), case
        assert records.read_lease(fs, HOME.lease("lab.2")).name == "lab", case
    assert cases > 100
