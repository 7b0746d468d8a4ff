"""Hooks: commands that hear of what happens in leases, as the commands of `leaseq hook` have them."""

from __future__ import annotations

from collections.abc import Iterable

from leaseq.api import home
from leaseq.api.submitting import Command
from leaseq.node.hook import Ended
from leaseq.protocol.hooks import EVERY_SECONDS, Hook
from leaseq.verbs import hook as hooking
from leaseq.verbs.allowed import allow
from leaseq.verbs.hook import ON, Listed


def hooks() -> list[Listed]:
    """Every hook of the home, and how it was called last."""
    return hooking.listed(home.access())


def add_hook(
    name: str,
    command: Command = (),
    *,
    on: str | Iterable[str] = ON,
    every_seconds: float = EVERY_SECONDS,
    ready: str = "",
    to: str = "",
) -> Hook:
    """The hook is there, and runners know of it within a minute; words, or a line for bash, are called for `on`.

    ready, to: as `leaseq hook add` has them, instead of a command.
    """
    allow("hook add")
    hook, _ = hooking.made(
        name,
        [command] if isinstance(command, str) else command,
        on=hooking.events(on if isinstance(on, str) else ",".join(on), what="on"),
        every_seconds=hooking.every(f"{every_seconds}s", what="every_seconds"),
        ready=ready,
        to=to,
    )
    hooking.add(home.access(), hook)
    return hook


def try_hook(name: str, *, lease: str = "") -> Ended:
    """How the hook ended, called here and now with a made-up failure."""
    allow("hook test")
    access = home.access()
    return hooking.tried(access, hooking.known(access, name), access.lease(lease))


def remove_hook(name: str) -> None:
    """The hook hears of nothing more; raises NotFound."""
    allow("hook remove")
    hooking.remove(home.access(), name)
