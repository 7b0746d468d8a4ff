"""`leaseq daemon restart`: this host's runner is another one."""

from __future__ import annotations

from functools import partial

from leaseq.cli.command import Command
from leaseq.cli.daemon_start import Start
from leaseq.cli.here import HERE
from leaseq.cli.options import JSON

COMMAND = Command(
    usage="[--lease LEASE]",
    about="Stops this host's runner and starts it again. Tasks go on.",
    make=partial(Start, restart=True),
    options=(HERE, JSON),
    examples=("leaseq daemon restart",),
)
