"""What hosts do about their lease, with one thing wrong each."""

from __future__ import annotations

from typing import Any
from unittest import mock

from leaseq.allocation import Allocation
from leaseq.layout import LeaseDir
from leaseq.lease import joined
from leaseq.models import Lease
from leaseq.protocol import allocs, records
from leaseq.world import Clock, Fs
from tests.crash.host_rules import Hosts


def leave_whatever_it_holds(fs: Fs, lease: LeaseDir, alloc: Allocation, *, now: float, reason: str) -> bool:
    allocs.mark_ended(fs, lease, alloc, ended=now, reason=reason)
    return True


def take_out_who_is_silent(fs: Fs, lease: LeaseDir, alloc: Allocation, **of: Any) -> None:
    """Silence is taken for the end of what runs there."""
    with mock.patch.object(joined, "leave", leave_whatever_it_holds):
        joined.take_out(fs, lease, alloc, **of)


def leave_and_say_so_before_it_is_durable(
    fs: Fs, lease: LeaseDir, alloc: Allocation, *, now: float, reason: str
) -> bool:
    with mock.patch.object(type(fs), "sync_dir", lambda fs, directory: None):
        return joined.leave(fs, lease, alloc, now=now, reason=reason)


def join_without_another_look(fs: Fs, lease: LeaseDir, **host: Any) -> Allocation:
    """It does not look whether the lease has ended meanwhile."""
    going_on = Lease(lease.id, "hosts", 1.0)
    with mock.patch.object(records, "read", lambda fs, lease: going_on):
        return joined.join(fs, lease, **host)


def join_as_whoever_is_called_so(fs: Fs, lease: LeaseDir, **host: Any) -> Allocation:
    with mock.patch.object(joined, "refuse_another", lambda lease, alloc, machine: None):
        return joined.join(fs, lease, **host)


def join_as_before(fs: Fs, lease: LeaseDir, **host: Any) -> Allocation:
    """A host that comes again is the allocation that it was."""
    over = [each for each in allocs.all_of(fs, lease) if joined.is_here(each)]
    for each in over:
        allocs.mark_alive(fs, lease, each)
    return joined.join(fs, lease, **host)


def end_without_another_look(fs: Fs, lease: LeaseDir, *, clock: Clock, reason: str) -> bool:
    """It does not look whether a host has come meanwhile."""
    if joined._staying(fs, lease):
        return False
    records.mark_ended(fs, lease, ended=clock.now(), reason=reason)
    return True


def end_with_a_host_in_it(fs: Fs, lease: LeaseDir, *, clock: Clock, reason: str) -> bool:
    records.mark_ended(fs, lease, ended=clock.now(), reason=reason)
    return True


MUTANTS = {
    "a host leaves whatever it holds": Hosts(leave=leave_whatever_it_holds),
    "a silent host is taken out with what it holds": Hosts(take_out=take_out_who_is_silent),
    "a host has left before that is durable": Hosts(leave=leave_and_say_so_before_it_is_durable),
    "a host comes to a lease that has ended": Hosts(join=join_without_another_look),
    "two machines of one name are one node": Hosts(join=join_as_whoever_is_called_so),
    "a host that comes again is the same allocation": Hosts(join=join_as_before),
    "a lease ends as a host comes": Hosts(end=end_without_another_look),
    "a lease ends with a host in it": Hosts(end=end_with_a_host_in_it),
}
CAUGHT_BY = {
    "a host leaves whatever it holds": "a_host_that_holds_a_task_stays",
    "a silent host is taken out with what it holds": "a_host_that_holds_a_task_stays",
    "a host has left before that is durable": "a_host_leaves",
    "a host comes to a lease that has ended": "the_lease_ends_as_a_host_comes",
    "two machines of one name are one node": "two_of_one_name_come",
    "a host that comes again is the same allocation": "a_host_comes_again",
    "a lease ends as a host comes": "the_lease_ends_as_a_host_comes",
    "a lease ends with a host in it": "the_lease_ends_as_a_host_comes",
}
"""The case that was seen to catch it, which is tried first."""
