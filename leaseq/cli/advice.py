"""What a person may want to do now, by a look at a lease."""

from __future__ import annotations

from leaseq.cli.output import Output
from leaseq.lease.kinds import is_borrowed
from leaseq.models import State
from leaseq.reading.views import Snapshot
from leaseq.words import count


def advise(out: Output, snapshot: Snapshot) -> None:
    """What the person may want to do now, on stderr."""
    for note in snapshot.notes[:5]:
        out.talk(f"leaseq: {note}")
    if snapshot.lease is None:
        out.talk("leaseq: nothing was ever submitted here: `leaseq submit -- COMMAND` queues a task")
    elif snapshot.totals[State.STUCK]:
        stuck = snapshot.totals[State.STUCK]
        out.talk(f"leaseq: {count(stuck, 'task is', 'tasks are')} stuck: `leaseq recover` shows the next step")
    elif snapshot.totals[State.PENDING] and not any(view.health.serving for view in snapshot.nodes):
        if is_borrowed(snapshot.lease) and not snapshot.nodes:
            out.talk(f"leaseq: it has no node yet: `leaseq lease info {snapshot.lease_id}` shows what Slurm says of it")
        if not is_borrowed(snapshot.lease) and snapshot.lease.ended is None:
            out.talk("leaseq: no runner takes the pending tasks: `leaseq daemon start` starts one")
    elif snapshot.totals[State.LOST]:
        lost = snapshot.totals[State.LOST]
        out.talk(f"leaseq: {count(lost, 'task is', 'tasks are')} lost: `leaseq recover` queues them again")
