"""From an attempt to what the keeper is asked to start."""

from __future__ import annotations

import os
from collections.abc import Sequence

from leaseq.layout import LeaseDir
from leaseq.models import Task
from leaseq.names import Entry
from leaseq.node.environ import task_environment
from leaseq.node.request import StartRequest
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Options
from leaseq.runner.work import Attempt
from leaseq.world import Clock

WORD_BYTES_MAX = 1 << 17
"""A word of a command line, with the NUL at its end, is at most so long (Linux, MAX_ARG_STRLEN)."""


def shell_words(line: str) -> list[str]:
    """The words that run the line in bash, in pieces if Linux would refuse it as one word."""
    if len(os.fsencode(line)) < WORD_BYTES_MAX:
        return ["/bin/bash", "-c", line]
    length = WORD_BYTES_MAX // 8
    pieces = [line[at : at + length] for at in range(0, len(line), length)]
    return ["/bin/bash", "-c", 'eval "set --; $(printf %s "$@")"', "/bin/bash", *pieces]


def ends_of_day(state: NodeState, clock: Clock) -> float | None:
    """When the lease ends, by the clock of the day; None if that is not known."""
    return None if state.ends_at is None else clock.now() + state.ends_at - clock.monotonic()


def marks_of(entry: Entry, lease: LeaseDir) -> dict[str, str]:
    """Variables that no other attempt has."""
    return {
        "LEASEQ_TASK_ID": entry.id,
        "LEASEQ_ATTEMPT": str(entry.attempt),
        "LEASEQ_TASK_DIR": lease.results(entry.id),
    }


def words_of(task: Task, argv: Sequence[str]) -> tuple[str, ...]:
    """What is started for the words of a task's command."""
    return tuple(shell_words(argv[0]) if task.shell else argv)


def start_request(attempt: Attempt, *, lease: LeaseDir, options: Options, ends: float | None) -> StartRequest:
    """What the keeper is asked to start. ends: when the lease does, by the clock of the day."""
    task, entry, node = attempt.task, attempt.entry, attempt.work.claim.node
    unlisted = attempt.booking.alone and not options.capacity.gpus
    gpus = None if unlisted else attempt.booking.gpus
    marks = {
        **marks_of(entry, lease),
        "LEASEQ_LEASE": lease.id,
        "LEASEQ_NODE": node,
        "LEASEQ_GPUS": ",".join(attempt.booking.gpus),
        "LEASEQ_SLOT": str(attempt.slot),
        "LEASEQ_HOME": lease.root.rsplit("/runs/", 1)[0],
        **attempt.marks,
    }
    if ends is not None:
        marks["LEASEQ_END_TIME"] = str(int(ends))
    return StartRequest(
        argv=words_of(task, task.argv),
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
        gpus=attempt.booking.gpus,
        slot=attempt.slot,
    )
