"""Several hosts as one lease, each an allocation of it as long as it stays: they share its queue.

lab, lab.2, ..     the lease, by the name that it was given; the next number once that one has ended
HOST, HOST.2, ..   a host's allocations, one for each time that it was in the lease
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import time
from collections.abc import Callable

import leaseq
from leaseq import world
from leaseq.allocation import Allocation
from leaseq.errors import Refused, Unavailable, UsageError
from leaseq.forms import Form
from leaseq.layout import Home, LeaseDir
from leaseq.lease.homes import make_home
from leaseq.lease.leases import LOCAL, list_holdings, read_record
from leaseq.models import Lease
from leaseq.names import valid_name
from leaseq.protocol import allocs, files, records, requests
from leaseq.reading import beats
from leaseq.world import Clock, Fs

NAME = Form(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
"""What a lease of hosts may be called: no job's number, and without the dot that is before a lease's own."""
NAME_HINT = "it begins with a letter and has letters, digits, - and _, 40 at most"
OF_SERVING = ("drain", "resume", "stop", "kill", "release")
"""Requests about whether a runner serves."""
LOOK_SECONDS = 0.2
LEAVE_SECONDS_MAX = 90.0
"""How long another host's runner that was told to leave may take: its tasks get TERM, a grace, KILL."""


# -- the lease -------------------------------------------------------------------------------------


def find(fs: Fs, home: Home, word: str) -> Lease | None:
    """The lease of hosts that goes by that name; raises UsageError, and Refused if another lease does."""
    for held in list_holdings(fs, home):
        lease = held.lease
        if lease.ended is not None or word not in (lease.id, lease.name, *(each.job for each in held.living)):
            continue
        if lease.is_of_hosts:
            return lease
        raise Refused(f"lease {word} is none of hosts, so none can be put into it", hint="give another name")
    if not NAME.fullmatch(word) or word == LOCAL:
        raise UsageError(f"{word!r} is no name for a lease of hosts", hint=NAME_HINT)
    return None


def made(fs: Fs, home: Home, name: str, *, now: float) -> Lease:
    """The lease of hosts of that name is there, durably, by whoever was first; raises LeaseqError."""
    make_home(home)
    fs.mkdir(home.runs)
    for number in itertools.count(1):
        directory = home.lease(name if number == 1 else f"{name}.{number}")
        record = read_record(fs, directory) or records.write_first(
            fs,
            directory,
            Lease(
                id=directory.id,
                kind="hosts",
                created=now,
                user=world.user_name(os.getuid()),
                host=world.hostname(),
                name="" if number == 1 else name,
                version=leaseq.__version__,
                allocs=True,
            ),
        )
        if record.is_of_hosts and record.ended is None:
            return record
    raise AssertionError


def end(fs: Fs, lease: LeaseDir, *, clock: Clock, reason: str) -> bool:
    """The lease has ended if no host is left in it; True if it had not before. Raises Unavailable.

    A host that comes meanwhile sees the end, or is seen here and taken out.
    """
    if _staying(fs, lease) or records.read(fs, lease).ended is not None:
        return False
    records.mark_ended(fs, lease, ended=clock.now(), reason=reason)
    for late in _staying(fs, lease):
        take_out(fs, lease, late, clock=clock)
    return True


# -- its hosts -------------------------------------------------------------------------------------


def is_here(alloc: Allocation) -> bool:
    """True if the allocation is this very host: its processes can be looked at."""
    return alloc.is_host and world.hostname() in alloc.nodes and _is_machine(alloc, machine_id())


def _is_machine(alloc: Allocation, machine: str) -> bool:
    """False if it is certainly another one: not every host says which it is."""
    return "" in (alloc.machine, machine) or alloc.machine == machine


def _staying(fs: Fs, lease: LeaseDir) -> list[Allocation]:
    return [each for each in allocs.all_of(fs, lease) if each.ended is None]


def stay_of(fs: Fs, lease: LeaseDir, node: str) -> Allocation | None:
    """The allocation as which the host of that name is in the lease now."""
    return next((each for each in _staying(fs, lease) if node in each.nodes), None)


def join(fs: Fs, lease: LeaseDir, *, node: str, machine: str, now: float) -> Allocation:
    """That host is in the lease, durably; raises Refused if another machine of its name is, or the lease has ended."""
    found = None
    for number in itertools.count(1):
        found = stay_of(fs, lease, node)
        if found is not None:
            break
        records.prepare_node(fs, lease, valid_name(node, what="host's name"))
        alloc = Allocation(
            id=node if number == 1 else f"{node}.{number}",
            kind="host",
            lease=lease.id,
            created=now,
            user=world.user_name(os.getuid()),
            nodes=(node,),
            machine=machine,
        )
        allocs.record_first(fs, lease, alloc)
    assert found is not None
    refuse_another(lease, found, machine)
    _forget_requests(fs, lease, node)
    if records.read(fs, lease).ended is not None:
        leave(fs, lease, found, now=now, reason="its lease had ended")
        raise Refused(f"lease {lease.id} has just been released", hint="the same command again begins the next one")
    return found


def _forget_requests(fs: Fs, lease: LeaseDir, node: str) -> None:
    """What was asked of the host's last runner, whether it serves, and that did not come to hear, is not asked now."""
    directory = lease.control(node)
    for name in fs.names(directory):
        if name.partition(".")[0] in OF_SERVING:
            files.discard(fs, f"{directory}/{name}")


def refuse_another(lease: LeaseDir, alloc: Allocation, machine: str) -> None:
    """Raises Refused if the host of that name in the lease is certainly another machine."""
    if not _is_machine(alloc, machine):
        raise Refused(
            f"lease {lease.id} has a host {alloc.nodes[0]}, and that is another machine",
            hint="give one of them another name; if that one is gone for good,"
            f" `leaseq lease release {lease.id} --node {alloc.nodes[0]}` takes it out",
        )


def leave(fs: Fs, lease: LeaseDir, alloc: Allocation, *, now: float, reason: str) -> bool:
    """The host, whose runner does not serve, is in the lease no more; it stays, and False, while it holds anything."""
    if any(fs.names(lease.claimed(node)) for node in alloc.nodes):
        return False
    allocs.mark_ended(fs, lease, alloc, ended=now, reason=reason)
    return True


def take_out(
    fs: Fs, lease: LeaseDir, alloc: Allocation, *, clock: Clock, pause: Callable[[float], None] = time.sleep
) -> None:
    """Another host, whose runner is asked to leave if it is heard, is in the lease no more.

    Raises Unavailable if it holds what may run yet. One that was silent and held nothing leaves if it comes again.
    """
    for node in alloc.nodes:
        _leaves(fs, lease, node, clock=clock, pause=pause)
    if not leave(fs, lease, alloc, now=clock.now(), reason="released"):
        node = alloc.nodes[0]
        raise Unavailable(
            f"{node} is not heard and holds tasks of lease {lease.id}, which may run yet",
            hint=f"on {node}: `leaseq daemon stop --lease {lease.id} --kill`; if it is gone for good,"
            f" `leaseq recover --lease {lease.id} --all --force` queues them again first",
        )


def _leaves(fs: Fs, lease: LeaseDir, node: str, *, clock: Clock, pause: Callable[[float], None]) -> None:
    """The host's runner has ended what it ran and left, or is not heard; raises Unavailable if it goes on."""
    asked, deadline = "", clock.monotonic() + LEAVE_SECONDS_MAX
    while (heard := beats.heard(fs, lease, node)) is not None:
        if asked != heard.incarnation:
            records.prepare_node(fs, lease, node)
            requests.ask(fs, lease, node, "release", {})
            asked = heard.incarnation
        if clock.monotonic() > deadline:
            raise Unavailable(
                f"the runner of {node} has not ended after {LEAVE_SECONDS_MAX:.0f} s",
                hint="it ends once what runs there has; the same command again does no harm",
            )
        pause(LOOK_SECONDS)


@functools.cache
def machine_id() -> str:
    """What tells this host from every other one, whatever they are called; empty if it does not say.

    /etc/machine-id itself is not to be told to others.
    """
    try:
        with open("/etc/machine-id", "rb") as file:
            said = file.read().strip()
    except OSError:
        return ""
    return hashlib.sha256(b"leaseq " + said).hexdigest()[:16] if said not in (b"", b"uninitialized") else ""
