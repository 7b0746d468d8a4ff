"""This host as the place where tasks go: whether they may, its runner, and what is said of both."""

from __future__ import annotations

import os

from leaseq.cli.app import App
from leaseq.cli.output import about, stamp
from leaseq.cli.trouble import explained
from leaseq.errors import LeaseqError
from leaseq.lease import leases
from leaseq.lease.host import LocalBackend, Started, refuse_if_forbidden
from leaseq.lease.slurm.around import Job, job_around
from leaseq.models import State
from leaseq.reading.snapshot import Reader, TaskView


def backend(app: App) -> LocalBackend:
    return LocalBackend(app.fs, app.home, clock=app.clock)


def running(app: App, local: LocalBackend) -> list[TaskView]:
    """Tasks that this host's lease holds now."""
    snapshot = Reader(local.lease, app.fs, app.clock).read(recent=0, pending=0)
    return [row for row in snapshot.tasks if row.state in (State.RUNNING, State.STUCK, State.UNKNOWN)]


def slurm_is_here() -> bool:
    """True where leases can be had of Slurm."""
    from shutil import which

    return which("sbatch") is not None


def refuse_again(app: App, lease_id: str, *, start: bool) -> None:
    """A task of that lease may run again there; raises Refused where that is this host and the settings forbid it.

    With `--no-start` it may be queued there all the same: so it can move to another lease.
    """
    if start and lease_id == leases.local_id():
        way = "`--no-start` queues it all the same, and `leaseq move --to LEASE ID` carries it to another lease"
        refuse_if_forbidden(app.home, hint=way)


def start_if_none(app: App, backend: LocalBackend) -> None:
    """This host's runner is alive; said on stderr where it had to be started, or could not be."""
    started = None
    try:
        if backend.runner() is None:
            started = backend.start()
    except (LeaseqError, OSError) as failure:
        error = failure if isinstance(failure, LeaseqError) else explained(failure)
        hint = error.hint
        app.out.talk(f"leaseq: queued, but no runner takes it: {error}" + (f"\n  {hint}" if hint else ""))
        return
    tell_of_start(app, started)


def tell_of_start(app: App, started: Started | None) -> None:
    """What a person must know of tasks on this host: that its runner was started, and what of Slurm is around it."""
    if started is not None and not started.already:
        app.out.talk(f"leaseq: started this host's runner (process {started.pid}; `leaseq daemon stop` ends it)")
        if job_around(os.environ) is None and slurm_is_here():
            never = "`local: never` in config.yaml keeps tasks off this host"
            app.out.talk(f"leaseq: Slurm is here: `leaseq add` asks it for nodes; {never}")
    tell_of_job(app, started)


def tell_of_job(app: App, started: Started | None) -> None:
    """A shell inside a Slurm job hears that its job is no lease, and when what it starts on this host ends."""
    elsewhere = nodes_around(app)
    if elsewhere:
        app.out.talk(f"leaseq: {elsewhere}")
        return
    job = job_around(os.environ)
    if job is not None and started is not None and started.job:
        left = started.left_seconds
        when = "" if left is None else f", in {about(left)}, at {stamp(app.clock.now() + left)}"
        app.out.talk(f"leaseq: this host's lease ends with job {job.id}{when}; {_way_in(app, job)}")


def nodes_around(app: App) -> str:
    """That a job around this shell has nodes, of which this host is none, and the way to them; empty without one."""
    job = job_around(os.environ)
    if job is None or job.here:
        return ""
    return f"this host is used, not the nodes of job {job.id} around this shell; {_way_in(app, job)}"


def _way_in(app: App, job: Job) -> str:
    """How tasks get to the job's nodes."""
    known = leases.of_job(app.fs, app.home, job.id)
    if known:
        return f"its lease is {known.id}: --lease {known.id}"
    return f"`leaseq lease adopt {job.id}` makes a lease of it"
