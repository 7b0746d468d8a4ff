"""`leaseq hook add`: a command hears of what happens in leases."""

from __future__ import annotations

from typing import Any

from leaseq import programs
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.dataclass import dataclass
from leaseq.protocol.hooks import EVENTS, EVERY_SECONDS, Hook
from leaseq.verbs.hook import ON, READY, add, events, every, made


@dataclass(frozen=True)
class AddHook:
    """A hook that is to be there."""

    hook: Hook
    program: str
    """What a ready one needs; empty: not known."""

    def perform(self, app: App) -> int:
        add(app.access, self.hook)
        if self.program and programs.found(self.program) is None:
            app.out.talk(f"leaseq: there is no {self.program} here: the nodes must have it")
        on = ", ".join(self.hook.on) or "tasks with --notify alone"
        app.out.talk(
            f"leaseq: hook {self.hook.name} hears of {on}, from now on; runners know of it within a minute\n"
            f"  `leaseq hook test {self.hook.name}` calls it now"
        )
        return 0


def _request(*, name: str, tail: tuple[str, ...] | None, on: tuple[str, ...], **fields: Any) -> AddHook:
    return AddHook(*made(name, tail or (), on=on, **fields))


COMMAND = Command(
    usage="NAME [--on EVENTS] [--every TIME] -- COMMAND... | NAME --ready KIND [--to WHERE]",
    about="A command is called by runners when something happens in any lease of this home: with one JSON document on "
    "stdin, $LEASEQ_TEXT as a line for people, and 10 s of time.\n"
    + "\n".join(f"{event}: {words}" for event, words in EVENTS.items()),
    make=_request,
    words=Words("name", least=1, most=1, ask="what is the hook to be called?", hint="leaseq hook add NAME -- COMMAND"),
    tail=True,
    named=True,
    options=(
        Option(
            "on",
            f"what it hears of: {', '.join(EVENTS)}",
            metavar="EVENTS",
            read=events,
            default=ON,
            completes="event",
        ),
        Option(
            "every",
            "it is called no more often; what happens meanwhile is told together",
            metavar="TIME",
            read=every,
            default=f"{EVERY_SECONDS:.0f}",
            field="every_seconds",
        ),
        Option("ready", "a ready one, which needs no command", metavar="KIND", choices=tuple(READY)),
        Option("to", "where a ready one sends: a URL, or an address", metavar="WHERE"),
    ),
    examples=(
        "leaseq hook add desk --ready desktop",
        "leaseq hook add phone --ready webhook --to URL",
        "leaseq hook add log --on done,failed -- 'cat >>~/log'",
    ),
)
