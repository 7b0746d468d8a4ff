"""The end of a node's tasks if Slurm ends the lease and the node has no runner to do it: node-local files alone.

With proctrack/linuxproc Slurm signals what descends from the step. A task that has lost its keeper, and a keeper
that has lost its runner, do not: Slurm would leave them on the node for ever.
"""

from __future__ import annotations

import os
import time
from typing import NoReturn

from leaseq.models import Why
from leaseq.names import new_incarnation
from leaseq.node.nodedir import NodeDir
from leaseq.node.procs import KeeperProcs

LOOK_SECONDS = 0.1


def end_tasks(directory: NodeDir, *, grace_seconds: float) -> None:
    """No attempt that has begun on this node in this boot is alive, and none will begin; TERM came before KILL."""
    procs = KeeperProcs(directory, new_incarnation(), step_grace_seconds=grace_seconds)
    procs.find_windows()
    for name in os.listdir(directory.ask):
        verb, _, key = name.partition("-")
        if verb == "start":
            procs.void(key)
    if not _alive(procs):
        return
    child = os.fork()
    if child == 0:
        # A keeper that this child starts outlives Slurm's KILL, which may come while tasks still have their grace.
        _tell_keeper(procs, grace_seconds)
    os.waitpid(child, 0)
    while _alive(procs):
        time.sleep(LOOK_SECONDS)


def _tell_keeper(procs: KeeperProcs, grace_seconds: float) -> NoReturn:
    """A keeper, child of no process of this step, ends what is alive."""
    try:
        procs.ensure()
        for key in _alive(procs):
            procs.stop(key, why=Why.LEASE, grace=grace_seconds)
    finally:
        os._exit(0)


def _alive(procs: KeeperProcs) -> list[str]:
    """Attempts of which something may be alive."""
    records = {key: procs.record(key) for key in procs.attempts()}
    return [key for key, rec in records.items() if rec is not None and not rec.over and procs.same_boot(rec)]
