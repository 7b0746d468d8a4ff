"""`leaseq release`: held tasks may start."""

from __future__ import annotations

from functools import partial

from leaseq.cli.after import ANYWAY
from leaseq.cli.command import Command, Words
from leaseq.cli.hold import Hold
from leaseq.cli.options import JSON, LEASE, OF_GROUP, by_group
from leaseq.dataclass import replace

COMMAND = Command(
    usage="ID... | -g GROUP",
    about="Lets held tasks start. (`leaseq lease release` releases a lease.)",
    make=by_group(partial(Hold, hold=False), hint="leaseq release ID..., `leaseq release last`, or -g GROUP"),
    words=Words("tasks", "task"),
    options=(
        LEASE,
        OF_GROUP,
        replace(ANYWAY, help="start them whatever they wait for (`submit --after`, `--begin`)"),
        JSON,
    ),
    examples=("leaseq release last", "leaseq release T0c4 --anyway"),
)
