"""What can be done to leases: what the command of that name does, and nothing is printed."""

from __future__ import annotations

from leaseq.api import home
from leaseq.lease.host import refuse_if_elsewhere
from leaseq.models import Lease
from leaseq.names import valid_group
from leaseq.verbs import clean as cleaning
from leaseq.verbs import group as grouping
from leaseq.verbs import lease_release as releasing
from leaseq.verbs import lease_use
from leaseq.verbs import pause as pausing
from leaseq.verbs.allowed import allow
from leaseq.verbs.clean import Due
from leaseq.verbs.pause import Pause


def use_lease(lease: str) -> Lease | None:
    """Commands and programs that name no lease mean that one; its record, None if it is this host's without one."""
    allow("lease use")
    return lease_use.use(home.access(), home.access().lease(lease, acts=True))


def release_lease(lease: str, *, drain: bool = False) -> bool:
    """The lease is given back, and its running tasks end; False if it had ended before.

    drain: nothing more starts, and what runs is waited for first.
    """
    allow("lease release")
    access = home.access()
    record = access.record(access.lease(lease, acts=True))
    refuse_if_elsewhere(record)
    if drain:
        for _ in releasing.drain(access, record):
            pass
    return releasing.release(access, record).now


def pause(lease: str = "", *, group: str = "") -> Pause:
    """Nothing of the lease, or of that group of it, starts any more; what runs goes on."""
    allow("pause")
    return pausing.pause(home.access(), home.access().lease(lease, acts=True), _group(group))


def resume(lease: str = "", *, group: str = "") -> Pause:
    """The lease, or that group of it, starts tasks again."""
    allow("resume")
    return pausing.resume(home.access(), home.access().lease(lease, acts=True), _group(group))


def set_parallel(group: str, most: int | None, *, lease: str = "") -> None:
    """At most so many tasks of the group run at once, over all nodes of the lease; None: any number."""
    allow("group")
    grouping.set_parallel(home.access(), home.access().lease(lease, acts=True), _group(group), most)


def clean(lease: str = "", *, older_seconds: float = 30 * 86400.0, keep_failed: bool = False) -> Due:
    """Results and logs of tasks that ended longer ago are gone; what went. Raises OSError if one could not go."""
    allow("clean")
    old = cleaning.due(home.access(), home.access().lease(lease), older_seconds=older_seconds, keep_failed=keep_failed)
    left = cleaning.clean(home.access(), old)
    if left:
        raise next(iter(left.values()))
    return old


def _group(name: str) -> str:
    return valid_group(name, what="group") if name else ""
