"""Options that mean the same everywhere, and what the ones on looks become."""

from __future__ import annotations

from dataclasses import dataclass

from leaseq.cli.app import App
from leaseq.cli.command import Option
from leaseq.cli.output import Output
from leaseq.cli.values import one_of, yes

LEASE = Option("lease", "the lease: an id, its name, or `local` (default: see `lease use`)", short="l", metavar="LEASE")
JSON = Option("json", "one JSON document on stdout, errors too", kind="flag")
COLOR = Option("color", "auto, always or never", metavar="WHEN")
NO_START = Option("start", "--no-start: do not start this host's runner", kind="flag")
NO_HEADER = Option("no-header", "leave out the line of titles", kind="flag")
LOOK = (JSON, COLOR, NO_HEADER)


@dataclass(frozen=True)
class Look:
    """How the result is to be shown."""

    json: bool
    color: str = "auto"
    header: bool = True

    def output(self, app: App) -> Output:
        app.out = Output(color=self.color, header=self.header)
        return app.out


def look(json: str, color: str = "", no_header: str = "") -> Look:
    return Look(
        json=yes(json, what="--json"),
        color=one_of(color or "auto", what="--color", allowed=("auto", "always", "never")),
        header=not yes(no_header, what="--no-header"),
    )
