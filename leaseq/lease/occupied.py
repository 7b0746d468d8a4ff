"""A host serves one lease of hosts at a time: two runners would both give its CPUs and GPUs away."""

from __future__ import annotations

import os
import time

from leaseq.errors import Malformed, Refused
from leaseq.layout import Home
from leaseq.lease.kinds import is_borrowed
from leaseq.node.nodedir import Holder, holders
from leaseq.protocol import records
from leaseq.world import Fs

IDLE_SECONDS = 8.0
"""A keeper that keeps nothing ends by itself within this time once its runner has."""
LOOK_SECONDS = 0.05


def wait(fs: Fs, home: Home, lease_id: str) -> None:
    """No other lease's runner serves this host, and no keeper of one has tasks yet; raises Refused."""
    deadline = time.monotonic() + IDLE_SECONDS
    while (found := _another(fs, home, lease_id)) is not None:
        other, role, holder = found
        if role == "runner" or time.monotonic() > deadline:
            raise _refused(other, role, holder)
        time.sleep(LOOK_SECONDS)


def refuse(fs: Fs, home: Home, lease_id: str) -> None:
    """Raises Refused if another lease's runner serves this host: for a runner that begins to."""
    found = _another(fs, home, lease_id)
    if found is not None and found[1] == "runner":
        raise _refused(*found)


def _another(fs: Fs, home: Home, lease_id: str) -> tuple[str, str, Holder] | None:
    """(lease, role, process) that serves this host for another lease whose host it is; a runner, if there is one."""
    found = None
    for other, role, holder in holders(home.root):
        if other != lease_id and holder.pid != os.getpid() and _is_of_hosts(fs, home, other):
            found = (other, role, holder) if found is None or role == "runner" else found
    return found


def _is_of_hosts(fs: Fs, home: Home, lease_id: str) -> bool:
    """False for a step of a Slurm job beside it: what that has is Slurm's to give."""
    try:
        return not is_borrowed(records.read_lease(fs, home.lease(lease_id)))
    except (FileNotFoundError, NotADirectoryError, Malformed):
        return False


def _refused(lease_id: str, role: str, holder: Holder) -> Refused:
    runs = role == "runner"
    what = "its runner" if runs else "the keeper of its tasks, which go on,"
    return Refused(
        f"this host serves lease {lease_id} ({what} is process {holder.pid}), and one lease at a time",
        hint=f"`leaseq daemon stop --lease {lease_id}{'' if runs else ' --kill'}` ends that first",
    )
