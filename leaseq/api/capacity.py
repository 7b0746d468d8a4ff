"""Where nodes come from: what the commands that ask for leases, keep them and give them back do; nothing is printed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from leaseq import config
from leaseq.api import home
from leaseq.api.options import umask
from leaseq.api.queueing import see_to_capacity
from leaseq.dataclass import dataclass
from leaseq.errors import NotFound, UsageError
from leaseq.lease import leases
from leaseq.lease.host import LocalBackend, Started, refuse_if_elsewhere
from leaseq.models import Lease
from leaseq.protocol import allocs
from leaseq.protocol.succession import How
from leaseq.reading.backlog import Backlog
from leaseq.schema import whole
from leaseq.verbs import add as adding
from leaseq.verbs import (
    here,
    lease_adopt,
    lease_idle,
    lease_keep,
    lease_release,
    lease_scale,
    lease_shrink,
    lease_words,
)
from leaseq.verbs.add import Added
from leaseq.verbs.allowed import allow
from leaseq.verbs.here import Entered, Stopped
from leaseq.verbs.lease_idle import Idled
from leaseq.verbs.lease_request import Wish, lease_name, request

if TYPE_CHECKING:
    from leaseq.allocation import Allocation
    from leaseq.lease.slurm.want import Wanted

Time = str | timedelta
"""`30m`, `3d`, or a timedelta."""


@dataclass(frozen=True)
class Scaling:
    """How many jobs a lease may have as its tasks need them, and what follows from that now."""

    least: int
    most: int
    wanted: Wanted | None
    """What is wanted, and why no job is asked for; None if none is asked for any more."""
    backlog: Backlog


@dataclass(frozen=True)
class HostRunner:
    """This host as a node of a lease."""

    lease: str
    node: str
    pid: int | None
    """Of its runner; None if none is alive."""
    keeper_pid: int | None
    """Of what holds its tasks; None if there is none."""
    log: str
    """The path of what its runner had to say."""


# -- asked for ---------------------------------------------------------------------------------------------------------


def add(
    *slurm: str,
    name: str = "",
    to: str = "",
    profile: str = "",
    template: str = "",
    keep: Time = "",
    overlap: Time = "",
    idle: Time = "",
    scale: tuple[int, int] | None = None,
) -> Added:
    """Slurm has queued a lease with these options of sbatch, or with `to` another job of that one; `.lease` is it.

    The others are those of `leaseq add`. keep: `until-empty` and `forever` too. idle: `off` too. scale: (at least, at
    most) so many jobs, as tasks need them. Its start is not waited for: `wait_for_lease` does.
    """
    allow("add")
    if to and (name or keep or overlap or scale is not None):
        raise UsageError("`to` is a lease that there is: it has its name, and how it is kept")
    if scale is not None and (keep or overlap):
        raise UsageError("a lease that scales has as many jobs as its tasks need: none follows the other")
    access = home.access()
    record = adding.lease_to_grow(access, to) if to else None
    wish = Wish(
        tokens=slurm,
        to=to,
        name=lease_name(name, what="name") if name else "",
        profile=profile,
        template=template,
        keep=_word(keep),
        overlap=_word(overlap),
        idle=_word(idle),
        scale=lease_words.of_add(_range(*scale), what="scale") if scale is not None else None,
    )
    asked = request(wish, config.load(access.home), umask=umask(), name=record.name if record else wish.name)
    for note in asked.checked.notes:
        warnings.warn(note, UserWarning, stacklevel=2)
    prepared = adding.prepare(access, asked, to=record)
    if asked.keep is None or not asked.keep.scale:
        return adding.add(access, prepared, asked)
    added = adding.begin(access, prepared)
    if asked.keep.scale[0]:
        see_to_capacity(access, access.home.lease(added.lease.id))
    return added


def wait_for_lease(lease: str = "", *, job: str = "", timeout: float | None = None) -> str:
    """The node where the lease's first runner is heard, or that job's; empty if so many seconds are over first.

    Raises SlurmError, with what is known of the reason, if it has ended before.
    """
    from leaseq.lease.slurm.job import by_settings
    from leaseq.lease.slurm.start import LOOK_SECONDS, progress

    access = home.access()
    record = access.record(access.lease(lease, acts=True))
    backend = by_settings(access.fs, access.home, clock=access.clock)
    for now in progress(backend, record, alloc=_job_of(record, job) if job else None):
        if now.node:
            return now.node
        if timeout is not None and now.waited_seconds >= timeout:
            break
        access.pause(LOOK_SECONDS)
    return ""


def _job_of(record: Lease, job: str) -> Allocation:
    access = home.access()
    known = allocs.all_of(access.fs, access.home.lease(record.id), record)
    found = next((each for each in known if job in (each.id, each.job)), None)
    if found is None:
        raise NotFound(f"lease {leases.called(record)} has no job {job}", hint="`lease_info` has those of one")
    return found


def adopt_lease(job: str | int, *, name: str = "") -> Lease:
    """The running allocation of that number is a lease, and the default one, with a runner on each node.

    The runners end if this host goes down; the same call starts them again.
    """
    allow("lease adopt")
    if whole(str(job)) is None:
        raise UsageError(f"{job!r} is not the number of a job", hint="`squeue --me` lists your jobs")
    record, _ = lease_adopt.adopt(home.access(), str(job), name=name and lease_name(name, what="name"), umask=umask())
    return record


# -- kept --------------------------------------------------------------------------------------------------------------


def keep_lease(lease: str = "", *, keep: Time, overlap: Time = "") -> How | None:
    """One job of the lease follows the other for so long from now: `3d`, `until-empty`, `forever`.

    `off`: none follows, and one that is queued is taken back; then it gives None.
    """
    allow("lease keep")
    access = home.access()
    record, alloc = lease_keep.lease_to_keep(access, lease)
    how = lease_words.kept(_word(keep), _word(overlap), alloc.options)
    if how is None:
        lease_keep.end(access, record)
        return None
    return lease_keep.keep(access, record, alloc, how, umask=umask())


def idle_lease(lease: str = "", *, limit: Time) -> Idled:
    """Each job that the lease has gives its nodes back once nothing has used them for so long; `off`: it keeps them."""
    allow("lease idle")
    access = home.access()
    record = leases.living(access.record(access.lease(lease, acts=True)))
    return lease_idle.set_idle(access, record, lease_words.unused_limit(_word(limit), what="limit"))


def scale_lease(lease: str = "", *, least: int, most: int) -> None:
    """A lease that scales may have so many jobs from now on, and asks for them again if it had paused."""
    allow("lease scale")
    access = home.access()
    bounds = lease_words.bounds(_range(least, most), what="the range")
    record, how = lease_scale.lease_that_scales(access, lease, acts=True)
    lease_scale.scale(access, record, how, bounds)


def scaling(lease: str = "") -> Scaling:
    """How many jobs a lease that scales may have, how many it wants now, and why none is asked for."""
    access = home.access()
    record, how = lease_scale.lease_that_scales(access, lease)
    wanted, backlog = lease_scale.reckoning(access, record)
    return Scaling(how.scale[0], how.scale[1], wanted, backlog)


# -- given back --------------------------------------------------------------------------------------------------------


def release_lease(lease: str, *, drain: bool = False, jobs: Sequence[str] = (), nodes: Sequence[str] = ()) -> bool:
    """The lease is given back, and its running tasks end; False if it had ended before.

    drain: nothing more starts, and what runs is waited for first. jobs, nodes: only these of it; the lease goes on.
    """
    allow("lease release")
    access = home.access()
    record = access.record(access.lease(lease, acts=True))
    refuse_if_elsewhere(record)
    if jobs or nodes:
        part = lease_shrink.part_of(access, leases.living(record), jobs=jobs, nodes=nodes)
        if not part.is_all or record.is_of_hosts:
            for _ in lease_shrink.drain_nodes(access, record, part.names) if drain else ():
                pass
            lease_shrink.give_back(access, record, part)
            return True
    for _ in lease_release.drain(access, record) if drain else ():
        pass
    return lease_release.release(access, record).now


# -- this host ---------------------------------------------------------------------------------------------------------


def start_runner(lease: str = "", *, again: bool = False) -> Started:
    """This host serves its own lease, or one of several hosts that goes by that name, which is made if there is none.

    again: by another runner than before; tasks go on.
    """
    allow("daemon restart" if again else "daemon start")
    entered: Entered = here.start(home.access(), lease, again=again)
    return entered.started


def stop_runner(lease: str = "", *, kill: bool = False, drain: bool = False) -> Stopped:
    """No runner serves this host; its tasks go on, unless with `kill`. drain: they are waited for, and none starts."""
    allow("daemon stop")
    access = home.access()
    local = here.meant(access, lease)
    if leases.read_record(access.fs, local.lease) is None:
        return Stopped(before=False)
    for _ in here.drain(access, local) if drain and local.runner() is not None else ():
        pass
    return here.stop(local, kill=kill)


def host_runner(lease: str = "") -> HostRunner:
    """Whether this host's runner is alive."""
    local: LocalBackend = here.meant(home.access(), lease)
    alive, keeper = local.runner(), local.keeper()
    pids = (alive.pid if alive else None, keeper.pid if keeper else None)
    return HostRunner(local.lease.id, local.node, *pids, log=local.log)


def _word(time: Time) -> str:
    return f"{time.total_seconds()}s" if isinstance(time, timedelta) else time


def _range(least: int, most: int) -> str:
    return f"{least}..{most}"
