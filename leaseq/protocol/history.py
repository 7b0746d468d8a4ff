"""The history of a lease: one line for each outcome, appended by the node's own runner.

A history has one writer. A runner goes on in the newest history of its node if whoever wrote it has certainly ended;
else it begins one of its own, before its term, and takes in what is written into the earlier ones late.
"""

from __future__ import annotations

from collections.abc import Iterable

from leaseq.layout import LeaseDir
from leaseq.models import Event, Outcome, State, Task
from leaseq.words import command_line
from leaseq.world import Fs


def event_of(outcome: Outcome, totals: dict[str, int] | None = None, *, lease: str = "") -> Event:
    """The line of history of that lease that tells the outcome."""
    return Event(
        id=outcome.task.id,
        attempt=outcome.attempt,
        state=outcome.state,
        ended=outcome.ended,
        node=outcome.node,
        name=outcome.task.name,
        command=command_text(outcome.task)[:200],
        exit_code=outcome.exit_code,
        reason=outcome.reason,
        requeued=outcome.requeued,
        submitted=outcome.task.submitted,
        started=outcome.started,
        elapsed_seconds=outcome.elapsed_seconds,
        gpus=outcome.gpus,
        group=outcome.task.group,
        retried=outcome.task.retried.get(lease, ""),
        counts=outcome.counts,
        totals=dict(totals or {}),
        notify=outcome.task.notify,
    )


def counted(event: Event) -> list[tuple[str, int]]:
    """What the line of history changes in the numbers of finished tasks: state and number.

    A LOST task is not over: what it was counted as before stays counted until its last attempt is. A LOST array is:
    `retry` queues it as any that has ended.
    """
    if event.requeued:
        return []
    over = event.state is not State.LOST or event.counts
    before = [(event.retried, -1)] if over and event.retried in State.__members__ else []
    return [(event.state.name, 1), *before]


def command_text(task: Task) -> str:
    """The command as a person would type it."""
    return command_line(task.argv, shell=task.shell)


def begin(fs: Fs, lease: LeaseDir, node: str, term: int) -> None:
    """The history of the node that the runner of that term is to write is there, durably.

    Several who want that term may call this, also when the one that has it writes already: nothing is added.
    """
    fs.append(lease.events(node, term), b"")
    fs.sync_dir(lease.events_dir)


def record_events(
    fs: Fs, lease: LeaseDir, node: str, events: Iterable[Event], *, term: int = 0, mend: bool = True
) -> None:
    """The lines are at the end of the node's history, durably. Only the node's own runner calls this.

    term: whose history it is, as `LeaseDir.events` names it.

    mend: a line that a crash may have torn is ended first, or it would take the next line with it; and the name of
    the file is made durable first, which the runner that created it may not have lived to do.
    """
    path = lease.events(node, term)
    lines = b"".join(event.to_json() for event in events)
    if mend:
        try:
            last, size = fs.read_range(path, -1, 1)
        except FileNotFoundError:
            fs.append(path, b"")
            last, size = b"", 0
        fs.sync_dir(lease.events_dir)
        if size and last != b"\n":
            lines = b"\n" + lines
    fs.append(path, lines)
