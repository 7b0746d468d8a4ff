"""This host as a node: of its own lease, or of one that it shares with other hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from leaseq.dataclass import dataclass
from leaseq.errors import Refused
from leaseq.lease import leases
from leaseq.node.nodedir import holders
from leaseq.verbs.access import Access
from leaseq.verbs.lease_shrink import drain_nodes
from leaseq.world import hostname

if TYPE_CHECKING:
    from leaseq.lease.host import LocalBackend, Started


@dataclass(frozen=True)
class Entered:
    """This host serves a lease."""

    host: LocalBackend
    started: Started
    is_new: bool = False
    """True if the lease was made for it."""
    is_default: bool = False
    """True if commands that name no lease mean this one since then."""


def meant(access: Access, word: str) -> LocalBackend:
    """This host in the lease that the word names; without one in the one that it serves, else in its own.

    Raises Refused if the lease has no hosts that come and go.
    """
    if not word:
        return access.host(_served(access))
    lease = access.lease(word)
    if leases.is_own(lease.id):
        return access.host()
    if not access.record(lease).is_of_hosts:
        raise Refused(f"lease {lease.id} is not of this host", hint="`leaseq daemon status` says what this host serves")
    return access.host(lease.id)


def _served(access: Access) -> str:
    """The id of the lease of hosts that this host is in; empty: none, or its own lease's runner is alive."""
    alive = [lease for lease, role, _ in holders(access.home.root) if role == "runner"]
    if any(leases.is_own(lease) for lease in alive):
        return ""
    found = list(_stays(access))
    return next((lease for lease in found if lease in alive), found[0] if found else "")


def _stays(access: Access) -> Iterator[str]:
    """The ids of the leases of hosts that this one is in by their records."""
    from leaseq.lease import joined

    for lease in leases.list_leases(access.fs, access.home):
        if lease.is_of_hosts and lease.ended is None:
            alloc = joined.stay_of(access.fs, access.home.lease(lease.id), hostname())
            if alloc is not None and joined.is_here(alloc):
                yield lease.id


def start(access: Access, word: str, *, again: bool = False) -> Entered:
    """This host serves the lease of hosts that goes by that name, which is made if there is none; no word: its own.

    again: by another runner than before; then no word means the lease that it serves. Raises LeaseqError.
    """
    from leaseq.lease.host import refuse_if_forbidden

    access.make_home()
    refuse_if_forbidden(access.home)
    if not word or leases.means_own(word):
        host = access.host(_served(access) if again and not word else "")
        if again:
            host.stop()
        return Entered(host, host.start())
    from leaseq.lease import joined, occupied

    found = joined.find(access.fs, access.home, word)
    _refuse_if_in_another(access, found.id if found else "")
    occupied.refuse(access.fs, access.home, found.id if found else "")
    record = found or joined.made(access.fs, access.home, word, now=access.clock.now())
    host = access.host(record.id)
    if again:
        host.stop()
    started = host.start()
    chosen = found is None and not leases.chosen(access.fs, access.home)
    if chosen:
        leases.choose(access.fs, access.home, record.id)
    return Entered(host, started, is_new=found is None, is_default=chosen)


def _refuse_if_in_another(access: Access, lease_id: str) -> None:
    for other in _stays(access):
        if other != lease_id:
            raise Refused(
                f"this host is in lease {other}, and serves one at a time",
                hint=f"`leaseq daemon stop --lease {other}` takes it out of that",
            )


def drain(access: Access, host: LocalBackend) -> Iterator[int]:
    """No task runs on this host and none will start, or its runner has ended. Gives how many run yet, at each look."""
    for held in drain_nodes(access, access.record(host.lease), [host.node]):
        if host.runner() is None:
            return
        yield held


@dataclass(frozen=True)
class Stopped:
    """No runner serves this host."""

    before: bool
    """True if one was alive."""
    was_in: bool = False
    """True if the host was one of several of the lease, and `out` if it is none of them any more."""
    out: bool = False


def stop(host: LocalBackend, *, kill: bool) -> Stopped:
    """No runner serves this host, which leaves a lease of several hosts if it holds nothing. Raises LeaseqError."""
    was_in = not host.is_own and host.stay() is not None
    stopped = host.stop(kill=kill)
    return Stopped(stopped, was_in, out=was_in and host.take_out())
