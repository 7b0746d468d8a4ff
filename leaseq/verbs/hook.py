"""Hooks are added, tried and removed; and what became of their last calls."""

from __future__ import annotations

import os
from collections.abc import Sequence

from leaseq.dataclass import dataclass
from leaseq.errors import Malformed, NotFound
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.models import Event, State
from leaseq.names import new_task_id
from leaseq.node import hook as process
from leaseq.protocol import hooks
from leaseq.protocol.hooks import Call, Hook
from leaseq.protocol.notices import Notice, document, environment
from leaseq.verbs.access import Access
from leaseq.world import hostname


@dataclass(frozen=True)
class Listed:
    """A hook, and how it was called last."""

    hook: Hook | None
    """None: its file cannot be read."""
    name: str
    last: Call | None = None
    lease: str = ""
    node: str = ""
    """Where it was called then."""


def listed(access: Access) -> list[Listed]:
    """Every hook, with its last call by any node of any lease."""
    last: dict[str, tuple[Call, str, str]] = {}
    for record in leases.list_leases(access.fs, access.home):
        for node, told in hooks.told_in(access.fs, access.home.lease(record.id)).items():
            for name, call in told.calls.items():
                if name not in last or last[name][0].time < call.time:
                    last[name] = call, record.id, node
    found = []
    for name in hooks.names_of(access.fs, access.home):
        try:
            hook: Hook | None = hooks.read(access.fs, access.home, name)
        except (Malformed, FileNotFoundError):
            hook = None
        found.append(Listed(hook, name, *last.get(name, (None, "", ""))))
    return found


def known(access: Access, name: str) -> Hook:
    """The hook of that name; raises NotFound and UsageError."""
    try:
        return hooks.read(access.fs, access.home, name)
    except FileNotFoundError:
        raise NotFound(f"there is no hook {name!r}", hint="`leaseq hook` lists them") from None
    except Malformed as error:
        raise NotFound(f"hook {name!r} cannot be read: {error}", hint="add it again, or remove it") from None


def tried(access: Access, hook: Hook, lease: LeaseDir) -> process.Ended:
    """The hook was called here, with a made-up failure, and `empty`."""
    made_up = Event(
        id=new_task_id(),
        attempt=1,
        state=State.FAILED,
        ended=access.clock.now(),
        node=hostname(),
        name="a test of this hook",
        command="false",
        exit_code=1,
    )
    notices: Sequence[Notice] = [Notice("failed", task=made_up), Notice("empty", "nothing is pending or runs any more")]
    record = leases.read_record(access.fs, lease)
    body = document(hook.name, lease, record, hostname(), notices, now=access.clock.now())
    env = environment(hook, access.home, lease, body, os.environ)
    return process.call(hook.argv, shell=hook.shell, document=body, env=env)
