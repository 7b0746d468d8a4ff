"""`leaseq release`: held tasks may start."""

from __future__ import annotations

from functools import partial

from leaseq.cli.command import Command
from leaseq.cli.hold import Hold, which
from leaseq.cli.options import JSON, LEASE

COMMAND = Command(
    usage="ID...",
    about="Lets held tasks start. (`leaseq lease release` releases a lease.)",
    make=partial(Hold, hold=False),
    words=which("release"),
    options=(LEASE, JSON),
    examples=("leaseq release last",),
)
