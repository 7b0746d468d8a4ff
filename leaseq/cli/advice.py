"""What a person may want to do now, by a look at a lease."""

from __future__ import annotations

from leaseq.cli.output import Output
from leaseq.lease.kinds import is_borrowed, way_in
from leaseq.models import State
from leaseq.reading.views import Snapshot
from leaseq.words import count


def advise(out: Output, snapshot: Snapshot) -> None:
    """What the person may want to do now, on stderr."""
    for each in advices(snapshot):
        out.talk(f"leaseq: {each}")


def advices(snapshot: Snapshot) -> list[str]:
    """What the person may want to do now, the lease's notes first."""
    said = list(snapshot.notes[:5])
    if snapshot.lease is None:
        said.append("nothing was ever submitted here: `leaseq submit -- COMMAND` queues a task")
    elif snapshot.totals[State.STUCK]:
        stuck = snapshot.totals[State.STUCK]
        said.append(f"{count(stuck, 'task is', 'tasks are')} stuck: `leaseq recover` shows the next step")
    elif snapshot.totals[State.PENDING] and not any(view.health.serving for view in snapshot.nodes):
        if is_borrowed(snapshot.lease) and not snapshot.nodes:
            said.append(f"it has no node yet: `leaseq lease info {snapshot.lease_id}` shows what Slurm says of it")
        if snapshot.lease.is_of_hosts and snapshot.lease.ended is None:
            said.append(f"no host takes the pending tasks: {way_in(snapshot.lease)}")
        elif not is_borrowed(snapshot.lease) and snapshot.lease.ended is None:
            said.append("no runner takes the pending tasks: `leaseq daemon start` starts one")
    elif snapshot.totals[State.LOST]:
        lost = snapshot.totals[State.LOST]
        said.append(f"{count(lost, 'task is', 'tasks are')} lost: `leaseq recover` queues them again")
    return said
