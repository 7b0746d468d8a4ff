"""What can be done to tasks: what the command of that name does, and nothing is printed.

What is done to several is tried for each of them; then the first error is raised, if there is one. If one of the words
names no task, nothing is done. An id may have indices behind it (`T3k9_0-9`), where that makes sense.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from leaseq.api import home
from leaseq.api.options import Options, asked
from leaseq.api.queueing import see_to_capacity
from leaseq.errors import LeaseqError, UsageError
from leaseq.lease.lookup import Found, How, Located
from leaseq.models import ANY
from leaseq.verbs import cancel as cancelling
from leaseq.verbs import change as changing
from leaseq.verbs import hold as holding
from leaseq.verbs import move as moves
from leaseq.verbs.access import Access
from leaseq.verbs.allowed import allow
from leaseq.verbs.cancel import Cancelled
from leaseq.verbs.change import Changed
from leaseq.verbs.changes import Changes
from leaseq.verbs.fits import Fits
from leaseq.verbs.origin import Origins

if TYPE_CHECKING:
    from typing_extensions import Unpack

Made = TypeVar("Made")
NEED = ("gpus", "cpus", "mem", "time")
CHANGES = ("name", "env", "export", "node", "cwd", "retries", "on_lost", "requeue")
"""What of an ended task can be other, besides its need, when it runs once more."""


def cancel(*ids: str, lease: str = "") -> list[Cancelled]:
    """The tasks, or indices of arrays, end, whether or not they have started."""
    return _each("cancel", ids, lease, cancelling.cancel, how=How.TOGETHER)


def send_signal(*ids: str, signal: int, leader: bool = False, lease: str = "") -> None:
    """The processes of the running tasks get that signal, or with `leader` the outermost that handles it."""

    def act(access: Access, each: Located) -> None:
        cancelling.send_signal(access, each, signal, leader=leader)

    _each("signal", ids, lease, act, how=How.EACH)


def hold(*ids: str, lease: str = "") -> None:
    """The pending tasks do not start before they are released."""
    _each("hold", ids, lease, holding.hold)


def release(*ids: str, anyway: bool = False, lease: str = "") -> None:
    """The held tasks may start; `anyway`: whatever they wait for."""
    _each("release", ids, lease, partial(holding.release, anyway=anyway), backlog=True)


def change(*ids: str, **options: Unpack[Options]) -> list[Changed]:
    """The pending tasks are other than they were, under their ids; what is not said stays as it is."""
    changes = _changes(options, "priority", "group", "after")
    said = asked(options)
    wished = changing.wish(
        changes,
        priority=said.priority if "priority" in options else None,
        group=said.like.group if "group" in options else None,
        after=said.after if "after" in options else None,
    )
    act = partial(changing.change, wished=wished, fits=Fits(home.access()))
    return _each("set", ids, options.get("lease", ""), act)


def retry(*ids: str, **options: Unpack[Options]) -> None:
    """The ended tasks are pending as their next attempts, under their ids; of arrays the indices that are not DONE."""
    from leaseq.verbs.retry import retry as once_more

    access = home.access()
    origins = Origins(access.fs, access.home)
    act = partial(once_more, changes=_changes(options), fits=Fits(access), origins=origins)
    _each("retry", ids, options.get("lease", ""), act, how=How.TOGETHER, backlog=True)


def redo(*ids: str, **options: Unpack[Options]) -> list[str]:
    """The ids of new tasks like the ended ones, but for what is said; of arrays with all their indices."""
    from leaseq.verbs.redo import check
    from leaseq.verbs.redo import redo as anew

    changes, fits = _changes(options, "priority"), Fits(home.access())
    origins = Origins(fits.access.fs, fits.access.home)
    priority = asked(options).priority

    def act(access: Access, each: Located) -> str:
        check(access, each, changes, fits=fits, start=True)
        return anew(access, each, changes, priority=priority, origins=origins).task.id

    return _each("redo", ids, options.get("lease", ""), act, how=How.TOGETHER, backlog=True)


def recover(*ids: str, force: bool = False, lease: str = "") -> None:
    """The stuck and lost tasks are pending as their next attempts; one that may still run only with `force`."""
    from leaseq.verbs.recover import recover as given_up

    _each("recover", ids, lease, partial(given_up, force=force), backlog=True)


def move(*ids: str, to: str = "", node: str = "", lease: str = "") -> None:
    """The pending tasks are in the lease `to`, pinned to that node if one is said (`any`: to none)."""
    if not to and not node:
        raise UsageError("to which lease, or node?", hint='to="48213", or node="n1"')
    allow("move")
    found = _found(ids, lease, How.REFUSED)
    pin = ANY if node == "any" else node
    destination = moves.destination(home.access(), found, source=lease, target=to, node=pin)
    _act(found, partial(moves.move, to=destination))
    see_to_capacity(home.access(), destination.lease)


def _each(
    command: str,
    ids: Sequence[str],
    lease: str,
    act: Callable[[Access, Located], Made],
    *,
    how: How = How.REFUSED,
    backlog: bool = False,
) -> list[Made]:
    """What came of each of the tasks that the ids name. backlog: their leases are to run something by that."""
    allow(command)
    found = _found(ids, lease, how)
    try:
        return _act(found, act)
    finally:
        for each in {task.reader.lease.id: task.reader.lease for task in found.tasks}.values() if backlog else ():
            see_to_capacity(home.access(), each)


def _found(ids: Sequence[str], lease: str, how: How) -> Found:
    """The tasks that the ids name; raises NotFound if one names none."""
    if not ids:
        raise UsageError("which tasks?", hint="at least one id")
    found = home.access().find(ids, lease=lease, acts=True, indices=how)
    if found.problems:
        raise found.problems[0]
    return found


def _act(found: Found, act: Callable[[Access, Located], Made]) -> list[Made]:
    made: list[Made] = []
    first: LeaseqError | None = None
    for each in found.tasks:
        try:
            made.append(act(home.access(), each))
        except LeaseqError as error:
            first = first or error
    if first is not None:
        raise first
    return made


def _changes(options: Options, *more: str) -> Changes:
    """What of tasks is to be other than it was; raises UsageError. more: what may be said besides."""
    if others := options.keys() - {"lease", *NEED, *CHANGES, *more}:
        raise UsageError(f"{min(others)} cannot be said of a task that there is")
    like = asked(options).like
    said: dict[str, Any] = {name: value for name, value in options.items() if name in CHANGES}
    if "env" in said:
        said["env"] = tuple(f"{name}={value}" for name, value in said["env"].items())
    if "cwd" in said:
        said["cwd"] = os.fspath(said["cwd"])
    return Changes(need=like.need, **said)
