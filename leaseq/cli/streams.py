"""Which part of a task's output is meant, and why there is none."""

from __future__ import annotations

from leaseq.cli.command import Option
from leaseq.errors import NotFound, UsageError
from leaseq.models import KEEP_FAILED, State
from leaseq.reading.find import detail
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.values import integer

ALL_LINES = -1
FOLLOW_LINES = 100
"""How many lines of what was written before are shown by `follow` on a terminal."""
STDOUT = Option("stdout", "what it wrote to stdout", kind="flag", short="o")
STDERR = Option("stderr", "what it wrote to stderr", kind="flag", short="e")
RAW = Option("raw", "every byte, what acts on a terminal too; progress bars are not folded", kind="flag")


def streams_of(*, stdout: bool, stderr: bool) -> tuple[str, ...]:
    """Those that were asked for; nothing if none was."""
    return ("out",) * stdout + ("err",) * stderr


def lines_of(text: str, *, what: str) -> int:
    """How many lines, or all of them."""
    return ALL_LINES if text == "all" else integer(text, what=what, low=0, word="all")


def of_indices(row: TaskView, verb: str) -> UsageError:
    """Why an array as a whole has no output."""
    return UsageError(
        f"{row.id} is an array: each of its indices has its own output",
        hint=f"`leaseq {verb} {row.id}_INDEX` shows one, `leaseq tasks {row.id}` lists them",
    )


def not_kept(row: TaskView) -> NotFound:
    """Why an index that ended well has no output."""
    return NotFound(
        f"the output of {row.id} was not kept: it is DONE, and its array keeps that of failures (--logs failed)",
        hint=f"`leaseq info {row.id}` says how it ended",
    )


def no_log(reader: Reader, row: TaskView, attempt: int) -> NotFound:
    if row.cleaned:
        return NotFound(
            f"`leaseq clean` has removed the output of {row.id}", hint=f"`leaseq info {row.id}` says how it ended"
        )
    if row.state is State.PENDING and row.attempt == attempt:
        why = f": {row.reason}" if row.reason else ""
        return NotFound(
            f"{row.id} has not started (PENDING{why})", hint=f"`leaseq follow {row.id}` waits for its start"
        )
    found = detail(reader, row.id)
    if found.kept_logs == KEEP_FAILED and row.state is State.DONE and row.attempt == attempt:
        return not_kept(row)
    known = len(found.outcomes) or 1
    if attempt > max(known, row.attempt):
        return NotFound(f"{row.id} has no attempt {attempt}", hint=f"`leaseq info {row.id}` lists its attempts")
    reason = f" ({row.reason})" if row.reason else ""
    return NotFound(
        f"{row.id} left no output; it is {row.state.name}{reason}", hint=f"`leaseq info {row.id}` says more"
    )
