"""Options that mean the same everywhere, and what the ones on looks become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leaseq.cli.app import App
from leaseq.cli.command import Option, Request
from leaseq.cli.output import Output
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.names import valid_group, valid_name

LEASE = Option(
    "lease", "the lease: an id, its name, or `local` (default: see `lease use`)", short="l", completes="lease"
)
NODE = Option("node", "run on this node only", short="w", read=valid_name, absent="", completes="node")
GROUP = Option(
    "group",
    "its group: tasks that are paused, limited and found together",
    short="g",
    metavar="GROUP",
    read=valid_group,
    absent="",
    completes="group",
)
JSON = Option("json", "one JSON document on stdout, errors too", kind="flag")
COLOR = Option("color", "when to colour", metavar="WHEN", choices=("auto", "always", "never"), default="auto")
NO_START = Option("start", "do not start this host's runner", kind="flag", default="true")
NO_HEADER = Option("no-header", "leave out the line of titles", kind="flag")
LOOK = (JSON, COLOR, NO_HEADER)
OF_GROUP = Option(
    "group", "those of this group", short="g", metavar="GROUP", read=valid_group, absent="", completes="group"
)
"""What a group stands for beside ids, in a command whose request is made by `by_group`."""


def by_group(make: Callable[..., Request], *, hint: str = "") -> Callable[..., Request]:
    """What makes the request where `-g GROUP` stands for the group's tasks. hint: the next step if no task is named."""

    def made(*, tasks: tuple[str, ...], group: str, **fields: Any) -> Request:
        words = (*tasks, *([f"group:{group}"] if group else []))
        if not words and hint:
            raise UsageError("which task?", hint=hint)
        return make(tasks=words, **fields)

    return made


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the result of a command that only looks is to be shown."""

    json: bool = False
    color: str = "auto"
    no_header: bool = False

    def output(self, app: App) -> Output:
        app.out = Output(color=self.color, header=not self.no_header)
        return app.out
