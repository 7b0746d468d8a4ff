"""What may be meant where a lease, a node, a task, a group, a hook, a state or a signal is asked for, with what it is.

Only what the home's files say is used: what a shell completes must cost no query of Slurm.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from leaseq import config
from leaseq.errors import LeaseqError, Malformed
from leaseq.forms import Form
from leaseq.layout import Home, default_home
from leaseq.world import SystemClock, SystemFs, is_remote

if TYPE_CHECKING:
    from leaseq.reading.views import TaskView

Pair = tuple[str, str]
_KEY = Form(r"( +)([A-Za-z0-9][\w.-]*):.*")
ROWS_MAX = 200
"""So many pending and so many ended tasks are offered."""
LIVE = frozenset("cancel hold release set edit move why follow".split())
"""Commands on tasks that have not ended."""
OVER = frozenset("redo retry".split())


def of_kind(kind: str, command: str, begun: str, lease: str) -> list[Pair]:
    """What a word of that kind may be that begins so, in that command. lease: as --lease names it, or empty."""
    made = {
        "lease": _leases,
        "node": _nodes,
        "task": _tasks,
        "group": _groups,
        "hook": _hooks,
        "event": _events,
        "profile": _profiles,
        "state": _states,
        "signal": _signals,
        "shell": _shells,
    }
    if kind not in made:
        return []
    try:
        return list(made[kind](_Here(command, begun, lease)))
    except (LeaseqError, Malformed, OSError):
        return []  # a person who types a word is told nothing; the command tells


class _Here:
    """What is being typed, and the home that it is about."""

    def __init__(self, command: str, begun: str, lease: str) -> None:
        self.command, self.begun, self.word = command, begun, lease
        self.home = Home(default_home())
        self.fs = SystemFs(remote=is_remote(self.home.root), owner=os.getuid())

    def rows(self) -> tuple[TaskView, ...]:
        """The tasks of the lease that is meant."""
        from leaseq.lease import leases
        from leaseq.reading.snapshot import Reader

        lease = self.home.lease(leases.resolve(self.fs, self.home, self.word))
        return Reader(lease, self.fs, SystemClock()).read(recent=ROWS_MAX, pending=ROWS_MAX).tasks


def _leases(here: _Here) -> Iterator[Pair]:
    from leaseq.lease import leases

    yield leases.LOCAL, "this host"
    for lease in leases.list_leases(here.fs, here.home):
        if not leases.is_own(lease.id):
            ended = f"ended: {lease.end_reason}" if lease.ended is not None else "not ended"
            if lease.name:
                yield lease.name, f"{lease.id}, {ended}"
            yield lease.id, ended


def _nodes(here: _Here) -> Iterator[Pair]:
    from leaseq.lease import leases
    from leaseq.protocol import allocs

    lease = here.home.lease(leases.resolve(here.fs, here.home, here.word))
    for node in allocs.members(here.fs, lease):
        yield node, ""


def _groups(here: _Here) -> Iterator[Pair]:
    for group in sorted({row.group for row in here.rows() if row.group}):
        yield group, "a group"


def _hooks(here: _Here) -> Iterator[Pair]:
    from leaseq.protocol import hooks

    for name, hook in hooks.hooks_of(here.fs, here.home).items():
        yield name, ",".join(hook.on)


def _events(here: _Here) -> Iterator[Pair]:
    from leaseq.protocol.hooks import EVENTS

    return iter(EVENTS.items())


def _profiles(here: _Here) -> Iterator[Pair]:
    """The profiles of the settings, if they stand line by line: reading YAML takes longer than a person waits."""
    lines = (config.read_text(here.home.config) or "").splitlines()
    block = itertools.dropwhile(lambda line: not line.startswith("profiles:"), lines)
    indented = itertools.takewhile(lambda line: line[:1] in ("", " ", "#"), itertools.islice(block, 1, None))
    keys = [found for found in map(_KEY.fullmatch, indented) if found]
    return ((key[2], "a profile") for key in keys if key[1] == keys[0][1])


def _states(here: _Here) -> Iterator[Pair]:
    from leaseq.models import State

    for state in State:
        yield state.name, ""


def _signals(here: _Here) -> Iterator[Pair]:
    for each in signal.Signals:
        yield each.name.removeprefix("SIG"), signal.strsignal(each) or ""


def _shells(here: _Here) -> Iterator[Pair]:
    from leaseq.cli.completion import SCRIPTS

    return ((shell, "") for shell in SCRIPTS)


def _tasks(here: _Here) -> Iterator[Pair]:
    from leaseq.lease.lookup import ENDED, EVERY, RUNNING, UNENDED

    prefix, colon, _ = here.begun.partition(":")
    if colon:
        said: dict[str, Callable[[TaskView], str]] = {
            "group": lambda row: row.group,
            "name": lambda row: row.name,
            "state": lambda row: row.state.name,
        }
        words = {said[prefix](row) for row in here.rows()} if prefix in said else set()
        yield from ((f"{prefix}:{word}", "") for word in sorted(words) if word)
        return
    if here.command == "signal" and here.begun and not here.begun.startswith("T"):
        yield from _signals(here)
        return
    of = {"signal": RUNNING, **dict.fromkeys(LIVE, UNENDED), **dict.fromkeys(OVER, ENDED)}.get(here.command, EVERY)
    for row in filter(of.fits, here.rows()):
        yield row.id, " ".join(f"{row.state.name} {row.name} {row.command}".split())[:100]
    yield "last", "the task submitted last"
