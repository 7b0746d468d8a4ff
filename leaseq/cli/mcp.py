"""`leaseq mcp`: a server for agents, on stdio."""

from __future__ import annotations

import os

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.dataclass import dataclass


@dataclass(frozen=True)
class Mcp:
    """The tools of agents, served until the client ends."""

    allow_changes: bool

    def perform(self, app: App) -> int:
        from leaseq.mcp.server import serve

        os.umask(app.umask)  # that of tasks which are submitted
        serve(changes=self.allow_changes)
        return 0


COMMAND = Command(
    usage="[--allow-changes]",
    about="Serves tools for coding agents by the Model Context Protocol, on stdin and stdout, for a client that starts "
    "it. They only look; with --allow-changes they submit, cancel, hold and retry, too, unless LEASEQ_READONLY is set. "
    "It needs the protocol's SDK: pip install 'leaseq[mcp]'.",
    make=Mcp,
    options=(Option("allow-changes", "with tools that change something", kind="flag"),),
    examples=("leaseq mcp --allow-changes",),
)
