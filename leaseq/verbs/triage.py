"""What became of a task, what its last lines say, what probably went wrong, and what to try."""

from __future__ import annotations

import shlex

from leaseq.dataclass import dataclass, replace
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.lease.lookup import Located
from leaseq.models import Need, Outcome, State
from leaseq.reading.causes import Cause, cause_in, cause_of_end
from leaseq.reading.find import Detail
from leaseq.reading.logtail import as_shown
from leaseq.reading.output import log_of
from leaseq.reading.views import TaskView
from leaseq.upstream import Upstream
from leaseq.verbs.why import told, why

TAIL_BYTES = 64 << 10
"""So much of the end of each stream is looked through."""
SHOWN_LINES = 20
CHARS_MAX = 200
"""So many letters of each line are shown."""


BAD = (State.FAILED, State.TIMEOUT, State.LOST, State.STUCK, State.CANCELLED)
"""The states that are no good end, the most telling first."""


@dataclass(frozen=True)
class Triage:
    """What can be said of a task."""

    lease: LeaseDir
    row: TaskView
    detail: Detail
    outcome: Outcome | None
    """How its newest attempt ended; None if it has not."""
    stream: str = ""
    """The stream that `lines` are of, out or err; empty if nothing was written."""
    lines: tuple[str, ...] = ()
    """Its last lines, as a terminal would show them."""
    cause: str = ""
    """What it waits for, or what went wrong; empty if that is not known."""
    likely: bool = False
    """True if a line of its output says so, and not how it ended."""
    way: str = ""
    """What to try."""


def worst(each: Located) -> Located | None:
    """Of an array, or of those of its indices that are meant, one that went wrong; None if none did."""
    found = each.indexed.by_state(each.indices)
    bad = next((found[state] for state in BAD if found.get(state)), None)
    if bad is None:
        return None
    (row,) = each.indexed.rows(Indices.of([bad.first]))
    return replace(each, row=row, indices=None)


def triage(each: Located) -> Triage:
    """What is known of the task, or of that index of an array. Raises NotFound."""
    detail = each.detail
    row = detail.view
    outcome = next((past for past in reversed(detail.outcomes) if past.attempt == row.attempt), None)
    tails = {} if row.cleaned else {stream: _tail(each, row, stream) for stream in ("err", "out")}
    stream = next((name for name, lines in tails.items() if lines), "")
    every = [*tails.get("out", ()), *tails.get("err", ())]
    cause = _cause(each, row, outcome, every) or Cause("")
    return Triage(
        lease=each.reader.lease,
        row=row,
        detail=detail,
        outcome=outcome,
        stream=stream,
        lines=tuple(tails.get(stream, ())[-SHOWN_LINES:]),
        cause=cause.words,
        likely=bool(cause.line),
        way=cause.way,
    )


def _tail(each: Located, row: TaskView, stream: str) -> list[str]:
    lines = log_of(each.reader, row.id, row.attempt, stream).last_lines(TAIL_BYTES)
    text = [as_shown(line).rstrip()[:CHARS_MAX] for line in lines]
    while text and not text[-1]:
        text.pop()
    return text


def _cause(each: Located, row: TaskView, outcome: Outcome | None, lines: list[str]) -> Cause | None:
    if row.state is State.DONE:
        return None
    if outcome is None or row.state in (State.PENDING, State.RUNNING):
        known = why(each)
        return Cause(told(known), f"leaseq recover {row.id}" if row.state is State.STUCK else "")
    if (found := _of_state(row, outcome)) is not None:
        return found
    found = cause_in(lines) or cause_of_end(outcome.exit_code, outcome.signal)
    if found is None:
        return None
    cwd = shlex.quote(outcome.task.cwd)
    way = found.way.replace("{id}", row.id).replace("{node}", outcome.node).replace("{cwd}", cwd)
    return replace(found, words=found.words.replace("{cwd}", cwd), way=way)


def _of_state(row: TaskView, outcome: Outcome) -> Cause | None:
    """What its state and reason say without its output; None if that is not all."""
    need: Need = outcome.task.need
    if outcome.state is State.TIMEOUT:
        longer = f"{2 * need.time_seconds}s" if need.time_seconds else "TIME"
        return Cause("it ran into its time limit", f"leaseq retry {row.id} --time {longer}")
    if outcome.state is State.LOST:
        return Cause(f"what became of it is not known: {outcome.reason}", f"leaseq recover {row.id}")
    if outcome.state is State.CANCELLED:
        if outcome.because:
            return Cause(
                f"it waited for what did not come: {outcome.reason}",
                f"leaseq triage {Upstream.parse(outcome.because).id}",
            )
        return Cause(f"it was cancelled: {outcome.reason}", f"leaseq retry {row.id}")
    if "out of memory" in outcome.reason:
        more = f"{2 * need.mem_mb}M" if need.mem_mb else "SIZE"
        return Cause(outcome.reason, f"leaseq retry {row.id} --mem {more}")
    return None
