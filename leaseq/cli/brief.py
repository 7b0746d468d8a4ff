"""A lease in at most 15 lines, however long its queue is: for programs that pay for each line they read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from leaseq.cli.advice import advices
from leaseq.cli.limits import limits_told
from leaseq.cli.output import Output
from leaseq.cli.rows import how_far, reason_of
from leaseq.models import State
from leaseq.reading.views import Snapshot, TaskView, duration
from leaseq.words import about, count, visible

ROWS_MAX = 3
"""So many tasks of a kind are named."""
REMARKS_MAX = 2
"""So many of what may be done now."""
CHARS_MAX = 160
BAD = (State.FAILED, State.TIMEOUT, State.LOST, State.STUCK)


def brief(out: Output, snapshot: Snapshot, *, title: str, said: Sequence[str], left: float | None) -> None:
    """The lease, its nodes, its counts, what runs, what went wrong last, and what may be done now.

    said: what is known of its queue beside that. left: seconds until its end; None: it has none, or it is not known.
    """
    lines = [_lease(snapshot, title, left), _counts(snapshot)]
    paused = list(limits_told(snapshot.limits))
    lines += [*paused[:1], *said]
    running = [row for row in snapshot.tasks if row.state in (State.RUNNING, State.UNKNOWN)]
    lines += _rows(running, sum(snapshot.totals[state] for state in (State.RUNNING, State.UNKNOWN)), "running")
    bad = [row for row in snapshot.tasks if row.state in BAD]
    lines += _rows(bad, sum(snapshot.totals[state] for state in BAD), ",".join(state.name.lower() for state in BAD))
    lines += advices(snapshot)[:REMARKS_MAX]
    for line in lines:
        text = visible(line)
        out.line(text if len(text) <= CHARS_MAX else f"{text[: CHARS_MAX - 2]}..")


def _lease(snapshot: Snapshot, title: str, left: float | None) -> str:
    nodes = snapshot.nodes
    serving = sum(view.health.serving for view in nodes)
    gpus = sum(len(view.heartbeat.gpus) for view in nodes if view.heartbeat and view.health.serving)
    booked = sum(len(view.booked_gpus) for view in nodes if view.health.serving)
    parts = [title]
    parts += [f"{serving} of {count(len(nodes), 'node')} serving"] if nodes else ["no node"]
    parts += [f"{booked} of {count(gpus, 'GPU')} booked"] if gpus else []
    parts += [f"ends in {about(left)}"] if left is not None else []
    return ", ".join(parts)


def _counts(snapshot: Snapshot) -> str:
    known = [f"{number:,} {state.name.lower()}" for state, number in snapshot.totals.items() if number]
    return "tasks: " + (", ".join(known) or "none")


def _rows(rows: Sequence[TaskView], total: int, states: str) -> Iterator[str]:
    for row in rows[:ROWS_MAX]:
        time = duration(row.elapsed_seconds)
        reason = reason_of(row, "exit code") or how_far(row, ascii=True)
        words = [row.id, row.state.name, time, row.node, reason and f"({reason})", row.name or row.command]
        yield " ".join(word for word in words if word)
    if total > (shown := min(len(rows), ROWS_MAX)):
        yield f"{total - shown:,} more: leaseq tasks --state {states}"
