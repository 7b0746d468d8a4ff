"""This host as the place where tasks go: its runner, and what is said of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from leaseq.cli.app import App
from leaseq.cli.command import Option
from leaseq.cli.output import stamp
from leaseq.cli.trouble import explained
from leaseq.errors import LeaseqError
from leaseq.layout import LeaseDir
from leaseq.models import State
from leaseq.programs import slurm_is_here
from leaseq.words import about

if TYPE_CHECKING:
    from leaseq.lease.host import LocalBackend, Started
    from leaseq.models import Lease
    from leaseq.reading.views import TaskView


HERE = Option(
    "lease", "this host in that lease (default: in the one that it serves)", short="l", absent="", completes="lease"
)


def running(app: App, local: LocalBackend) -> list[TaskView]:
    """Tasks that this host holds now."""
    snapshot = app.access.reader_of(local.lease).read(recent=0, pending=0)
    held = [row for row in snapshot.tasks if row.state in (State.RUNNING, State.STUCK, State.UNKNOWN)]
    return [row for row in held if local.is_own or row.node == local.node]


def see_to_capacity(app: App, leases: Iterable[LeaseDir], record: Lease | None = None) -> None:
    """Somebody will run what waits in those leases; said on stderr if a runner had to be started, or could not be.

    record: the lease's, if there is one and it is known. It is said why what waits has no node, if it has none.
    """
    for lease in leases:
        try:
            started = app.access.ensure(lease, record)
        except (LeaseqError, OSError) as failure:
            error = failure if isinstance(failure, LeaseqError) else explained(failure)
            hint = error.hint
            app.out.talk(
                f"leaseq: queued, but this host's runner could not be started: {error}"
                + (f"\n  {hint}" if hint else "")
            )
        else:
            if isinstance(started, str):
                app.out.talk(f"leaseq: {started}")
            elif started is not None:
                tell_of_start(app, started)


def tell_of_start(app: App, started: Started) -> None:
    """What a person must know of tasks on this host: that its runner was started, and what of Slurm is around it."""
    from leaseq.lease.slurm.around import job_around  # most commands find a runner that runs

    if not started.already:
        app.out.talk(f"leaseq: started this host's runner (process {started.pid}; `leaseq daemon stop` ends it)")
        if job_around(os.environ) is None and slurm_is_here():
            never = "`local: never` in config.yaml keeps tasks off this host"
            app.out.talk(f"leaseq: Slurm is here: `leaseq add` asks it for nodes; {never}")
    tell_of_job(app, started)


def tell_of_job(app: App, started: Started) -> None:
    """A shell inside a Slurm job hears that its job is no lease, and when what it starts on this host ends."""
    from leaseq.lease.slurm.around import job_around
    from leaseq.verbs.around import nodes_around, way_in

    elsewhere = nodes_around(app.access)
    if elsewhere:
        app.out.talk(f"leaseq: {elsewhere}")
        return
    job = job_around(os.environ)
    if job is not None and started.job:
        left = started.left_seconds
        when = "" if left is None else f", in {about(left)}, at {stamp(app.clock.now() + left)}"
        app.out.talk(f"leaseq: this host's lease ends with job {job.id}{when}; {way_in(app.access, job)}")
