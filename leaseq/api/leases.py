"""What can be done to leases: what the command of that name does, and nothing is printed."""

from __future__ import annotations

from leaseq.api import home
from leaseq.errors import Refused
from leaseq.lease import leases
from leaseq.lease.host import user_name
from leaseq.models import Lease
from leaseq.names import valid_group
from leaseq.protocol import allocs
from leaseq.verbs import clean as cleaning
from leaseq.verbs import group as grouping
from leaseq.verbs import lease_hold_queue as holding
from leaseq.verbs import lease_use, ssh
from leaseq.verbs import pause as pausing
from leaseq.verbs.allowed import allow
from leaseq.verbs.clean import Due
from leaseq.verbs.pause import Pause


def use_lease(lease: str) -> Lease | None:
    """Commands and programs that name no lease mean that one; its record, None if it is this host's without one."""
    allow("lease use")
    return lease_use.use(home.access(), home.access().lease(lease, acts=True))


def hold_queue(lease: str = "", *, off: bool = False) -> tuple[str, ...]:
    """The nodes of the lease start no task any more, or with `off` start them again; their names.

    It lasts as long as their runners: `pause` outlives them.
    """
    allow("lease hold-queue")
    access = home.access()
    record = leases.living(access.record(access.lease(lease, acts=True)))
    nodes = holding.hold_queue(access, record, off=off)
    if not nodes:
        raise Refused(f"lease {record.id} has not started yet", hint="`leaseq.hold` holds single tasks")
    return nodes


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


def ssh_config(lease: str = "", *, login: str = "") -> str:
    """Settings for ssh by which ssh, rsync and editors reach the lease's nodes; keys and scripts for it are made.

    login: the host through which a laptop comes, if the settings are for one.
    """
    allow("ssh-config")
    access = home.access()
    record = leases.living(access.record(access.lease(lease, acts=True)))
    nodes = allocs.members(access.fs, access.home.lease(record.id)) or record.nodes
    ssh.prepare(access)
    entries = ssh.entries(record, nodes)
    return "".join(ssh.text_of(access, each, user=user_name(), login=login) for each in entries)


def _group(name: str) -> str:
    return valid_group(name, what="group") if name else ""
