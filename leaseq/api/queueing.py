"""From what a program says to tasks in a queue, with somebody to run them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime

from leaseq.api import home
from leaseq.api.options import Asked
from leaseq.dataclass import replace
from leaseq.errors import LeaseqError, Unavailable
from leaseq.layout import LeaseDir
from leaseq.models import Task
from leaseq.origin import Origin
from leaseq.protocol.edges import begins_at
from leaseq.verbs.access import Access
from leaseq.verbs.allowed import allow
from leaseq.verbs.origin import Origins
from leaseq.verbs.submit import Submitted, Wanted, Words, submit
from leaseq.verbs.upstreams import resolve

ORIGIN_SECONDS = 2.0
"""So long it is not asked again what files tasks are made from."""
_known: tuple[object, float, Origin] = None, 0.0, Origin()


def lease_of(asked: Asked) -> LeaseDir:
    """The lease where the task is to go; raises LeaseqError."""
    allow("submit")
    return home.access().lease(asked.lease, acts=True)


def queued(asked: Asked, lease: LeaseDir, commands: Sequence[Words], *, ids: Sequence[str] = ()) -> Submitted:
    """Tasks are queued that run these commands, and their lease has a runner, or will have; raises LeaseqError.

    ids: theirs, if they are made. If the runner of this host cannot be started the tasks wait, and a warning says so.
    """
    access = home.access()
    like = _with_upstreams(access, asked, lease)
    done = submit(access, lease, Wanted(like, commands, priority=asked.priority, hold=asked.hold, ids=ids))
    if asked.start and done.ids:
        see_to_capacity(access, lease)
    if done.failure is not None:
        saved = f"{len(done.ids)} of {len(commands)} tasks were saved ({', '.join(done.ids)}), then: "
        raise Unavailable(f"{saved if done.ids else ''}{done.failure.strerror}") from done.failure
    return done


def see_to_capacity(access: Access, lease: LeaseDir) -> None:
    """Somebody will run what waits in the lease; if that is this host and it cannot, a warning says so."""
    try:
        access.ensure(lease)
    except (LeaseqError, OSError) as error:
        warnings.warn(f"queued, but this host's runner could not be started: {error}", RuntimeWarning, stacklevel=4)


def _with_upstreams(access: Access, asked: Asked, lease: LeaseDir) -> Task:
    found = [up for up, _ in resolve(access, lease, asked.after, array=asked.like.array)] if asked.after else []
    if asked.begin is not None:
        begin = asked.begin
        at = begin.timestamp() if isinstance(begin, datetime) else access.clock.now() + begin.total_seconds()
        found.append(begins_at(at, lease))
    return replace(asked.like, after=tuple(dict.fromkeys(map(str, found))), origin=_origin(access, asked.like))


def _origin(access: Access, like: Task) -> Origin:
    """What tasks of that directory are made from, as git has said a moment ago: a program queues many at once."""
    global _known
    now, key = access.clock.monotonic(), (access.home.root, like.cwd, like.env.get("PATH"), like.env.get("VIRTUAL_ENV"))
    if key != _known[0] or now - _known[1] > ORIGIN_SECONDS:
        _known = key, now, Origins(access.fs, access.home).of(like)
    return _known[2]
