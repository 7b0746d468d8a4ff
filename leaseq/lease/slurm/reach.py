"""Whether a node of a lease sees this home: a path that both have need not be one directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from leaseq.allocation import Allocation
from leaseq.errors import LeaseqError
from leaseq.layout import LeaseDir
from leaseq.lease.slurm.command import ask
from leaseq.lease.slurm.job import SlurmBackend
from leaseq.protocol import files
from leaseq.world import Fs

STEP_SECONDS_MAX = 30.0
SEES, BLIND = "sees", "blind"


def sees_home(backend: SlurmBackend, alloc: Allocation, host: str) -> bool | None:
    """True if a step on the node finds a file that was just made here; None if no step tells."""
    try:
        with fresh_file(backend.fs, backend.home.lease(alloc.lease)) as mark:
            words = ["/bin/sh", "-c", f'[ -e "$1" ] && echo {SEES} || echo {BLIND}', "look", mark]
            answer = ask(backend.attach(alloc, host, words, tty=False), seconds_max=STEP_SECONDS_MAX)
    except LeaseqError:
        return None
    told = answer.out.split()
    return told == [SEES] if answer.code == 0 and told in ([SEES], [BLIND]) else None


@contextlib.contextmanager
def fresh_file(fs: Fs, lease: LeaseDir) -> Iterator[str]:
    """The path of a file in the lease's directory that nobody else can have, nor have looked for before."""
    mark = files.hidden(lease.root)
    fs.create(mark, b"", durable=False)
    try:
        yield mark
    finally:
        files.discard(fs, mark)


def another_home(node: str, home: str) -> str:
    """What is wrong if a node does not see the home."""
    return f"{node} does not see {home}: under that path it has a directory of its own, or none"
