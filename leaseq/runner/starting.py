"""From a claimed file to what the keeper is asked to start."""

from __future__ import annotations

import os

from leaseq.errors import Malformed
from leaseq.layout import LeaseDir, is_node
from leaseq.models import ANY, Task
from leaseq.node.environ import task_environment
from leaseq.node.request import StartRequest
from leaseq.protocol import tasks
from leaseq.protocol.tasks import Claim
from leaseq.runner.state import Held, Options
from leaseq.world import Fs

WORD_BYTES_MAX = 1 << 17
"""A word of a command line, with the NUL at its end, is at most so long (Linux, MAX_ARG_STRLEN)."""


def read_claimed(fs: Fs, lease: LeaseDir, claim: Claim) -> Task:
    """The task of that claim; raises Malformed where it is none that could be started or put back."""
    try:
        task = tasks.read_task(fs, claim.path(lease), claim.entry)
    except PermissionError:
        task = _read_again(fs, lease, claim)
    if not task.argv or (task.shell and len(task.argv) != 1):
        raise Malformed("it has no command")
    if task.node != ANY and not is_node(task.node):
        raise Malformed(f"its node is not a name: {task.node!r:.60}")
    return tasks.pinned_as_claimed(task, claim.node)


def _read_again(fs: Fs, lease: LeaseDir, claim: Claim) -> Task:
    """The task, which a first look was denied: a mount in trouble (no ticket) says so of everything for a while."""
    fs.names(lease.claimed(claim.node))
    try:
        return tasks.read_task(fs, claim.path(lease), claim.entry)
    except PermissionError as error:
        raise Malformed(f"cannot be read: {error.strerror}") from None  # somebody else's; trying again would not help


def shell_words(line: str) -> list[str]:
    """The words that run the line in bash, in pieces where Linux would refuse it as one word."""
    if len(os.fsencode(line)) < WORD_BYTES_MAX:
        return ["/bin/bash", "-c", line]
    length = WORD_BYTES_MAX // 8
    pieces = [line[at : at + length] for at in range(0, len(line), length)]
    return ["/bin/bash", "-c", 'eval "set --; $(printf %s "$@")"', "/bin/bash", *pieces]


def start_request(held: Held, *, lease: LeaseDir, options: Options, ends: float | None) -> StartRequest:
    """What the keeper is asked to start. ends: when the lease does, by the clock of the day."""
    task, entry, node = held.task, held.claim.entry, held.claim.node
    unlisted = held.booking.alone and not options.capacity.gpus
    gpus = None if unlisted else held.booking.gpus
    marks = {
        "LEASEQ_TASK_ID": entry.id,
        "LEASEQ_ATTEMPT": str(entry.attempt),
        "LEASEQ_LEASE": lease.id,
        "LEASEQ_NODE": node,
        "LEASEQ_GPUS": ",".join(held.booking.gpus),
        "LEASEQ_SLOT": str(held.slot),
        "LEASEQ_HOME": lease.root.rsplit("/runs/", 1)[0],
    }
    if ends is not None:
        marks["LEASEQ_END_TIME"] = str(int(ends))
    return StartRequest(
        argv=tuple(shell_words(task.argv[0]) if task.shell else task.argv),
        env=task_environment(
            task,
            node_environment=options.environment,
            kept=options.kept,
            gpus=gpus,
            gpu_variable=options.gpu_variable,
            marks=marks,
        ),
        cwd=task.cwd,
        umask=task.umask,
        out=lease.log(entry.id, entry.attempt, "out"),
        err=lease.log(entry.id, entry.attempt, "err"),
        remote=options.remote_paths,
        limit=task.need.time_seconds,
        grace=options.grace_seconds,
        gpus=held.booking.gpus,
        slot=held.slot,
    )
